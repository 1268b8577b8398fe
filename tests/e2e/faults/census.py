"""Count what a run has in the world, and what is left of it once it has ended.

All that a run makes carries the run's token in a label, a name, a path or its
environment, so that other runs on this machine are never counted.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.engines.docker import LABEL, RealEngine
from tmpnb.system.process import Process, find, send

PROC = Path("/proc")
LISTENING = "0A"  # of a socket, as /proc/net/tcp writes it
# What the state directory may hold when nothing runs.
KEPT = re.compile(r"secret_key|service\.log|.*\.?lock|.*\.claims|.*\.kept|.*\.bans")

Count = dict[str, set[str]]  # kind -> what there is of it, in words for a failed test


class Census:
    """Counts containers, volumes, networks, processes, sockets, directories and files.

    Routes are with the proxy: `Service.routes` and `RunningProxy.routes` read them.

    Attributes:
        token: What everything of the run carries.
        directory: Where the run keeps its files; `tmp` in it is its TMPDIR.
    """

    def __init__(self, token: str, directory: Path, engine: RealEngine | None = None) -> None:
        self.token, self.directory, self.engine = token, directory, engine

    def count(self) -> Count:
        """Return what is there now."""
        processes = {process.pid for process in self.processes()}
        return {
            "containers": self._containers(),
            "volumes": self._volumes(),
            "networks": self._networks(),
            "processes": {f"{pid} {_words(pid)}" for pid in processes},
            "sockets": {s for pid in processes for s in _listening(pid)} | self._unix_sockets(),
            "directories": self._directories(),
            "files": self._files(),
        }

    def left(self) -> Count:
        """Return what is there although all has ended; empty when nothing is."""
        return {kind: found for kind, found in self.count().items() if found}

    def instances(self) -> dict[str, bool]:
        """Return the ids of all servers the engine holds, and whether each is claimed."""
        if self.engine is None:
            found = self.directory.glob("tmp/tmpnb-*/*/server.json")
            return {path.parent.name: (path.parent / "claimed").exists() for path in found}
        entries = self.engine.client.containers(all=True, filters=self._label)
        servers = [e for e in entries if "tmpnb.server" in e["Labels"]]
        return {
            e["Labels"]["tmpnb.server"]: any("-claimed-" in name for name in e["Names"])
            for e in servers
        }

    def clear(self) -> None:
        """Remove what a test that failed has left in the engine and of processes."""
        for process in self.processes():
            send(process, signal.SIGKILL)
        if self.engine is None:
            return
        for entry in self.engine.client.containers(all=True, filters=self._label):
            self.engine.client.remove_container(entry["Id"], v=True, force=True)
        for volume in self._volumes():
            self.engine.client.remove_volume(volume)

    def processes(self) -> set[Process]:
        """Return those whose environment or command line holds the token, but not our own."""
        wanted, found = self.token.encode(), set()
        for pid in (int(name) for name in os.listdir(PROC) if name.isdecimal()):
            with suppress(OSError):  # gone by now
                about = PROC / str(pid)
                text = (about / "environ").read_bytes() + (about / "cmdline").read_bytes()
                if wanted in text and pid != os.getpid() and (process := find(pid)):
                    found.add(process)
        return found

    @property
    def _label(self) -> dict[str, str]:
        return {"label": f"{LABEL}={self.token}"}

    def _containers(self) -> set[str]:
        if self.engine is None:
            return set()
        entries = self.engine.client.containers(all=True, filters=self._label)
        return {f"{' '.join(e['Names'])} {e['State']}" for e in entries}

    def _volumes(self) -> set[str]:
        if self.engine is None:
            return set()
        found = self.engine.client.volumes(filters=self._label)["Volumes"]
        return {volume["Name"] for volume in found or []}

    def _networks(self) -> set[str]:
        if self.engine is None:
            return set()
        return {n["Name"] for n in self.engine.client.networks(filters=self._label)}

    def _unix_sockets(self) -> set[str]:
        """Return those with a path of the run, but not those of a fault proxy in our process."""
        own = _sockets(os.getpid())
        entries = [line.split() for line in (PROC / "net/unix").read_text().splitlines()[1:]]
        return {e[-1] for e in entries if self.token in e[-1] and e[6] not in own}

    def _directories(self) -> set[str]:
        """Return what stands in the places for temporary files."""
        common = Path(tempfile.gettempdir()).glob(f"*{self.token}*")
        own = (self.directory / "tmp").glob("*")
        return {str(path) for path in (*common, *own) if path != self.directory}

    def _files(self) -> set[str]:
        found = (path for path in self.directory.glob("state*/*"))
        return {str(path) for path in found if not KEPT.fullmatch(path.name)}


def _listening(pid: int) -> set[str]:
    """Return the TCP ports at which a process listens."""
    with suppress(OSError):  # gone by now
        inodes = _sockets(pid)
        tables = [(PROC / str(pid) / "net" / name).read_text() for name in ("tcp", "tcp6")]
        entries = [line.split() for table in tables for line in table.splitlines()[1:]]
        return {
            f"port {int(entry[1].rpartition(':')[2], 16)} of process {pid}"
            for entry in entries
            if entry[3] == LISTENING and entry[9] in inodes
        }
    return set()


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found = set()
    for fd in (PROC / str(pid) / "fd").iterdir():
        with suppress(OSError):  # closed by now
            found.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
    return found


def _words(pid: int) -> str:
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    return ""

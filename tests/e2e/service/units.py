"""The units of `deploy/`, run without systemd: their words and variables, their user, their walls.

As far as a test can be systemd: capabilities, privileges, what can be written, what a signal ends.
Their filter of system calls and their control groups are not there.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import stat
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.running_service import STOP
from tests.support.requirements import ROOT

SOCKET = Path("/run/docker.sock")
USERS = {"tmpnb": 64101, "tmpnb-proxy": 64102}  # by number: nobody has these
WALLS = """
set -e
mount --make-rprivate /
open() { # FOLDER PATH...: lets others through a folder that is closed to them, to these paths alone
    folder=$1; shift; n=0
    for path; do n=$((n + 1)); mkdir -p "$KEPT/$n"; mount --rbind "$path" "$KEPT/$n"; done
    mount -t tmpfs -o mode=755 tmpfs "$folder"; n=0
    for path; do n=$((n + 1)); mkdir -p "$path"; mount --rbind "$KEPT/$n" "$path"; done
}
%s
mount --bind "$STATE" "$STATE"
while read -r _ place _; do
    case $place in /proc* | /sys* | /dev* | "$STATE") continue ;; esac
    mount -o remount,bind,ro "$place" 2>/dev/null || true
done </proc/self/mounts
unset KEPT STATE
exec "$@"
"""


def entries(name: str) -> dict[str, list[str]]:
    """Return what a unit says under `[Service]`, by key."""
    found: dict[str, list[str]] = defaultdict(list)
    text = (ROOT / "deploy" / f"{name}.service").read_text()
    for line in text.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def closed(path: Path) -> Path | None:
    """Return the first folder on the way to a path that others cannot pass, if there is one."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


@dataclass
class Machine:
    """What the two units find: a configuration, a token, a state directory, all below `root`."""

    root: Path

    def prepare(self, config: str) -> None:
        """Do what the documents tell an operator to do."""
        self.root.chmod(0o755)
        etc, state, kept = self.root / "etc", self.root / "state", self.root / "kept"
        for folder in (etc, state, kept):
            folder.mkdir()
        (etc / "tmpnb_config.py").write_text(config)
        state.chmod(0o700)
        os.chown(state, USERS["tmpnb"], USERS["tmpnb"])
        for name, user in USERS.items():
            folder = self.root / "credentials" / name
            folder.mkdir(parents=True)
            (folder / "proxy-token").write_text("a-token-of-this-machine\n")
            (folder / "proxy-token").chmod(0o400)
            os.chown(folder / "proxy-token", user, user)

    def here(self, name: str, text: str) -> str:
        """Return words of a unit with the places of this machine."""
        for there, place in (
            ("/opt/tmpnb/bin", str(Path(sys.executable).parent)),
            ("/etc/tmpnb", str(self.root / "etc")),
            ("/var/lib/tmpnb", str(self.root / "state")),
            ("%S/tmpnb", str(self.root / "state")),
            ("%d", str(self.root / "credentials" / name)),
        ):
            text = text.replace(there, place)
        return text

    def command(self, name: str) -> list[str]:
        """Return the words that run a unit as its user, behind its walls."""
        said = entries(name)
        [line] = said["ExecStart"]
        user = USERS[name]
        groups = [SOCKET.stat().st_gid] if said["SupplementaryGroups"] == ["docker"] else []
        person = ["setpriv", f"--reuid={user}", f"--regid={user}"]
        person += [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
        assert said["CapabilityBoundingSet"] == [""]
        assert said["NoNewPrivileges"] == ["yes"]
        assert said["ProtectSystem"] == ["strict"]
        person += ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        opened: dict[Path, list[str]] = defaultdict(list)
        for path in {Path(sys.base_prefix), ROOT, self.root}:
            if folder := closed(path):
                opened[folder].append(shlex.quote(str(path)))
        lines = [f"open {shlex.quote(str(f))} {' '.join(p)}" for f, p in opened.items()]
        walls = ["unshare", "--mount", "sh", "-c", WALLS % "\n".join(lines), "walls"]
        return [*walls, *person, *shlex.split(self.here(name, line))]

    def environment(self, name: str) -> dict[str, str]:
        variables = [
            self.here(name, value).partition("=") for value in entries(name)["Environment"]
        ]
        places = {"STATE": str(self.root / "state"), "KEPT": str(self.root / "kept")}
        return {n: v for n, _, v in variables} | {"HOME": "/"} | places


class Unit:
    """One of them; what it prints is in a file of the machine's."""

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine, self._name = machine, name
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._machine.command(self._name),
                env=self._machine.environment(self._name),
                stdout=log,
                stderr=log,
            )

    async def stop(self) -> int:
        """End it as systemd does, the main process alone; return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP)

    @property
    def _log(self) -> Path:
        return self._machine.root / f"{self._name}.log"

    def said(self) -> str:
        return self._log.read_text()

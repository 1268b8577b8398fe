"""One local server's directory: its record, its claim, its home, its removal. Blocking.

server.json   port, time of creation and process; written before the process is
claimed       time of the claim
output.log    what it printed
home/         its HOME and working directory
python/       its Python environment
runtime/      Jupyter's connection files
tmp/          its TMPDIR
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from tmpnb.core.observation import Instance
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.local.contents import PAGE_CONFIG, Contents, copy
from tmpnb.system.process import Process, is_running, marked

ADDRESS = "127.0.0.1"
MARKER = "TMPNB_SERVER_DIR"  # in the environment of a server and of all it starts
TAIL = 64 * 1024  # bytes of output that are read at most
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@dataclass(frozen=True, slots=True)
class Record:
    """What must outlive the orchestrator to find a server again."""

    port: int
    created_at: float  # Unix time in seconds
    process: Process | None = None  # None: perhaps not started yet


def prepare_root(root: Path) -> None:
    """Make the directory of all servers of a pool, for this user alone.

    Raises:
        ConfigError: It cannot be made, or somebody else made it.
    """
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        about = root.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            raise ConfigError(
                f"{root} belongs to another user or is no directory; remove it, "
                "or choose another place with --LocalProcessSpawner.directory"
            )
        root.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot keep servers in {root}: {error.strerror}; "
            "choose another place with --LocalProcessSpawner.directory"
        ) from error


def all_in(root: Path) -> list[ServerDirectory]:
    """Return the directories of all servers of a pool."""
    with suppress(FileNotFoundError), os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [ServerDirectory(root, unquote(name)) for name in names]
    return []


class ServerDirectory:
    """The directory of one server. Every method raises OSError as the system does."""

    def __init__(self, root: Path, server_id: str) -> None:
        if not server_id:
            raise SpawnerError("a server needs an id")
        name = quote(server_id, safe="")
        self.path = root / (f"%2E{name[1:]}" if name.startswith(".") else name)
        self.server_id = server_id
        self.home, self.runtime = self.path / "home", self.path / "runtime"
        self.temp, self.marker = self.path / "tmp", f"{MARKER}={self.path}"
        self.python = self.path / "python"

    def create(self, record: Record) -> None:
        """Make it, with its record.

        Raises:
            FileExistsError: There is one already.
        """
        self.path.mkdir(mode=0o700)
        self.write(record)

    def furnish(self, contents: Contents | None) -> None:
        """Make the home, with a copy of `contents`, and what else a server needs."""
        if contents is None:
            self.home.mkdir()
        else:
            copy(contents, self.home)
            _make_writable(self.home)
        self.runtime.mkdir()
        self.temp.mkdir()
        page_config = self.home / PAGE_CONFIG
        page_config.parent.mkdir(parents=True, exist_ok=True)
        if not page_config.exists():
            page_config.write_text(json.dumps(NO_NEWS))

    def write(self, record: Record) -> None:
        """Keep `record`, in place of the one before."""
        self._write("server.json", json.dumps(asdict(record)))

    def claim(self, claimed_at: float) -> None:
        """Keep the time of the claim, Unix time in seconds."""
        self._write("claimed", repr(claimed_at))

    def open_output(self) -> IO[bytes]:
        """Return the file for what the server prints."""
        return (self.path / "output.log").open("ab")

    def tail(self) -> str:
        """Return the end of what the server printed."""
        with suppress(FileNotFoundError), (self.path / "output.log").open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - TAIL))
            return output.read(TAIL).decode(errors="replace")
        return ""

    def instance(self) -> Instance | None:
        """Return what is there; None if the directory is gone."""
        try:
            record, made = self._read(), self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        if record is None:  # its maker died while making or removing it
            return Instance(self.server_id, running=bool(self.processes()), created_at=made)
        running = is_running(record.process) if record.process else bool(self.processes())
        address = f"http://{ADDRESS}:{record.port}"
        return Instance(self.server_id, running, record.created_at, self._claimed_at(), address)

    def processes(self) -> set[Process]:
        """Return the processes of this server, by its record and by their environment."""
        with suppress(FileNotFoundError):
            record = self._read()
            if record and record.process and is_running(record.process):
                return marked(self.marker) | {record.process}
        return marked(self.marker)

    def remove(self) -> None:
        """Remove it with all it holds, whatever permissions a visitor gave to that."""
        with suppress(FileNotFoundError):
            try:
                shutil.rmtree(self.path)
            except PermissionError:
                _make_writable(self.path)
                shutil.rmtree(self.path)

    def _read(self) -> Record | None:
        """Return the record; None if it is absent or makes no sense."""
        self.path.lstat()
        try:
            fields = json.loads((self.path / "server.json").read_text())
            process = Process(**fields["process"]) if fields["process"] else None
            return Record(int(fields["port"]), float(fields["created_at"]), process)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _claimed_at(self) -> float | None:
        claim = self.path / "claimed"
        try:
            return float(claim.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            return claim.stat().st_mtime

    def _write(self, name: str, text: str) -> None:
        """Write a file that readers find whole or not at all."""
        draft = self.path / f"{name}.new"
        draft.write_text(text)
        draft.replace(self.path / name)


def _make_writable(tree: Path) -> None:
    _allow(tree)
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):  # before the walk enters them
            _allow(Path(folder, name))


def _allow(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode):
        bits = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IWUSR
        path.chmod(stat.S_IMODE(mode) | bits)

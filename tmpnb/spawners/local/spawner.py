"""Notebook servers as processes on this machine: for trying things out, without isolation."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from traitlets import Unicode

from tmpnb.core.observation import Instance, Used
from tmpnb.errors import ConfigError, NoInstanceError, SpawnerError
from tmpnb.spawners.base import DEFAULT_COMMAND, ServerSpec, Spawner
from tmpnb.spawners.command_template import render
from tmpnb.spawners.local import packages
from tmpnb.spawners.local.contents import Contents, in_words, survey
from tmpnb.spawners.local.directory import ADDRESS, Record, ServerDirectory, all_in, prepare_root
from tmpnb.spawners.local.environment import environment, search_path
from tmpnb.spawners.local.examination import LocalExamination
from tmpnb.system import process
from tmpnb.system.logs.redaction import redact

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 8  # for files; what waits for processes needs none
GRACE = 3.0  # seconds a server has between SIGTERM and SIGKILL
PATIENCE = 15.0  # seconds for all of its processes to be gone
REMOVALS = 3  # tries, should a process be born behind our back
PORT_TRIES = 100


@dataclass(frozen=True, slots=True)
class _Child:
    """A server that this process started itself, so it must reap it."""

    popen: subprocess.Popen[bytes]
    token: str


class LocalProcessSpawner(Spawner):
    """Starts each server as a process of the orchestrator's own user, on loopback."""

    walls = False

    notebook_dir = Unicode(
        "",
        help="""Directory whose contents are copied into each new home, following links. Anything
        that is not a file, cannot be read, or would keep Jupyter from starting is left out and
        named in the log. Default: none.""",
    ).tag(config=True)

    directory = Unicode(
        "",
        help="""Where the servers' directories are created. Default: the system's directory for
        temporary files.""",
    ).tag(config=True)

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self._children: dict[str, _Child] = {}
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(THREADS, "local-spawner")
        self._taken: dict[str, int] = {}  # ports by server id
        self._ports = threading.Lock()
        self._removal = asyncio.Lock()
        self._left_out = ""  # of the contents, as it was told of

    def check(self) -> None:
        """See `Spawner`."""
        _check_program(self._arguments(ServerSpec("id", "/user/id/", "token"), port=1)[0])

    async def setup(self) -> None:
        """See `Spawner`."""
        await self._in_thread(self._check)
        log.warning(
            "--spawner=local is for trying things out: every visitor runs code as this "
            "user (uid %d) and can read and change all your files; to serve others, "
            "use --spawner=docker",
            os.geteuid(),
        )

    async def start(self, spec: ServerSpec) -> str:
        """See `Spawner`."""
        directory = self._directory_of(spec.server_id)
        return await self._in_thread(lambda: self._launch(spec, directory))

    async def stop(self, server_id: str) -> None:
        """See `Spawner`."""
        directory = self._directory_of(server_id)
        for _ in range(REMOVALS):
            left = await process.end(directory.processes, grace=GRACE, patience=PATIENCE)
            if left:
                pids = sorted(one.pid for one in left)
                raise SpawnerError(f"processes of server {server_id} do not end: {pids}")
            async with self._removal:  # two at once would trip over each other's files
                await self._in_thread(directory.remove)
            if not await self._in_thread(directory.processes):
                break
        else:
            raise SpawnerError(
                f"server {server_id} starts processes faster than they can be stopped"
            )
        self._taken.pop(server_id, None)
        child = self._children.pop(server_id, None)
        if child is not None:
            child.popen.poll()

    async def list(self) -> list[Instance]:
        """See `Spawner`."""
        return [*await self._in_thread(self._look)]

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """See `Spawner`."""
        try:
            self._directory_of(server_id).claim(claimed_at)
        except FileNotFoundError as error:
            raise NoInstanceError(f"there is no server {server_id}") from error
        except OSError as error:
            raise SpawnerError(f"cannot mark server {server_id} as claimed: {error}") from error

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """See `Spawner`."""
        text = await self._in_thread(self._directory_of(server_id).tail)
        child = self._children.get(server_id)
        if child is not None:
            text = text.replace(child.token, "[redacted]")
        return "\n".join(redact(text).splitlines()[-lines:] if lines > 0 else [])

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        """See `Spawner`."""
        directories = {server_id: self._directory_of(server_id) for server_id in server_ids}
        return await self._in_thread(lambda: _cpu_seconds(directories))

    async def used(self, server_ids: Collection[str]) -> Mapping[str, Used]:
        """See `Spawner`."""
        directories = {server_id: self._directory_of(server_id) for server_id in server_ids}
        return await self._in_thread(lambda: _used(directories))

    async def close(self) -> None:
        """See `Spawner`."""
        if self._threads is None:
            return
        self._threads.shutdown(wait=False)
        self._threads = None
        with suppress(OSError):  # not empty: servers go on
            self._root.rmdir()
        for child in self._children.values():
            if child.popen.poll() is None:
                child.popen.returncode = 0  # goes on by intent: no warning about it
        self._children.clear()

    def examination(self) -> LocalExamination:
        """See `Spawner`."""
        return LocalExamination(
            lambda: self._in_thread(self._check), self._root.parent, lambda: self._left_out
        )

    @property
    def _root(self) -> Path:
        parent = Path(self.directory or tempfile.gettempdir()).resolve()
        return parent / f"tmpnb-{os.geteuid()}-{quote(self.pool_name, safe='')}"

    def _directory_of(self, server_id: str) -> ServerDirectory:
        return ServerDirectory(self._root, server_id)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking `work`; even when cancelled, wait for its end, so nothing is half done.

        Raises:
            SpawnerError: The system refused, or the spawner is closed.
        """
        if self._threads is None:
            raise SpawnerError("the local spawner is closed")
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
        except OSError as error:
            raise SpawnerError(f"the system rejected it: {error}") from error

    # In a thread

    def _check(self) -> None:
        if process.find(os.getpid()) is None:
            raise ConfigError("--spawner=local needs Linux (/proc); use --spawner=docker")
        prepare_root(self._root)
        self.engine_id = str(self._root)
        self.check()
        self._check_contents()

    def _check_contents(self) -> None:
        """Reject a folder that no home can start with."""
        if not self.notebook_dir:
            return
        given, where = (
            Path(self.notebook_dir),
            f"--LocalProcessSpawner.notebook_dir={self.notebook_dir}",
        )
        if not given.is_dir():
            raise ConfigError(f"{where}: no such directory")
        if not os.access(given, os.R_OK | os.X_OK):
            raise ConfigError(
                f"{where}: not readable; choose another directory, or change its mode"
            )
        for own in self._private():
            if given.resolve() == own.resolve():
                raise ConfigError(
                    f"{where}: tmpnb keeps its own files there; choose another directory"
                )
        self._contents()

    def _private(self) -> Sequence[Path]:
        """Return what must never be copied into a home: the homes and the service's secrets."""
        return [self._root, *([self.pool.state_dir] if self.pool.state_dir else [])]

    def _contents(self) -> Contents | None:
        """Return what a home starts with; what is left out is logged once."""
        if not self.notebook_dir:
            return None
        found = survey(Path(self.notebook_dir), self._private())
        said = in_words(found.left_out)
        if said and said != self._left_out:
            log.warning("--notebook-dir=%s: %s", self.notebook_dir, said)
        self._left_out = said
        return found

    def _launch(self, spec: ServerSpec, directory: ServerDirectory) -> str:
        prepare_root(self._root)
        with self._ports:
            record = Record(_free_port(self._taken.values()), created_at=time.time())
            try:
                directory.create(record)
            except FileExistsError as error:
                raise SpawnerError(f"server {spec.server_id} exists already") from error
            self._taken[spec.server_id] = record.port
        directory.furnish(self._contents())
        packages.make(directory.python)
        self._spawn(spec, directory, record)
        return f"http://{ADDRESS}:{record.port}"

    def _spawn(self, spec: ServerSpec, directory: ServerDirectory, record: Record) -> None:
        with directory.open_output() as output:
            child = subprocess.Popen(  # noqa: S603 - the operator's own command
                self._arguments(spec, record.port),
                cwd=directory.home,
                env=environment(spec, directory, kit_settings=self.kit_settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children[spec.server_id] = _Child(child, spec.token)
        born = process.find(child.pid) or process.Process(child.pid, born="and died at once")
        try:
            directory.write(replace(record, process=born))
        except FileNotFoundError:  # stopped meanwhile
            child.kill()
            child.wait()
            raise

    def _arguments(self, spec: ServerSpec, port: int) -> Sequence[str]:
        values = {
            "base_path": spec.base_url,
            "port": str(port),
            "ip": ADDRESS,
            "token": spec.token,
            "frame_ancestors": self.pool.frame_ancestors,
        }
        arguments = render(self.command, values)
        if self.command == DEFAULT_COMMAND and os.geteuid() == 0:
            arguments.append("--allow-root")
        return arguments

    def _look(self) -> Sequence[Instance]:
        # Asking leaves no zombie behind.
        ended = {i for i, child in tuple(self._children.items()) if child.popen.poll() == 0}
        found = [directory.instance() for directory in all_in(self._root)]
        return [replace(i, ended=i.server_id in ended) for i in found if i is not None]


def _cpu_seconds(directories: Mapping[str, ServerDirectory]) -> Mapping[str, float]:
    """Return the CPU seconds of those that have processes."""
    return {i: used.cpu_seconds for i, used in _used(directories).items()}


def _used(directories: Mapping[str, ServerDirectory]) -> Mapping[str, Used]:
    found = {server_id: directory.processes() for server_id, directory in directories.items()}
    return {i: Used(*process.used(processes)) for i, processes in found.items() if processes}


def _check_program(program: str) -> None:
    """Raise ConfigError if a server's program is not installed."""
    for name in ("jupyter", "jupyter-lab") if program == "jupyter" else (program,):
        if shutil.which(name, path=search_path()) is None:
            known = program == "jupyter"
            cure = "install it with: pip install 'tmpnb[local]'" if known else "see --command"
            raise ConfigError(f"--spawner=local: {name} is not installed; {cure}")


def _free_port(taken: Iterable[int]) -> int:
    """Return a port nobody listens at and none of `taken`, whose servers may not listen yet."""
    avoided = set(taken)
    for _ in range(PORT_TRIES):
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            port = int(probe.getsockname()[1])
        if port not in avoided:
            return port
    raise SpawnerError("found no free port")

"""The front servers of `deploy/`, each as it is written there, but for names and places."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.running_service import until_true
from tests.e2e.service.front import changed, has_ipv6, is_open, places
from tests.support.requirements import ROOT, missing

NAME = "tmpnb.example"  # in all of the files
KEY, CHAIN, BOTH = "privkey.pem", "fullchain.pem", "both.pem"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a front runs.

    Attributes:
        directory: For what it reads and writes.
        port: Of its visitors.
        behind: The port that it leads to.
        with_hosts: Whether each server has a host of its own, as with `--subdomains`.
    """

    directory: Path
    port: int
    behind: int
    with_hosts: bool = False


Changes = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Front:
    """One program: its file in `deploy/`, what differs in a test, its checking and its running."""

    program: str
    file: str
    changes: Callable[[Place], Changes]
    check: tuple[str, ...]
    run: tuple[str, ...]

    def written(self, place: Place) -> Path:
        """Write its configuration for a place, and have the program check it."""
        if shutil.which(self.program) is None:
            missing(f"{self.program}: apt-get install {self.program}")
        certify(place.directory)
        text = changed(
            (ROOT / "deploy" / self.file).read_text(),
            *self.changes(place),
            ("127.0.0.1:8000", f"127.0.0.1:{place.behind}"),
        )
        path = place.directory / self.file
        path.write_text(text)
        done = subprocess.run(  # noqa: S603 - our own arguments
            [self.program, *self.check, path],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment(place),
        )
        assert done.returncode == 0, done.stderr
        assert "WARN" not in done.stderr.upper(), done.stderr
        return path

    def environment(self, place: Place) -> dict[str, str]:
        """Keep what a program remembers in the test's directory."""
        return os.environ | {name: str(place.directory) for name in ("HOME", "XDG_DATA_HOME")}


def of_nginx(place: Place) -> Changes:
    here = place.directory
    return [
        ("listen 443 ssl", f"listen 127.0.0.1:{place.port} ssl"),
        ("listen [::]:443 ssl;", f"listen [::1]:{place.port} ssl;" if has_ipv6() else ""),
        (f"/etc/letsencrypt/live/{NAME}", str(here)),
        ("worker_processes auto;", "worker_processes 1; daemon off;"),
        (f"server_name {NAME};", f"server_name {NAME}{f' *.{NAME}' if place.with_hosts else ''};"),
        *places(here),
    ]


def of_caddy(place: Place) -> Changes:
    alone = "\tadmin off\n\tauto_https disable_redirects\n"  # takes no other port
    log = f"\tlog {{\n\t\toutput file {place.directory}/caddy.log\n"
    names = [NAME, f"*.{NAME}"] if place.with_hosts else [NAME]
    sites = ", ".join(f"{name}:{place.port}" for name in names)
    return [
        ("\tlog {\n", alone + log),
        (f"\n{NAME} {{\n", f"\n{sites} {{\n\tbind 127.0.0.1\n"),
        ("# tls ", "tls "),
        (f"/etc/caddy/{NAME}", str(place.directory)),
    ]


def of_haproxy(place: Place) -> Changes:
    user = "root" if os.geteuid() == 0 else ""  # who reads no other's /tmp
    return [
        ("log /dev/log local0", f"log {place.directory}/log local0"),
        ("    user haproxy\n", f"    user {user}\n" if user else ""),
        ("    group haproxy\n", f"    group {user}\n" if user else ""),
        ("bind :443 ", f"bind 127.0.0.1:{place.port} "),
        (f"/etc/haproxy/{NAME}.pem", f"{place.directory}/{BOTH}"),
    ]


CADDYFILE = ("--adapter", "caddyfile", "--config")
FRONTS = (
    Front("nginx", "nginx.conf", of_nginx, ("-t", "-q", "-c"), ("-c",)),
    Front("caddy", "Caddyfile", of_caddy, ("validate", *CADDYFILE), ("run", *CADDYFILE)),
    Front("haproxy", "haproxy.cfg", of_haproxy, ("-c", "-f"), ("-W", "-f")),
)


def certify(directory: Path) -> None:
    """Make a certificate for the name, which it signs itself."""
    names = f"subjectAltName=DNS:{NAME},DNS:*.{NAME}"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={NAME}", "-addext", names, "-keyout", KEY, "-out", CHAIN]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own arguments
    both = (directory / CHAIN).read_text() + (directory / KEY).read_text()
    (directory / BOTH).write_text(both)


@contextmanager
def system_log(directory: Path) -> Iterator[None]:
    """Take what is sent to the socket `log`, and write it into the file `syslog`."""
    path = directory / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taker:
        taker.bind(str(path))
        taker.setblocking(False)
        loop = asyncio.get_running_loop()

        def take() -> None:
            with (directory / "syslog").open("ab") as file:
                file.write(taker.recv(65536) + b"\n")

        loop.add_reader(taker, take)
        try:
            yield
        finally:
            loop.remove_reader(taker)
            path.unlink()


@asynccontextmanager
async def running(front: Front, place: Place) -> AsyncIterator[None]:
    """Run a front until the block ends; what it logs is in the place's directory."""
    path = front.written(place)
    with system_log(place.directory), (place.directory / "output").open("wb") as output:
        program = await asyncio.create_subprocess_exec(
            front.program,
            *front.run,
            str(path),
            stdout=output,
            stderr=output,
            env=front.environment(place),
        )
        try:
            await until_true(
                lambda: is_open(place.port) or program.returncode is not None, "it listens"
            )
            assert program.returncode is None, (place.directory / "output").read_text()
            yield
        finally:
            if program.returncode is None:
                program.terminate()
            await program.wait()

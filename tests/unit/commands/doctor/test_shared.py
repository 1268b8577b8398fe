"""What doctor says of what all servers share of the machine: terminals, watches, name servers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import pytest

from tmpnb.commands.doctor import shared
from tmpnb.commands.doctor.shared import processes_finding, terminals_finding, watchers_finding
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.networks.reach import shares
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.egress import name_servers
from tmpnb.spawners.examination import Examination, Shares
from tmpnb.spawners.finding import Finding, Level


@pytest.mark.parametrize(
    ("open_files", "room", "level", "said"),
    [
        (100, 3072, Level.OK, "10 servers of 100 open files may open 1000 terminals"),
        (4096, 3072, Level.WARN, "fix: sysctl -w kernel.pty.max=41984, "),
        (200_000, 3072, Level.WARN, "sysctl -w kernel.pty.max=1048576,"),
        (0, 3072, Level.WARN, "--nofile-limit=4096"),
        (4096, None, Level.SKIP, "unknown"),
    ],
)
def test_terminals_are_told_with_the_mend(
    open_files: int, room: int | None, level: Level, said: str
) -> None:
    finding = terminals_finding(10, open_files, room, 1024)
    assert finding.level is level
    assert said in finding.line()
    assert "\n" not in finding.line()


@pytest.mark.parametrize(
    ("capacity", "most", "level", "said"),
    [
        (16, 128, Level.OK, "8 for each are 128"),
        (17, 128, Level.WARN, "fix: sysctl -w fs.inotify.max_user_instances=272, "),
        (17, None, Level.SKIP, "unknown"),
    ],
)
def test_watches_are_told_with_the_mend(
    capacity: int, most: int | None, level: Level, said: str
) -> None:
    finding = watchers_finding(capacity, most)
    assert finding.level is level
    assert said in finding.line()
    assert "\n" not in finding.line()


@pytest.mark.parametrize(
    ("pids", "threads", "level", "said"),
    [
        (4_194_304, 63_000, Level.OK, "10 servers of 1024 processes may have 10240"),
        (10_240, 63_000, Level.WARN, "sysctl -w kernel.pid_max=20480"),
        (32_768, 9_000, Level.WARN, "the machine 9000; fix: sysctl -w kernel.threads-max=20480"),
        (None, 9_000, Level.SKIP, "unknown"),
        (32_768, None, Level.SKIP, "unknown"),
    ],
)
def test_processes_are_told_with_the_mend(
    pids: int | None, threads: int | None, level: Level, said: str
) -> None:
    finding = processes_finding(10, 1024, pids, threads)
    assert finding.level is level
    assert said in finding.line()
    assert "\n" not in finding.line()


class There(Examination):
    """An engine whose servers share something."""

    def __init__(self, shares: Shares, *, here: bool = True) -> None:
        self.shares, self.is_here = shares, here


def found(examination: Examination) -> list[Finding]:
    async def collected() -> list[Finding]:
        return [finding async for finding in shared.findings(examination, 10)]

    return asyncio.run(collected())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of /proc/sys, of a machine with the usual limits."""
    monkeypatch.setattr(shared, "SYSTEM", tmp_path)
    for name in ("MACHINE", "SYSTEMD", "ENGINE"):
        monkeypatch.setattr(name_servers, name, tmp_path / name)
    (tmp_path / "MACHINE").write_text("nameserver 127.0.0.1\n")
    usual = {shared.TERMINALS: 4096, shared.RESERVED: 1024, shared.WATCHERS: 128}
    for name, number in (usual | {shared.PIDS: 32768, shared.THREADS: 63000}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{number}\n")
    return tmp_path


def test_the_machine_is_looked_at(machine: Path) -> None:
    terminals, watchers, names = found(
        There(Shares(kernel=True, open_files=4096, name_server=True))
    )
    assert (terminals.level, watchers.level, names.level) == (Level.WARN, Level.OK, Level.WARN)
    assert "the machine has 3072 for all containers" in terminals.words
    assert "on loopback (127.0.0.1), so the engine asks it for servers" in names.words
    assert '"dns": ["' in names.mend
    (machine / "MACHINE").write_text("nameserver 10.0.0.2\n")
    (machine / shared.TERMINALS).unlink()
    assert [f.level for f in found(There(Shares(kernel=True, name_server=True)))] == [
        Level.SKIP,
        Level.OK,
    ]


def test_what_is_not_shared_or_not_here_is_not_spoken_of(machine: Path) -> None:
    everything = Shares(kernel=True, open_files=4096, processes=9, name_server=True)
    assert machine.is_dir()
    assert found(There(everything, here=False)) == []
    assert found(There(Shares())) == []
    [names] = found(There(Shares(name_server=True)))
    assert names.topic == "resolver"


BARE = {"kernel": True, "open_files": 4096, "processes": 1024, "name_server": False}


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, BARE | {"name_server": True}),
        ({"egress": "internet"}, BARE | {"name_server": True}),
        ({"egress": "none"}, BARE),
        ({"network": "bridge"}, BARE),
        ({"host_network": True}, BARE),
        ({"extra_host_config": {"dns": ["9.9.9.9"]}}, BARE),
        ({"limits": Limits(runtime="runsc")}, BARE | {"kernel": False, "name_server": True}),
        (
            {"extra_host_config": {"runtime": "kata-qemu"}, "limits": Limits(open_files=9)},
            BARE | {"kernel": False, "open_files": 9, "name_server": True},
        ),
        ({"egress": "none", "limits": Limits(processes=0)}, BARE | {"processes": 0}),
    ],
)
def test_what_servers_share_goes_by_the_settings(
    settings: dict[str, object], seen: dict[str, object]
) -> None:
    assert asdict(shares(Options("image", **settings))) == seen  # type: ignore[arg-type]  # a table of settings

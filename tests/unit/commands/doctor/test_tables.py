"""What doctor says of the machine's tables: whether a full pool fits, and whether it is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import docker
import pytest

from tests.support.docker_stand_in import StandIn
from tmpnb.commands.doctor import tables
from tmpnb.commands.doctor.tables import (
    Bounds,
    bounds_in,
    connections_finding,
    neighbours_finding,
    network_finding,
)
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.networks.reach import server_networks
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.egress.rules import Exceptions, table
from tmpnb.spawners.examination import Examination, ServerNetwork
from tmpnb.spawners.finding import Finding, Level

SMALL = ServerNetwork("tmpnb-open", "tmpna-0a1b2c3d4", 64)
LARGE = ServerNetwork("bridge", "docker0", 65536)
RULES = Bounds(4096, ("tmpnb-*", "tmpno-*", "tmpnc-*", "tmpna-*"))


@pytest.mark.parametrize(
    ("found", "most", "bounds", "level", "said"),
    [
        ([SMALL], 262_144, RULES, Level.OK, "10 servers of 4096 connections may take 40960"),
        ([SMALL], 40_000, RULES, Level.WARN, "sysctl -w net.netfilter.nf_conntrack_max=81920"),
        ([SMALL], 262_144, Bounds(), Level.WARN, "tmpnb firewall --apply"),
        ([LARGE], 262_144, RULES, Level.WARN, "a server on bridge can fill the machine's table"),
        ([SMALL, LARGE], 262_144, RULES, Level.WARN, "--bridges=docker0"),
        ([SMALL], 262_144, None, Level.SKIP, "unknown"),
        ([SMALL], None, RULES, Level.SKIP, "unknown"),
    ],
)
def test_connections_are_told_with_the_mend(
    found: list[ServerNetwork], most: int | None, bounds: Bounds | None, level: Level, said: str
) -> None:
    finding = connections_finding(found, 10, most, 7, bounds)
    assert finding.level is level
    assert said in finding.line()
    assert "\n" not in finding.line()


@pytest.mark.parametrize(
    ("most", "level", "said"),
    [
        (1024, Level.OK, "10 servers may ask for 640 neighbours as usual"),
        (512, Level.WARN, "sysctl -w net.ipv4.neigh.default.gc_thresh3=1290"),
        (None, Level.SKIP, "unknown"),
    ],
)
def test_neighbours_are_told_with_the_mend(most: int | None, level: Level, said: str) -> None:
    finding = neighbours_finding([SMALL], 10, most, 5)
    assert finding.level is level
    assert said in finding.line()


def test_networks_that_are_too_large_are_named() -> None:
    assert network_finding(SMALL, 10, 1024) is None
    assert network_finding(ServerNetwork("many", "tmpna-1", 4096), 2000, 1024) is None
    in_six = ServerNetwork("six", "br-1", 64, in_six=True)
    other = ServerNetwork("lan", "br-2", 65536)
    lines = [f.line() for one in (LARGE, other, in_six) if (f := network_finding(one, 10, 1024))]
    assert "leave --docker-network out" in lines[0]
    assert "docker network rm lan" in lines[1]
    assert "which holds 1024; fix: leave IPv6 off" in lines[2]


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"egress": "internet", "own_networks": True, "network": "lan"}, True),
        ({"egress": "none", "own_networks": True, "network": "lan"}, False),
        ({"egress": "internet"}, False),
        ({"egress": "all"}, False),
    ],
)
@pytest.mark.parametrize("runtime", ["", "runc", "runsc", "runsc-kvm"])
def test_servers_with_two_cards_are_named_with_what_helps(
    stand_in: StandIn,
    docker_client: docker.APIClient,
    settings: dict[str, object],
    warned: bool,
    runtime: str,
) -> None:
    del stand_in
    made = Options("image", limits=Limits(runtime=runtime), **settings)  # type: ignore[arg-type]  # a table of settings
    found = [network_finding(one, 10, 1024) for one in server_networks(docker_client, made)]
    lines = [finding.line() for finding in found if finding]
    assert lines == (warned and "runsc" not in runtime) * [
        "warn tables   a server that names its network card, as it has two, can fill the machine's"
        " table of neighbours for seconds; fix: --runtime=runsc, or --egress=none"
    ]


def test_the_bounds_are_read_from_the_rules_themselves() -> None:
    bounds = bounds_in(table(Exceptions(connections=2048, bridges=("br-0a1b",))))
    assert (bounds.connections, set(bounds.bridges)) == (2048, {*RULES.bridges, "br-0a1b"})
    assert [bounds.hold(name) for name in ("tmpna-1", "br-0a1b", "br-0a1b2", "docker0")] == [
        True,
        True,
        False,
        False,
    ]
    assert bounds_in("table inet tmpnb {\n}\n") == Bounds()


class There(Examination):
    """An engine with one network of servers."""

    def __init__(self, *, here: bool) -> None:
        self.is_here = here

    async def server_networks(self) -> list[ServerNetwork]:
        return [SMALL]


def found(examination: Examination) -> list[Finding]:
    async def collected() -> list[Finding]:
        return [finding async for finding in tables.findings(examination, 10)]

    return asyncio.run(collected())


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program that is run in place of nft; it is not there yet."""
    program = tmp_path / "nft"
    monkeypatch.setattr(tables, "NFT", (str(program),))
    monkeypatch.setattr(tables, "SYSTEM", tmp_path)
    monkeypatch.setattr(tables, "KNOWN", tmp_path / "arp")
    for name, number in ((tables.CONNECTIONS, "262144"), (tables.NEIGHBOURS, "1024")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"{number}\n")
    (tmp_path / "arp").write_text("IP address\n10.0.0.1\n")
    return program


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        ("cat <<'end'\n" + table(Exceptions()) + "end\n", Level.OK, "may take 40960"),
        ("echo 'Error: No such file or directory' >&2; exit 1", Level.WARN, "nothing keeps"),
        ("echo 'Operation not permitted' >&2; exit 1", Level.SKIP, "run doctor as root"),
        ("", Level.SKIP, "run doctor as root"),
    ],
)
def test_the_machine_is_looked_at(nft: Path, script: str, level: Level, said: str) -> None:
    if script:
        nft.write_text(f"#!/bin/sh\n{script}")
        nft.chmod(0o755)
    connections, neighbours = found(There(here=True))
    assert connections.level is level
    assert said in connections.line()
    assert "the machine's table holds 1024, 1 are in it" in neighbours.line()


def test_what_cannot_be_seen_is_said_as_such() -> None:
    [finding] = found(There(here=False))
    assert (finding.level, finding.words.partition(":")[0]) == (Level.SKIP, "unknown")
    assert found(Examination()) == []


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, [("tmpnb-open", 64)]),
        ({"network": "bridge"}, [("bridge", 65536)]),
        ({"egress": "none"}, [("tmpnb-closed", 64)]),
        ({"egress": "internet"}, [("tmpnb-internet", 64)]),
        (
            {"egress": "internet", "own_networks": True, "network": "lan"},
            [("a server's own", 16), ("tmpnb-internet", 64)],
        ),
        ({"host_network": True}, []),
    ],
)
def test_networks_of_servers_are_those_they_are_put_on(
    stand_in: StandIn, settings: dict[str, object], seen: list[tuple[str, int]]
) -> None:
    client = docker.APIClient(base_url=stand_in.url, version="1.41", timeout=10)
    options = {"com.docker.network.bridge.name": "docker0"}
    config = {"Config": [{"Subnet": "172.17.0.0/16"}]}
    stand_in.networks["bridge"] = {"Options": options, "IPAM": config}
    networks = server_networks(client, Options("image", **settings))  # type: ignore[arg-type]  # a table of settings
    assert [(network.name, network.addresses) for network in networks] == seen
    assert [n.bridge for n in networks if n.name == "bridge"] == ["docker0"] * (
        settings.get("network") == "bridge"
    )
    assert all(RULES.hold(network.bridge) for network in networks if network.name != "bridge")
    client.close()

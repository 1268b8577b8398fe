"""Which interfaces lead to other machines, by a tree of files as Linux shows it."""

from __future__ import annotations

import socket
from collections.abc import Collection
from pathlib import Path

import pytest

from tmpnb.spawners.egress import interfaces
from tmpnb.spawners.egress.interfaces import leads_outside

LONG = "e" * 16  # one more than Linux has
OF_ENGINES = [
    *("docker0", "docker12", "podman0", "cni-podman1", "br-0a1b2c"),
    *("tmpnb-0a1b2c", "tmpno-0a1b2c", "tmpnc-0a1b2c", "tmpna-0a1b2c"),
]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with hardware and a bridge, a VLAN and a bond over it, and with containers."""
    monkeypatch.setattr(interfaces, "SYSTEM", tmp_path)
    names: list[str] = []

    def make(name: str, *, over: Collection[str] = (), hardware: bool = False) -> None:
        names.append(name)
        place = tmp_path / name
        place.mkdir()
        (place / "ifindex").write_text(f"{len(names)}\n")
        if hardware:
            (place / "device").mkdir()
        for lower in over:
            (place / f"lower_{lower}").symlink_to(tmp_path / lower)

    make("eth0", hardware=True)
    make("wlan0", hardware=True)
    make("bond0", over=["eth0"])
    make("vlan7", over=["bond0"])
    make("br0", over=["vlan7", "veth1"])
    make("veth1")
    make("fourth", over=["br0"])
    make("fifth", over=["fourth"])
    make("lan", over=["veth1"])
    for name in OF_ENGINES:
        make(name, over=["eth0"])
    make("round", over=["round"])
    make(LONG, hardware=True)
    make(".hidden", hardware=True)
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: names.index(Path(name).name) + 1)
    make("theirs", hardware=True)
    (tmp_path / "theirs" / "ifindex").write_text("1")


@pytest.mark.parametrize("name", ["eth0", "wlan0", "bond0", "vlan7", "br0", "fourth"])
def test_hardware_and_what_is_over_it_leads_outside(name: str) -> None:
    assert leads_outside(name)


@pytest.mark.parametrize("name", ["veth1", "lan", "round", "fifth", *OF_ENGINES])
def test_what_containers_are_on_does_not(name: str) -> None:
    assert not leads_outside(name)


@pytest.mark.parametrize(
    "name", ["", "2", "theirs", "..", "../eth0", "./eth0", "eth0/", ".hidden", LONG]
)
def test_what_cannot_be_told_does_not_either(name: str) -> None:
    assert not leads_outside(name)

"""Whose port an address names, by what the kernel tells of who listens."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from tmpnb.system.net import port_owners
from tmpnb.system.net.port_owners import Owner, judge, owner
from tmpnb.system.net.proc_net import Listener

pytestmark = pytest.mark.gen_test(timeout=30)

ME, THEM = 1000, 1001


@pytest.mark.parametrize(
    ("near", "table", "found"),
    [
        (["127.0.0.1"], [("127.0.0.1", ME)], Owner.OURS),
        (["127.0.0.1"], [("127.0.0.1", 0)], Owner.OURS),
        (["127.0.0.1"], [("127.0.0.1", THEM)], Owner.ANOTHER),
        (["127.0.0.1"], [("0.0.0.0", THEM)], Owner.ANOTHER),  # noqa: S104 - no port is opened
        (["127.0.0.1"], [("::", THEM)], Owner.ANOTHER),
        (["127.0.0.1"], [("127.0.0.1", ME), ("::", THEM)], Owner.OURS),
        (["127.0.0.1"], [("::1", ME)], Owner.UNKNOWN),
        (["::1"], [("::1", THEM)], Owner.ANOTHER),
        (["::1"], [("::", ME)], Owner.OURS),
        (["::1", "127.0.0.1"], [("127.0.0.1", ME)], Owner.OURS),
        (["::1", "127.0.0.1"], [("127.0.0.1", ME), ("::1", THEM)], Owner.ANOTHER),
        (["127.0.0.1"], None, Owner.UNKNOWN),
        (["127.0.0.1"], [], Owner.UNKNOWN),
    ],
)
def test_it_is_ours_if_all_who_may_be_asked_are_we_or_root(
    near: list[str], table: list[tuple[str, int]] | None, found: Owner
) -> None:
    listening = None if table is None else [Listener(ip, 10000, user) for ip, user in table]
    assert judge({ip_address(ip) for ip in near}, 10000, listening, ME) is found
    assert judge({ip_address(ip) for ip in near}, 9999, listening, ME) is Owner.UNKNOWN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"])  # noqa: S104
async def test_a_port_of_this_machine_is_known(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert await owner(f"http://{host}:{number}") is Owner.OURS
        monkeypatch.setattr(os, "geteuid", lambda: THEM)
        monkeypatch.setattr(port_owners, "ROOT", THEM)
        assert await owner(f"http://{host}:{number}") is Owner.ANOTHER


async def test_where_the_machine_does_not_tell_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for tables in ((tmp_path / "none",), (tmp_path,)):
            monkeypatch.setattr(port_owners, "TABLES", tables)
            assert await owner(url) is Owner.UNKNOWN


async def test_another_machine_is_elsewhere() -> None:
    assert await owner("http://192.0.2.1:10000") is Owner.ELSEWHERE
    assert await owner("http://[2001:db8::1]:10000") is Owner.ELSEWHERE

"""The list of banned networks, and its file that changes."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.support.world import FakeClock
from tmpnb.access.banned import Banned
from tmpnb.errors import ConfigError

BAD, GOOD = ip_address("203.0.113.5"), ip_address("198.51.100.5")


def test_a_list_of_the_command_line_counts() -> None:
    banned = Banned("203.0.113.0/24,2001:db8::/32")
    assert BAD in banned
    assert ip_address("2001:db8::9") in banned
    assert GOOD not in banned
    assert None not in banned
    assert BAD not in Banned()


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "banned", FakeClock()
    file.write_text("203.0.113.0/24\n")
    banned = Banned(f"@{file}", clock)
    assert BAD in banned
    assert GOOD not in banned
    (tmp_path / "new").write_text("# now\n198.51.100.0/24\n")
    (tmp_path / "new").replace(file)
    clock.advance(2)
    assert GOOD in banned
    assert BAD not in banned


@pytest.mark.parametrize("content", [None, "nonsense\n"])
def test_a_file_that_broke_is_told_once_and_leaves_the_list_in_force(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "banned", FakeClock()
    file.write_text("203.0.113.0/24\n")
    banned = Banned(f"@{file}", clock)
    file.unlink()
    if content is not None:
        file.write_text(content)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.advance(2)
            assert BAD in banned
    assert [r.message.count("stays in force") for r in caplog.records] == [1]
    file.write_text("198.51.100.0/24, 192.0.2.0/24\n")
    clock.advance(2)
    assert GOOD in banned


@pytest.mark.parametrize("given", ["nonsense", "@/no/such/file", "@."])
def test_a_list_that_cannot_be_is_one_line_at_the_start(given: str) -> None:
    with pytest.raises(ConfigError, match="--banned-networks") as refused:
        Banned(given)
    assert "\n" not in str(refused.value)

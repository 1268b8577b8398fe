"""Findings as lines, and what is told of an error, a size and a socket."""

from __future__ import annotations

import pytest

from tmpnb.spawners.finding import Finding, Level, fail, failure, ok, skip, warn
from tmpnb.system import units
from tmpnb.system.net import proc_net
from tmpnb.system.net.proc_net import Listener

EVERYWHERE = "0.0.0.0"  # noqa: S104 - read, not bound

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1
   1: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4243 1
   2: 0100007F:2328 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4244 1
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:22B9 00000000000000000000000000000000:0000 0A 0:0 0:0 0 7 0 1
   1: 00000000000000000000000001000000:22BA 00000000000000000000000000000000:0000 0A 0:0 0:0 0 7 0 1
   2: 0000000000000000FFFF00000100007F:22BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 7 0 1
"""


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (ok("engine", "Docker 20.10"), "ok   engine   Docker 20.10"),
        (skip("page", "needs a server"), "skip page     needs a server"),
        (warn("memory", "little"), "warn memory   little"),
        (fail("ports", "in use", "stop it"), "FAIL ports    in use; fix: stop it"),
    ],
)
def test_a_finding_is_one_line(finding: Finding, line: str) -> None:
    assert finding.line() == line


def test_detail_stands_below() -> None:
    finding = Finding(Level.FAIL, "start", "it ends", "look", ("first", "last"))
    assert finding.line().splitlines()[1:] == ["     | first", "     | last"]


@pytest.mark.parametrize(
    ("message", "words", "mend"),
    [
        ("it is so; do that", "it is so", "do that"),
        ("it (a; b) is so; do that", "it (a; b) is so", "do that"),
        ("it is so; try: do that", "it is so", "do that"),
        ("it is so", "it is so", "what else"),
    ],
)
def test_what_to_do_is_the_end_of_an_error(message: str, words: str, mend: str) -> None:
    found = failure("topic", message, "what else")
    assert (found.level, found.words, found.mend) == (Level.FAIL, words, mend)


def test_only_a_failure_and_what_says_so_keeps_a_server_from_being_tried() -> None:
    assert fail("image", "a", "b").blocks
    assert Finding(Level.WARN, "image", "a", stops=True).blocks
    assert not any(f("image", "a").blocks for f in (ok, warn, skip))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (512 * 1024**2, "512 MB"),
        (1536 * 1024**2, "1.5 GB"),
        (20 * 1024**3, "20 GB"),
        (5000 * 1024**4, "5000 TB"),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert units.in_words(size) == words


def test_listeners_are_read_from_both_tables_and_connections_are_not() -> None:
    assert proc_net.parse(TABLE) == (
        Listener(EVERYWHERE, 8888, 1000),
        Listener("::", 8889, 7),
        Listener("::1", 8890, 7),
        Listener("127.0.0.1", 8891, 7),
        Listener("127.0.0.1", 9000, 0),
    )


def test_a_listener_says_where_and_for_whom() -> None:
    assert str(Listener("::1", 80, 0)) == "[::1]:80"
    assert str(Listener(EVERYWHERE, 80, 0)) == "0.0.0.0:80"
    assert [Listener(ip, 80, 0).is_loopback for ip in ("127.0.0.1", "::1", EVERYWHERE, "::")] == (
        [True, True, False, False]
    )


def test_nothing_is_read_from_nonsense() -> None:
    assert proc_net.parse("cat: no such file\n\n a b c 0A e f g h\n") == ()

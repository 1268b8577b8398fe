"""Why a server does not answer: each kind of failure has its own words and its own cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tmpnb.commands.doctor.diagnosis import Evidence, diagnose
from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Level
from tmpnb.system.net.proc_net import Listener

SILENT = Evidence(
    error="did not answer in time",
    timed_out=True,
    seconds=30,
    ready_path="/user/abc/api",
    address="http://127.0.0.1:4711",
)


def listening(*places: tuple[str, int]) -> ServerFacts:
    return ServerFacts(8888, tuple(Listener(ip, port, 1000) for ip, port in places))


@pytest.mark.parametrize(
    ("seen", "words", "mend"),
    [
        (
            replace(SILENT, timed_out=False, error="it is not running: exit code 7"),
            "exit code 7",
            "program of --command",
        ),
        (replace(SILENT, address=None), "did not start it within 30 s", "--start-timeout"),
        (
            replace(SILENT, at_ready_path=404, at_root=200),
            "at / instead of /user/abc/",
            "base_path",
        ),
        (replace(SILENT, at_ready_path=404, at_root=404), "HTTP 404, not 200", "--ready-path"),
        (replace(SILENT, at_ready_path=403), "HTTP 403, not 200", "--ready-path"),
        (replace(SILENT, at_ready_path=500), "HTTP 500, not 200", "what it printed"),
        (replace(SILENT, at_ready_path=200), "more than 30 s", "--start-timeout"),
        (SILENT, "does not answer within 30 s", "{ip} and {port}"),
        (replace(SILENT, facts=listening()), "listens nowhere", "what it printed"),
        (
            replace(SILENT, facts=listening(("::", 9000))),
            "[::]:9000, and not on port 8888",
            "{port}",
        ),
        (
            replace(SILENT, facts=listening(("127.0.0.1", 8888), ("::", 9000))),
            "127.0.0.1:8888 only",
            "--ip={ip}",
        ),
        (
            replace(SILENT, facts=listening(("127.0.0.1", 8888), ("::", 8888))),
            "http://127.0.0.1:4711 cannot be reached",
            "--docker-network",
        ),
    ],
)
def test_each_kind_has_its_own_words(seen: Evidence, words: str, mend: str) -> None:
    found = diagnose(seen)
    assert found.level is Level.FAIL
    assert words in found.words
    assert mend in found.mend


def test_what_it_printed_stands_below_even_if_that_is_nothing() -> None:
    assert diagnose(replace(SILENT, printed=("a", "b"))).detail == ("a", "b")
    assert diagnose(SILENT).detail == ("it printed nothing",)

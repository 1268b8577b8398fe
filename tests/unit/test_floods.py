"""A page that asks again and again: a line at first, then how often, ever more rarely."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.log import access_log

from tmpnb import floods
from tmpnb.floods import Floods
from tmpnb.logs import AccessLog


class Told:
    """What was said, and the clock that brings it about."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.said: list[tuple[str, int, float]] = []
        self.floods = Floods(
            lambda seconds, call: self.due.append((seconds, call)),
            lambda *said: self.said.append(said),
        )

    def pass_time(self) -> float:
        seconds, call = self.due.pop()
        call()
        return seconds


def test_first_is_told_at_once_and_the_others_together() -> None:
    told = Told()
    assert [told.floods.is_told("a") for _ in range(100)] == [False, *[True] * 99]
    assert told.said == []
    told.pass_time()
    assert told.said == [("a", 99, 60.0)]


def test_what_goes_on_is_told_ever_more_rarely_and_at_least_once_an_hour() -> None:
    told = Told()
    told.floods.is_told("a")
    spans = []
    for _ in range(8):
        told.floods.is_told("a")
        spans.append(told.pass_time())
    assert spans == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert [count for _, count, _ in told.said] == [1] * 8


def test_what_has_ended_is_forgotten() -> None:
    told = Told()
    told.floods.is_told("a")
    told.pass_time()
    assert (told.said, told.due) == ([], [])
    assert not told.floods.is_told("a")


def test_names_are_told_apart_and_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floods, "REMEMBERED", 2)
    told = Told()
    asked = ["a", "b", "c", "c", "a"]
    assert [told.floods.is_told(name) for name in asked] == [False, False, False, False, True]


def handler_of(path: str, flood: str) -> Any:
    request = SimpleNamespace(method="GET", path=path, request_time=lambda: 0.002)
    return SimpleNamespace(request=request, get_status=lambda: 410, flood=flood)


@pytest.mark.gen_test
async def test_log_has_one_line_for_the_flood_and_each_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = AccessLog()
    with caplog.at_level(logging.INFO, logger=access_log.name):
        for _ in range(20):
            log(handler_of("/user/a/api/contents", "server a"))
            log(handler_of("/elsewhere", ""))
    assert sum("/user/a/" in line for line in caplog.messages) == 1
    assert sum("/elsewhere" in line for line in caplog.messages) == 20

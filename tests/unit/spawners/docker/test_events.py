"""Which servers ended by themselves, as the engine's events tell it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import StreamParseError

from tests.support.world import wait_until
from tmpnb.spawners.docker import events as docker_events
from tmpnb.spawners.docker.events import EndWatch
from tmpnb.spawners.docker.labels import SERVER

pytestmark = pytest.mark.gen_test(timeout=20)


def event(action: str, server_id: str = "a", **facts: str) -> dict[str, Any]:
    """Return an event as the engine has it."""
    attributes = {SERVER: server_id, **facts}
    return {"Type": "container", "Action": action, "Actor": {"ID": f"c-{server_id}"}} | {
        "Actor": {"ID": f"c-{server_id}", "Attributes": attributes}
    }


class Engine:
    """Plays streams of events: each list of them is one stream, which breaks off at its end."""

    def __init__(self, *streams: list[object]) -> None:
        self.streams = list(streams)
        self.asked: list[dict[str, Any]] = []

    def events(self, *, filters: dict[str, Any], decode: bool) -> Iterator[bytes]:
        assert not decode
        self.asked.append(filters)
        if not self.streams:
            raise OSError("the engine is away")
        return self._lines(self.streams.pop(0))

    def _lines(self, stream: list[object]) -> Iterator[bytes]:
        for one in stream:
            if isinstance(one, BaseException):
                raise one
            yield one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n"


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[EndWatch]:
    """A watch that hears nothing but what a test tells it."""
    monkeypatch.setattr(docker_events, "PATIENCE", 0.05)
    made = EndWatch(Engine(), "pool", lambda: None)  # type: ignore[arg-type]  # all that it needs
    yield made
    made.close()


async def test_an_end_with_status_0_is_believed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_events, "PATIENCE", 0.05)
    told = asyncio.Event()
    engine = Engine()
    watch = EndWatch(engine, "pool", told.set)  # type: ignore[arg-type]  # all that it needs
    watch.start()
    watch.hear(event("die", exitCode="0"))
    await told.wait()
    assert "a" in watch
    assert "b" not in watch
    watch.forget("a")
    assert "a" not in watch
    assert engine.asked[0]["event"] == ["die", "kill"]
    assert "tmpnb.pool=pool" in engine.asked[0]["label"]
    watch.close()


ORDINARY = [
    [event("die", exitCode="137")],
    [event("die", exitCode="1")],
    [event("die")],
    [event("die", exitCode="none")],
    [event("kill", signal="15"), event("die", exitCode="0")],
    [event("die", exitCode="0"), event("kill", signal="15")],
]


@pytest.mark.parametrize("events", ORDINARY)
async def test_what_was_killed_or_crashed_is_none(watch: EndWatch, events: list[object]) -> None:
    for one in [*events, event("die", "last", exitCode="0")]:
        watch.hear(one)
    await wait_until(lambda: "last" in watch)
    assert "a" not in watch


async def test_a_kill_counts_for_one_end(watch: EndWatch) -> None:
    for one in (event("kill"), event("die", exitCode="0"), event("die", exitCode="0")):
        watch.hear(one)
    await wait_until(lambda: "a" in watch)


@pytest.mark.parametrize(
    "odd",
    [None, [], "die", {}, {"Actor": None}, {"Actor": {}, "Action": "die"}]
    + [{"Action": "die", "Actor": {"ID": 1, "Attributes": facts}} for facts in (None, [], {})]
    + [{"Action": ["die"], "Actor": {"Attributes": {SERVER: ["a"], "exitCode": 0}}}],
)
async def test_an_odd_event_is_left_alone(watch: EndWatch, odd: object) -> None:
    watch.hear(odd)
    watch.hear(event("die", "last", exitCode="0"))
    await wait_until(lambda: "last" in watch)


async def test_an_end_just_before_the_engine_goes_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_events, "PATIENCE", 0.3)
    monkeypatch.setattr(docker_events, "RETRY", 0.01)
    engine = Engine([event("die", exitCode="0")], [event("die", "b", exitCode="1")])
    watch = EndWatch(engine, "pool", lambda: None)  # type: ignore[arg-type]  # all that it needs
    watch.start()
    await wait_until(lambda: len(engine.asked) > 3)
    watch.hear(event("die", "last", exitCode="0"))
    watch.close()
    watch.hear(event("die", "after", exitCode="0"))
    await wait_until(lambda: "after" in watch)
    assert "a" not in watch
    assert "last" not in watch


DEEP = b"[" * 100_000
BROKEN_OFF: dict[str, list[object]] = {
    "in a line": [b'{"Action": "di'],
    "no event": [b"<html>\n"],
    "no text": [b"\xff\xfe\n"],
    "too deep": [DEEP + b"\n"],
    "by docker-py": [StreamParseError(ValueError("half a line"))],
    "by a bug": [ZeroDivisionError()],
    "by exit": [SystemExit(1)],
}


@pytest.mark.parametrize("odd", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
async def test_a_stream_that_breaks_off_is_listened_to_again(
    odd: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_events, "PATIENCE", 0.2)
    monkeypatch.setattr(docker_events, "RETRY", 0.01)
    believed = threading.Event()
    last = Lasting([event("die", "b", exitCode="0")], until=believed)
    engine = Engine([event("die", exitCode="0"), *odd, event("die", "c", exitCode="0")], last)
    watch = EndWatch(engine, "pool", believed.set)  # type: ignore[arg-type]  # all that it needs
    watch.start()
    await wait_until(lambda: "b" in watch)
    assert "a" not in watch, "nobody knows what else the engine said of it"
    assert "c" not in watch, "that stream is read no further"
    watch.close()


async def test_a_line_without_an_end_is_not_kept() -> None:
    with pytest.raises(ValueError, match="no end"):
        list(docker_events._events(itertools.repeat(b"x" * 50_000, 30)))


class Lasting(list[object]):
    """A stream that goes on until something has happened."""

    def __init__(self, events: list[object], until: threading.Event) -> None:
        super().__init__(events)
        self._until = until

    def __iter__(self) -> Iterator[object]:
        yield from super().__iter__()
        self._until.wait(20)


async def test_no_thread_to_be_had_costs_one_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_events, "PATIENCE", 0.05)
    monkeypatch.setattr(docker_events, "RETRY", 0.01)
    started, failed = threading.Timer.start, threading.Event()

    def start(timer: threading.Timer) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        started(timer)

    monkeypatch.setattr(threading.Timer, "start", start)
    believed = threading.Event()
    engine = Engine(
        [event("die", exitCode="0")], Lasting([event("die", "b", exitCode="0")], until=believed)
    )
    watch = EndWatch(engine, "pool", believed.set)  # type: ignore[arg-type]  # all that it needs
    watch.start()
    await wait_until(lambda: "b" in watch)
    assert "a" not in watch
    watch.close()


async def test_events_come_in_pieces_and_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_events, "PATIENCE", 0.05)
    lines = b"".join(
        json.dumps(event("die", name, exitCode="0")).encode() + b"\n" for name in "abc"
    )
    believed = threading.Event()
    pieces = Lasting([lines[:1], b"", lines[1:150], lines[150:] + b"\n\r\n"], until=believed)
    watch = EndWatch(Engine(pieces), "pool", lambda: None)  # type: ignore[arg-type]  # all that it needs
    watch.start()
    await wait_until(lambda: all(name in watch for name in "abc"))
    believed.set()
    watch.close()

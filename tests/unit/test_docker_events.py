"""Which servers ended by themselves, as the engine's events tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import wait_until

from tmpnb.spawners import docker_events
from tmpnb.spawners.docker_events import EndWatch
from tmpnb.spawners.docker_listing import SERVER

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

    def events(self, *, filters: dict[str, Any], decode: bool) -> Iterator[object]:
        assert decode
        self.asked.append(filters)
        if not self.streams:
            raise OSError("the engine is away")
        return iter(self.streams.pop(0))


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

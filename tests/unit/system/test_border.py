"""Whatever a spawner or a proxy raises or returns is a failure like any other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from tests.support.fake_proxy import FakeProxy
from tests.support.world import World, wait_until
from tmpnb.core.observation import Instance, Route
from tmpnb.core.server import Phase
from tmpnb.errors import ConfigError, NoInstanceError, ProxyError, SpawnerError
from tmpnb.orchestrator.guarded import GuardedProxy, GuardedSpawner
from tmpnb.proxy.contract import Proxy
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.system.border import Border
from tmpnb.system.tasks import supervise

pytestmark = pytest.mark.gen_test(timeout=20)


class Own(BaseException):
    """What a driver made for itself."""


class WordlessError(Exception):
    """Cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


SURPRISES = [
    KeyError("State"),
    ZeroDivisionError("division by zero"),
    RecursionError("too deep"),
    ExceptionGroup("several", [ValueError("one"), OSError("other")]),
    asyncio.CancelledError(),  # of something inside, not of us
    StopAsyncIteration(),
    Own("of its own kind"),
    SystemExit("a driver that gives up"),
    GeneratorExit(),
    BaseExceptionGroup("several", [Own(), SystemExit(1)]),
    WordlessError(),
]
surprises = pytest.mark.parametrize("surprise", SURPRISES, ids=lambda e: type(e).__name__)
SPEC = ServerSpec("abc", "/user/abc/", "the-token")


class Odd(FakeSpawner):
    """Raises, or returns, what a test says."""

    raised: BaseException | None = None
    returned: Any = None
    starts = stops = 0

    def answer(self) -> Any:
        if self.raised is not None:
            raise self.raised
        return self.returned

    async def start(self, spec: ServerSpec) -> str:
        self.starts += 1
        if self.raised is None and self.returned is None:
            return await super().start(spec)
        return str(self.answer())

    async def stop(self, server_id: str) -> None:
        self.stops += 1
        if self.raised is not None:
            raise self.raised
        await super().stop(server_id)


@surprises
async def test_a_surprise_during_a_stop_is_tried_again_and_no_place_is_lost(
    surprise: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)
    spawner = Odd()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        spawner.raised = surprise
        world.orchestrator.claims.close(server)
        await wait_until(lambda: "stop" in world.orchestrator.health.problems)
        assert type(surprise).__name__ in world.orchestrator.health.problems["stop"].message
        tries = spawner.stops
        await wait_until(lambda: spawner.stops > tries + 2)
        spawner.raised = None
        await world.until_ready(1)
        assert "stop" not in world.orchestrator.health.problems
    told = [r for r in caplog.records if r.exc_info and r.levelno >= logging.ERROR]
    assert len(told) == 1


@surprises
async def test_a_surprise_during_a_start_backs_off_as_every_failure_does(
    surprise: BaseException,
) -> None:
    spawner = Odd()
    spawner.raised = surprise
    async with World(3, spawner=spawner).running() as world:
        await wait_until(lambda: "start" in world.orchestrator.health.problems)
        assert type(surprise).__name__ in world.orchestrator.health.problems["start"].message
        first_wave = spawner.starts
        assert first_wave <= 3
        await world.passes(4)
        assert spawner.starts == first_wave, "no new start while the clock stands still"
        spawner.raised = None
        world.clock.advance(120)
        await world.until_ready(3)


@surprises
async def test_a_surprise_of_the_proxy_during_a_stop_is_tried_again(
    surprise: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)

    class OddProxy(FakeProxy):
        fails = False

        async def delete_route(self, server_id: str) -> None:
            if self.fails:
                raise surprise
            await super().delete_route(server_id)

    proxy = OddProxy("test")
    async with World(1, proxy=proxy).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        proxy.fails = True
        world.orchestrator.claims.close(server)
        await wait_until(lambda: "stop" in world.orchestrator.health.problems)
        proxy.fails = False
        await world.until_ready(1)
        assert "/user/" + server.id not in proxy.table


@surprises
async def test_a_surprise_of_either_during_a_pass_is_told_and_the_next_pass_comes(
    surprise: BaseException,
) -> None:
    class OddList(FakeSpawner):
        fails = True

        async def list(self) -> list[Instance]:
            if self.fails:
                raise surprise
            return await super().list()

    class OddTable(FakeProxy):
        fails = True

        async def list_routes(self) -> list[Route]:
            if self.fails:
                raise surprise
            return await super().list_routes()

        async def add_route(self, server_id: str, target: str) -> None:
            if self.fails:
                raise surprise
            await super().add_route(server_id, target)

    spawner, proxy = OddList(), OddTable("test")
    async with World(1, spawner=spawner, proxy=proxy).running() as world:
        for part, topic in ((spawner, "engine"), (proxy, "proxy")):
            await wait_until(lambda topic=topic: topic in world.orchestrator.health.problems)
            assert type(surprise).__name__ in world.orchestrator.health.problems[topic].message
            part.fails = False
        await world.until_ready(1)


@pytest.mark.parametrize("surprise", [ValueError("odd"), Own(), SystemExit(3), GeneratorExit()])
async def test_a_surprise_of_our_own_while_a_server_is_seen_to_answer_backs_off(
    surprise: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raises(*_: object, **__: object) -> None:
        raise surprise

    monkeypatch.setattr("tmpnb.orchestrator.launch.launcher.wait_until_ready", raises)
    spawner = Odd()
    async with World(2, spawner=spawner).running() as world:
        await wait_until(lambda: "start" in world.orchestrator.health.problems)
        await wait_until(lambda: not world.pool.servers)
        await world.passes(3)
        assert spawner.starts <= 2


async def test_a_surprise_while_claims_are_marked_or_read_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)

    class Unmarking(FakeSpawner):
        fails = True

        async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
            if self.fails:
                raise TypeError("'NoneType' object is not subscriptable")
            await super().mark_claimed(server_id, claimed_at)

        async def list(self) -> list[Instance]:
            if not self.fails:
                return await super().list()
            raise LookupError("no such field") if self.listed else await self.first()

        listed = False

        async def first(self) -> BaseException:
            self.listed = True
            return KeyError("nothing yet")

    spawner = Unmarking()
    async with World(1, spawner=spawner).running() as world:
        await wait_until(lambda: "engine" in world.orchestrator.health.problems)
        assert "unexpected KeyError" in world.orchestrator.health.problems["engine"].message
        await wait_until(
            lambda: "LookupError" in world.orchestrator.health.problems["engine"].message
        )
        spawner.fails = False
        await world.until_ready(1)
        spawner.fails = True
        server = await world.orchestrator.claims.claim()
        assert server.phase is Phase.CLAIMED
        await wait_until(lambda: world.orchestrator.health.problems)
        spawner.fails = False
        await wait_until(
            lambda: world.engine.servers["test", server.id].claimed_at is not None, "marked"
        )


class Answers(FakeSpawner):
    """Returns one thing, whatever it is asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._answer = answer

    async def start(self, spec: ServerSpec) -> str:
        return self._answer  # type: ignore[no-any-return]  # the fault of this test

    async def list(self) -> list[Instance]:
        return self._answer  # type: ignore[no-any-return]  # the fault of this test

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        return self._answer  # type: ignore[no-any-return]  # the fault of this test


@pytest.mark.parametrize(
    "answer", [None, 7, "", "host:1", "http://", "http://h:x", "http://h:99999", "ftp://h", b"http"]
)
async def test_an_address_that_is_none_is_a_failed_start(answer: Any) -> None:
    with pytest.raises(SpawnerError, match="starting server abc: unexpected"):
        await GuardedSpawner(Answers(answer)).start(SPEC)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        [None],
        [{"server_id": "x"}],
        [Instance("", running=True, created_at=0.0)],
        [Instance("x", running=True, created_at=float("nan"))],
        [Instance("x", running=True, created_at=0.0, claimed_at=float("inf"))],
        [Instance("x", running=True, created_at=0.0, address=7)],  # type: ignore[arg-type]
    ],
)
async def test_a_listing_that_makes_no_sense_is_no_listing(answer: Any) -> None:
    with pytest.raises(SpawnerError, match="listing servers: unexpected"):
        await GuardedSpawner(Answers(answer)).list()


async def test_cpu_time_that_is_no_number_is_not_known() -> None:
    answer = {"a": 1, "b": "2", "c": None, "d": float("nan")}
    assert await GuardedSpawner(Answers(answer)).cpu_seconds(["a"]) == {"a": 1.0}
    with pytest.raises(SpawnerError):
        await GuardedSpawner(Answers(None)).cpu_seconds(["a"])


@pytest.mark.parametrize(
    "answer", [None, [None], [Route("x", float("nan"), "http://h")], [Route("x", 0.0, None)]]
)
async def test_routes_that_make_no_sense_are_no_routes(answer: Any) -> None:
    class Table(FakeProxy):
        async def list_routes(self) -> list[Route]:
            return answer  # type: ignore[no-any-return]  # the fault of this test

    with pytest.raises(ProxyError, match="listing routes: unexpected"):
        await GuardedProxy(Table()).list_routes()


async def test_while_it_cannot_be_told_whether_servers_may_be_given_none_is() -> None:
    class Unsure(FakeSpawner):
        def barred(self) -> str:
            raise KeyError("rules")

        def full_cpu(self) -> float:
            raise KeyError("quota")

        def unready(self, image: str) -> str:
            raise KeyError(image)

    assert "KeyError" in GuardedSpawner(Unsure()).barred()
    assert GuardedSpawner(Unsure()).unready("lesson") == "", "a start tells"
    assert GuardedSpawner(Unsure()).full_cpu() == 1.0


def test_every_method_of_the_contracts_is_guarded() -> None:
    def methods(kind: type) -> set[str]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name for name, _ in found if not name.startswith("_")}

    own = {name for name in vars(Spawner) if name in methods(Spawner)}
    assert own - {"on_news"} <= set(vars(GuardedSpawner)), "that one is called by the inner one"
    assert methods(Proxy) <= set(vars(GuardedProxy))


async def test_our_own_errors_pass_as_they_are() -> None:
    border = Border(SpawnerError)
    for error in (NoInstanceError("gone"), ConfigError("wrong"), ProxyError("away")):
        with pytest.raises(type(error)) as caught, border.crossing("asking"):
            raise error
        assert caught.value is error


async def test_whoever_is_cancelled_ends() -> None:
    border, begun = Border(SpawnerError), asyncio.Event()

    async def waits() -> None:
        with border.crossing("waiting"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_words_are_one_short_line_without_the_secret() -> None:
    with pytest.raises(SpawnerError) as caught, Border(SpawnerError).crossing("x", "s3cr3t"):
        raise ValueError("a\nb\x1b[2J s3cr3t " + "y" * 5000)
    message = str(caught.value)
    assert message.startswith("x: unexpected ValueError: a b\\x1b[2J [redacted] y")
    assert len(message) < 400


async def test_whoever_is_thrown_away_ends_without_a_word() -> None:
    border, begun = Border(SpawnerError), asyncio.Event()

    async def waits() -> None:
        with border.crossing("waiting"):
            begun.set()
            await asyncio.Event().wait()

    thrown_away = supervise(waits(), "waiting")

    async def begins() -> None:
        thrown_away.send(None)

    await asyncio.create_task(begins())
    assert begun.is_set()
    thrown_away.close()  # raises what the coroutine makes of it


async def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt), Border(SpawnerError).crossing("x"):
        raise KeyboardInterrupt

"""Each call and each pass is measured, however it ends; and each refusal has its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fake_proxy import FakeProxy
from tests.support.world import World, gate_of, wait_until
from tmpnb.access.banned import Banned
from tmpnb.access.gate import MOST_TRIES, Knock
from tmpnb.core.health import Health
from tmpnb.core.refusals import Refusal
from tmpnb.core.server import Phase, StopReason
from tmpnb.errors import (
    BannedError,
    ClientLimitError,
    LineFullError,
    PassphraseError,
    PoolEmptyError,
    ProxyError,
    SpawnerError,
    TooManyTriesError,
)
from tmpnb.orchestrator.claims.line import Line
from tmpnb.orchestrator.guarded import GuardedProxy, GuardedSpawner
from tmpnb.orchestrator.meters import EngineCall, Meter, Meters, Outcome, ProxyCall
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeEngine, FakeSpawner

SPEC, OTHER = (ServerSpec(i, f"/user/{i}/", "token") for i in "ab")


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def outcomes(meter: Meter) -> dict[Outcome, int]:
    return {outcome: count for outcome, count in meter.outcomes if count}


@pytest.mark.gen_test
async def test_work_is_measured_from_its_begin_to_its_end() -> None:
    clock = Clock()
    meter = Meter(clock)

    async def work() -> str:
        clock.now += 0.7
        return "done"

    assert await meter.of(work) == "done"
    assert (meter.durations.count, meter.durations.seconds) == (1, pytest.approx(0.7))
    assert outcomes(meter) == {Outcome.OK: 1}


@pytest.mark.gen_test
async def test_work_that_fails_is_measured_as_well() -> None:
    meter = Meter()

    async def work() -> None:
        raise SpawnerError("no")

    with pytest.raises(SpawnerError, match="no"):
        await meter.of(work)
    assert outcomes(meter) == {Outcome.FAILED: 1}
    assert meter.durations.count == 1


@pytest.mark.gen_test
async def test_work_that_nobody_waits_for_any_more_has_not_failed() -> None:
    meter = Meter()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await meter.of(asyncio.Event().wait)
    assert outcomes(meter) == {Outcome.CANCELLED: 1}


@pytest.mark.gen_test
async def test_work_that_cancels_itself_has_failed() -> None:
    meter = Meter()

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await meter.of(work)
    assert outcomes(meter) == {Outcome.FAILED: 1}


ENGINE_CALLS: dict[EngineCall, Callable[[GuardedSpawner], Any]] = {
    EngineCall.PREPARE: lambda engine: engine.prepare("image"),
    EngineCall.START: lambda engine: engine.start(OTHER),
    EngineCall.STOP: lambda engine: engine.stop("a"),
    EngineCall.LIST: lambda engine: engine.list(),
    EngineCall.ADDRESSES: lambda engine: engine.addresses(),
    EngineCall.MARK_CLAIMED: lambda engine: engine.mark_claimed("a", 1.0),
    EngineCall.LOGS: lambda engine: engine.logs("a"),
    EngineCall.CPU_SECONDS: lambda engine: engine.cpu_seconds(["a"]),
}
PROXY_CALLS: dict[ProxyCall, Callable[[GuardedProxy], Any]] = {
    ProxyCall.LIST_ROUTES: lambda proxy: proxy.list_routes(),
    ProxyCall.ROUTE_EXISTS: lambda proxy: proxy.route_exists("a"),
    ProxyCall.ADD_ROUTE: lambda proxy: proxy.add_route("a", "http://127.0.0.1:1"),
    ProxyCall.DELETE_ROUTE: lambda proxy: proxy.delete_route("a"),
}


class Down(FakeSpawner):
    """An engine that refuses all."""

    async def _no(self, *_: object) -> Any:
        raise SpawnerError("down")

    prepare = start = stop = list = addresses = mark_claimed = logs = cpu_seconds = _no  # type: ignore[assignment]  # whatever they are asked


@pytest.mark.gen_test
@pytest.mark.parametrize("call", EngineCall)
async def test_every_call_of_the_engine_is_measured_under_its_own_name(call: EngineCall) -> None:
    meters = Meters()
    engine = FakeSpawner()
    engine.engine = FakeEngine()
    await engine.setup()
    await engine.start(SPEC)
    await ENGINE_CALLS[call](GuardedSpawner(engine, meters))
    with pytest.raises(SpawnerError):
        await ENGINE_CALLS[call](GuardedSpawner(Down(), meters))
    seen = {name: outcomes(meter) for name, meter in meters.engine.items() if outcomes(meter)}
    assert seen == {call: {Outcome.OK: 1, Outcome.FAILED: 1}}
    await engine.engine.close()


@pytest.mark.gen_test
@pytest.mark.parametrize("call", ProxyCall)
async def test_every_call_of_the_proxy_is_measured_under_its_own_name(call: ProxyCall) -> None:
    meters, proxy = Meters(), FakeProxy()
    await PROXY_CALLS[call](GuardedProxy(proxy, meters))
    proxy.failure = ProxyError("down")
    with pytest.raises(ProxyError):
        await PROXY_CALLS[call](GuardedProxy(proxy, meters))
    seen = {name: outcomes(meter) for name, meter in meters.proxy.items() if outcomes(meter)}
    assert seen == {call: {Outcome.OK: 1, Outcome.FAILED: 1}}


@pytest.mark.gen_test
async def test_passes_that_fail_are_counted_and_those_that_read_all() -> None:
    world = World(1)
    async with world.running():
        await world.until_ready(1)
        passes = world.orchestrator.parts.meters.passes.outcomes
        assert passes[Outcome.OK] > 0
        assert passes[Outcome.FAILED] == 0
        world.proxy.failure = ProxyError("down")
        world.orchestrator.wake()
        await wait_until(lambda: passes[Outcome.FAILED] == 2)
        world.proxy.failure = None
        before = passes[Outcome.OK]
        await wait_until(lambda: passes[Outcome.OK] > before)


@pytest.mark.gen_test
async def test_a_pass_that_breaks_off_again_and_again_is_counted_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(1)
    async with world.running():
        await world.until_ready(1)

        def bug(*_: object) -> None:
            raise RuntimeError("nobody foresaw it")

        monkeypatch.setattr(Health, "passed", bug)
        failed = world.orchestrator.parts.meters.passes.outcomes
        before = failed[Outcome.FAILED]
        world.orchestrator.wake()
        await wait_until(lambda: failed[Outcome.FAILED] >= before + 2)


# Claims


@pytest.mark.gen_test
async def test_a_start_is_measured_until_the_server_answers() -> None:
    world = World(2)
    async with world.running():
        await world.until_ready(2)
        starts = world.pool.starts
        assert starts.count == 2
        assert starts.buckets()[-1][1] == 2


@pytest.mark.gen_test
async def test_a_claim_is_measured_and_the_wait_in_line_beside_it() -> None:
    world = World(1)
    async with world.running():
        await world.until_ready(1)
        claims = world.orchestrator.claims
        first = await claims.claim()
        assert [claims.meter.durations[g].count for g in claims.meter.durations] == [1, 0]
        assert claims.meter.waits.count == 0
        with pytest.raises(PoolEmptyError):
            await claims.claim()
        ticket = claims.queue()
        world.clock.advance(20.0)  # less than what loses a place
        claims.close(first)
        await world.until_ready(1)
        await claims.claim_in_turn(ticket)
        assert [claims.meter.durations[g].count for g in claims.meter.durations] == [2, 0]
        assert claims.meter.waits.count == 1
        assert 20.0 <= claims.meter.waits.seconds < 40.0
        assert sum(d.seconds for d in claims.meter.durations.values()) < 20.0


@pytest.mark.gen_test
async def test_a_server_that_is_started_for_a_visitor_is_measured_apart() -> None:
    world = World(2, min_ready=1)
    async with world.running():
        await world.until_ready(1)
        claims = world.orchestrator.claims
        await claims.claim_as("oldoldoldold")
        assert [claims.meter.durations[g].count for g in claims.meter.durations] == [0, 1]


def refused(world: World) -> dict[Refusal, int]:
    return {why: count for why, count in world.pool.refusals if count}


@pytest.mark.gen_test
async def test_visitors_are_refused_by_an_empty_pool_and_before_anything_is_known() -> None:
    world = World(1)
    with pytest.raises(PoolEmptyError):
        await world.orchestrator.claims.claim()
    assert refused(world) == {Refusal.NOT_SERVING: 1}
    async with world.running():
        await world.until_ready(1)
        await world.orchestrator.claims.claim()
        with pytest.raises(PoolEmptyError):
            await world.orchestrator.claims.claim()
    assert refused(world) == {Refusal.NOT_SERVING: 1, Refusal.POOL_EMPTY: 1}
    assert world.pool.stats().claims_refused_total == 2


@pytest.mark.gen_test
async def test_visitors_are_refused_for_want_of_a_proxy_and_of_an_engine() -> None:
    world = World(1)
    async with world.running():
        await world.until_ready(1)
        claims, health = world.orchestrator.claims, world.orchestrator.health
        health.report("proxy", "down")
        with pytest.raises(ProxyError):
            await claims.claim()
        assert refused(world) == {Refusal.PROXY: 1}
        health.solved("proxy")
        health.report("engine", "down")
        with pytest.raises(SpawnerError):
            await claims.claim_as("oldoldoldold")
        assert refused(world) == {Refusal.PROXY: 1, Refusal.ENGINE: 1}
        assert world.pool.stats().claims_refused_total == 1, "a proxy is no want of servers"


@pytest.mark.gen_test
async def test_visitors_are_refused_by_a_full_line(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1)

    def full(*_: object) -> None:
        raise LineFullError("too many are waiting already")

    monkeypatch.setattr(Line, "join", full)
    with pytest.raises(LineFullError):
        world.orchestrator.claims.queue()
    assert refused(world) == {Refusal.LINE_FULL: 1}


@pytest.mark.gen_test
async def test_the_gate_counts_whom_it_does_not_let_in_by_the_reason() -> None:
    gate = gate_of(World(1).orchestrator, passphrase="open", banned=Banned("10.0.0.0/24"))
    typed = [Knock("10.1.0.1", passphrase="no")] * MOST_TRIES
    for knock in (Knock("10.0.0.1"), Knock("10.1.0.1"), *typed, typed[0]):
        with pytest.raises((BannedError, PassphraseError, TooManyTriesError)):
            await gate.admit(knock)
    await gate.admit(Knock("10.1.0.2", passphrase="open"))
    assert {why: count for why, count in gate.refusals() if count} == {
        Refusal.BANNED: 1,
        Refusal.PASSPHRASE: 1,
        Refusal.WRONG_PASSPHRASE: MOST_TRIES,
        Refusal.TRIES: 1,
    }


@pytest.mark.gen_test
async def test_the_gate_tells_of_those_that_the_limits_refuse() -> None:
    gate = gate_of(World(1).orchestrator, a_minute=1)
    admission = await gate.admit(Knock("10.1.0.1"))
    gate.limits.took(await gate.client(Knock("10.1.0.1")), "a")
    with pytest.raises(ClientLimitError):
        admission.require()
    assert {why: n for why, n in gate.refusals() if n} == {Refusal.CLIENT_LIMIT: 1}


@pytest.mark.gen_test
async def test_servers_end_for_a_reason_with_and_without_a_visitor() -> None:
    world = World(2)
    async with world.running():
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        world.orchestrator.claims.close(server)
        world.kill(world.servers(Phase.READY)[0].id)
        await world.passes(2)
        await world.until_ready(2)
        ends = {end: count for end, count in world.pool.ends if count}
        assert ends == {(StopReason.CLOSED, True): 1, (StopReason.EXITED, False): 1}

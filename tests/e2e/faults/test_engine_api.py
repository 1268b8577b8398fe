"""The engine's API fails under a running service: visitors are served, nothing is lost or left."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import pytest

from tests.e2e.faults.fault_proxy import HALF_JSON, LOSE_ANSWER, REFUSE, RESET, STALL, Fault, answer
from tests.e2e.faults.run import Run
from tmpnb.system.process import send

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]

QUICK = {"tmpnb.orchestrator.lifecycle.STOP_RETRY": 0.2}
SOON = {"tmpnb.orchestrator.claims.claim_writer.RETRY": 0.5}
PATIENCE = {STALL: ("--DockerSpawner.docker_timeout=3",)}  # a start may take twice that
CREATE, START = "^POST .*/containers/create", "^POST .*/containers/.*/start"
RENAME = "^POST .*/containers/.*/rename"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(STALL, id="stalls"),
        pytest.param(RESET, id="resets"),
        pytest.param(REFUSE, id="refuses"),
        pytest.param(answer(500), id="answers_500"),
        pytest.param(HALF_JSON, id="answers_half_a_json"),
    ],
)
async def test_visitors_get_ready_servers_while_the_engine_fails(run: Run, fault: Fault) -> None:
    flags = ("--pool-size=3", "--logging=debug", *PATIENCE.get(fault, ()))
    async with run.faulty_engine() as engine, run.serving(*flags, constants=SOON) as service:
        await service.until_ready(3)
        first = await service.take("/lab")
        await run.whole(service, first, available=2)
        with engine.fault(fault):
            words = await service.until_trouble("engine")
            second = await service.take("/lab")
            await run.failed_passes(service, 1 if fault is STALL else 4)
            assert await run.opens(service, first)
            assert await run.opens(service, second)
            assert await service.problems() == {"engine": words}, "one fault, one problem"
        await run.whole(service, first, second, available=1)
        run.said_once(service, words)


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        pytest.param(CREATE, STALL, id="create_stalls"),
        pytest.param(CREATE, LOSE_ANSWER, id="create_loses_answers"),
        pytest.param(START, LOSE_ANSWER, id="start_loses_answers"),
        pytest.param(START, answer(500), id="start_answers_500"),
    ],
)
async def test_starts_that_the_engine_fails_leave_nothing_and_come_again(
    run: Run, request_: str, fault: Fault
) -> None:
    flags = ("--pool-size=4", "--min-ready=2", *PATIENCE.get(fault, ()))
    async with run.faulty_engine() as engine, run.serving(*flags) as service:
        await service.until_ready(2)
        with engine.fault(fault, request_):
            first = await service.take("/lab")
            words = await service.until_trouble("start")
            second = await service.take("/lab")
            await engine.until_met(request_, 2 + 2)  # two before the fault, two in vain
        await run.whole(service, first, second, available=2)
        run.said_once(service, words)


@pytest.mark.parametrize(
    "fault", [pytest.param(STALL, id="stalls"), pytest.param(answer(500), id="answers_500")]
)
async def test_claim_that_the_engine_does_not_write_down_is_given_and_written_later(
    run: Run, fault: Fault
) -> None:
    flags = ("--pool-size=2", *PATIENCE.get(fault, ()))
    async with run.faulty_engine() as engine, run.serving(*flags, constants=SOON) as service:
        await service.until_ready(2)
        with engine.fault(fault, RENAME):
            url = await service.take("/lab")
            words = await service.until_trouble("claim")
            assert await run.opens(service, url)
            await engine.until_met(RENAME, 2)
        await run.whole(service, url, available=1)
        run.said_once(service, words)


async def test_claim_that_was_not_written_down_outlives_the_orchestrator_by_its_route(
    run: Run,
) -> None:
    async with run.faulty_engine() as engine:
        service = run.service("--stop-servers-on-exit", "--pool-size=2", constants=SOON)
        async with run.proxy(service), run.started(service):
            await service.until_ready(2)
            with engine.fault(answer(500), RENAME):
                url = await service.take("/lab")
                await service.stop(signal.SIGKILL)
            await service.start()
            await service.until(lambda s: s["claimed"] == s["available"] == 1, "adopted")
            assert await run.opens(service, url)


async def test_claim_that_was_not_written_down_outlives_orchestrator_and_proxy_by_the_journal(
    run: Run,
) -> None:
    flags = ("--pool-size=2",)
    async with run.faulty_engine() as engine, run.serving(*flags, constants=SOON) as service:
        await service.until_ready(2)
        with engine.fault(answer(500), RENAME):
            url = await service.take("/lab")
            await engine.until_met(RENAME)
            proxy = service.proxy_child()
            await service.stop(signal.SIGKILL)
            send(proxy, signal.SIGKILL)
        assert not any(run.census.instances().values())
        await service.start()
        await run.whole(service, url, available=1)


@pytest.mark.parametrize("route", [False, True], ids=["container", "route"])
async def test_server_that_cannot_be_removed_is_told_of_once_and_removed_later(
    run: Run, route: bool
) -> None:
    async with run.faulty_engine() as engine, AsyncExitStack() as stack:
        service = run.service("--stop-servers-on-exit", "--pool-size=2", constants=QUICK)
        await stack.enter_async_context(run.proxy(service))
        api = await stack.enter_async_context(run.faulty_proxy_api(service))
        await stack.enter_async_context(run.started(service))
        await service.until_ready(2)
        faults = api if route else engine
        with faults.fault(answer(500), "^DELETE"):
            assert run.engine is not None
            run.engine.client.kill(run.engine.containers()[0]["Id"])
            words = await service.until_trouble("stop")
            await faults.until_met("^DELETE", 5)
            assert (await service.numbers())["available"] == 1
        await run.whole(service, available=2)
        run.said_once(service, words)

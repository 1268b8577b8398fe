"""Orchestrator and proxy are killed, alone and together; a proxy hangs."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.faults.fault_proxy import HOLD
from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.run import Run
from tests.e2e.faults.visitor import JUPYTER, Visitor
from tests.e2e.running_service import until_true
from tests.support.engines.contract import STUB, stub_command, wait_until
from tmpnb.system.process import Process, is_running, send

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=300),
]

SLOW = 2  # seconds until a stub listens
LATE = f"import time\ntime.sleep({SLOW})\n"


def ids(urls: list[str]) -> set[str]:
    return {url.split("/")[4] for url in urls}


async def test_killed_orchestrator_keeps_visitors_and_clears_the_rest(run: Run) -> None:
    flags = ("--stop-servers-on-exit", "--pool-size=4", "--min-ready=2")
    slow_stub = stub_command("python3").replace(STUB, LATE + STUB)
    async with run.faulty_engine() as engine:
        service = run.service(*flags, f"--command={slow_stub}")
        async with run.started(service):
            await service.until_ready(2)
            with engine.fault(HOLD, "^DELETE .*/containers/"):
                assert run.engine is not None
                run.engine.client.kill(run.engine.containers()[0]["Id"])
                await service.until(lambda s: s["stopping"] == 1 and s["available"] == 2, "held")
                url = await service.take("/lab")
                await service.until(
                    lambda s: s["stopping"] == s["claimed"] == s["starting"] == s["available"] == 1,
                    "one in each phase",
                )
                await until_true(lambda: len(run.census.instances()) == 4, "all are made")
                before = set(run.census.instances())
                await service.stop(signal.SIGKILL)
                engine.cut()
                assert await run.opens(service, url), "the proxy goes on without it"
            await service.start()
            await run.whole(service, url, available=2)
            assert before & set(run.census.instances()) == ids([url])


async def test_killed_proxy_comes_back_with_routes_websockets_and_kernels(run: Run) -> None:
    async with run.serving("--pool-size=1", JUPYTER) as service:
        await service.until_ready(1)
        visitor = await Visitor.arriving(service)
        kernel = await Kernel.started(visitor)
        assert await kernel.says("x = 1; print(x)") == "1"
        before = service.proxy_child()
        send(before, signal.SIGKILL)
        await kernel.until_lost()
        await run.whole(service, visitor.url, available=0)
        assert service.proxy_child() != before
        kernel = await kernel.again()
        assert await kernel.says("print(x)") == "1"
        kernel.close()


async def test_killed_proxy_of_its_own_life_gets_its_routes_and_websockets_back(run: Run) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=1", JUPYTER)
    async with run.proxy(service) as proxy, run.started(service):
        await service.until_ready(1)
        visitor = await Visitor.arriving(service)
        kernel = await Kernel.started(visitor)
        assert await kernel.says("x = 1; print(x)") == "1"
        await proxy.kill()
        await kernel.until_lost()
        told = await service.until_trouble("proxy")
        await proxy.start()
        await run.whole(service, visitor.url, available=0)
        kernel = await kernel.again()
        assert await kernel.says("print(x)") == "1"
        kernel.close()
        run.said_once(service, told)


async def test_orchestrator_and_proxy_killed_together_keep_kernels(run: Run) -> None:
    async with run.serving("--pool-size=2", JUPYTER) as service:
        await service.until_ready(2)
        visitor = await Visitor.arriving(service)
        kernel = await Kernel.started(visitor)
        assert await kernel.says("x = 1; print(x)") == "1"
        proxy = service.proxy_child()
        await service.stop(signal.SIGKILL)
        send(proxy, signal.SIGKILL)
        await kernel.until_lost()
        await service.start()
        await run.whole(service, visitor.url, available=1)
        kernel = await kernel.again()
        assert await kernel.says("print(x)") == "1"
        kernel.close()


async def test_proxy_that_hangs_is_ended_and_started_again(run: Run) -> None:
    hang = {"tmpnb.proxy.managed.SILENCE": 1.5, "tmpnb.proxy.managed.GRACE": 0.5}
    async with run.serving("--pool-size=2", constants=hang) as service:
        await service.until_ready(2)
        url = await service.take("/lab")
        await run.whole(service, url, available=1)
        before = service.proxy_child()
        os.kill(before.pid, signal.SIGSTOP)
        await until_ended(before)
        await run.whole(service, url, available=1)
        run.said_once(service, "the proxy has not answered for")


async def until_ended(process: Process) -> None:
    async def ended() -> bool:
        return not is_running(process)

    await wait_until(ended, f"process {process.pid} is ended")

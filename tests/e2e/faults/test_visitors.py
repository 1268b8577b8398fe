"""Visitors leave half way, and come while the pool is being replaced."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.faults.fault_proxy import HOLD
from tests.e2e.faults.run import Run
from tests.e2e.running_service import PERSON, Service, until_true

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]

ESTABLISHED = "01"  # of a connection, as /proc/net/tcp writes it
MOVE = re.compile(r"server move id=(\w+) from=(\w+) to=(\w+)")


def connections(port: int) -> int:
    """Return how many connections are open to a port of this machine."""
    entries = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(e[1].endswith(f":{port:04X}") and e[3] == ESTABLISHED for e in entries)


@asynccontextmanager
async def asking_for_a_server(service: Service) -> AsyncIterator[None]:
    """Be a visitor who asks for a server and leaves at the end of the block."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in PERSON.items())
    _, writer = await asyncio.open_connection("127.0.0.1", service.visitors)
    writer.write(f"GET /spawn/lab HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
    await writer.drain()
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()
    await until_true(lambda: connections(service.port) == 0, "the orchestrator knows they left")


async def abandoned_and_replaced(run: Run, service: Service, before: set[str]) -> None:
    """Check that one server was stopped for want of its visitor, and that others are served."""
    await service.until(lambda s: s["claims_total"] == 1 and not s["claimed"], "given up")
    await run.whole(service, available=2)
    after = set(run.census.instances())
    [lost] = before - after
    assert re.search(
        rf"id={lost} from=claimed to=stopping reason=abandoned", service.log.read_text()
    )
    urls = [await service.take("/lab") for _ in range(2)]
    await run.whole(service, *urls, available=0)
    assert {url.split("/")[4] for url in urls} == after


async def test_visitor_who_leaves_while_the_route_is_made_leaves_no_server_taken(run: Run) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=2")
    async with run.proxy(service), run.faulty_proxy_api(service) as api, run.started(service):
        await service.until_ready(2)
        before = set(run.census.instances())
        with api.fault(HOLD, "^POST"):
            async with asking_for_a_server(service):
                await api.until_met("^POST")
        await abandoned_and_replaced(run, service, before)


async def test_visitors_are_served_during_a_drain_and_get_fresh_servers_once_there_are(
    run: Run,
) -> None:
    async with run.serving("--pool-size=8", "--min-ready=3") as service:
        await service.until_ready(3)
        old = set(run.census.instances())
        assert await service.drain() == len(old)
        urls = [await service.take("/lab")]  # at once: better a drained one than none
        for _ in range(2):
            await until_true(lambda: ready(service) - old, "a fresh one is ready")
            urls.append(await service.take("/lab"))
            assert urls[-1].split("/")[4] not in old
        taken = {url.split("/")[4] for url in urls}
        await until_true(
            lambda: not (set(run.census.instances()) - taken) & old, "every drained one is replaced"
        )
        await run.whole(service, *urls, available=3)


def ready(service: Service) -> set[str]:
    """Return the ids of the servers that are ready, as the log has it."""
    phases = {server: to for server, _, to in MOVE.findall(service.log.read_text())}
    return {server for server, phase in phases.items() if phase == "ready"}


async def test_crowd_that_comes_during_a_drain_is_served_or_asked_to_wait(run: Run) -> None:
    async with run.serving("--pool-size=6", "--min-ready=4") as service:
        await service.until_ready(4)

        async def visit() -> str:
            answer = await service.fetch("/spawn/lab", headers=PERSON)
            if answer.code == 503:
                assert int(answer.headers["Retry-After"]) > 0
                return ""
            assert answer.code == 302, answer.body
            return service.url + answer.headers["Location"]

        drained = asyncio.ensure_future(service.drain())
        urls = await asyncio.gather(*(visit() for _ in range(4)))
        await drained
        assert all(urls), "four were ready, and a drain takes none away before it is replaced"
        for url in urls:
            assert await run.opens(service, url)
        await run.whole(service, *urls, available=2)

"""The proxy's API fails under a running service, or its table changes behind our back."""

from __future__ import annotations

import json

import pytest

from tests.e2e.faults.fault_proxy import GARBAGE, LOSE_ANSWER, STALL, Fault, answer
from tests.e2e.faults.run import Run
from tests.e2e.running_service import PERSON, Service

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]


async def refused(service: Service) -> bool:
    """Whether a visitor who comes now is asked, in words, to come again."""
    answered = await service.fetch("/spawn/lab", headers=PERSON)
    return answered.code == 503 and int(answered.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(STALL, "does not answer", id="stalls"),
        pytest.param(answer(401), "CONFIGPROXY_AUTH_TOKEN", id="answers_401"),
        pytest.param(answer(403), "CONFIGPROXY_AUTH_TOKEN", id="answers_403"),
        pytest.param(answer(500), "HTTP 500", id="answers_500"),
        pytest.param(GARBAGE, "does not answer", id="talks_garbage"),
    ],
)
async def test_no_server_is_spent_or_lost_while_the_proxys_api_fails(
    run: Run, fault: Fault, words: str
) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=2", "--logging=debug")
    async with run.proxy(service), run.faulty_proxy_api(service) as api, run.started(service):
        await service.until_ready(2)
        url = await service.take("/lab")
        await run.whole(service, url, available=1)
        with api.fault(fault):
            told = await service.until_trouble("proxy")
            assert words in told
            assert await refused(service)
            await run.failed_passes(service, 0 if fault is STALL else 4)  # each takes 5 s
            assert await run.opens(service, url), "their own server does not need the API"
            assert (await service.numbers())["available"] == 1, "no server was spent"
        await run.whole(service, url, available=1)
        run.said_once(service, told)


async def test_visitor_who_comes_before_the_fault_is_known_costs_one_server_at_most(
    run: Run,
) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=2", "--reconcile-interval=2")
    async with run.proxy(service), run.faulty_proxy_api(service) as api, run.started(service):
        await service.until_ready(2)
        before = set(run.census.instances())
        with api.fault(answer(500), "^POST"):
            assert await refused(service)
        await run.whole(service, available=2)
        assert len(before & set(run.census.instances())) == 1
        assert "reason=unroutable" in service.log.read_text()


async def test_lost_route_comes_back_by_itself_and_a_foreign_one_stays(run: Run) -> None:
    foreign = {"target": "http://127.0.0.1:9", "owner": "somebody else"}
    service = run.service("--stop-servers-on-exit", "--pool-size=2", "--min-ready=1")
    async with run.proxy(service) as proxy, run.started(service):
        await service.until_ready(1)
        url = await service.take("/lab")
        await proxy.api("POST", "/user/foreign", json.dumps(foreign))
        await proxy.api("DELETE", f"/user/{url.split('/')[4]}")
        await run.whole(service, url, available=1)
        assert (await proxy.routes())["/user/foreign"]["owner"] == "somebody else"


async def test_route_that_is_led_astray_is_led_back(run: Run) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=2", "--min-ready=1")
    async with run.proxy(service) as proxy, run.started(service):
        await service.until_ready(1)
        url = await service.take("/lab")
        path = f"/user/{url.split('/')[4]}"
        entry = (await proxy.routes())[path]
        astray = {k: v for k, v in entry.items() if k != "last_activity"} | {
            "target": "http://127.0.0.1:9"
        }
        await proxy.api("POST", path, json.dumps(astray))
        await run.whole(service, url, available=1)


async def test_leftover_route_of_ours_is_removed(run: Run) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=1")
    async with run.proxy(service) as proxy, run.started(service):
        await service.until_ready(1)
        ghost = {"target": "http://127.0.0.1:9", "tmpnb_pool": run.token, "server_id": "ghost"}
        await proxy.api("POST", "/user/ghost", json.dumps(ghost))
        await run.whole(service, available=1)


async def test_answer_that_is_lost_after_the_route_was_made_leaves_no_route(
    run: Run,
) -> None:
    service = run.service("--stop-servers-on-exit", "--pool-size=2")
    async with run.proxy(service), run.faulty_proxy_api(service) as api, run.started(service):
        await service.until_ready(2)
        with api.fault(LOSE_ANSWER, "^POST"):
            assert await refused(service)
        await run.whole(service, available=2)

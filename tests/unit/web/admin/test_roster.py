"""The admin port's list of servers, and what it does to one of them or to those of a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import HTML, Fetch, Running
from tests.support.world import gate_of, wait_until
from tmpnb.access.bans import Bans
from tmpnb.core.observation import Used
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import SpawnerError
from tmpnb.spawners.fake import PRETENDED_MEMORY
from tmpnb.visitors.roster import Roster
from tmpnb.web.admin.operating import Operating

pytestmark = pytest.mark.gen_test(timeout=30)

HERE, THERE = {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "2001:db8:1:2::5"}


class Site:
    """A site whose clients come by a proxy on loopback."""

    def __init__(self, running: Running, **operating: Any) -> None:
        self.running, self.world = running, running.world
        self.bans = Bans()
        gate = gate_of(self.world.orchestrator, banned=self.bans, servers=2)
        changes = {"gate": gate, "operating": Operating(self.bans, **operating)}
        self.public: Fetch = running.public(**changes)
        self.admin: Fetch = running.admin(**changes)

    async def take(self, headers: Mapping[str, str] = HERE) -> str:
        answer = await self.public("/api/spawn", method="POST", headers=dict(headers))
        assert answer.code == 200, answer.body
        return str(body(answer)["id"])

    async def rows(self, query: str = "") -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in body(await self.admin(f"/api/servers{query}"))["servers"]}


def body(answer: HTTPResponse) -> dict[str, Any]:
    return dict(json.loads(answer.body))


async def started(stack: AsyncExitStack, **operating: Any) -> Site:
    running = Running(3, stack)
    await running.start()
    return Site(running, **operating)


async def test_who_has_which_server_is_told_and_from_where_they_came() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        four, six = await site.take(HERE), await site.take(THERE)
        rows = await site.rows()
        assert {row["phase"] for row in rows.values()} == {"claimed", "ready"}
        assert [row["phase"] for row in rows.values()][:2] == ["claimed", "claimed"]
        assert rows[four]["client"] == "192.0.2.7"
        assert rows[six]["client"] == "2001:db8:1:2::5"
        [ready] = (row for row in rows.values() if row["phase"] == "ready")
        assert (ready["client"], ready["claimed_at"], ready["expires_at"]) == (None, None, None)
        claimed = rows[four]
        assert claimed["expires_at"] == pytest.approx(claimed["claimed_at"] + 1000)
        assert claimed["created_at"] <= claimed["claimed_at"]
        assert claimed["age"] >= 0
        assert (claimed["memory"], claimed["cpu_seconds"]) == (None, None), "nobody was asked"


async def test_who_comes_back_is_told_by_the_address_of_now() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        person = {**HTML, **HERE, "Sec-Fetch-Site": "same-origin"}
        first = await site.public("/spawn", method="POST", headers=person, body="")
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        [server] = site.world.servers(Phase.CLAIMED)
        server.client = None  # as after a restart
        again = await site.public(
            "/spawn", method="POST", headers={**person, "Cookie": cookie}, body=""
        )
        assert again.headers["Location"] == first.headers["Location"]
        assert (await site.rows())[server.id]["client"] == "192.0.2.7"


async def test_an_address_is_kept_no_longer_than_its_server() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        server = site.world.pool.servers[await site.take()]
        assert (await site.admin(f"/api/servers/{server.id}", method="DELETE")).code == 204
        await site.world.until_gone(server.id)
        assert server.client is None
        assert server.id not in await site.rows()


async def test_networks_alone_are_told_with_anonymize_and_limits_count_exactly() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack, anonymize=True)
        four, six = await site.take(HERE), await site.take(THERE)
        answer = await site.admin("/api/servers")
        assert b"192.0.2.7" not in answer.body
        assert b"2001:db8:1:2" not in answer.body
        rows = await site.rows()
        assert rows[four]["client"] == "192.0.2.0/24"
        assert rows[six]["client"] == "2001:db8:1::/48"
        neighbour = {"X-Forwarded-For": "192.0.2.8"}
        assert (await site.public("/api/spawn", method="POST", headers=neighbour)).code == 200


async def test_what_servers_use_is_told_on_request() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        taken = await site.take()
        site.world.engine.servers["test", taken].cpu_seconds = 12.5
        row = (await site.rows("?usage=1"))[taken]
        assert (row["cpu_seconds"], row["memory"]) == (12.5, PRETENDED_MEMORY)
        assert row["last_use"] is not None


async def test_an_engine_that_does_not_tell_costs_only_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        taken = await site.take()

        async def fail(server_ids: object) -> dict[str, Used]:
            raise SpawnerError("no")

        monkeypatch.setattr(site.world.spawner, "used", fail)
        assert (await site.rows("?usage=1"))[taken]["memory"] is None


async def test_who_does_not_answer_in_time_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmpnb.visitors.roster.PATIENCE", 0.05)
    async with AsyncExitStack() as stack:
        site = await started(stack)
        taken = await site.take()
        ended = []

        async def hang(self: Roster, server: NotebookServer) -> None:
            try:
                await wait_until(lambda: False)
            finally:
                ended.append(server.id)

        monkeypatch.setattr(Roster, "_look", hang)
        assert (await site.rows("?usage=1"))[taken]["memory"] == PRETENDED_MEMORY
        await wait_until(lambda: ended == [taken])


async def test_a_server_is_stopped_and_its_visitor_is_told_by_whom() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        taken = await site.take()
        for _ in range(2):  # the second finds it stopping, or gone
            code = (await site.admin(f"/api/servers/{taken}", method="DELETE")).code
            assert code in (204, 404)
        await site.world.until_gone(taken)
        ending = site.world.pool.endings.of(taken)
        assert ending is not None
        assert ending.reason is StopReason.STOPPED
        told = await site.public(f"/user/{taken}/lab", headers=HTML)
        assert b"It was stopped by those who run the service." in told.body
        assert (await site.admin(f"/api/servers/{taken}", method="DELETE")).code == 404


async def test_a_server_that_is_being_started_is_not_stopped() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        site.world.pool.add(NotebookServer("starting1", 0.0))
        answer = await site.admin("/api/servers/starting1", method="DELETE")
        del site.world.pool.servers["starting1"]
        assert answer.code == 409
        assert body(answer)["error"]["code"] == "server_starting"


async def test_a_ban_keeps_a_network_out_and_stops_what_it_has_on_request() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        has, other = await site.take(HERE), await site.take(THERE)
        put = await site.admin("/api/bans/192.0.2.0/24", method="PUT", body="")
        told = {"network": "192.0.2.0/24", "kept": False, "servers": 1, "stopped": 0}
        assert body(put) == told
        refused = await site.public("/api/spawn", method="POST", headers=HERE)
        assert body(refused)["error"]["code"] == "banned"
        assert site.world.pool.servers[has].phase is Phase.CLAIMED
        put = await site.admin("/api/bans/192.0.2.0/24?stop=1", method="PUT", body="")
        assert body(put) == told | {"stopped": 1}
        await site.world.until_gone(has)
        assert site.world.pool.servers[other].phase is Phase.CLAIMED
        [listed] = body(await site.admin("/api/bans"))["bans"]
        assert listed["network"] == "192.0.2.0/24"
        assert (await site.admin("/api/bans/192.0.2.0/24", method="DELETE")).code == 204
        assert (await site.admin("/api/bans/192.0.2.0/24", method="DELETE")).code == 404
        assert (await site.public("/api/spawn", method="POST", headers=HERE)).code == 200


@pytest.mark.parametrize("network", ["192.0.2.1/24", "192.0.2.0/99", "1.2.3", "a:b"])
async def test_what_is_no_network_is_refused_in_words(network: str) -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        answer = await site.admin(f"/api/bans/{network}", method="PUT", body="")
        assert answer.code == 400
        assert "a ban" in body(answer)["error"]["message"]


async def test_status_tells_the_service_in_one_answer() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        site.world.orchestrator.health.report("engine", "it is away")
        told = body(await site.admin("/api/status"))
        assert told["status"] == "degraded"
        assert told["problems"]["engine"]["message"] == "it is away"
        assert told["stats"]["capacity"] == 3
        assert told["bans"] == {"here": 0, "in_settings": 0}


@pytest.mark.parametrize("path", ["servers", "servers/abcdefgh", "bans", "settings", "status"])
async def test_all_of_it_is_on_the_admin_port_only_and_needs_its_token(path: str) -> None:
    async with AsyncExitStack() as stack:
        running = Running(1, stack)
        await running.start()
        method = "DELETE" if path == "servers/abcdefgh" else "GET"
        admin = running.admin(admin_token="adm1n-adm1n")
        assert (await admin(f"/api/{path}", method=method)).code == 401
        token = {"Authorization": "token adm1n-adm1n"}
        assert (await admin(f"/api/{path}", method=method, headers=token)).code in (200, 404)
        for_a_page = {"Sec-Fetch-Site": "same-origin"}
        open_admin = running.admin()
        assert (await open_admin(f"/api/{path}", method=method, headers=for_a_page)).code == 403
        public = await running.public()(f"/api/{path}", method=method)
        assert public.code in (401, 404)

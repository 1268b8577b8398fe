"""What every engine promises, once for each: the contract of tmpnb/spawners/base.py."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.support.engines.contract import EngineUnderTest, wait_until, wait_until_it_answers
from tmpnb.core.observation import Instance
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.system.http.client import Client

pytestmark = pytest.mark.gen_test(timeout=120)

SpawnerFactory = Callable[..., Awaitable[Spawner]]
SpecFactory = Callable[..., ServerSpec]


async def instances(spawner: Spawner) -> dict[str, Instance]:
    """Return what `list` says by server id; no id may be there twice."""
    listed = await spawner.list()
    by_id = {instance.server_id: instance for instance in listed}
    assert len(by_id) == len(listed)
    return by_id


async def test_a_new_pool_is_empty(spawner_of: SpawnerFactory) -> None:
    spawner = await spawner_of()
    assert await spawner.list() == []


async def test_a_started_server_is_listed_as_running_at_the_returned_address(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    before = time.time()
    address = await spawner.start(spec)
    after = time.time()

    assert re.fullmatch(r"http://[^/]+:\d+", address)
    seen = await instances(spawner)
    assert set(seen) == {spec.server_id}
    instance = seen[spec.server_id]
    assert instance.running
    assert instance.address == address
    assert instance.claimed_at is None
    assert before - 1 <= instance.created_at <= after + 1  # engines round to whole seconds


async def test_a_server_answers_under_its_base_url_and_asks_for_its_token(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, client: Client
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    url = f"{await spawner.start(spec)}{spec.base_url}api"
    await wait_until_it_answers(client, url)

    knowing = {"Authorization": f"token {spec.token}"}
    asked = await client.fetch(f"{url}/status", timeout=10, headers=knowing)
    unasked = await client.fetch(f"{url}/status", timeout=10)
    guessed = await client.fetch(f"{url}/status", timeout=10, headers={"Authorization": "token x"})
    assert (asked.code, unasked.code, guessed.code) == (200, 403, 403)


async def test_the_default_command_starts_a_notebook_server(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, client: Client
) -> None:
    spawner, spec = await spawner_of(jupyter=True), new_spec()
    address = await spawner.start(spec)
    await wait_until_it_answers(client, f"{address}{spec.base_url}api")

    page = await client.fetch(
        f"{address}{spec.base_url}lab", timeout=20, headers={"Authorization": f"token {spec.token}"}
    )
    assert page.code == 200
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "server_id", ["plain", "with-dash_and_underscore", "-leading", "a-claimed-12", "x" * 64]
)
async def test_an_id_comes_back_as_it_was(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, server_id: str
) -> None:
    spawner, spec = await spawner_of(), new_spec(server_id)
    await spawner.start(spec)
    assert (await instances(spawner))[server_id].claimed_at is None
    await spawner.mark_claimed(server_id, 1_700_000_000)
    assert (await instances(spawner))[server_id].claimed_at == 1_700_000_000
    await spawner.stop(server_id)
    assert await spawner.list() == []


async def test_servers_started_at_once_are_all_there_and_apart(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, client: Client
) -> None:
    spawner = await spawner_of()
    specs = [new_spec() for _ in range(4)]
    addresses = await asyncio.gather(*(spawner.start(spec) for spec in specs))
    assert set(await instances(spawner)) == {spec.server_id for spec in specs}
    for spec, address in zip(specs, addresses, strict=True):
        await wait_until_it_answers(client, f"{address}{spec.base_url}api")


async def test_a_stopped_server_is_gone(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, client: Client
) -> None:
    spawner, kept, spec = await spawner_of(), new_spec(), new_spec()
    await spawner.start(kept)
    await spawner.start(spec)
    await spawner.stop(spec.server_id)
    assert set(await instances(spawner)) == {kept.server_id}


async def test_stopping_again_or_what_never_was_changes_nothing(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await spawner.stop("never-was")
    assert set(await instances(spawner)) == {spec.server_id}
    await spawner.stop(spec.server_id)
    await spawner.stop(spec.server_id)
    assert await spawner.list() == []


async def test_one_server_stopped_twice_at_the_same_time_is_gone(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await asyncio.gather(*(spawner.stop(spec.server_id) for _ in range(3)))
    assert await spawner.list() == []


async def test_an_id_can_be_started_again_after_its_stop(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await spawner.mark_claimed(spec.server_id, time.time())
    await spawner.stop(spec.server_id)
    address = await spawner.start(spec)
    instance = (await instances(spawner))[spec.server_id]
    assert (instance.address, instance.claimed_at) == (address, None)


async def test_a_claim_is_listed_and_leaves_the_server_as_it_was(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec, other = await spawner_of(), new_spec(), new_spec()
    await spawner.start(spec)
    await spawner.start(other)
    before = await instances(spawner)
    await spawner.mark_claimed(spec.server_id, 1_700_000_000.75)

    after = await instances(spawner)
    claimed_at = after[spec.server_id].claimed_at
    assert claimed_at is not None
    assert abs(claimed_at - 1_700_000_000.75) < 1
    assert replace(after[spec.server_id], claimed_at=None) == before[spec.server_id]
    assert after[other.server_id] == before[other.server_id]


async def test_a_repeated_claim_changes_nothing(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await spawner.mark_claimed(spec.server_id, 1_700_000_000)
    before = await spawner.list()
    await spawner.mark_claimed(spec.server_id, 1_700_000_000)
    assert await spawner.list() == before


async def test_a_server_that_is_not_there_cannot_be_claimed(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    with pytest.raises(SpawnerError):
        await spawner.mark_claimed("never-was", time.time())
    await spawner.start(spec)
    await spawner.stop(spec.server_id)
    with pytest.raises(SpawnerError):
        await spawner.mark_claimed(spec.server_id, time.time())
    assert await spawner.list() == []


async def test_a_claimed_server_is_not_replaced_by_a_start_of_its_id(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await spawner.mark_claimed(spec.server_id, 1_700_000_000)
    before = await spawner.list()
    with pytest.raises(SpawnerError):
        await spawner.start(replace(spec, token="another"))
    assert await spawner.list() == before


async def test_everything_is_found_again_by_the_next_orchestrator(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, client: Client
) -> None:
    first, claimed, unclaimed = await spawner_of(), new_spec(), new_spec()
    address = await first.start(claimed)
    await first.start(unclaimed)
    await first.mark_claimed(claimed.server_id, 1_700_000_000)
    before = await instances(first)
    await first.close()

    second = await spawner_of()
    assert await instances(second) == before
    await wait_until_it_answers(client, f"{address}{claimed.base_url}api")
    for spec in (claimed, unclaimed):
        await second.stop(spec.server_id)
    assert await second.list() == []


@pytest.mark.parametrize("other_pool", ["beta", "alpha-", "alpha-beta", "alph", "alpha.x"])
async def test_two_pools_never_see_nor_touch_each_other(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, other_pool: str
) -> None:
    alpha, other = await spawner_of("alpha"), await spawner_of(other_pool)
    mine, foreign = new_spec(), new_spec()
    await alpha.start(mine)
    await other.start(foreign)

    await alpha.stop(foreign.server_id)
    with pytest.raises(SpawnerError):
        await alpha.mark_claimed(foreign.server_id, time.time())
    assert await alpha.logs(foreign.server_id) == ""
    assert set(await instances(alpha)) == {mine.server_id}
    theirs = await instances(other)
    assert set(theirs) == {foreign.server_id}
    assert theirs[foreign.server_id].claimed_at is None


async def test_a_server_that_ended_by_itself_is_listed_as_not_running(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, engine: EngineUnderTest, client: Client
) -> None:
    spawner, spec, other = await spawner_of(), new_spec(), new_spec()
    address = await spawner.start(spec)
    await spawner.start(other)
    await engine.crash(client, spec, address)

    async def is_down() -> bool:
        return not (await instances(spawner))[spec.server_id].running

    await wait_until(is_down, "the server is listed as not running")
    assert (await instances(spawner))[other.server_id].running
    await spawner.stop(spec.server_id)
    assert set(await instances(spawner)) == {other.server_id}


async def test_the_last_words_of_a_server_can_be_read(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, engine: EngineUnderTest, client: Client
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    address = await spawner.start(spec)
    await engine.crash(client, spec, address)

    async def are_heard() -> bool:
        return "these are my last words" in await spawner.logs(spec.server_id, lines=5)

    await wait_until(are_heard, "the last words are in the log")
    assert len((await spawner.logs(spec.server_id, lines=1)).splitlines()) == 1


async def test_the_cpu_time_of_a_server_grows_while_it_computes(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, engine: EngineUnderTest, client: Client
) -> None:
    spawner, spec, other = await spawner_of(), new_spec(), new_spec()
    address, beside = await spawner.start(spec), await spawner.start(other)
    await wait_until_it_answers(client, f"{beside}{other.base_url}api")
    await engine.compute(client, spec, address)
    await spawner.list()  # as a pass does before it asks
    both = {spec.server_id, other.server_id}
    before = await spawner.cpu_seconds(both)
    assert set(before) == both

    async def has_grown() -> bool:
        told = await spawner.cpu_seconds(both)
        assert told[other.server_id] < before[other.server_id] + 1, "that is another's"
        return told[spec.server_id] >= max(2.0, before[spec.server_id])

    await wait_until(has_grown, "two seconds of CPU time are told")
    assert await spawner.cpu_seconds({other.server_id, "never-was"}) == {
        other.server_id: pytest.approx(before[other.server_id], abs=1)
    }
    assert await spawner.cpu_seconds(()) == {}
    assert spawner.full_cpu() > 0


async def test_an_operator_is_told_what_a_server_uses(
    spawner_of: SpawnerFactory, new_spec: SpecFactory, engine: EngineUnderTest, client: Client
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    address = await spawner.start(spec)
    await wait_until_it_answers(client, f"{address}{spec.base_url}api")
    await engine.compute(client, spec, address)
    await spawner.list()

    async def is_told() -> bool:
        told = await spawner.used({spec.server_id, "never-was"})
        return set(told) == {spec.server_id} and told[spec.server_id].cpu_seconds > 0.1

    await wait_until(is_told, "what it uses is told")
    memory = (await spawner.used({spec.server_id}))[spec.server_id].memory
    assert memory is not None
    assert 1_000_000 < memory < 4_000_000_000
    assert await spawner.used(()) == {}


async def test_a_server_that_is_gone_has_no_cpu_time(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    await spawner.start(spec)
    await spawner.list()
    await spawner.stop(spec.server_id)
    assert await spawner.cpu_seconds({spec.server_id}) == {}


async def test_a_missing_server_has_no_log(spawner_of: SpawnerFactory) -> None:
    spawner = await spawner_of()
    assert await spawner.logs("never-was") == ""


async def test_what_a_cancelled_start_left_behind_is_listed_or_gone_and_can_be_stopped(
    spawner_of: SpawnerFactory, new_spec: SpecFactory
) -> None:
    spawner, spec = await spawner_of(), new_spec()
    start = asyncio.ensure_future(spawner.start(spec))
    await asyncio.sleep(0)  # let it begin
    start.cancel()
    with suppress(asyncio.CancelledError):  # an engine may have been quicker
        await start

    async def is_gone_for_good() -> bool:
        await spawner.stop(spec.server_id)
        return await spawner.list() == []

    await wait_until(is_gone_for_good, "nothing is left")
    await spawner.start(spec)
    assert set(await instances(spawner)) == {spec.server_id}


async def test_closing_twice_is_harmless(spawner_of: SpawnerFactory) -> None:
    spawner = await spawner_of()
    await spawner.close()
    await spawner.close()
    assert await (await spawner_of()).list() == []

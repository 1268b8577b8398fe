"""`/metrics`: what it tells, to whom, in which format, and that it adds up with `/stats`."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import HTTPResponse

from tests.support.running_site import Fetch, Running
from tests.support.world import World, gate_of, wait_until
from tmpnb.access.gate import Gate, Knock
from tmpnb.core.counts import Durations
from tmpnb.core.refusals import NO_SERVER
from tmpnb.core.server import Phase
from tmpnb.errors import ProxyError, TmpnbError
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.web import routes
from tmpnb.web.api.exposition import Exposition
from tmpnb.web.api.metric_list import METRICS, Kind, Metric, Sight, look

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# As a Prometheus of today sends it.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TOKEN = "s3cret-s3cret"
HISTORIES, STEPS = 12, 40

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return each series with its value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    """Return the sum of the series of a name that have these labels."""
    wanted = set(labels.items())
    return sum(v for (n, have), v in found.items() if n == name and wanted <= have)


def seen(orchestrator: Orchestrator, gate: Gate | None = None) -> Sight:
    return look(orchestrator, gate or gate_of(orchestrator), "9.9")


def read(sight: Sight) -> Samples:
    """Return each series as it is told, of histograms the count alone, without the text."""
    found: Samples = {}
    for metric in METRICS:
        for values, value in metric.read(sight):
            labels = frozenset(zip(metric.labels, values, strict=True))
            if isinstance(value, Durations):
                found[f"{metric.name}_count", labels] = value.count
            else:
                found[metric.name, labels] = value
    return found


def told(orchestrator: Orchestrator, gate: Gate | None = None) -> Samples:
    text, _ = Exposition(lambda: seen(orchestrator, gate)).written("")
    return samples(text.decode())


# What there is


@pytest.fixture
def fresh(io_loop: object) -> Orchestrator:
    del io_loop  # clients are made, and want a loop
    return World(3).orchestrator


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_series_is_there_from_the_start_and_no_other_ever(
    metric: Metric, fresh: Orchestrator
) -> None:
    found = [labels for labels, _ in metric.read(seen(fresh))]
    assert len(found) == len(set(found))
    if all(metric.labels.values()):
        assert sorted(found) == sorted(product(*metric.labels.values()))
    else:  # version and image: one of each
        assert len(found) == 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_count_begins_at_0(metric: Metric, fresh: Orchestrator) -> None:
    if metric.kind is Kind.GAUGE:
        return
    for _, value in metric.read(seen(fresh)):
        assert (value.count if isinstance(value, Durations) else value) == 0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert re.fullmatch(r"tmpnb(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is not Kind.HISTOGRAM or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels)
    assert not {"id", "server_id", "address", "client", "le", "instance", "job"} & set(
        metric.labels
    )


def test_names_are_told_once() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


def test_no_metric_has_many_series(fresh: Orchestrator) -> None:
    assert len(told(fresh)) < 500


@pytest.mark.gen_test
async def test_no_id_and_no_address_is_told() -> None:
    world = World(2)
    async with world.running():
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        text, _ = Exposition(lambda: seen(world.orchestrator)).written("")
        assert "tmpnb_claims_total 1.0" in text.decode()
        for secret in (server.id, str(server.address), "127.0.0.1"):
            assert secret not in text.decode()


def test_the_process_tells_its_memory_and_its_files(fresh: Orchestrator) -> None:
    found = told(fresh)
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        assert of(found, name) > 0, name


def test_version_and_image_are_labels_of_series_that_are_1(fresh: Orchestrator) -> None:
    found = told(fresh)
    assert of(found, "tmpnb_build_info", version="9.9") == 1
    assert of(found, "tmpnb_image_info", image=fresh.image) == 1


@pytest.mark.gen_test
async def test_services_of_one_process_tell_each_their_own() -> None:
    one, other = World(1), World(2)
    async with one.running():
        await one.until_ready(1)
        await one.orchestrator.claims.claim()
        assert of(told(one.orchestrator), "tmpnb_claims_total") == 1
        assert of(told(other.orchestrator), "tmpnb_claims_total") == 0
        assert of(told(other.orchestrator), "tmpnb_capacity") == 2


@pytest.mark.gen_test
async def test_neither_engine_nor_proxy_are_asked() -> None:
    world = World(1)

    def asked(*_: object) -> Any:
        raise AssertionError("it was asked")

    for part in (world.spawner, world.proxy):
        for name in (n for n in dir(type(part)) if not n.startswith("_")):
            if asyncio.iscoroutinefunction(getattr(part, name)):
                setattr(part, name, asked)
    assert of(told(world.orchestrator), "tmpnb_capacity") == 1


@pytest.mark.gen_test
async def test_the_last_pass_is_told_by_the_systems_clock() -> None:
    world = World(1)
    never = seen(world.orchestrator)
    assert of(told(world.orchestrator), "tmpnb_last_pass_timestamp_seconds") == 0
    async with world.running():
        await world.until_ready(1)
        health = world.orchestrator.health
        assert health.last_pass is not None
        metric = next(m for m in METRICS if m.name == "tmpnb_last_pass_timestamp_seconds")
        ((_, value),) = metric.read(replace(never, now=5000.0))
        assert isinstance(value, float)
        assert 4000.0 < value <= 5000.0


# That it adds up


class History:
    """What happens to a site, one thing after the other, by chance that can be repeated."""

    def __init__(self, seed: int, running: Running) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - it makes no secrets
        self.world = running.world
        orchestrator = self.world.orchestrator
        self.claims = orchestrator.claims
        self.gate = gate_of(orchestrator, a_minute=3)
        self.site = replace(running.site, gate=self.gate)
        self.mine: list[str] = []

    async def step(self) -> None:
        happens = [self.claim, self.claim, self.claim, self.end, self.dies, self.drain]
        happens += [self.breaks, self.heals, self.waits, self.reopens, self.settles, self.settles]
        with suppress(TmpnbError):
            await self.chance.choice(happens)()

    async def claim(self) -> None:
        admission = await self.gate.admit(Knock(f"10.0.{self.chance.randrange(3)}.1"))
        server = await admission.take(self.claims.claim)
        self.mine.append(server.id)

    async def end(self) -> None:
        live = [i for i in self.mine if self.claims.live(i)]
        if live:
            self.claims.abandon(self.chance.choice(live))

    async def dies(self) -> None:
        servers = sorted(self.world.instances())
        if servers:
            self.world.kill(self.chance.choice(servers))

    async def drain(self) -> None:
        self.world.orchestrator.rollout.drain()

    async def breaks(self) -> None:
        self.world.proxy.failure = ProxyError("down")

    async def heals(self) -> None:
        self.world.proxy.failure = None

    async def waits(self) -> None:
        ticket = self.claims.queue()
        self.mine.append((await self.claims.claim_in_turn(ticket)).id)

    async def reopens(self) -> None:
        await self.claims.claim_as(f"old{self.chance.randrange(10**8):08}")

    async def settles(self) -> None:
        await self.heals()
        await self.world.passes(1)

    def check(self) -> None:
        """Compare both at one moment."""
        stats = self.world.pool.stats()
        found = read(seen(self.world.orchestrator, self.gate))
        phases = {
            Phase.STARTING: stats.starting,
            Phase.READY: stats.available,
            Phase.CLAIMED: stats.claimed,
            Phase.STOPPING: stats.stopping,
        }
        assert {p: of(found, "tmpnb_servers", phase=p) for p in phases} == phases
        assert of(found, "tmpnb_servers") == len(self.world.pool.servers)
        assert of(found, "tmpnb_capacity") == stats.capacity
        assert of(found, "tmpnb_waiting_visitors") == self.claims.waiting
        assert of(found, "tmpnb_claims_total") == stats.claims_total
        refused = {why: of(found, "tmpnb_claims_refused_total", reason=why) for why in NO_SERVER}
        assert sum(refused.values()) == stats.claims_refused_total
        by_limit = of(found, "tmpnb_claims_refused_total", reason="client_limit")
        assert by_limit == self.gate.limits.refused
        handed_over = of(found, "tmpnb_claim_duration_seconds_count")
        assert handed_over <= stats.claims_total
        self.check_calls(found)

    def check_calls(self, found: Samples) -> None:
        for kind in ("engine", "proxy"):
            calls = of(found, f"tmpnb_{kind}_calls_total")
            assert calls == of(found, f"tmpnb_{kind}_call_duration_seconds_count") > 0
        assert of(found, "tmpnb_passes_total") == of(found, "tmpnb_pass_duration_seconds_count")

    def check_lives(self) -> None:
        """Compare beginnings and ends: whoever has become ready is there, or has ended."""
        sight = seen(self.world.orchestrator, self.gate)
        found = read(sight)
        text = samples(Exposition(lambda: sight).written("")[0].decode())
        moves = ("tmpnb_last_pass_timestamp_seconds", frozenset[tuple[str, str]]())
        assert {key for key in found if found[key] != text.get(key)} <= {moves}
        ended = of(found, "tmpnb_servers_ended_total")
        failed = of(found, "tmpnb_servers_ended_total", reason="start_failed")
        unknown = of(found, "tmpnb_servers_ended_total", reason="unknown")
        there = of(found, "tmpnb_servers", phase="ready") + of(
            found, "tmpnb_servers", phase="claimed"
        )
        started = of(found, "tmpnb_server_start_duration_seconds_count")
        assert started == there + ended - failed - unknown


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_it_adds_up_with_stats_whatever_happens(seed: int) -> None:
    async with AsyncExitStack() as stack:
        running = Running(4, stack)
        await running.start()
        history = History(seed, running)
        for _ in range(STEPS):
            await history.step()
            history.check()
        running.world.proxy.failure = None
        await wait_until(lambda: not running.world.servers(Phase.STARTING))
        history.check()
        history.check_lives()


@pytest.mark.gen_test
async def test_it_tells_by_http_what_stats_tells(running: Running) -> None:
    public = running.public(public_metrics=True)
    await running.world.orchestrator.claims.claim()
    await running.world.until_ready(2)
    stats = json.loads((await public("/stats")).body)
    found = samples((await public("/metrics")).body.decode())
    assert of(found, "tmpnb_servers", phase="ready") == stats["available"] == 2
    assert of(found, "tmpnb_servers", phase="claimed") == stats["claimed"] == 1
    assert of(found, "tmpnb_capacity") == stats["capacity"] == 3
    assert of(found, "tmpnb_claims_total") == stats["claims_total"] == 1
    assert of(found, "tmpnb_build_info", version=stats["version"]) == 1
    assert of(found, "tmpnb_image_info", image=stats["container_image"]) == 1


# To whom


@pytest.fixture
def running(io_loop: Any) -> Iterator[Running]:
    stack = AsyncExitStack()
    made = Running(3, stack)
    io_loop.run_sync(made.start)
    yield made
    io_loop.run_sync(stack.aclose)


def is_metrics(answer: HTTPResponse) -> bool:
    return answer.code == 200 and b"tmpnb_capacity" in answer.body


@pytest.mark.gen_test
async def test_the_admin_port_has_it_always(running: Running) -> None:
    answer = await running.admin()("/metrics")
    assert is_metrics(answer)
    assert answer.headers["Content-Type"] == TEXT
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.gen_test
async def test_the_public_port_has_it_on_wish_alone(running: Running) -> None:
    answer = await running.public()("/metrics")
    assert answer.code == 404
    assert json.loads(answer.body)["error"]["code"] == "not_found"
    assert is_metrics(await running.public(public_metrics=True)("/metrics"))


@pytest.mark.gen_test
@pytest.mark.parametrize("scheme", ["token", "Bearer"])
async def test_with_a_token_each_port_wants_its_own(running: Running, scheme: str) -> None:
    tokens = {"api_token": TOKEN, "admin_token": "other-other"}
    for fetch, right in (
        (running.public(public_metrics=True, **tokens), TOKEN),
        (running.admin(**tokens), "other-other"),
    ):
        assert (await fetch("/metrics")).code == 401
        wrong = {"Authorization": f"{scheme} wrong"}
        assert (await fetch("/metrics", headers=wrong)).code == 401
        with_token = {"Authorization": f"{scheme} {right}"}
        assert is_metrics(await fetch("/metrics", headers=with_token))


@pytest.mark.gen_test
async def test_no_page_reads_it_at_the_admin_port(running: Running) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await running.admin()("/metrics", headers=headers)).code == 403


# In which format


@pytest.mark.gen_test
async def test_openmetrics_is_for_those_who_ask(running: Running) -> None:
    admin = running.admin()
    answer = await admin("/metrics", headers={"Accept": PROMETHEUS})
    assert answer.headers["Content-Type"].startswith(OPENMETRICS)
    families = {family.name for family in openmetrics_families(answer.body.decode())}
    assert {metric.name.removesuffix("_total") for metric in METRICS} <= families
    assert answer.body.decode().endswith("# EOF\n")


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html",
        "text/plain;version=abc",
        "text/plain;version=1.0.0;escaping=dots",
        "text/plain,application/openmetrics-text",
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=99.9",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.000, */*",
        ";;;,,,=;q==;",
        "a," * 5000,
    ],
)
async def test_whatever_else_is_accepted_text_is_sent(running: Running, accept: str) -> None:
    answer = await running.admin()("/metrics", headers={"Accept": accept})
    assert answer.code == 200
    assert answer.headers["Content-Type"] == TEXT
    assert samples(answer.body.decode())


async def raw(fetch: Fetch, accept_encoding: str) -> HTTPResponse:
    headers = {"Accept-Encoding": accept_encoding}
    return await fetch("/metrics", headers=headers, decompress_response=False)


@pytest.mark.gen_test
@pytest.mark.parametrize("asked", ["gzip", "deflate, gzip;q=0.5", "GZIP", "br;q=1.0, gzip; q=1"])
async def test_it_is_compressed_for_those_who_ask(running: Running, asked: str) -> None:
    answer = await raw(running.admin(), asked)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert samples(gzip.decompress(answer.body).decode())
    assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.gen_test
@pytest.mark.parametrize("asked", ["", "identity", "gzip;q=0", "gzip; q=0.0", "br, xgzip", "*"])
async def test_it_is_not_compressed_for_others(running: Running, asked: str) -> None:
    answer = await raw(running.admin(), asked)
    assert "Content-Encoding" not in answer.headers
    assert samples(answer.body.decode())


@pytest.mark.gen_test
async def test_head_tells_the_size_and_sends_nothing(running: Running) -> None:
    answer = await running.admin()("/metrics", method="HEAD")
    assert (answer.code, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == TEXT
    assert int(answer.headers["Content-Length"]) > 1000


def test_the_public_costs_one_look_a_second(fresh: Orchestrator) -> None:
    now, looks = [100.0], []

    def counted() -> Sight:
        looks.append(1)
        return seen(fresh)

    exposition = Exposition(counted, fresh=1.0, clock=lambda: now[0])
    first = exposition.written("")
    now[0] += 0.9
    assert exposition.written("*/*") == first
    assert len(looks) == 1
    exposition.written("application/openmetrics-text")
    assert len(looks) == 2, "each format is written for itself"
    now[0] += 0.2
    exposition.written("")
    assert len(looks) == 3


@pytest.mark.gen_test
async def test_the_public_is_told_the_same_for_a_while_and_the_operator_what_is_so_now(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "FRESH", 3600.0)
    public, admin = running.public(public_metrics=True), running.admin()
    for claims in (0, 1):
        found = [samples((await fetch("/metrics")).body.decode()) for fetch in (public, admin)]
        assert [of(one, "tmpnb_claims_total") for one in found] == [0, claims]
        await running.world.orchestrator.claims.claim()

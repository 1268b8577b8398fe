"""What the Docker spawner does when the engine fails half-way, stalls, or talks nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, StandIn
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.docker import containers
from tmpnb.spawners.docker import labels as docker_listing
from tmpnb.spawners.docker.hardening.seccomp_rules import profile
from tmpnb.spawners.docker.spawner import DockerSpawner

pytestmark = pytest.mark.gen_test(timeout=60)

SPEC = ServerSpec("abc", "/user/abc/", "the-token-of-abc")  # of a stand-in
SpawnerFactory = Callable[..., Awaitable[DockerSpawner]]
OWN = docker_listing.labels("pool", "abc", 8888, None)
LONG = 20.0  # seconds; no test takes that long


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    engine = Engine()
    monkeypatch.setenv("DOCKER_HOST", engine.state.url)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(containers, "PAUSE", 0.001)
    yield engine.state
    engine.close()


@pytest.fixture
def spawner_with(docker: StandIn, io_loop: IOLoop) -> Iterator[SpawnerFactory]:
    """Return a function that gives a spawner of the stand-in, set up."""
    made: list[DockerSpawner] = []

    async def make(**settings: Any) -> DockerSpawner:
        spawner = DockerSpawner(**settings)
        spawner.pool = PoolIdentity("pool")
        await spawner.setup()
        docker.asked.clear()
        made.append(spawner)
        return spawner

    yield make
    for spawner in made:
        io_loop.run_sync(spawner.close)


@pytest.fixture
def spawner(spawner_with: SpawnerFactory, io_loop: IOLoop) -> DockerSpawner:
    made: DockerSpawner = io_loop.run_sync(spawner_with)
    return made


async def seen(event: threading.Event | Callable[[], bool]) -> bool:
    """Wait in a thread for an event or a condition that waits by itself."""
    if isinstance(event, threading.Event):
        return await asyncio.to_thread(event.wait, LONG)
    return await asyncio.to_thread(event)


async def test_a_listing_is_one_request_that_the_engine_filters(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    for number in range(20):
        labels = docker_listing.labels("pool", f"s{number}", 8888, None)
        docker.add(f"tmpnb-pool-s{number}", labels)
    assert len(await spawner.list()) == 20
    assert len(docker.asked) == 1
    assert "tmpnb.pool%3Dpool" in docker.asked[0]
    assert "tmpnb.managed%3Dtrue" in docker.asked[0]


@pytest.mark.parametrize(
    ("pattern", "skipped"),
    [
        ("POST /containers/create", 0),  # it was made all the same
        ("POST /containers/.*/start", 0),
        ("GET /containers/json", 1),  # the first look is for what an earlier start left
        ("GET /containers/.*/json", 0),
    ],
)
async def test_a_failure_after_the_creation_leaves_nothing_behind(
    docker: StandIn, spawner: DockerSpawner, pattern: str, skipped: int
) -> None:
    docker.new_state = "exited"
    docker.rule(pattern, lambda: None, times=skipped, after=True)
    docker.refuse(pattern, 500, "disk is full", times=1, after=True)
    with pytest.raises(SpawnerError, match="starting server abc: disk is full"):
        await spawner.start(SPEC)
    assert docker.containers == {}
    removal = docker.requests("^DELETE")[-1]
    assert "v=True" in removal
    assert "force=True" in removal


async def test_a_creation_that_timed_out_and_worked_is_found_and_removed(
    docker: StandIn, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(docker_timeout=1.0)
    answer = docker.hold("POST /containers/create", after=True)
    with pytest.raises(SpawnerError, match="starting server abc"):
        await spawner.start(SPEC)
    answer.set()
    await spawner.stop("abc")  # waits for the thread of the start
    assert docker.containers == {}


async def test_a_server_that_ends_at_once_is_an_error_with_its_exit_code_and_last_words(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.new_state = "exited"
    secret = f"my token is {SPEC.token}\n".encode()
    docker.rule("GET /containers/.*/logs", lambda: (200, b"I die\n" + secret))
    with pytest.raises(SpawnerError, match="not running right after start: exited, exit code 7"):
        await spawner.start(SPEC)
    assert docker.containers == {}
    said = await spawner.logs("abc")
    assert said.startswith("I die")
    assert SPEC.token not in said
    assert len((await spawner.logs("abc", lines=1)).splitlines()) == 1
    await spawner.stop("abc")
    assert await spawner.logs("abc") == ""


@pytest.mark.parametrize("state", ["paused", "dead", "restarting", "removing", "created"])
async def test_a_start_that_ends_in_another_state_is_refused_by_name(
    docker: StandIn, spawner: DockerSpawner, state: str
) -> None:
    docker.new_state = state
    with pytest.raises(SpawnerError, match=f"is not running right after start: {state}"):
        await spawner.start(SPEC)
    assert docker.containers == {}


async def test_a_server_without_an_address_is_an_error_in_bounded_time(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.new_ports = []
    with pytest.raises(SpawnerError, match="abc runs, but Docker gave it no address"):
        await spawner.start(SPEC)
    assert docker.containers == {}


async def test_a_port_published_on_ipv6_is_an_address(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.new_ports = [{"IP": "::1", "PrivatePort": 8888, "PublicPort": 40_001}]
    assert await spawner.start(SPEC) == "http://[::1]:40001"


async def test_a_foreign_container_of_the_same_name_is_left_alone(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    foreign = docker.add("tmpnb-pool-abc", {"com.example": "precious"})
    with pytest.raises(SpawnerError, match="Conflict"):
        await spawner.start(SPEC)
    assert await spawner.list() == []
    await spawner.stop("abc")
    assert list(docker.containers) == [foreign]


async def test_what_an_earlier_start_left_is_replaced(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    left = docker.add("tmpnb-pool-abc", OWN, state="created")
    assert await spawner.start(SPEC) == "http://127.0.0.1:40000"
    assert len(docker.containers) == 1
    assert left not in docker.containers


async def test_a_visitors_container_is_never_replaced(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    claimed = docker.add("tmpnb-pool-abc-claimed-17", OWN)
    with pytest.raises(SpawnerError, match="belongs to a visitor"):
        await spawner.start(SPEC)
    assert list(docker.containers) == [claimed]


async def test_a_container_that_is_already_being_removed_is_waited_for(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    container = docker.add("tmpnb-pool-abc", OWN, state="removing")
    docker.refuse("DELETE .*", 409, "removal of container abc is already in progress")
    looks = iter(range(5))

    def gone_at_the_fifth_look() -> None:
        if next(looks, None) is None:
            docker.containers.pop(container, None)

    docker.rule("GET /containers/json", gone_at_the_fifth_look)
    await spawner.stop("abc")
    assert docker.containers == {}


async def test_a_removal_that_never_ends_is_an_error_in_bounded_time(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse("DELETE .*", 409, "removal is already in progress")
    with pytest.raises(SpawnerError, match="still removing"):
        await spawner.stop("abc")


async def test_a_container_gone_meanwhile_is_a_done_removal(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse("DELETE .*", 404, "No such container", times=1)
    await spawner.stop("abc")
    assert len(docker.requests("^DELETE")) == 1


async def test_a_refused_removal_is_an_error(docker: StandIn, spawner: DockerSpawner) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse("DELETE .*", 500, "device is busy", times=1)
    with pytest.raises(SpawnerError, match="removing server abc: device is busy"):
        await spawner.stop("abc")
    await spawner.stop("abc")
    assert docker.containers == {}


@pytest.mark.parametrize(
    "answer",
    [[{}], [{"Labels": None}], [None], {"message": "odd"}, "text", [OWN], 5, b"<html>", b""],
)
async def test_an_unreadable_listing_is_an_error_and_never_an_empty_pool(
    docker: StandIn, spawner: DockerSpawner, answer: object
) -> None:
    docker.rule("GET /containers/json", lambda: (200, answer))
    with pytest.raises(SpawnerError):
        await spawner.list()


async def test_one_container_in_an_unknown_state_makes_the_listing_an_error(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.add("tmpnb-pool-b", docker_listing.labels("pool", "b", 8888, None), state="frozen")
    with pytest.raises(SpawnerError, match="'frozen'"):
        await spawner.list()


async def test_a_container_that_vanishes_before_its_claim_is_an_error(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse("POST .*/rename", 404, "No such container")
    with pytest.raises(SpawnerError, match="claiming server abc: No such container"):
        await spawner.mark_claimed("abc", 17)


async def test_a_claim_is_at_most_two_requests_and_its_repeat_one(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    await spawner.mark_claimed("abc", 17.9)
    assert len(docker.asked) == 2
    await spawner.mark_claimed("abc", 17.9)
    assert len(docker.asked) == 3
    assert [i.claimed_at for i in await spawner.list()] == [17]


async def test_a_claim_of_a_known_container_is_one_request(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    await spawner.list()
    await spawner.mark_claimed("abc", 17.9)
    assert [request.split("?")[0].rsplit("/")[-1] for request in docker.asked] == ["json", "rename"]
    assert [i.claimed_at for i in await spawner.list()] == [17]


@pytest.mark.parametrize("status", [404, 500, 501])
async def test_a_log_that_cannot_be_read_is_empty(
    docker: StandIn, spawner: DockerSpawner, status: int
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse(".*/logs", status, "configured logging driver does not support reading")
    assert await spawner.logs("abc") == ""


async def test_another_failure_to_read_a_log_is_an_error(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.add("tmpnb-pool-abc", OWN)
    docker.refuse(".*/logs", 500, "out of memory")
    with pytest.raises(SpawnerError, match="out of memory"):
        await spawner.logs("abc")


async def test_starts_and_removals_that_hang_never_block_a_claim_or_a_listing(
    docker: StandIn, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(max_dock_workers=2)
    docker.add("tmpnb-pool-abc", OWN)
    go = docker.hold("POST /containers/create")
    specs = [ServerSpec(f"s{n}", f"/user/s{n}/", "t") for n in range(6)]
    starts = [asyncio.ensure_future(spawner.start(spec)) for spec in specs]
    assert await seen(lambda: docker.wait_for("POST .*create"))
    await spawner.mark_claimed("abc", 17)
    assert [i.claimed_at for i in await spawner.list()] == [17]
    assert not any(start.done() for start in starts)
    go.set()
    await asyncio.gather(*starts)
    assert len(await spawner.list()) == 7


@pytest.mark.parametrize(("step", "starts"), [("create", 0), (".*/start", 1)])
async def test_a_start_nobody_waits_for_cleans_up_by_itself(
    docker: StandIn, spawner: DockerSpawner, step: str, starts: int
) -> None:
    go = docker.hold(f"POST /containers/{step}")
    start = asyncio.ensure_future(spawner.start(SPEC))
    assert await seen(lambda: docker.wait_for(f"POST .*/containers/{step}"))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    go.set()
    assert await seen(lambda: docker.wait_for("^DELETE"))  # nobody called `stop`
    await spawner.stop("abc")
    assert docker.containers == {}
    assert len(docker.requests("/start")) == starts


async def test_a_stop_waits_for_a_start_that_was_given_up_so_that_nothing_appears_after_it(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    go = docker.hold("POST /containers/.*/start")
    start = asyncio.ensure_future(spawner.start(SPEC))
    assert await seen(lambda: docker.wait_for("POST .*/start"))
    start.cancel()
    stop = asyncio.ensure_future(spawner.stop("abc"))
    await asyncio.wait([start])
    assert not stop.done()
    go.set()
    await stop
    assert docker.containers == {}


async def test_every_method_works_again_after_the_engine_came_back(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    docker.refuse(".*", 503, "restarting", times=5)
    for call in (
        spawner.start(SPEC),
        spawner.list(),
        spawner.stop("abc"),
        spawner.mark_claimed("abc", 17),
        spawner.logs("abc"),
    ):
        with pytest.raises(SpawnerError, match="restarting"):
            await call
    await spawner.start(SPEC)
    await spawner.mark_claimed("abc", 17)
    assert [i.claimed_at for i in await spawner.list()] == [17]
    assert await spawner.logs("abc") == "first line\nlast line"
    await spawner.stop("abc")
    assert docker.containers == {}


async def test_a_spawner_that_is_not_set_up_says_so() -> None:
    spawner = DockerSpawner()
    for call in (spawner.start(SPEC), spawner.list(), spawner.stop("a"), spawner.logs("a")):
        with pytest.raises(SpawnerError, match="not set up"):
            await call
    await spawner.close()


async def test_a_server_says_how_many_its_pool_may_have(
    docker: StandIn, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(egress="none")
    assert docker_listing.CAPACITY not in docker_listing.labels("pool", "abc", 8888, None)
    await spawner.start(SPEC)
    assert docker_listing.CAPACITY not in docker.bodies[-1]["Labels"], "it is not known"
    spawner.pool = replace(spawner.pool, capacity=40)
    await spawner.setup()
    await spawner.start(replace(SPEC, server_id="xyz"))
    assert docker.bodies[-1]["Labels"][docker_listing.CAPACITY] == "40"


async def test_the_token_is_in_the_environment_and_in_no_request_address_or_command(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    await spawner.start(SPEC)
    created = docker.bodies[-1]
    assert f"JUPYTER_TOKEN={SPEC.token}" in created["Env"]
    assert SPEC.token not in str(created["Cmd"]) + str(created["Labels"]) + str(docker.asked)
    assert SPEC.token not in repr(SPEC)


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the spawner at a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        yield


async def test_a_stalled_engine_is_one_clear_line_while_the_loop_goes_on(
    stalled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.spawners.docker_api.connection.FIRST_ANSWER", 0.5)
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.ensure_future(beat())
    spawner = DockerSpawner()
    with pytest.raises(SpawnerError) as refused:
        await spawner.setup()
    heart.cancel()
    assert "cannot reach Docker at tcp://127.0.0.1" in str(refused.value)
    assert "no answer within 0.5 s" in str(refused.value)
    assert "--spawner=local" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(beats) > 5  # once or twice, had the loop been blocked
    await spawner.close()


async def test_an_engine_that_stalls_later_is_an_error_in_bounded_time_and_close_returns(
    docker: StandIn, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(docker_timeout=1.0)
    go = docker.hold("(GET|POST|DELETE) .*")
    calls = [
        spawner.list(),
        spawner.mark_claimed("abc", 17),
        spawner.logs("abc"),
        spawner.stop("abc"),
        spawner.start(SPEC),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [SpawnerError] * 5
    await spawner.close()
    go.set()


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("GET /containers/json", {}),
        ("GET /containers/json", [{}]),
        ("GET /containers/json", ["text"]),
        ("GET /containers/json", [{"Id": 1, "Labels": None, "State": []}]),
        ("GET /images/.*", []),
        ("GET /images/.*", {"Config": ["x"]}),
        ("POST /containers/create", {}),
        ("POST /containers/create", []),
        ("GET /containers/.*/json", {"State": "running"}),
    ],
)
async def test_an_answer_of_odd_shape_is_a_failure_that_says_so(
    docker: StandIn, spawner: DockerSpawner, pattern: str, answer: object
) -> None:
    docker.new_state = "exited"
    docker.rule(pattern, lambda: (200, answer))
    with pytest.raises(SpawnerError):
        await spawner.start(SPEC)
    if "containers/json" in pattern:
        with pytest.raises(SpawnerError):
            await spawner.list()


@pytest.mark.parametrize("pattern", ["GET /version", "GET /info", "GET /images/.*"])
@pytest.mark.parametrize("answer", [[], "text", None])
async def test_an_engine_of_odd_answers_is_refused_in_one_line(
    docker: StandIn, spawner_with: SpawnerFactory, pattern: str, answer: object
) -> None:
    docker.rule(pattern, lambda: (200, answer))
    if pattern == "GET /info" and answer == []:
        return  # it says nothing of itself
    with pytest.raises(SpawnerError) as caught:
        await spawner_with()
    assert "\n" not in str(caught.value)


async def test_own_settings_of_a_container_take_no_bound_away(
    docker: StandIn, spawner_with: SpawnerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    own = {
        "security_opt": ["label=disable"],
        "extra_hosts": {"b": "2.2.2.2"},
        "port_bindings": {9999: 9999},
    }
    spawner = await spawner_with(extra_host_config=own, extra_hosts="a:1.1.1.1")
    await spawner.start(SPEC)
    made = docker.bodies[-1]["HostConfig"]
    assert made["SecurityOpt"][::2] == ["no-new-privileges", "label=disable"]
    assert json.loads(made["SecurityOpt"][1].removeprefix("seccomp=")) == profile()
    assert made["ExtraHosts"] == ["b:2.2.2.2", "a:1.1.1.1"]
    assert set(made["PortBindings"]) == {"8888/tcp", "9999/tcp"}
    assert "extra_host_config weakens isolation: security_opt: label=disable" in caplog.text


async def test_where_a_server_is_is_known_before_anybody_can_have_it(
    docker: StandIn, spawner: DockerSpawner
) -> None:
    address = ip_address("172.18.0.7")

    def placed() -> None:
        [entry] = docker.containers.values()
        networks = {"bridge": {"IPAddress": str(address), "IPPrefixLen": 16}}
        entry["NetworkSettings"] = {"Networks": networks}

    docker.rule("POST /containers/.*/start", placed, after=True)
    assert await spawner.start(SPEC)
    assert spawner.holds(address)
    assert await spawner.addresses() == {address}
    docker.containers.clear()
    await spawner.list()
    assert spawner.holds(address) is False, "its address may be anybody's now"
    assert await spawner.start(SPEC)
    assert spawner.holds(address)
    await spawner.stop(SPEC.server_id)
    assert spawner.holds(address) is None, "also before the next look"


async def test_a_published_server_is_on_a_network_of_ours_unless_the_operator_wants_another(
    docker: StandIn, spawner: DockerSpawner, spawner_with: SpawnerFactory
) -> None:
    await spawner.start(SPEC)
    bridge = {"network_mode": "bridge"}
    other = await spawner_with(extra_host_config=bridge)
    await other.start(ServerSpec("def", "/user/def/", "the-token-of-def"))
    seen = [
        (body["HostConfig"]["NetworkMode"], body["HostConfig"]["PortBindings"])
        for body in docker.bodies
    ]
    assert [mode for mode, _ in seen] == ["tmpnb-open", "bridge"]
    assert all(ports["8888/tcp"] for _, ports in seen)

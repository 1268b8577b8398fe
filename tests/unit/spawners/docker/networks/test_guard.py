"""The guard of --egress=internet: only the firewall's own word counts, and it is asked again."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.hardening.seccomp import chosen
from tmpnb.spawners.docker.labels import INTERNET_NETWORK, address_of
from tmpnb.spawners.docker.networks.bridges import BRIDGE, ICC, unguarded
from tmpnb.spawners.docker.networks.guard import (
    INTERVAL,
    LABEL,
    Guard,
    Refusal,
    fault_in,
    gateway_of,
    refused,
)
from tmpnb.spawners.docker.networks.networks import Networks
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.egress.rules import SIGNS, TRIED

GATEWAY = "172.18.0.1"
REFUSED: Refusal = (3, 13, GATEWAY)
WELL: list[Refusal | None] = [REFUSED] * 3
MEND = "tmpnb firewall --apply"


class FakeEngine:
    """An engine with one network, on which the firewall says what the test wants."""

    def __init__(self) -> None:
        self.answers: Any = WELL
        self.ipam: Any = {"Config": [{"Gateway": "fd00::1"}, {"Gateway": GATEWAY}]}
        self.running: dict[str, dict[str, Any]] = {}
        self.asking = [GATEWAY, "169.254.169.254", "192.0.2.254"]
        self.place: dict[str, Any] = {}  # of a sentry, once it runs
        self.asked = 0
        self.down = False
        self.after_start = "running"

    def inspect_network(self, name: str) -> dict[str, Any]:
        if self.down:
            raise APIError("the engine is going down")
        return {"Name": name, "IPAM": self.ipam}

    def containers(self, *, filters: dict[str, str], all: bool = False) -> list[dict[str, Any]]:
        assert filters == {"label": f"{LABEL}=pool"}
        return [one for one in self.running.values() if all or one["State"] == "running"]

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_container(self, *, host_config: dict[str, Any], **_: Any) -> dict[str, str]:
        name = f"sentry-{len(self.running)}-{self.asked}"
        networks = {host_config["network_mode"]: {}}
        assert host_config["cap_drop"] == ["ALL"]
        self.security_opt = host_config["security_opt"]
        about = {"Id": name, "State": "created", "NetworkSettings": {"Networks": networks}}
        self.running[name] = about
        return {"Id": name}

    def start(self, container: str) -> None:
        self.running[container]["State"] = self.after_start
        for place in self.running[container]["NetworkSettings"]["Networks"].values():
            place.update(self.place, Gateway=GATEWAY)

    def inspect_container(self, container: str) -> dict[str, Any]:
        about = self.running[container]
        return {**about, "State": {"Running": about["State"] == "running"}}

    def remove_container(self, container: str, **_: Any) -> None:
        del self.running[container]

    def exec_create(self, container: str, command: list[str]) -> str:
        assert self.running[container]["State"] == "running"
        assert command[4:] == self.asking
        return container

    def exec_start(self, order: str) -> bytes:
        self.asked += 1
        return (
            self.answers if isinstance(self.answers, bytes) else json.dumps(self.answers).encode()
        )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(engine: FakeEngine, clock: Clock) -> Guard:
    client = cast("docker.APIClient", engine)
    return Guard(client, "pool", "out", Options("image", egress="internet"), clock)


def test_nothing_is_given_before_the_rules_were_seen(guard: Guard) -> None:
    assert MEND in guard.fault
    guard.look()
    assert guard.fault == ""
    guard.require()


@pytest.mark.parametrize(
    "answer",
    [
        None,  # silence, or a connection
        (3, 3, GATEWAY),  # nobody listens: the packet got there
        (3, 1, GATEWAY),  # no way
        (3, 13, "10.0.0.1"),  # somebody further on refuses it
        (11, 0, GATEWAY),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_only_the_machine_s_own_prohibition_is_proof(answer: Refusal | None, place: int) -> None:
    answers = list(WELL)
    answers[place] = answer
    signs = [str(sign) for sign in SIGNS]
    assert MEND in fault_in(answers, GATEWAY, signs)
    assert fault_in(WELL, GATEWAY, signs) == ""


def test_the_sentry_has_the_servers_profile_of_system_calls(
    engine: FakeEngine, clock: Clock
) -> None:
    client, limits = cast("docker.APIClient", engine), Limits(seccomp=chosen("tmpnb"))
    options = Options("image", egress="internet", limits=limits)
    Guard(client, "pool", "out", options, clock).require()
    assert engine.security_opt == ["no-new-privileges:true", *chosen("tmpnb").options]


@pytest.mark.parametrize("printed", [b"no such program", b"[]", b"{}", b"[1, 2, 3]", b"null"])
def test_an_image_that_cannot_try_it_proves_nothing(
    guard: Guard, engine: FakeEngine, printed: bytes
) -> None:
    engine.answers = printed
    with pytest.raises(SpawnerError, match=MEND):
        guard.require()


def test_it_is_looked_at_again_after_a_while_and_told_when_the_rules_are_gone(
    guard: Guard, engine: FakeEngine, clock: Clock
) -> None:
    guard.require()
    engine.answers = [None] * 3
    clock.now += INTERVAL / 2
    guard.require()
    assert engine.asked == 1, "not at each start"
    clock.now += INTERVAL
    with pytest.raises(SpawnerError, match=MEND):
        guard.require()
    engine.answers = WELL
    clock.now += INTERVAL
    guard.require()


def test_an_engine_that_fails_proves_nothing(
    guard: Guard, engine: FakeEngine, clock: Clock
) -> None:
    guard.require()
    engine.down = True
    clock.now += INTERVAL
    guard.look()
    assert "the engine is going down" in guard.fault


def test_a_sentry_that_ended_with_the_engine_is_made_anew(
    guard: Guard, engine: FakeEngine, clock: Clock
) -> None:
    guard.require()
    [sentry] = engine.running
    engine.running[sentry]["State"] = "exited"
    clock.now += INTERVAL
    guard.require()
    assert sentry not in engine.running
    assert len(engine.running) == 1
    guard.close()
    assert engine.running == {}


def test_a_sentry_that_does_not_run_is_named_and_made_anew(
    guard: Guard, engine: FakeEngine, clock: Clock
) -> None:
    engine.after_start = "exited"
    guard.look()
    assert "docker logs tmpnb-sentry-pool" in guard.fault
    engine.after_start = "running"
    clock.now += INTERVAL
    guard.require()
    assert len(engine.running) == 1


def on(gateway: object) -> dict[str, Any]:
    """Return a container on the network `out`, besides another one."""
    elsewhere = {"Gateway": "198.18.0.1"}
    return {"NetworkSettings": {"Networks": {"other": elsewhere, "out": {"Gateway": gateway}}}}


UNTOLD = [
    {"Config": [{"Subnet": "172.18.0.0/16"}]},  # until the engine is restarted
    {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": ""}]},
    {"Config": [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}]},
    {"Config": [{"Gateway": "no address"}, {"Gateway": 7}, {"Gateway": "0.0.0.0"}]},  # noqa: S104 - read, not bound
    {"Config": ["no config", None]},
    {"Config": "no list"},
    {"Config": []},
    {"Config": None},
    {},
    None,
    "no description",
]


@pytest.mark.parametrize("ipam", UNTOLD, ids=str)
def test_a_gateway_that_a_network_does_not_tell_is_told_by_a_container_on_it(ipam: Any) -> None:
    assert gateway_of({"Name": "out", "IPAM": ipam}, on(GATEWAY)) == GATEWAY


@pytest.mark.parametrize("container", [on(""), on(None), on("fd00::1"), {}, {"NetworkSettings": 7}])
def test_a_network_without_an_address_of_the_machine_cannot_be_judged(
    container: dict[str, Any],
) -> None:
    with pytest.raises(LookupError, match="docker network rm out"):
        gateway_of({"Name": "out", "IPAM": UNTOLD[0]}, container)


def test_a_gateway_that_the_network_tells_goes_first_and_has_no_length() -> None:
    network = {"Name": "out", "IPAM": {"Config": [{"Gateway": f"{GATEWAY}/16"}]}}
    assert gateway_of(network, on("172.18.0.254")) == GATEWAY


def test_rules_are_seen_on_a_network_that_was_made_with_a_subnet_alone(
    guard: Guard, engine: FakeEngine, clock: Clock
) -> None:
    engine.ipam = {"Config": [{"Subnet": "172.18.0.0/16"}]}
    guard.require()
    clock.now += INTERVAL
    guard.require()
    assert engine.asked == 2, "also by a sentry that was there before"


def test_a_server_tells_the_doctor_the_gateway_of_such_a_network(engine: FakeEngine) -> None:
    engine.ipam = {"Config": [{"Subnet": "172.18.0.0/16"}]}
    engine.running["server"] = {"Id": "server", "State": "running", **on(GATEWAY)}
    client, wanted = cast("docker.APIClient", engine), {"label": f"{LABEL}=pool"}
    ranges = [IPv4Network(f"{one}.0/24") for one in ("172.18.0", "169.254.169", "192.0.2")]
    engine.asking = ["172.18.0.254", "169.254.169.254", "192.0.2.254"]
    assert refused(client, wanted, "out", ranges) == [True] * 3


def test_a_server_is_not_asked_for_what_is_near_without_the_machine(engine: FakeEngine) -> None:
    place = {"out": {"Gateway": GATEWAY, "IPAddress": "198.19.255.200", "IPPrefixLen": 26}}
    place["own"] = {"Gateway": "", "IPAddress": "192.0.2.7", "IPPrefixLen": 24}
    about = {"Id": "server", "State": "running", "NetworkSettings": {"Networks": place}}
    engine.running["server"] = about
    client, wanted = cast("docker.APIClient", engine), {"label": f"{LABEL}=pool"}
    ranges = [IPv4Network(one) for one in ("198.18.0.0/15", "192.0.2.0/24", "10.0.0.0/8")]
    engine.asking, engine.answers = ["198.19.255.191", "10.255.255.254"], [REFUSED, None]
    assert refused(client, wanted, "out", ranges) == [True, None, False]


def test_a_sentry_is_not_asked_for_a_sign_that_is_near(guard: Guard, engine: FakeEngine) -> None:
    engine.place = {"IPAddress": "192.0.2.7", "IPPrefixLen": 24}
    engine.asking, engine.answers = [GATEWAY, "169.254.169.254"], [REFUSED] * 2
    guard.require()


def test_a_server_that_has_gone_tells_the_doctor_nothing(engine: FakeEngine) -> None:
    client = cast("docker.APIClient", engine)
    assert refused(client, {"label": f"{LABEL}=pool"}, "out", list(TRIED)) is None


def test_no_place_is_given_to_a_server_without_the_rules(guard: Guard, engine: FakeEngine) -> None:
    networks = Networks(cast("docker.APIClient", None), "out", guard)
    engine.answers = [None] * 3
    with pytest.raises(SpawnerError):
        networks.place("one")
    assert MEND in networks.fault
    assert Networks(cast("docker.APIClient", None), "lan").fault == ""


@pytest.mark.parametrize(
    ("network", "well"),
    [
        ({"Options": {BRIDGE: "tmpnb-1", ICC: "false"}}, True),
        ({"Options": {BRIDGE: "tmpnb-1", ICC: "false"}, "Internal": True}, False),
        ({"Options": {BRIDGE: "br-1", ICC: "false"}}, False),
        ({"Options": {BRIDGE: "tmpnb-1"}}, False),
        ({"Options": None}, False),
    ],
)
def test_a_network_that_is_there_must_have_the_name_the_rules_go_by(
    network: dict[str, Any], well: bool
) -> None:
    assert (unguarded(network, "tmpnb-1") is None) is well


def test_servers_with_the_internet_alone_are_placed_on_the_way_out_or_beside_it() -> None:
    alone = Options("image", egress="internet")
    assert (alone.place, alone.way_out, alone.apart) == (INTERNET_NETWORK, INTERNET_NETWORK, False)
    named = Options("image", egress="internet", network="lan")
    assert (named.place, named.way_out) == ("lan", "lan")
    own = Options("image", egress="internet", network="lan", own_networks=True)
    assert (own.place, own.way_out, own.apart) == ("lan", INTERNET_NETWORK, True)
    assert Options("image").way_out == Options("image", egress="none").way_out == ""


@pytest.mark.parametrize(
    "wrong",
    [{"host_network": True}, {"own_networks": True, "network": INTERNET_NETWORK}],
)
def test_what_would_go_round_the_rules_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Options("image", egress="internet", **wrong)


def test_a_server_is_reached_on_its_own_network_and_not_on_the_way_out() -> None:
    networks = {INTERNET_NETWORK: {"IPAddress": "172.18.0.2"}, "z": {"IPAddress": "198.18.0.2"}}
    entry = {"Labels": {"tmpnb.port": "8888"}, "NetworkSettings": {"Networks": networks}}
    assert address_of(entry) == "http://198.18.0.2:8888"


@pytest.mark.parametrize("answer", [[], "text", 7, {"IPAM": [], "Containers": []}])
def test_a_network_of_odd_shape_bars_even_after_all_was_well(
    guard: Guard,
    engine: FakeEngine,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    answer: object,
) -> None:
    guard.look()
    assert guard.fault == ""
    clock.now += 10_000
    engine.running.clear()
    monkeypatch.setattr(engine, "inspect_network", lambda *_: answer)
    guard.look()
    assert MEND in guard.fault

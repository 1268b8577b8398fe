"""The networks that servers are put on: made once, closed if they must be, one each if asked."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, NotFound

from tests.support.docker_stand_in import StandIn
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks import bridges, podman
from tmpnb.spawners.docker.networks.bridges import BRIDGE, ICC, NO_GATEWAY, ensure, openness
from tmpnb.spawners.docker.networks.choice import prepare
from tmpnb.spawners.docker.networks.networks import MixedNetworks, Networks, OwnNetworks
from tmpnb.spawners.docker.networks.whereabouts import Company
from tmpnb.spawners.docker.options import Options, subnets
from tmpnb.spawners.egress import connections
from tmpnb.spawners.egress.rules import OWN, bridge

CLOSED = {"Name": "lan", "Internal": True, "Options": {ICC: "false"}}


def test_a_network_is_made_once_with_its_labels(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.rule("GET /networks/lan", lambda: (404, {"message": "network lan not found"}), 1)
    stand_in.rule("POST /networks/create", lambda: (201, {"Id": "1"}))
    stand_in.rule("GET /networks/lan", lambda: (200, {"Name": "lan"}))
    ensure(docker_client, "lan", {"a": "b"}, closed=False)
    ensure(docker_client, "lan", {"a": "b"}, closed=False)
    assert len(stand_in.requests("networks/create")) == 1


# In the words of Docker, of Docker before it lists the other's, and of Podman.
MEANWHILE = [
    (409, "network with name lan already exists"),
    (403, "conflicts with network 9f (tmpna-1): networks have same bridge name"),
    (500, "network name lan already used: network already exists"),
]


@pytest.mark.parametrize(("status", "words"), MEANWHILE)
def test_a_network_another_service_makes_meanwhile_is_fine(
    docker_client: docker.APIClient, stand_in: StandIn, status: int, words: str
) -> None:
    stand_in.refuse("GET /networks/lan", 404, "network lan not found", times=3)
    stand_in.rule("GET /networks/lan", lambda: (200, CLOSED))
    stand_in.refuse("POST /networks/create", status, words)
    ensure(docker_client, "lan", {}, closed=True)
    assert len(stand_in.requests("networks/create")) == 1


def test_what_another_makes_is_waited_for_in_seconds_however_slow_the_engine_is(
    docker_client: docker.APIClient, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count(step=bridges.PATIENCE / 2)
    clock = SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _: None)
    monkeypatch.setattr(bridges, "time", clock)
    stand_in.refuse("GET /networks/lan", 404, "network lan not found", times=1000)
    stand_in.refuse("POST /networks/create", *MEANWHILE[0])
    with pytest.raises(ConfigError, match="it cannot be made: network with name lan"):
        ensure(docker_client, "lan", {}, closed=True)
    assert len(stand_in.requests("networks/lan")) == 3


def test_one_that_another_made_meanwhile_must_be_closed_as_well(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.refuse("GET /networks/lan", 404, "network lan not found", times=1)
    stand_in.rule("GET /networks/lan", lambda: (200, CLOSED | {"Internal": False}))
    stand_in.refuse("POST /networks/create", *MEANWHILE[0])
    with pytest.raises(ConfigError, match="it is there, and leads to the outside"):
        ensure(docker_client, "lan", {}, closed=True)


def test_an_interface_of_another_network_is_told(
    docker_client: docker.APIClient, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridges, "PAUSE", 0.001)
    stand_in.refuse("GET /networks/lan", 404, "network lan not found")
    stand_in.refuse("POST /networks/create", *MEANWHILE[1])
    with pytest.raises(ConfigError, match=r"cannot be made: .*networks have same bridge name"):
        ensure(docker_client, "lan", {}, closed=False)


@pytest.mark.parametrize("reachable", [True, False])
def test_podman_is_asked_for_a_closed_network_without_a_name_server(reachable: bool) -> None:
    wanted = podman.wish("own", IPv4Network("198.18.0.16/28"), {"a": "b"}, reachable)
    assert (wanted["internal"], wanted["dns_enabled"]) == (True, False)
    [place] = wanted["subnets"]
    assert place["subnet"] == "198.18.0.16/28"
    assert place.get("gateway") == ("198.18.0.17" if reachable else None)


def test_what_podman_says_against_a_network_is_told(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    words = "subnet 198.18.0.0/28 is already used on the host or by another config"
    stand_in.refuse("POST /libpod/networks/create", 500, words)
    with pytest.raises(APIError, match="is already used on the host"):
        podman.make(docker_client, "own", IPv4Network("198.18.0.0/28"), {}, reachable=True)


def test_a_network_that_cannot_be_made_is_named(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.refuse("GET /networks/lan", 404, "network lan not found")
    stand_in.refuse("POST /networks/create", 403, "no more address pools")
    with pytest.raises(ConfigError) as refused:
        ensure(docker_client, "lan", {}, closed=False)
    text = str(refused.value)
    assert text.startswith("--docker-network=lan: ")
    assert "no more address pools" in text


@pytest.mark.parametrize(
    ("network", "closed"),
    [
        (CLOSED, True),
        (CLOSED | {"Internal": False}, False),
        (CLOSED | {"Options": {}}, False),
        (CLOSED | {"Options": None}, False),
    ],
)
def test_a_network_that_is_there_must_be_closed_for_servers_without_egress(
    docker_client: docker.APIClient, stand_in: StandIn, network: dict[str, Any], closed: bool
) -> None:
    assert (openness(network) is None) is closed
    stand_in.rule("GET /networks/lan", lambda: (200, network))
    ensure(docker_client, "lan", {}, closed=False)
    if closed:
        ensure(docker_client, "lan", {}, closed=True)
    else:
        with pytest.raises(ConfigError, match="docker network rm lan"):
            ensure(docker_client, "lan", {}, closed=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host_network": True, "egress": "none"}, "--host-network and --egress=none"),
        ({"own_networks": True, "egress": "none"}, "--own-networks needs --docker-network"),
    ],
)
def test_settings_that_exclude_each_other_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Options("image", **wrong)


def test_servers_are_placed_by_what_they_may_reach() -> None:
    assert Options("image").place == ""
    assert Options("image", network="lan").place == "lan"
    assert Options("image", egress="none").place == "tmpnb-closed"
    assert Options("image", egress="none", network="lan").place == "lan"
    assert not Options("image", network="lan", own_networks=True).apart, (
        "egress needs no such thing"
    )
    assert Options("image", network="lan", own_networks=True, egress="none").apart


@pytest.mark.parametrize("text", ["", "198.18.0.1/15", "198.18.0.0/29", "::/64", "here"])
def test_a_range_that_servers_cannot_have_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--own-subnets="):
        subnets(text)


class FakeEngine:
    """The part of an engine's client that has to do with networks, with `lan` to meet on."""

    def __init__(self) -> None:
        self.members = {"proxy", "orchestrator"}
        self.servers: set[str] = set()  # containers with the label of a server
        self.stopped: set[str] = set()
        self.made: dict[str, dict[str, Any]] = {}
        self.on: dict[str, set[str]] = {}
        self.taken: list[IPv4Network] = []  # that the engine refuses
        self.looks = 0  # at all networks of the pool
        self.busy = False

    def inspect_network(self, name: str) -> dict[str, Any]:
        if name == "lan":
            return {"Containers": dict.fromkeys(self.members - self.stopped)}
        if name not in self.made:
            raise NotFound("no such network")
        return self.made[name]

    def networks(self, filters: object = None) -> list[dict[str, Any]]:
        if self.busy:
            raise APIError("the engine is busy")
        self.looks += filters is not None
        return list(self.made.values())

    def create_network(self, name: str, *, ipam: Any, labels: dict[str, str], **more: Any) -> None:
        [config] = ipam["Config"]
        if any(IPv4Network(config["Subnet"]).overlaps(other) for other in self.taken):
            raise APIError("Pool overlaps with other one on this address space")
        about = {"Name": name, "Labels": labels, "IPAM": {"Config": [config]}}
        self.made[name], self.on[name] = about | more, set()

    def connect_container_to_network(self, container: str, network: str) -> None:
        if container in self.on[network]:
            raise APIError("endpoint already exists in network")
        self.on[network].add(container)

    def disconnect_container_from_network(self, container: str, network: str, **_: Any) -> None:
        self.on[network].discard(container)

    def containers(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, str]]:
        on = self.servers if "label" in filters else self.on[filters["network"]]
        shown = on - (set() if all else self.stopped)
        return [{"Id": name} for name in shown]

    def remove_network(self, name: str) -> None:
        assert not self.on[name], "somebody is still on it"
        del self.made[name]

    def subnet(self, name: str) -> str:
        return str(self.made[name]["IPAM"]["Config"][0]["Subnet"])


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def own_networks(engine: FakeEngine, text: str = "198.18.0.0/15") -> OwnNetworks:
    return OwnNetworks(cast("docker.APIClient", engine), "pool", "lan", subnets(text), {"a": "b"})


def test_each_server_has_a_closed_network_with_those_who_reach_it(engine: FakeEngine) -> None:
    networks = own_networks(engine)
    first, second = networks.place("one"), networks.place("two")
    assert first != second
    assert engine.subnet(first) != engine.subnet(second)
    for name in (first, second):
        assert engine.on[name] == {"proxy", "orchestrator"}
        assert engine.made[name]["internal"] is True
        assert engine.made[name]["options"] == {NO_GATEWAY: "true", BRIDGE: bridge(OWN, name)}
        assert engine.made[name]["Labels"]["a"] == "b"


def test_a_server_has_the_address_by_which_the_firewall_knows_it(engine: FakeEngine) -> None:
    networks = own_networks(engine)
    for server_id in ("one", "two"):
        subnet = IPv4Network(engine.subnet(networks.place(server_id)))
        given = networks.address_for(server_id)
        assert given is not None
        assert ip_address(given) in subnet
        assert int(ip_address(given)) & connections.OF_A_SUBNET == connections.OF_THE_SERVER
    networks.free("one")
    assert networks.address_for("one") is None
    assert Networks(cast("docker.APIClient", engine), "lan").address_for("one") is None


def test_a_network_goes_with_its_server_and_also_from_who_does_not_run(engine: FakeEngine) -> None:
    networks = own_networks(engine)
    networks.place("one")
    engine.stopped = {"proxy"}
    networks.free("one")
    networks.free("one")
    assert engine.made == {}
    assert engine.on == {"tmpnb-pool-one": set()}, "nobody is left with a network that is gone"


def test_who_comes_anew_to_the_meeting_is_brought_to_all_servers(engine: FakeEngine) -> None:
    networks = own_networks(engine)
    name = networks.place("one")
    networks.tend(["one"])
    engine.members.add("another")
    networks.tend(["one"])
    assert engine.on[name] == {"proxy", "orchestrator", "another"}


def test_servers_of_when_all_were_on_one_network_are_brought_to_nobody(engine: FakeEngine) -> None:
    engine.servers = {"of-before"}
    engine.members.add("of-before")
    networks = own_networks(engine)
    name = networks.place("one")
    networks.tend(["one"])
    assert engine.on[name] == {"proxy", "orchestrator"}


def test_servers_keep_their_own_networks_when_new_ones_are_all_on_one(engine: FakeEngine) -> None:
    name = own_networks(engine).place("of-before")
    engine.members = {"new proxy", "new orchestrator"}
    engine.servers = {"of-before", "one"}
    fake = cast("docker.APIClient", engine)
    networks = MixedNetworks(fake, "pool", "lan", subnets("198.18.0.0/15"), {})
    assert networks.place("one") == "lan"
    assert networks.address_for("one") is None
    engine.members |= {"one"}
    networks.tend(["of-before", "one"])
    assert engine.on[name] == {"proxy", "orchestrator", "new proxy", "new orchestrator"}
    networks.free("of-before")
    networks.free("one")
    assert engine.made == {}


def test_only_with_own_networks_are_those_of_before_looked_for(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.rule("GET /networks/lan", lambda: (200, {"Name": "lan"}))
    for own, kind in ((True, MixedNetworks), (False, Networks)):
        options = Options("image", network="lan", own_networks=own)
        assert type(prepare(docker_client, "pool", options)) is kind


def test_a_subnet_that_the_engine_finds_taken_is_left_to_others(engine: FakeEngine) -> None:
    refused: list[IPv4Network] = []

    def make(client: object, name: str, subnet: IPv4Network, labels: object) -> None:
        if not refused:
            refused.append(subnet)
            raise APIError(f"subnet {subnet} is already used on the host or by another config")
        engine.made[name], engine.on[name] = {"Name": name, "Labels": labels}, set()

    fake = cast("docker.APIClient", engine)
    networks = OwnNetworks(fake, "pool", "", subnets("198.18.0.0/15"), {}, make)
    networks.check()
    name = networks.place("one")
    assert len(refused) == 1
    assert engine.on[name] == set(), "without a meeting nobody else is on it"


def test_without_a_meeting_what_a_killed_orchestrator_left_is_removed(engine: FakeEngine) -> None:
    left = own_networks(engine).place("left")
    fake = cast("docker.APIClient", engine)
    networks = OwnNetworks(fake, "pool", "", subnets("198.18.0.0/15"), {})
    networks.tend([])
    assert left not in engine.made


def test_as_long_as_nobody_comes_nothing_is_looked_at(engine: FakeEngine) -> None:
    networks = own_networks(engine)
    networks.place("one")
    networks.tend(["one"])
    looks = engine.looks
    networks.tend(["one"])
    assert engine.looks == looks


def test_what_a_killed_orchestrator_left_is_removed_and_what_is_being_made_is_not(
    engine: FakeEngine,
) -> None:
    own_networks(engine).place("left-over")
    networks = own_networks(engine)
    networks.place("new")
    networks.tend([])
    assert set(engine.made) == {"tmpnb-pool-new"}


def test_subnets_that_somebody_has_are_left_out(engine: FakeEngine) -> None:
    engine.taken = [IPv4Network("198.18.0.0/27")]
    theirs = [{"Subnet": "198.18.0.32/28"}, {"Subnet": "fd00::/8"}]
    engine.made["other"] = {"Name": "other", "IPAM": {"Config": theirs}}
    assert engine.subnet(own_networks(engine).place("one")) == "198.18.0.48/28"


def test_subnets_are_used_again_when_they_are_free(engine: FakeEngine) -> None:
    networks = own_networks(engine, "198.18.0.0/27")
    for server in ("one", "two"):
        networks.place(server)
    with pytest.raises(SpawnerError, match="--own-subnets"):
        networks.place("three")
    networks.free("one")
    assert engine.subnet(networks.place("three")) == "198.18.0.0/28"


def test_without_anybody_to_meet_it_is_said_what_to_do(engine: FakeEngine) -> None:
    own_networks(engine).check()
    engine.members = set()
    with pytest.raises(ConfigError, match="no container is on the network lan"):
        own_networks(engine).check()


def test_an_engine_that_fails_meanwhile_spoils_no_listing(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    networks = own_networks(engine)
    name = networks.place("one")
    networks.tend(["one"])
    engine.members.add("another")
    engine.busy = True
    networks.tend(["one"])
    assert "cannot be kept" in caplog.text
    engine.busy = False
    networks.tend(["one"])
    assert "another" in engine.on[name], "it is tried again"


@pytest.mark.parametrize("about", [[], "text", None])
def test_an_answer_of_odd_shape_spoils_no_listing(
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    about: object,
) -> None:
    networks = own_networks(engine)
    monkeypatch.setattr(engine, "inspect_network", lambda *_: about)
    networks.tend(["a"])
    assert "networks of servers cannot be kept" in caplog.text


def test_who_else_is_on_the_servers_network_is_known_and_asked_about_once(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    proxy = stand_in.add("proxy", {})
    other = stand_in.add("of-another-pool", {listing.MANAGED: "true"})
    own = stand_in.add("own", {listing.MANAGED: "true"})
    ports = [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 8000}]  # noqa: S104 - read
    gateways = {"Networks": {"lan": {"Gateway": "172.18.0.1"}}}
    stand_in.containers[proxy] |= {"Ports": ports, "NetworkSettings": gateways}
    on = {i: {"IPv4Address": f"172.18.0.{n}/16"} for n, i in enumerate((proxy, other, own), 2)}
    stand_in.rule("GET /networks/lan", lambda: (200, {"Containers": on}), 2)
    networks = Networks(docker_client, "lan")
    for _ in range(2):
        company = networks.company({own})
        assert company.addresses == {ip_address("172.18.0.2")}, "the proxy's alone"
        assert company.gateways == {ip_address("172.18.0.1")}
    assert len(stand_in.requests("containers/json")) == 3, "of the other pool's server each time"
    assert networks.company({own}) == Company(), "the network is gone"


def test_a_proxy_that_does_not_run_yet_is_looked_at_again(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    gateways = {"Networks": {"control": {"Gateway": "172.19.0.1"}}}
    on = {"proxy": {"IPv4Address": "172.18.0.2/16"}}
    stand_in.rule("GET /networks/lan", lambda: (200, {"Containers": on}))
    networks = Networks(docker_client, "lan")
    assert networks.company(()) == Company()
    proxy = stand_in.add("proxy", {})
    ports = [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 8000}]  # noqa: S104 - read
    about = {"Id": "proxy", "Ports": ports, "NetworkSettings": gateways}
    stand_in.containers["proxy"] = stand_in.containers.pop(proxy) | about
    company = networks.company(())
    assert company.gateways == company.perhaps == {ip_address("172.19.0.1")}


def test_servers_with_networks_of_their_own_have_no_company(
    docker_client: docker.APIClient,
) -> None:
    assert (
        OwnNetworks(docker_client, "p", "lan", subnets("198.18.0.0/15"), {}).company(())
        == Company()
    )

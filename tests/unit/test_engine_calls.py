"""What is asked of the engine, and that the filter before it lets through just that.

Three lists are held against each other: what the code asks, the table in
docs/engine-calls.md, and deploy/engine-filter.cfg.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest
from docker_stand_in import Engine, StandIn
from requirements import ROOT

from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker import DockerSpawner
from tmpnb.spawners.docker_kit import DIRECTORY
from tmpnb.spawners.docker_look import PASSWD

FILTER = (ROOT / "deploy" / "engine-filter.cfg").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "engine-calls.md").read_text(encoding="utf-8")
SAMPLES = {"<name>": "registry.example:5000/a/lesson-1:v2.0", "<id>": "tmpnb-pool-Ab_1.2"}
DOCTOR_ALONE = {"POST /containers/<id>/exec", "POST /exec/<id>/start"}
IMAGE = "registry.example/lesson:1"
LAN = {"Name": "lan", "Containers": {"me": {}}}  # where proxy and orchestrator are

# What docker-py's methods ask; those that ask nothing have no call.
METHODS = {
    "close": None,
    "connect_container_to_network": "POST /networks/<id>/connect",
    "containers": "GET /containers/json",
    "create_container": "POST /containers/create",
    "create_endpoint_config": None,
    "create_host_config": None,
    "create_network": "POST /networks/create",
    "create_networking_config": None,
    "create_volume": "POST /volumes/create",
    "disconnect_container_from_network": "POST /networks/<id>/disconnect",
    "exec_create": "POST /containers/<id>/exec",
    "exec_start": "POST /exec/<id>/start",
    "get_archive": "GET /containers/<id>/archive",
    "events": "GET /events",
    "info": "GET /info",
    "inspect_container": "GET /containers/<id>/json",
    "inspect_distribution": "GET /distribution/<name>/json",
    "inspect_image": "GET /images/<name>/json",
    "inspect_network": "GET /networks/<id>",
    "inspect_volume": "GET /volumes/<id>",
    "logs": "GET /containers/<id>/logs",
    "networks": "GET /networks",
    "pull": "POST /images/create",
    "put_archive": "PUT /containers/<id>/archive",
    "remove_container": "DELETE /containers/<id>",
    "remove_network": "DELETE /networks/<id>",
    "remove_volume": "DELETE /volumes/<id>",
    "rename": "POST /containers/<id>/rename",
    "start": "POST /containers/<id>/start",
    "stats": "GET /containers/<id>/stats",
    "version": "GET /version",
    "volumes": "GET /volumes",
}


def patterns() -> list[str]:
    """Return the filter's patterns of calls that pass."""
    part = FILTER.partition("# begin of calls")[2].partition("# end of calls")[0]
    return re.findall(r"^    acl known var\(txn\.call\) -m reg '(\^.*\$)'$", part, re.MULTILINE)


def passing(call: str) -> list[str]:
    return [pattern for pattern in patterns() if re.search(pattern, call)]


def listed(section: str) -> set[str]:
    return set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", section, re.MULTILINE))


def documented() -> tuple[set[str], set[str]]:
    """Return the calls of the service, and those of the doctor alone."""
    section = PAGE.partition("## The calls")[2].partition("\n## ")[0]
    first, _, second = section.partition("Two more")
    return listed(first), listed(second)


def sample(call: str) -> str:
    for placeholder, value in SAMPLES.items():
        call = call.replace(placeholder, value)
    return call


def generalized(asked: Iterable[str]) -> set[str]:
    """Return recorded requests as the table has calls; strange ones as they are."""
    known = set.union(*documented())
    found = set()
    for request in asked:
        method, _, target = request.partition(" ")
        path = re.sub(r"^/v[\d.]+/", "/", urlsplit(target).path)
        call = f"{method} {path}"
        found.add(call if call in known else next((k for k in known if fits(call, k)), call))
    return found


def fits(call: str, listed_as: str) -> bool:
    parts = re.split("<name>|<id>", listed_as)
    return re.fullmatch(".+".join(map(re.escape, parts)), call) is not None


def test_the_filter_lets_each_listed_call_through_and_has_no_other_pattern() -> None:
    service, _ = documented()
    met = {call: passing(sample(call)) for call in service}
    assert {call: len(found) for call, found in met.items()} == dict.fromkeys(service, 1)
    assert sorted(found[0] for found in met.values()) == sorted(patterns())
    assert FILTER.count("acl known") == len(patterns()), "none beside the list"


@pytest.mark.parametrize(
    "call",
    [
        *map(sample, sorted(DOCTOR_ALONE)),
        "POST /containers/abc/attach",
        "POST /containers/abc/update",
        "GET /containers/abc/export",
        "GET /containers/abc/archive/x",
        "HEAD /containers/abc/archive",
        "POST /containers/../exec",
        "DELETE /containers/..",
        "POST /build",
        "POST /session",
        "POST /commit",
        "GET /images/json",
        "POST /images/load",
        "DELETE /images/abc",
        "GET /images/a%2f..%2fb/json",
        "GET /secrets",
        "POST /plugins/pull",
        "POST /swarm/init",
        "post /containers/create",
        "GET /version/",
        "GET http://elsewhere/version",
    ],
)
def test_no_other_call_passes(call: str) -> None:
    assert passing(call) == []


def test_the_code_has_no_call_that_is_not_listed() -> None:
    public = {name for name in dir(docker.APIClient) if not name.startswith("_")}
    used = set()
    for module in (ROOT / "tmpnb" / "spawners").glob("docker*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and is_client(node.value) and node.attr in public:
                used.add(node.attr)
    used -= {"api_version", "base_url", "get", "mount", "trust_env"}  # of the client itself
    used -= {"post"}  # to Podman's own API, which no filter is before
    assert used == set(METHODS)
    assert {call for call in METHODS.values() if call} == set.union(*documented())


def is_client(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in {"client", "_client", "c", "first", "made"}


def test_one_file_may_be_read_and_one_directory_written_as_the_code_does() -> None:
    for directory in (PASSWD, DIRECTORY):
        assert f"query -m str path={directory.replace('/', '%2F')}\n" in FILTER


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    running = Engine()
    monkeypatch.setenv("DOCKER_HOST", running.state.url)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    prepared(running.state)
    yield running.state
    running.close()


def prepared(state: StandIn) -> None:
    """Let the stand-in know what a pool with networks of its own asks for."""
    state.volumes = {}
    state.add("proxy", {})  # on each network, and taken off before it goes

    def reached_on_its_network() -> None:
        for entry in state.containers.values():
            entry["NetworkSettings"] = {"Networks": {"own": {"IPAddress": "198.18.0.2"}}}

    state.rule("POST /containers/.*/start", reached_on_its_network, after=True)
    state.rule("GET /info", lambda: (200, {"ID": "engine"}))
    state.refuse("GET /images/.*", 404, "no such image", times=1)
    state.rule("POST /images/create", lambda: (200, {"status": "Pulled"}))
    state.rule("GET /distribution/.*", lambda: (200, {}))
    state.rule("GET /networks", lambda: (200, []))
    state.rule("GET /networks/lan", lambda: (200, LAN))
    state.refuse("GET /networks/.*", 404, "no such network", times=1)
    state.rule("GET /networks/.*", lambda: (200, {"Name": "own"}))
    state.rule("POST /networks/create", lambda: (201, {"Id": "n1"}))
    state.rule("POST /networks/[^/]*/(dis)?connect", lambda: (200, {}))
    state.rule("DELETE /networks/.*", lambda: (204, None))
    state.rule("GET /containers/.*/stats", lambda: (200, {}))
    state.rule("POST /containers/.*/exec", lambda: (201, {"Id": "e1"}))
    state.refuse("POST /exec/.*/start", 500, "the stand-in runs nothing")


def new_spawner(**settings: Any) -> DockerSpawner:
    named = {"image": IMAGE, "docker_network": "lan", "own_networks": True, "egress": "none"}
    spawner = DockerSpawner(**named | settings)
    spawner.pool_name = "pool"
    return spawner


@pytest.mark.gen_test(timeout=60)
async def test_a_pool_s_life_asks_what_is_listed_and_the_doctor_the_rest(engine: StandIn) -> None:
    spawner = new_spawner(container_user="jovyan")  # whom to look up in the image
    await spawner.setup()
    await spawner.start(ServerSpec("abc", "/user/abc/", "secret"))
    await spawner.list()
    await spawner.mark_claimed("abc", 1_900_000_000.0)
    await spawner.logs("abc")
    await spawner.cpu_seconds(["abc"])
    await spawner.prepare("registry.example/lesson:2")
    await spawner.stop("abc")
    engine.new_state = "exited"
    with pytest.raises(SpawnerError, match="exit code 7"):
        await spawner.start(ServerSpec("xyz", "/user/xyz/", "secret"))
    engine.new_state = "running"
    await spawner.start(ServerSpec("abc", "/user/abc/", "secret"))
    life = generalized(engine.asked + engine.listeners)

    examination = spawner.examination()
    await examination.server("abc")
    await examination.reached("abc", ["198.18.0.1:80"])
    engine.refuse("GET /images/.*", 404, "no such image")
    assert [finding async for finding in examination.findings(3)]
    await spawner.stop("abc")
    await spawner.close()

    service, doctor = documented()
    of_the_doctor = {"GET /distribution/<name>/json"} | doctor
    at_the_end = {"GET /volumes", "DELETE /volumes/<id>"}
    assert life == service - of_the_doctor - at_the_end
    assert generalized(engine.asked + engine.listeners) == service | doctor
    assert doctor == DOCTOR_ALONE
    for request in engine.asked:
        method, _, target = request.partition(" ")
        path = re.sub(r"^/v[\d.]+/", "/", urlsplit(target).path)
        is_doctor = generalized([request]) <= doctor
        assert bool(passing(f"{method} {path}")) is not is_doctor, request

"""What is asked of the engine, and that the filter before it lets through just that.

Three lists are held against each other: what the code asks, the table in
docs/engine-calls.md, and the filter's in deploy/engine-filter/calls.lua.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import docker
import lupa.lua53
import lupa.lua54
import pytest

from tests.support.docker_stand_in import Engine, Rule, StandIn
from tests.support.engine_filter import Filter
from tests.support.engine_requests import CALLS as SENT_THROUGH
from tests.support.engine_requests import Ask
from tests.support.requirements import ROOT
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.docker.image.look import PASSWD
from tmpnb.spawners.docker.kit_volume import DIRECTORY
from tmpnb.spawners.docker.spawner import DockerSpawner

CALLS = (ROOT / "deploy" / "engine-filter" / "calls.lua").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "engine-calls.md").read_text(encoding="utf-8")
DOCTOR_ALONE = {"POST /containers/<id>/exec", "POST /exec/<id>/start"}
IMAGE = "registry.example/lesson:1"
PULLS = {"TMPNB_REGISTRIES": "registry.example", "TMPNB_RUNTIMES": "runsc"}
HARMLESS = {
    "shm_size": "1g",
    "dns": ["1.1.1.1"],
    "dns_search": ["example.org"],
    "tmpfs": ["/a", "/b:size=1m,mode=700"],
    "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    "extra_hosts": {"b": "1.1.1.1"},
    "group_add": ["100"],
    "nano_cpus": 1_000_000,
    "mem_reservation": "256m",
    "mem_swappiness": 0,
    "cpuset_cpus": "0-1",
    "blkio_weight": 500,
    "oom_score_adj": 500,
    "ipc_mode": "private",
    "mounts": [{"Type": "volume", "Source": "tmpnb-shared-books", "Target": "/books"}],
}
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


def listed(section: str) -> set[str]:
    return set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", section, re.MULTILINE))


def documented() -> tuple[set[str], set[str]]:
    """Return the calls of the service, and those of the doctor alone."""
    section = PAGE.partition("## The calls")[2].partition("\n## ")[0]
    first, _, second = section.partition("Two more")
    return listed(first), listed(second)


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


def test_the_filter_knows_the_listed_calls_and_no_other() -> None:
    service, _ = documented()
    known = re.findall(r'^    \["([A-Z]+ /[^"]*)"\] = \{', CALLS, re.MULTILINE)
    assert sorted(known) == sorted(service)


def test_one_of_each_call_is_sent_through_the_filter() -> None:
    service, _ = documented()
    asked = generalized(f"{ask.method} {ask.target}" for ask in SENT_THROUGH)
    assert asked == service - {"GET /events"}


def test_the_code_has_no_call_that_is_not_listed() -> None:
    public = {name for name in dir(docker.APIClient) if not name.startswith("_")}
    used = set()
    for module in (ROOT / "tmpnb" / "spawners").glob("docker*/**/*.py"):
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
    assert f'local passwd, directory = one_of("{PASSWD}"), one_of("{DIRECTORY}")\n' in CALLS


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
    spawner.pool = PoolIdentity("pool")
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
    judged = Filter(lupa.lua53, PULLS)
    for sent in engine.sent:
        ask = Ask(sent.method, sent.target, sent.body, sent.headers)
        is_doctor = generalized([f"{sent.method} {sent.target}"]) <= doctor
        reason = judged.reason(ask)
        assert (reason == "call: not one of those that tmpnb makes") is is_doctor, (ask, reason)
        assert is_doctor or reason == "", (ask, reason)


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize(
    "settings",
    [
        {"egress": "all", "own_networks": False, "docker_network": ""},
        {"egress": "none", "own_networks": False, "docker_network": "", "disk_limit": "1g"},
        {"read_only": True, "labels": {"a": "Zoë"}, "environment": {"A": 'a "b" \\ 🎈\n'}},
        {"mem_limit": "512m", "cpu_quota": 50_000, "cpu_shares": 10, "runtime": "runsc"},
        {"extra_hosts": "a:1.2.3.4,b:fd00::1,c:host-gateway", "container_user": "1000:100"},
        {"container_log_size": "", "pids_limit": 0, "nofile_limit": 0, "container_init": False},
        {"extra_host_config": HARMLESS},
    ],
    ids=lambda settings: "-".join(settings),
)
async def test_servers_of_other_settings_pass_the_filter(
    engine: StandIn, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    engine.image_volumes = {"/data": {}, "/home/jovyan/work": {}}
    info = {"ID": "engine", "Runtimes": {"runsc": {}}, "Driver": "btrfs"}
    engine.rules.insert(0, Rule("GET /info", lambda: (200, info)))
    spawner = new_spawner(**settings)
    await spawner.setup()
    await spawner.start(ServerSpec("abc", "/user/abc/", "secret"))
    await spawner.stop("abc")
    await spawner.close()
    judged = Filter(lupa.lua54, PULLS)
    asks = [Ask(sent.method, sent.target, sent.body, sent.headers) for sent in engine.sent]
    assert [(str(ask), reason) for ask in asks if (reason := judged.reason(ask))] == []
    assert any(sent.target.endswith("/start") for sent in engine.sent)

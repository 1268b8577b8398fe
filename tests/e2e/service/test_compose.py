"""docker-compose.yml as an operator uses it, with the images that `make images` builds."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_interface
from pathlib import Path

import docker
import pytest

from tests.e2e.installation import FILTERED, Installation, installed
from tests.e2e.running_service import START
from tests.support.engines.docker import asks_for_a_notebook, reached
from tests.support.requirements import TEST_IMAGE
from tmpnb.errors import UnreachableError

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]


@pytest.fixture
def settings() -> dict[str, str]:
    """Return settings beyond those that every test needs."""
    return {}


@pytest.fixture
def files() -> list[str]:
    """Return the Compose files besides the first."""
    return []


@pytest.fixture
def installation(
    settings: dict[str, str], files: list[str], tmp_path: Path
) -> Iterator[Installation]:
    with installed(tmp_path, files=files, **settings) as running:
        yield running


@pytest.mark.parametrize("settings", [{"TMPNB_STOP_SERVERS_ON_EXIT": "true"}], ids=["ending"])
async def test_up_serves_notebooks_and_down_leaves_nothing(installation: Installation) -> None:
    await installation.until_stats(available=2, claimed=0, capacity=2, container_image=TEST_IMAGE)
    front = await installation.fetch("/")
    assert (front.code, b'action="/spawn"' in front.body) == (200, True)

    base_url, token = await installation.take()
    assert "version" in json.loads((await installation.fetch(f"{base_url}api")).body)
    files = f"{base_url}api/contents"
    assert (await installation.fetch(files)).code == 403, "without its token it is closed"
    seen = await installation.fetch(files, headers={"Authorization": f"token {token}"})
    assert "demo.ipynb" in {entry["name"] for entry in json.loads(seen.body)["content"]}

    await installation.until_stats(available=1, claimed=1, claims_total=1)
    await installation.until_healthy("orchestrator", "proxy")
    assert installation.left()
    installation.compose("down", "--volumes")
    assert installation.left() == []


async def test_operators_commands_work_in_the_orchestrators_container(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    base_url, _ = await installation.take()
    server = base_url.split("/")[2]

    def tmpnb(*words: str) -> str:
        return installation.compose("exec", "-T", "orchestrator", "tmpnb", *words)

    assert "health   ok" in tmpnb("status")
    [row] = (line for line in tmpnb("list", "--usage").splitlines() if line.startswith(server))
    assert row.split()[1] == "claimed"
    assert " MB " in row, "the engine tells its memory"
    told = json.loads(tmpnb("list", "--json"))["servers"]
    [client] = {one["client"] for one in told if one["id"] == server}
    banned = tmpnb("ban", client, "--stop")
    assert banned == f"{client} can no longer get a server\n1 server that it has will be stopped\n"
    await installation.until_stats(claimed=0)
    assert (await installation.fetch("/api/spawn", method="POST")).code == 403
    tmpnb("unban", client)
    assert (await installation.fetch("/api/spawn", method="POST")).code == 200
    tmpnb("announce", "Down on Friday.")
    assert b"Down on Friday." in (await installation.fetch("/info")).body


async def test_doctor_tests_what_is_served_and_leaves_nothing(installation: Installation) -> None:
    await installation.until_stats(available=2)
    before = everything(installation.engine)
    answer = installation.compose("exec", "-T", "orchestrator", "tmpnb", "doctor")
    first, *lines = answer.splitlines()
    assert first.startswith("with the settings of the tmpnb at http://127.0.0.1:10000")
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert [line for line in lines if line.startswith("ok   start ")], answer
    assert [line for line in lines if line.startswith("ok   image ") and TEST_IMAGE in line]
    assert everything(installation.engine) == before


def everything(engine: docker.APIClient) -> set[str]:
    """Return the names of all networks, volumes and containers of the engine."""
    containers = (entry["Names"][0] for entry in engine.containers(all=True))
    networks, volumes = engine.networks(), engine.volumes()["Volumes"] or []
    return {*containers, *(found["Name"] for found in [*networks, *volumes])}


ASK_THE_ENGINE = """
import http.client, os, socket, stat, sys
for call in sys.argv[1:]:
    connection = http.client.HTTPConnection("engine", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
    connection.request(*call.split())
    print(connection.getresponse().status)
print(stat.S_ISSOCK(os.stat("/var/run/docker.sock").st_mode))
"""


@pytest.mark.parametrize("files", [[FILTERED]], ids=["filtered"])
async def test_with_the_filter_the_orchestrator_works_and_can_ask_for_no_more(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2, claimed=0)
    base_url, token = await installation.take()
    headers = {"Authorization": f"token {token}"}
    assert (await installation.fetch(f"{base_url}api/contents", headers=headers)).code == 200
    server = base_url.replace("/user/", "/api/servers/").rstrip("/")
    ended = await installation.fetch(server, method="DELETE", headers=headers)
    assert ended.code == 204, ended.body
    await installation.until_stats(available=2, claimed=0, claims_total=1)
    assert "refused:" not in installation.compose("logs", "engine-filter")
    assert "cannot be seen" not in installation.compose("logs", "orchestrator")

    orchestrator = installation.service("orchestrator")
    asked = ["GET /version", "POST /containers/x/exec", "GET /secrets", "POST /build"]
    probe = ["python3", "-c", ASK_THE_ENGINE, *asked]
    command = installation.engine.exec_create(orchestrator, probe)
    answers = installation.engine.exec_start(command["Id"]).decode().split()
    assert answers == ["200", "403", "403", "403", "False"]
    assert installation.compose("logs", "engine-filter").count("refused:") == 3

    installation.compose("down", "--volumes")
    assert installation.left() == []


# What each service has; then MB of memory, processes, and where root there may write.
POWERLESS = {
    "CapDrop": ["ALL"],
    "CapAdd": None,
    "Privileged": None,
    "Devices": None,
    "PidMode": None,
    "UTSMode": None,
    "ReadonlyRootfs": True,
    "CapEff": "0000000000000000",
    "CapPrm": "0000000000000000",
    "CapBnd": "0000000000000000",
    "NoNewPrivs": "1",
}
BOUNDS = {
    "proxy": (2048, 256, ["/tmp"]),  # noqa: S108 - in a container
    "orchestrator": (1024, 512, ["/tmp"]),  # noqa: S108 - the same
    "engine-filter": (256, 32, []),
}


@pytest.mark.parametrize("files", [[FILTERED]], ids=["filtered"])
async def test_services_have_no_powers_of_root_and_bounds(installation: Installation) -> None:
    await installation.until_stats(available=2)
    engine, powers, bounds = installation.engine, {}, {}
    for entry in installation.services():
        service, about = entry["Labels"]["com.docker.compose.service"], entry["Id"]
        of_host = engine.inspect_container(about)["HostConfig"]
        inside = engine.exec_create(about, ["cat", "/proc/1/status"])
        status = dict(
            line.split(":\t", 1) for line in engine.exec_start(inside).decode().splitlines()
        )
        seen = {name: (of_host | status)[name] for name in POWERLESS}
        powers[service] = {name: value or None for name, value in seen.items()}
        places = [place for place in ("/tmp", "/etc", "/run") if _can_write(engine, about, place)]  # noqa: S108 - in a container
        bounds[service] = of_host["Memory"] // 1024**2, of_host["PidsLimit"], places
    assert powers == dict.fromkeys(BOUNDS, POWERLESS)
    assert bounds == BOUNDS
    base_url, token = await installation.take()
    headers = {"Authorization": f"token {token}"}
    assert (await installation.fetch(f"{base_url}api/contents", headers=headers)).code == 200


def _can_write(engine: docker.APIClient, container: str, directory: str) -> bool:
    run = engine.exec_create(container, ["touch", f"{directory}/mine"], user="0")
    engine.exec_start(run)
    return bool(engine.exec_inspect(run["Id"])["ExitCode"] == 0)


def addresses(engine: docker.APIClient, container: str) -> set[str]:
    """Return all addresses of a container."""
    networks = engine.inspect_container(container)["NetworkSettings"]["Networks"]
    return {network["IPAddress"] for network in networks.values()} - {""}


async def test_notebook_reaches_the_public_port_and_nothing_else(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    engine = installation.engine
    notebook, other = (entry["Id"] for entry in installation.notebooks())
    services = {
        entry["Labels"]["com.docker.compose.service"]: addresses(engine, entry["Id"])
        for entry in installation.services()
    }
    assert reached(engine, notebook, "127.0.0.1:8888") == [True]
    assert any(reached(engine, notebook, *(f"{ip}:8000" for ip in services["proxy"])))
    with socket.create_server(("0.0.0.0", 0)) as of_the_machine:  # noqa: S104 - to be reached, if it can
        port = of_the_machine.getsockname()[1]
        forbidden = [
            *(f"{ip}:8888" for ip in addresses(engine, other)),
            *(f"{ip}:8001" for ip in services["proxy"]),
            *(f"{ip}:{port}" for ip in services["orchestrator"] for port in (9999, 10000)),
            *(f"{ip}:{port}" for ip in {gateway(engine, notebook), *machine_addresses()}),
            "proxy:8001",
            "orchestrator:9999",
        ]
        assert not any(reached(engine, notebook, *forbidden)), forbidden
        assert reached(engine, notebook, f"{next(iter(machine_addresses()))}:{port}") == [False]
    assert not engine.inspect_container(notebook)["HostConfig"]["Binds"], "not the engine's socket"


FILL = """
import json, sys
told = {}
for place in sys.argv[2:]:
    try:
        with open(f"{place}/fill", "wb") as file:
            file.write(bytes(int(sys.argv[1])))
        told[place] = ""
    except OSError as error:
        told[place] = error.strerror
print(json.dumps(told))
"""


@pytest.mark.parametrize("settings", [{"TMPNB_OPTIONS": "--mem-limit=192m"}], ids=["small"])
async def test_notebooks_and_services_fill_no_disk(installation: Installation) -> None:
    await installation.until_stats(available=2)
    engine = installation.engine
    orchestrator = installation.compose("config")
    assert "--disk-limit=256m" in orchestrator, "what is stated"
    [notebook, _] = (engine.inspect_container(entry["Id"]) for entry in installation.notebooks())
    tables = notebook["HostConfig"]["Tmpfs"]
    most = 96 * 1024**2  # half of the memory, as that is less
    assert set(tables) == {"/home/jovyan", "/tmp"}  # noqa: S108 - in a container
    assert sum(int(re.findall(r"size=(\d+)", table)[0]) for table in tables.values()) == most
    places = ["/", "/var/tmp", "/opt", *tables]  # noqa: S108 - in a container
    command = ["python3", "-c", FILL, str(most // 2 + 1), *places]
    job = engine.exec_create(notebook["Id"], command)
    said = json.loads(engine.exec_start(job["Id"]))
    assert [said[place] for place in tables] == ["No space left on device"] * 2
    assert "" not in said.values(), said

    for entry in installation.services():
        log = engine.inspect_container(entry["Id"])["HostConfig"]["LogConfig"]
        assert log["Type"] == "json-file"
        assert log["Config"] == {"max-size": "10m", "max-file": "3"}


def gateway(engine: docker.APIClient, container: str) -> str:
    """Return where the machine is on a container's one network, or would be if it were there."""
    [own] = engine.inspect_container(container)["NetworkSettings"]["Networks"].values()
    network = ip_interface(f"{own['IPAddress']}/{own['IPPrefixLen']}").network
    return str(own["Gateway"] or network[1])


def machine_addresses() -> set[str]:
    """Return the addresses of this machine besides loopback."""
    command = ["ip", "-4", "-o", "addr"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - constant
    found = {line.split()[3].partition("/")[0] for line in listed.splitlines()}
    return found - {"127.0.0.1"}


@pytest.mark.parametrize("settings", [{"TMPNB_EGRESS": "all"}], ids=["egress"])
async def test_with_egress_notebooks_are_on_one_network_and_reach_the_machine(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    engine = installation.engine
    notebook, other = (entry["Id"] for entry in installation.notebooks())
    [ip] = addresses(engine, other)
    with socket.create_server(("0.0.0.0", 0)) as of_the_machine:  # noqa: S104 - to be reached
        port = of_the_machine.getsockname()[1]
        places = f"{ip}:8888", f"{gateway(engine, notebook)}:{port}"
        assert reached(engine, notebook, *places) == [True, True]
    for ip in (a for e in installation.services() for a in addresses(engine, e["Id"])):
        closed = reached(engine, notebook, f"{ip}:8001", f"{ip}:9999", f"{ip}:10000")
        assert closed == [False] * 3


@pytest.mark.parametrize(
    "settings", [{"TMPNB_EGRESS": "all", "TMPNB_POOL_SIZE": "3"}], ids=["egress"]
)
@pytest.mark.parametrize("everywhere", [False, True], ids=["loopback", "everywhere"])
async def test_with_egress_a_notebook_takes_no_other_by_any_address_of_the_machine(
    installation: Installation, everywhere: bool
) -> None:
    if everywhere:
        installation.publish_everywhere()
        installation.compose("up", "--detach")
    await installation.until_stats(available=3)
    engine = installation.engine
    notebook = installation.notebooks()[0]["Id"]
    port = installation.url.rpartition(":")[2]
    of_the_machine = [f"{ip}:{port}" for ip in {gateway(engine, notebook), *machine_addresses()}]
    if everywhere:
        assert any(reached(engine, notebook, *of_the_machine)), "so it is truly tried"
    services = (ip for entry in installation.services() for ip in addresses(engine, entry["Id"]))
    places = [*of_the_machine, *(f"{ip}:8000" for ip in services)]
    for forged in ("", "203.0.113.9", "127.0.0.1"):
        codes = asks_for_a_notebook(engine, notebook, *places, forged=forged)
        assert set(codes) == {0, 403}, dict(zip(places, codes, strict=True))
    await installation.until_stats(available=3, claimed=0, claims_total=0)
    on_the_machine = await installation.fetch("/api/spawn", method="POST")
    assert on_the_machine.code == (403 if everywhere else 200), "for it looks like a notebook"
    assert ("TMPNB_PORT=" in installation.compose("logs", "orchestrator")) is everywhere


async def test_a_proxy_that_is_made_anew_gets_to_all_notebooks(installation: Installation) -> None:
    await installation.until_stats(available=2)
    base_url, _ = await installation.take()
    installation.compose("up", "--detach", "--force-recreate", "--no-deps", "proxy")

    async def answers() -> bool:
        with suppress(UnreachableError):
            return (await installation.fetch(f"{base_url}api")).code == 200
        return False

    async with asyncio.timeout(START):
        while not await answers():
            await asyncio.sleep(0.1)
    await installation.until_stats(available=1, claimed=1)


async def test_notebook_takes_no_notebooks_for_the_proxy_tells_its_address(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    base_url, _ = await installation.take()
    server_id = base_url.strip("/").partition("/")[2]
    [container] = [c["Id"] for c in installation.notebooks() if server_id in str(c["Names"])]
    proxy = installation.service("proxy")
    places = [f"{ip}:8000" for ip in addresses(installation.engine, proxy)]
    seen = reached(installation.engine, container, *places)
    [place] = [place for place, is_reached in zip(places, seen, strict=True) if is_reached]
    probe = (
        "import urllib.error, urllib.request\n"
        "try:\n"
        f"    request = urllib.request.Request('http://{place}/api/spawn', method='POST')\n"
        "    request.add_header('X-Forwarded-For', '203.0.113.9')\n"
        "    print(urllib.request.urlopen(request).read())\n"
        "except urllib.error.HTTPError as refused:\n"
        "    print(refused.code, refused.read().decode())\n"
    )
    command = installation.engine.exec_create(container, ["python3", "-c", probe])
    answer = installation.engine.exec_start(command["Id"]).decode()
    assert answer.startswith("403 "), answer
    assert "A notebook takes no other notebooks." in answer
    assert "--trusted-proxies" not in installation.compose("logs", "orchestrator")
    await installation.until_stats(claimed=1, claims_total=1)


@pytest.mark.parametrize(
    "settings",
    [{"TMPNB_POOL_SIZE": "3", "TMPNB_OPTIONS": "--reconcile-interval=1 --client-servers=1"}],
    ids=["one"],
)
async def test_limits_are_for_visitors_and_not_for_programs_of_the_machine(
    installation: Installation,
) -> None:
    await installation.until_stats(available=3)
    through_front = {"X-Forwarded-For": "203.0.113.9"}  # as a front server on the machine says
    spawn = partial(installation.fetch, "/api/spawn", method="POST")
    first, second = await spawn(headers=through_front), await spawn(headers=through_front)
    assert (first.code, second.code) == (200, 429)
    assert json.loads(second.body)["error"]["code"] == "client_limit"
    await installation.take()
    await installation.take()
    await installation.until_stats(claimed=3, claims_refused_by_limit_total=1)


async def test_reader_keeps_the_server_while_everything_else_restarts(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    base_url, token = await installation.take()
    headers = {"Authorization": f"token {token}"}
    saved = await installation.fetch(
        f"{base_url}api/contents/mine.txt",
        method="PUT",
        headers=headers,
        body=json.dumps({"type": "file", "format": "text", "content": "work"}),
    )
    assert saved.code == 201
    installation.compose("restart")
    await installation.until_stats(available=1, claimed=1)
    kept = await installation.fetch(f"{base_url}api/contents/mine.txt", headers=headers)
    assert json.loads(kept.body)["content"] == "work"


SCRAPE = """
const url = 'http://orchestrator-web:10000/metrics';
const token = process.argv[1];
const headers = token ? { Authorization: `token ${token}` } : {};
fetch(url, { headers }).then(async answer => console.log(answer.status, await answer.text()));
"""
TOKEN = "an-admin-token-for-tests"


@pytest.mark.parametrize(
    "settings",
    [{"ADMIN_AUTH_TOKEN": TOKEN, "TMPNB_OPTIONS": "--admin-ip=orchestrator-web"}],
    ids=["admin"],
)
async def test_metrics_are_read_on_the_control_network_with_the_token(
    installation: Installation,
) -> None:
    """As docs/metrics.md says; the proxy is on that network, in the place of a Prometheus."""
    await installation.until_stats(available=2)

    def scrape(*token: str) -> str:
        return installation.compose("exec", "-T", "proxy", "node", "-e", SCRAPE, "--", *token)

    assert scrape().startswith("401 ")
    told = scrape(TOKEN)
    assert told.startswith("200 ")
    assert 'tmpnb_servers{phase="ready"} 2.0' in told
    assert "process_resident_memory_bytes" in told
    assert (await installation.fetch("/metrics")).code == 404, "not for visitors"

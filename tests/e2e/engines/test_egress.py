"""What a server reaches, with and without egress, on an engine whose outside is played."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faults.own_engine import OwnEngine
from tests.e2e.running_service import Service
from tests.e2e.service import played_world
from tests.e2e.service.test_compose import machine_addresses
from tests.e2e.service.test_doctor import doctor, run
from tests.support.engines.contract import stub_command, wait_until
from tests.support.engines.docker import asks_for_a_notebook, reached
from tests.support.requirements import TEST_IMAGE, missing
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.egress import connections

pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("egress"),
    pytest.mark.long,
    pytest.mark.gen_test(timeout=240),
]

PORT = 8888  # of servers
PUBLIC = f"{played_world.PUBLIC}:{played_world.PORT}"
MEETING = "meeting"
INSIDE = "10.1.2.3"  # what a name is that the machine's own name server alone knows
NAME_SERVER = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.bind(("127.0.0.1", 53))
    print("listens", flush=True)
    while True:
        said, who = asked.recvfrom(512)
        question = said[12 : said.index(0, 12) + 5]
        head = said[:2] + bytes([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
        answer = bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4])
        asked.sendto(head + question + answer + socket.inet_aton("{INSIDE}"), who)
"""
SLEEP = ["python3", "-c", "import time; time.sleep(600)"]


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    made = OwnEngine.running(TEST_IMAGE)
    yield made
    made.close()


@pytest.fixture
def outside(engine: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return places outside of the engine's machine, all of which answer it."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    engine.begin()
    with played_world.around(engine.network) as places:
        yield places


def firewall(engine: OwnEngine, *words: str) -> str:
    """Run `tmpnb firewall` on the engine's machine; return what it said."""
    if shutil.which("nft") is None:
        missing("nft: apt-get install nftables")
    command = [sys.executable, "-m", "tmpnb", "firewall", *words]
    with engine.network.inside():
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    return done.stdout


def flush(engine: OwnEngine) -> None:
    """Empty our table, as an administrator may who empties them all."""
    command = ["nft", "flush", "table", "inet", "tmpnb"]
    with engine.network.inside():
        subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own


@pytest.fixture
def filtered(engine: OwnEngine, outside: list[str]) -> Iterator[list[str]]:
    """Set the rules; return what servers must not reach."""
    firewall(engine, "--apply")
    firewall(engine, "--apply")  # which changes nothing
    yield [place for place in outside if place != PUBLIC]
    firewall(engine, "--remove")
    firewall(engine, "--remove")


@asynccontextmanager
async def two_servers(engine: OwnEngine, **settings: Any) -> AsyncIterator[list[str]]:
    """Run two servers; yield their addresses, host:port."""
    spawner = engine.new_spawner("alpha", stub_command("python3"), **settings)
    try:
        await spawner.setup()
        addresses = []
        for _ in range(2):
            server_id = secrets.token_urlsafe(9)
            spec = ServerSpec(server_id, f"/user/{server_id}/", secrets.token_urlsafe(24))
            addresses.append((await spawner.start(spec)).removeprefix("http://"))
        yield addresses
    finally:
        for instance in await spawner.list():
            await spawner.stop(instance.server_id)
        await spawner.close()


def servers(engine: OwnEngine) -> dict[str, str]:
    """Return the servers' own addresses, without port, by container."""
    listed = engine.client.containers(filters={"label": "tmpnb.managed=true"})
    return {
        entry["Id"]: network["IPAddress"]
        for entry in listed
        for network in entry["NetworkSettings"]["Networks"].values()
    }


def machine(engine: OwnEngine) -> tuple[socket.socket, list[str]]:
    """Return something that listens on all addresses of the engine's machine, and where."""
    with engine.network.inside():
        listening = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - to be reached, if it can
        addresses = machine_addresses()
    port = listening.getsockname()[1]
    assert played_world.MACHINE in addresses
    return listening, [f"{ip}:{port}" for ip in sorted(addresses)]


def let_in(listening: socket.socket) -> list[object]:
    """Return who has connected."""
    listening.setblocking(False)
    found: list[object] = []
    with suppress(BlockingIOError):
        while len(found) < 100:
            connection, address = listening.accept()
            connection.close()
            found.append(address)
    return found


BOUND = """
import concurrent.futures, itertools, socket, sys
def answers(asked):
    place, name = asked
    host, _, port = place.rpartition(":")
    with socket.socket() as one:
        one.settimeout(3)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
            one.connect((host, int(port)))
            one.getpeername()
            return "open"
        except OSError:
            return "closed"
names = [name for _, name in socket.if_nameindex() if name != "lo"]
asked = list(itertools.product(sys.argv[1:], names))
with concurrent.futures.ThreadPoolExecutor(len(asked) or 1) as pool:
    print(*pool.map(answers, asked))
"""


def bound(client: Any, container: str, *places: str) -> list[bool]:
    """Return what is reached by way of each of its interfaces, whatever its routes say."""
    command = client.exec_create(container, ["python3", "-c", BOUND, *places])
    return [word == "open" for word in client.exec_start(command["Id"]).decode().split()]


def named(client: Any, container: str) -> str:
    """Return the address that a container finds for some name; "" for none."""
    probe = "import socket; print(socket.gethostbyname('files.example'))"
    command = client.exec_create(container, ["python3", "-c", probe], stderr=False)
    return str(client.exec_start(command["Id"]).decode().strip())


async def passes(service: Service, count: int) -> None:
    """Return once the orchestrator has looked at the engine so many times more."""
    seen: set[float] = set()

    async def looked() -> bool:
        answer = await service.client.fetch(f"{service.own_url}/health", timeout=20)
        seen.add(json.loads(answer.body)["last_pass"])
        return len(seen) > count

    await wait_until(looked, f"{count} passes")


async def all_listen(engine: OwnEngine) -> None:
    """Return once each server can be reached by itself."""

    async def listen() -> bool:
        found = servers(engine)
        return len(found) == 2 and all(
            reached(engine.client, container, f"{ip}:{PORT}") == [True]
            for container, ip in found.items()
        )

    await wait_until(listen, "both servers listen")


async def test_with_egress_a_server_reaches_all_that_the_machine_reaches(
    engine: OwnEngine, outside: list[str]
) -> None:
    async with two_servers(engine):
        await all_listen(engine)
        (first, _), (_, other) = servers(engine).items()
        listening, here = machine(engine)
        with listening:
            places = [*outside, *here, f"{other}:{PORT}"]
            assert all(reached(engine.client, first, *places)), "so the hosts are truly there"


async def test_without_egress_a_server_reaches_the_machine_alone(
    engine: OwnEngine, outside: list[str]
) -> None:
    async with two_servers(engine, egress="none", docker_network="lesson") as addresses:
        await all_listen(engine)
        (first, _), (_, other) = servers(engine).items()
        assert reached(engine.client, first, *outside) == [False] * len(outside)
        assert reached(engine.client, first, f"{other}:{PORT}") == [False]
        listening, here = machine(engine)
        with listening:
            assert any(reached(engine.client, first, *here)), "docs/security.md says so"
        with engine.network.inside():
            for address in addresses:
                host, _, port = address.partition(":")
                socket.create_connection((host, int(port)), timeout=10).close()


RUN_CELL = """
import sys
from jupyter_client.manager import start_new_kernel

def say(message):
    if message["msg_type"] == "stream":
        print(message["content"]["text"], end="")
    if message["msg_type"] == "error":
        print(message["content"]["ename"], message["content"]["evalue"])

manager, client = start_new_kernel(startup_timeout=60)
client.execute_interactive(sys.argv[1], output_hook=say, timeout=60)
client.execute_interactive("print([n for n in dir() if 'tmpnb' in n])", output_hook=say, timeout=60)
manager.shutdown_kernel(now=True)
"""


@pytest.mark.parametrize("egress", ["none", "all"])
async def test_a_notebook_without_internet_says_so_where_a_cell_needs_it(
    engine: OwnEngine, outside: list[str], egress: str
) -> None:
    cell = f"from urllib.request import urlopen; urlopen('http://{PUBLIC}/', timeout=5)"
    async with two_servers(engine, egress=egress):
        first = next(iter(servers(engine)))
        said = run_inside(engine.client, first, RUN_CELL, cell)
        failed = run_inside(engine.client, first, RUN_CELL, "!pip install --no-such-option shells")
    assert ("This notebook has no internet" in said) == (egress == "none"), said
    assert ("This notebook has no internet" in failed) == (egress == "none"), failed
    assert said.endswith("[]\n"), "the user's names stay as they are"


@contextmanager
def meeting(engine: OwnEngine) -> Iterator[str]:
    """Have the network that proxies in containers are on; yield the id of one."""
    client = engine.client
    client.create_network(MEETING, driver="bridge", labels=engine.labels)
    config = client.create_host_config(network_mode=MEETING)
    proxy = client.create_container(TEST_IMAGE, SLEEP, labels=engine.labels, host_config=config)
    client.start(proxy["Id"])
    try:
        yield str(proxy["Id"])
    finally:
        client.remove_container(proxy["Id"], force=True)
        client.remove_network(MEETING)


async def test_on_a_network_of_its_own_a_server_reaches_nobody_but_those_on_it(
    engine: OwnEngine, outside: list[str]
) -> None:
    client = engine.client
    with meeting(engine) as proxy:
        settings = {"egress": "none", "own_networks": True, "docker_network": MEETING}
        async with two_servers(engine, **settings) as addresses:
            await all_listen(engine)
            (first, _), (_, other) = servers(engine).items()
            listening, here = machine(engine)
            with listening:
                places = [*outside, *here, f"{other}:{PORT}"]
                assert reached(client, first, *places) == [False] * len(places)
                assert bound(client, first, *here) == [False] * len(here)
            run_inside(client, first, PAST_ROUTES)
            assert neighbours(client, first) <= 16
            assert all(reached(client, proxy, *addresses))
            client.restart(proxy, timeout=0)
            assert all(reached(client, proxy, *addresses)), "also after a restart"
            client.stop(proxy, timeout=0)
        client.start(proxy)  # its servers' networks went while it was down
        assert not client.networks(filters={"label": "tmpnb.managed=true"})


async def test_with_the_internet_alone_a_server_reaches_nothing_nearer(
    engine: OwnEngine, filtered: list[str]
) -> None:
    async with two_servers(engine, egress="internet") as addresses:
        await all_listen(engine)
        (first, _), (_, other) = servers(engine).items()
        assert reached(engine.client, first, PUBLIC) == [True]
        listening, here = machine(engine)
        with listening:
            places = [*filtered, *here, f"{other}:{PORT}"]
            assert reached(engine.client, first, *places) == [False] * len(places)
        with engine.network.inside():
            for address in addresses:
                host, _, port = address.partition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
    left = engine.client.containers(all=True, filters={"label": "tmpnb.sentry"})
    assert left == [], "who watched is gone"


async def test_with_the_internet_and_a_network_of_its_own_as_well(
    engine: OwnEngine, filtered: list[str]
) -> None:
    client = engine.client
    with meeting(engine) as proxy:
        settings = {"egress": "internet", "own_networks": True, "docker_network": MEETING}
        async with two_servers(engine, **settings) as addresses:
            first, second = (
                entry for entry in client.containers(filters={"label": "tmpnb.managed=true"})
            )
            others = [n["IPAddress"] for n in second["NetworkSettings"]["Networks"].values()]
            assert len(others) == 2

            async def listen() -> bool:
                return all(reached(client, proxy, *addresses))

            await wait_until(listen, "the proxy reaches both")
            assert reached(client, first["Id"], PUBLIC) == [True]
            listening, here = machine(engine)
            with listening:
                places = [*filtered, *here, *(f"{other}:{PORT}" for other in others)]
                assert reached(client, first["Id"], *places) == [False] * len(places)
                seen = bound(client, first["Id"], *here)
                assert seen == [False] * 2 * len(here), f"{here}; let in: {let_in(listening)}"


async def test_a_private_name_server_is_asked_where_the_firewall_lets_it_and_only_for_names(
    engine: OwnEngine, filtered: list[str]
) -> None:
    del filtered
    dns = {"dns": [played_world.RESOLVER], "dns_opt": ["timeout:1", "attempts:1"]}
    async with two_servers(engine, egress="internet", extra_host_config=dns):
        await all_listen(engine)
        first, _ = servers(engine)
        assert named(engine.client, first) == ""
        firewall(engine, "--apply", f"--dns={played_world.RESOLVER}")
        assert named(engine.client, first) == played_world.PUBLIC
        other_port = f"{played_world.RESOLVER}:{played_world.PORT}"
        assert reached(engine.client, first, other_port) == [False]


@contextmanager
def machine_asks_itself(engine: OwnEngine, place: Path) -> Iterator[None]:
    """Let the engine's machine have a name server on loopback, by which every name is `INSIDE`."""
    if "TMPNB_SHARD" not in os.environ:
        missing("a world of the tests' own, which may have another /etc/resolv.conf")
    (place / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    mounting = ["mount", "--bind", str(place / "resolv.conf"), "/etc/resolv.conf"]
    subprocess.run(mounting, check=True, timeout=60)  # noqa: S603 - our own
    serve = [sys.executable, "-c", NAME_SERVER]
    try:
        with engine.network.inside():
            served = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
        with served:
            try:
                assert served.stdout is not None
                assert served.stdout.readline() == "listens\n"
                yield
            finally:
                served.kill()
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=True, timeout=60)  # noqa: S607 - our own


async def test_a_name_server_on_loopback_is_asked_past_the_rules_unless_servers_have_another(
    engine: OwnEngine, filtered: list[str], tmp_path: Path
) -> None:
    del filtered
    own = {"dns": [played_world.RESOLVER], "dns_opt": ["timeout:1", "attempts:1"]}
    with machine_asks_itself(engine, tmp_path):
        assert "The name server 127.0.0.1 is this machine's own" in firewall(engine)
        async with two_servers(engine, egress="internet"):
            await all_listen(engine)
            assert named(engine.client, next(iter(servers(engine)))) == INSIDE
        async with two_servers(engine, egress="internet", extra_host_config=own):
            await all_listen(engine)
            assert named(engine.client, next(iter(servers(engine)))) == "", "within the rules"


async def test_without_the_rules_no_server_is_started_or_given_and_with_them_it_goes_on(
    engine: OwnEngine, filtered: list[str]
) -> None:
    del filtered
    flags = ["--image", TEST_IMAGE, "--pool-size=2", "--min-ready=1", "--reconcile-interval=1"]
    label = f"--DockerSpawner.labels=tmpnb.test={engine.run}"
    command = f"--command={stub_command('python3')}"
    name = f"--pool-name=internet-{engine.run}"
    service = Service(*flags, label, command, name, "--egress=internet")
    with engine.network.inside():
        await service.start()
        try:
            await service.until_ready(1)
            flush(engine)
            said = await service.until_trouble("egress")
            assert "tmpnb firewall --apply" in said
            assert (await service.fetch("/api/spawn", method="POST", body="")).code == 429
            [ready] = servers(engine)
            engine.client.remove_container(ready, force=True)
            await service.until(lambda s: s["available"] == 0, "it is missed")
            await passes(service, 3)
            assert servers(engine) == {}
            firewall(engine, "--apply")
            await service.until_ready(1)
            await service.until_well()
            assert service.log.read_text().count(said) == 1, "said once"
        finally:
            await service.stop()
            service.client.close()


async def tries_to_take_others(engine: OwnEngine, egress: str) -> None:
    """Let a notebook ask for others by the public port, at all addresses of the machine."""
    flags = ["--image", TEST_IMAGE, "--pool-size=3", "--proxy-ip=0.0.0.0", f"--egress={egress}"]
    label = f"--DockerSpawner.labels=tmpnb.test={engine.run}"
    name = f"--pool-name=walls-{engine.run}"
    flags += [f"--command={stub_command('python3')}", f"--runtime={engine.runtime}"]
    service = Service(*flags, label, name)
    with engine.network.inside():
        await service.start()
        try:
            await service.until_ready(3)
            taken = await service.fetch("/api/spawn", method="POST", body="")
            assert taken.code == 200
            own = json.loads(taken.body)["id"]
            [container] = (
                entry["Id"]
                for entry in engine.client.containers(filters={"label": f"tmpnb.server={own}"})
            )
            places = [f"{ip}:{service.visitors}" for ip in sorted(machine_addresses())]
            for forged in ("", "203.0.113.9", "127.0.0.1"):
                codes = asks_for_a_notebook(engine.client, container, *places, forged=forged)
                assert set(codes) == ({403} if egress == "all" else {0}), places
            engine.client.restart(container, timeout=0)  # which gives it another address
            codes = asks_for_a_notebook(engine.client, container, *places)
            assert set(codes) == ({403} if egress == "all" else {0}), places
            firewall(engine, "--remove")
            if egress == "none":
                codes = asks_for_a_notebook(engine.client, container, *places)
                assert set(codes) == {403}, "without these rules as well"
            assert (await service.numbers())["claims_total"] == 1
        finally:
            await service.stop()
            service.client.close()


@pytest.mark.parametrize("egress", ["all", "none", "internet"])
async def test_a_notebook_takes_no_other_by_the_public_address(
    engine: OwnEngine, filtered: list[str], egress: str
) -> None:
    del filtered
    await tries_to_take_others(engine, egress)


MANY = """
import socket, sys
host, kept = sys.argv[1], []
for number in range(1500):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.sendto(b"", (host, 20000 + number))
        except OSError:
            pass  # as the firewall said
for _ in range(600):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((host, 80))
    kept.append(one)
"""
NEIGHBOURS = """
import ipaddress, socket, sys
first = int(ipaddress.ip_address(sys.argv[1])) & ~0x3ff
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    for number in range(1024):
        try:
            one.sendto(b"", (str(ipaddress.ip_address(first + number)), 9))
        except OSError:
            pass
"""


# Sends to 100 addresses where nobody is, in each way that names a card or goes past the routes, and
# to 100 groups; prints how many the kernel took.
PAST_ROUTES = """
import json, socket, struct
name = next(name for _, name in socket.if_nameindex() if name != "lo")
card = socket.if_nametoindex(name)
told = [(socket.IPPROTO_IP, 8, struct.pack("=III", card, 0, 0))]  # IP_PKTINFO
bound = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
chosen = (socket.IPPROTO_IP, 50, struct.pack("!I", card))  # IP_UNICAST_IF
past = (socket.SOL_SOCKET, 5, 1)  # SO_DONTROUTE
ways = {
    "groups": ([], [], 0),
    "bound": ([bound], [], 0), "told": ([], told, 0), "chosen": ([chosen], [], 0),
    "bound, past by option": ([bound, past], [], 0), "told, past by option": ([past], told, 0),
    "chosen, past by option": ([chosen, past], [], 0),
    "bound, past by flag": ([bound], [], socket.MSG_DONTROUTE),
    "told, past by flag": ([], told, socket.MSG_DONTROUTE),
    "past by flag": ([], [], socket.MSG_DONTROUTE),
}
sent = dict.fromkeys(ways, 0)
for number, (way, (options, about, flags)) in enumerate(ways.items()):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            for option in options:
                one.setsockopt(*option)
            for last in range(100):
                net = "239.99" if way == "groups" else "10.99"
                one.sendmsg([b""], about, flags, (f"{net}.{number}.{last}", 9))
                sent[way] += 1
        except OSError:
            pass
print(json.dumps(sent))
"""


def run_inside(client: Any, container: str, *words: str) -> str:
    """Run a program in a container until it ends; return what it said."""
    started = client.exec_create(container, ["python3", "-c", *words])
    return str(client.exec_start(started["Id"]).decode())


def tracked(engine: OwnEngine, address: str) -> int:
    """Return how many entries of the machine's table of connections begin at an address."""
    with engine.network.inside():
        return Path("/proc/thread-self/net/nf_conntrack").read_text().count(f" src={address} dst=")


def neighbours(client: Any, container: str) -> int:
    """Return how many neighbours a container makes the machine's kernel ask for."""
    pid = client.inspect_container(container)["State"]["Pid"]
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-4", "neigh", "show", "nud", "all"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 - our own
    # Groups are not asked for, and are the first to be thrown out of a table that is full.
    return sum(" NOARP" not in line for line in listed.stdout.splitlines())


async def kept_after_filling(engine: OwnEngine, egress: str) -> tuple[int, set[str]]:
    """Let a server fill the table of connections, and ask for neighbours in every way.

    Returns:
        How many neighbours it has then, and which ways past the routes it could take.
    """
    firewall(engine, "--apply", f"--connections={connections.FEWEST}")
    async with two_servers(engine, egress=egress, docker_network=""):
        await all_listen(engine)
        (first, own), (second, _) = servers(engine).items()
        target = (
            played_world.PUBLIC if egress != "none" else str(ip_address(int(ip_address(own)) ^ 1))
        )
        run_inside(engine.client, first, MANY, target)
        seen = tracked(engine, own)
        assert seen <= connections.FEWEST
        if egress != "none":  # there nothing is let out that could be tracked
            assert seen > connections.FEWEST // 8, "so it was truly tried"
            assert reached(engine.client, second, PUBLIC) == [True], "its own bound"
        run_inside(engine.client, first, NEIGHBOURS, own)
        sent = json.loads(run_inside(engine.client, first, PAST_ROUTES))
        taken = {way for way, count in sent.items() if count == 100}
        assert {sent[way] for way in sent.keys() - taken} <= {0}, "all of them or none"
        return neighbours(engine.client, first), taken


@pytest.mark.parametrize("egress", ["all", "none", "internet"])
async def test_a_server_fills_the_machine_s_tables_up_to_its_bound(
    engine: OwnEngine, filtered: list[str], egress: str
) -> None:
    del filtered
    kept, taken = await kept_after_filling(engine, egress)
    assert 1 < kept <= 64
    by_routes = {"groups", "bound", "told", "chosen"}
    assert taken == by_routes, "these go to groups and the gateway, and the profile ends the others"


@pytest.mark.parametrize("egress", ["all", "none"])
async def test_doctor_tries_what_the_operator_names_from_inside_a_server(
    engine: OwnEngine, outside: list[str], tmp_path: Path, egress: str
) -> None:
    named = [f"--network-target={place}" for place in outside]
    flags = [f"--egress={egress}", "--docker-network=tried", "--network", *named]
    with engine.network.inside():
        answer = await run(*doctor(engine, tmp_path, *flags))
    assert engine.client.networks(names=["tried"]) == [], "it removes what it has made"
    for place in outside:
        if egress == "all":
            expected = f"warn reach    {place} is reached from a server; fix: --egress=none"
        else:
            expected = f"ok   reach    {place} is not reached from a server"
        assert expected in answer.lines, answer.text
    assert "names its network card" not in answer.text, "this engine gives each a default route"
    assert answer.code == 0, answer.text


async def test_with_the_internet_alone_doctor_tries_each_closed_range_by_itself(
    engine: OwnEngine, filtered: list[str], tmp_path: Path
) -> None:
    del filtered
    flags = ["--egress=internet", "--network", f"--network-target={PUBLIC}"]
    with engine.network.inside():
        answer = await run(*doctor(engine, tmp_path, *flags))
    for expected in (
        f"ok   reach    {PUBLIC} is reached from a server",
        "ok   reach    another server is not reached from a server",
        "ok   reach    a service of this machine that is not on loopback is not reached from a"
        " server",
        "ok   reach    the firewall refuses servers all 11 closed ranges of IPv4",
    ):
        assert expected in answer.lines, answer.text
    assert answer.code == 0, answer.text


WEAK = ("--seccomp=engine", "--proxy-ip=0.0.0.0", "--pool-size=60")
MENDED = ("--disk-limit=64m", "--seccomp=tmpnb", "--subdomains=notebooks.example", "--pool-size=60")
WEAKNESSES = {  # how the line begins, and how it ends
    "warn seccomp  servers have Docker's own profile": "; fix: --seccomp=tmpnb",
    "warn bounds   neither disk nor inodes are bounded": "; fix: --disk-limit=256m",
    "warn tables   nothing keeps one server from filling": (
        "; fix: tmpnb firewall --apply, as root on the engine's machine"
    ),
    "warn origin   the service is public": (
        "; fix: give each server a host name of its own with --subdomains=DOMAIN"
        " (docs/subdomains.md)"
    ),
}


async def test_each_weakness_is_one_line_of_doctor_whose_fix_works(
    engine: OwnEngine, outside: list[str], tmp_path: Path
) -> None:
    del outside
    with engine.network.inside():
        weak = await run(*doctor(engine, tmp_path, *WEAK))
    for begin, end in WEAKNESSES.items():
        [line] = [one for one in weak.lines if one.startswith(begin)]
        assert line.endswith(end), line
    firewall(engine, "--apply")
    try:
        with engine.network.inside():
            mended = await run(*doctor(engine, tmp_path, *MENDED))
    finally:
        firewall(engine, "--remove")
    left = [one for one in mended.lines if one.startswith(tuple(WEAKNESSES))]
    assert left == [], mended.text
    assert not weak.of("FAIL") + mended.of("FAIL"), weak.text + mended.text

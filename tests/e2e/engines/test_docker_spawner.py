"""The Docker spawner on a real engine: what it makes there, and what it leaves alone."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest
from docker.errors import NotFound
from tornado.ioloop import IOLoop

from tests.support.engines.contract import DEADLINE, stub_command, wait_until, wait_until_it_answers
from tests.support.engines.docker import RealEngine, reached
from tests.support.requirements import TEST_IMAGE
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker.hardening.seccomp_rules import profile
from tmpnb.spawners.docker.ports import own_loopback
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.system.http.client import Client

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

SpawnerFactory = Callable[..., Awaitable[DockerSpawner]]
PYTHON = "python3"  # in the test image


@pytest.fixture
def spawner_with(engine: RealEngine, io_loop: IOLoop) -> Iterator[SpawnerFactory]:
    """Return a function that gives a spawner, set up; `engine` removes what it makes."""
    made: list[DockerSpawner] = []

    async def make(
        pool: str = "alpha", command: str = stub_command(PYTHON), **settings: Any
    ) -> DockerSpawner:
        spawner = engine.new_spawner(pool, command, **settings)
        made.append(spawner)
        await spawner.setup()
        return spawner

    yield make
    for spawner in made:
        io_loop.run_sync(spawner.close, timeout=DEADLINE)


def new_spec() -> ServerSpec:
    server_id = secrets.token_urlsafe(9)
    return ServerSpec(server_id, f"/user/{server_id}/", secrets.token_urlsafe(24))


def run_inside(engine: RealEngine, *command: str) -> tuple[int, str]:
    """Run a command in the only container there is; return its exit code and output."""
    (container,) = engine.containers()
    job = engine.client.exec_create(container["Id"], list(command))
    output = engine.client.exec_start(job["Id"])
    return engine.client.exec_inspect(job["Id"])["ExitCode"], output.decode()


async def about(client: Client, address: str, spec: ServerSpec) -> dict[str, Any]:
    """Return what the stub says about itself."""
    await wait_until_it_answers(client, f"{address}{spec.base_url}api")
    token = {"Authorization": f"token {spec.token}"}
    answer = await client.fetch(f"{address}{spec.base_url}about", timeout=10, headers=token)
    said: dict[str, Any] = json.loads(answer.body)
    return said


async def test_a_container_says_whose_it_is(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner, spec = await spawner_with(), new_spec()
    await spawner.start(spec)
    (container,) = engine.containers()
    assert container["Name"].strip("/") == f"tmpnb-{spawner.pool_name}-{spec.server_id}"
    own = {key: value for key, value in container["Config"]["Labels"].items() if "tmpnb." in key}
    own.pop("tmpnb.inputs", None)  # of the image
    assert own == engine.labels | {
        "tmpnb.managed": "true",
        "tmpnb.pool": spawner.pool_name,
        "tmpnb.server": spec.server_id,
        "tmpnb.port": "8888",
    }

    await spawner.mark_claimed(spec.server_id, 1_700_000_000.9)
    (container,) = engine.containers()
    assert container["Name"].endswith(f"{spec.server_id}-claimed-1700000000")


async def test_the_command_runs_without_a_shell_below_an_init(
    engine: RealEngine, spawner_with: SpawnerFactory, client: Client
) -> None:
    arguments = ['{"a": {"b": [1, 2]}}', "{0}", "$HOME", "it's", 'say "x"', ""]
    command = stub_command(PYTHON, *arguments)
    spawner, spec = await spawner_with(command=command), new_spec()
    said = await about(client, await spawner.start(spec), spec)
    assert said["argv"] == arguments
    assert said["pid"] != 1
    (container,) = engine.containers()
    assert container["Config"]["Cmd"][0] == PYTHON
    assert container["HostConfig"]["Init"] is True


async def test_the_token_is_in_the_environment_only(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner, spec = await spawner_with(environment={"COURSE": "python-101"}), new_spec()
    await spawner.start(spec)
    (container,) = engine.containers()
    environment = container["Config"].pop("Env")
    assert f"JUPYTER_TOKEN={spec.token}" in environment
    assert "COURSE=python-101" in environment
    assert spec.token not in json.dumps(container)


async def test_a_port_is_published_on_the_given_address_only(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner, spec = await spawner_with(container_ip="127.0.0.2", container_port=9000), new_spec()
    address = await spawner.start(spec)
    (container,) = engine.containers()
    published = container["NetworkSettings"]["Ports"]
    assert address.startswith("http://127.0.0.2:")
    assert {port: where for port, where in published.items() if where} == {
        "9000/tcp": [{"HostIp": "127.0.0.2", "HostPort": address.split(":")[-1]}]
    }


async def test_each_is_published_at_an_address_of_its_own_unless_told_otherwise(
    engine: RealEngine, spawner_with: SpawnerFactory, client: Client
) -> None:
    own, shared = await spawner_with(), await spawner_with("beta", own_addresses=False)
    specs = [new_spec() for _ in range(3)]
    addresses = [await own.start(spec) for spec in specs]
    hosts = [urlsplit(address).hostname for address in addresses]
    assert hosts == [own_loopback(spec.server_id) for spec in specs]
    for spec, address in zip(specs, addresses, strict=True):
        await about(client, address, spec)
    assert urlsplit(await shared.start(new_spec())).hostname == "127.0.0.1"


async def test_on_a_network_it_is_on_no_other_and_publishes_nothing(
    engine: RealEngine, spawner_with: SpawnerFactory, client: Client
) -> None:
    name = f"tmpnb-test-{engine.run}"
    first = await spawner_with(docker_network=name)
    second = await spawner_with("beta", docker_network=name)  # finds the network there
    assert engine.client.inspect_network(name)["Labels"] == engine.labels
    spec = new_spec()
    address = await first.start(spec)
    (container,) = engine.containers()
    networks = container["NetworkSettings"]["Networks"]
    assert list(networks) == [name]
    assert address == f"http://{networks[name]['IPAddress']}:8888"
    assert not any(container["NetworkSettings"]["Ports"].values())
    await about(client, address, spec)
    assert await second.list() == []


async def test_without_egress_servers_are_reached_from_here_and_not_from_each_other(
    engine: RealEngine, spawner_with: SpawnerFactory, client: Client
) -> None:
    name = f"tmpnb-test-{engine.run}"
    spawner, specs = (
        await spawner_with(egress="none", docker_network=name),
        [new_spec(), new_spec()],
    )
    addresses = [await spawner.start(spec) for spec in specs]
    for address, spec in zip(addresses, specs, strict=True):
        await about(client, address, spec)
    for container in engine.containers():
        assert container["HostConfig"]["Dns"] == ["127.0.0.1"], "nobody asks outside for it"
        [own] = container["NetworkSettings"]["Networks"].values()
        [other] = {urlsplit(address).hostname for address in addresses} - {own["IPAddress"]}
        assert reached(engine.client, container["Id"], f"{own['IPAddress']}:8888") == [True]
        assert reached(engine.client, container["Id"], f"{other}:8888") == [False]


async def test_a_network_that_leads_outside_is_refused_for_servers_without_egress(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    name = f"tmpnb-test-{engine.run}"
    await spawner_with(docker_network=name)
    with pytest.raises(ConfigError, match=f"--docker-network={name}: it is there, and leads"):
        await spawner_with(egress="none", docker_network=name)


async def test_with_networks_of_their_own_somebody_must_be_there_to_reach_the_servers(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    name = f"tmpnb-test-{engine.run}"
    with pytest.raises(ConfigError, match=f"no container is on the network {name}"):
        await spawner_with(egress="none", own_networks=True, docker_network=name)


async def test_on_the_hosts_network_each_server_gets_a_free_port(
    engine: RealEngine, spawner_with: SpawnerFactory, client: Client
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spawner = await spawner_with(host_network=True, container_port=port)
        specs = [new_spec(), new_spec()]
        addresses = [await spawner.start(spec) for spec in specs]
        assert len({*addresses, f"http://127.0.0.1:{port}"}) == 3
        for spec, address in zip(specs, addresses, strict=True):
            await about(client, address, spec)
    assert {container["HostConfig"]["NetworkMode"] for container in engine.containers()} == {"host"}
    listed = {instance.server_id: instance.address for instance in await spawner.list()}
    assert listed == dict(zip((spec.server_id for spec in specs), addresses, strict=True))


async def test_an_orchestrator_with_other_network_settings_finds_the_same_addresses(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    name = f"tmpnb-test-{engine.run}"
    published = await spawner_with()
    networked = await spawner_with(docker_network=name, container_port=9000)
    hosted = await spawner_with(host_network=True, container_port=18_888)
    addresses = {}
    for spawner in (published, networked, hosted):
        spec = new_spec()
        addresses[spec.server_id] = await spawner.start(spec)
    for spawner in (published, networked, hosted):
        listed = {instance.server_id: instance.address for instance in await spawner.list()}
        assert listed == addresses


async def test_limits_reach_the_engine(engine: RealEngine, spawner_with: SpawnerFactory) -> None:
    spawner = await spawner_with(
        mem_limit="256m",
        cpu_shares=512,
        cpu_quota=50_000,
        container_user="1000:1000",
        extra_host_config={"read_only": True, "tmpfs": {"/tmp": ""}, "cap_drop": ["CHOWN"]},  # noqa: S108 - inside
    )
    await spawner.start(new_spec())
    (container,) = engine.containers()
    assert container["Config"]["User"] == "1000:1000"
    seen = container["HostConfig"]
    assert seen["Memory"] == seen["MemorySwap"] == 256 * 1024**2
    assert seen["CpuShares"] == 512
    assert (seen["CpuQuota"], seen["CpuPeriod"]) == (50_000, 100_000)
    assert seen["PidsLimit"] == 1024
    privileges, calls = seen["SecurityOpt"]
    assert privileges == "no-new-privileges"
    assert json.loads(calls.removeprefix("seccomp=")) == profile()
    assert seen["ReadonlyRootfs"] is True
    assert seen["CapDrop"] == ["ALL", "CHOWN"], "what the operator says is added"


STATUS = """
import os, resource
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid(), fields["CapBnd"].strip(), fields["CapEff"].strip(), fields["NoNewPrivs"].strip())
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


async def test_a_server_has_no_powers_by_default(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with()
    await spawner.start(new_spec())
    none = "0" * 16
    assert run_inside(engine, PYTHON, "-c", STATUS) == (0, f"1000 {none} {none} 1\n4096 4096\n")
    (container,) = engine.containers()
    seen = container["HostConfig"]
    assert seen["PidsLimit"] == 1024
    assert seen["Memory"] == seen["MemorySwap"] == 512 * 1024**2
    assert seen["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "1m", "max-file": "2"},
    }


async def test_each_power_comes_back_by_its_flag(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(
        capabilities="chown", new_privileges=True, nofile_limit=100, pids_limit=99
    )
    await spawner.start(new_spec())
    chown, none = f"{1:016x}", "0" * 16
    assert run_inside(engine, PYTHON, "-c", STATUS) == (0, f"1000 {chown} {none} 0\n100 100\n")
    (container,) = engine.containers()
    assert container["HostConfig"]["PidsLimit"] == 99


async def test_a_read_only_server_has_its_home_with_what_the_image_put_there(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner, spec = await spawner_with(read_only=True), new_spec()
    await spawner.start(spec)
    tried = "touch ~/mine /tmp/mine && ls ~; touch /opt/venv/mine"
    code, said = run_inside(engine, "sh", "-c", tried)
    assert code != 0
    assert {"demo.ipynb", "mine"} <= set(said.split())
    assert "Read-only file system" in said
    (container,) = engine.containers()
    [home] = [m for m in container["Mounts"] if m["Destination"] == "/home/jovyan"]
    await spawner.stop(spec.server_id)
    with pytest.raises(NotFound):
        engine.client.inspect_volume(home["Name"])


async def test_a_server_s_disk_is_bounded_whatever_the_storage_can(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(disk_limit="8m")
    await spawner.start(new_spec())
    for place in ("~", "/tmp"):  # noqa: S108 - inside
        fill = (
            f"head -c 6000000 /dev/zero > {place}/some && head -c 6000000 /dev/zero > {place}/more"
        )
        code, said = run_inside(engine, "sh", "-c", fill)
        assert code != 0
        assert "No space left on device" in said


async def test_an_image_that_runs_as_root_is_refused_unless_it_is_allowed(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    for user in ("0", "root:root"):
        with pytest.raises(ConfigError, match="it would run as root"):
            await spawner_with(container_user=user)
    spawner = await spawner_with(container_user="0", allow_root=True)
    await spawner.start(new_spec())
    assert run_inside(engine, "id", "-u") == (0, "0\n")


async def test_a_runtime_that_the_engine_lacks_is_named(spawner_with: SpawnerFactory) -> None:
    with pytest.raises(ConfigError, match="--runtime=kata: the engine has no runtime kata"):
        await spawner_with(runtime="kata")


async def test_a_directory_is_read_only_unless_it_says_rw(
    engine: RealEngine, spawner_with: SpawnerFactory, tmp_path: Path
) -> None:
    shown, shared = tmp_path / "shown", tmp_path / "shared"
    for directory in (shown, shared):
        directory.mkdir()
        directory.chmod(0o777)
        (directory / "book.txt").write_text("once upon a time")
    spawner = await spawner_with(host_directories=f"{shown},{shared}:/srv/shared:rw")
    await spawner.start(new_spec())

    assert run_inside(engine, "cat", "/mnt/vol0/book.txt") == (0, "once upon a time")
    code, said = run_inside(engine, "touch", "/mnt/vol0/new")
    assert code != 0
    assert "Read-only file system" in said
    assert run_inside(engine, "touch", "/srv/shared/new") == (0, "")
    assert (shared / "new").exists()
    assert not (shown / "new").exists()


async def test_a_directory_that_is_not_there_is_named_and_not_made(
    engine: RealEngine, spawner_with: SpawnerFactory, tmp_path: Path
) -> None:
    spawner = await spawner_with(host_directories=str(tmp_path / "absent"))
    with pytest.raises(SpawnerError, match=str(tmp_path / "absent")):
        await spawner.start(new_spec())
    assert not (tmp_path / "absent").exists()
    assert engine.containers() == []


async def test_more_hosts_may_have_addresses_of_both_kinds(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with(extra_hosts="four.example:192.0.2.7,six.example:2001:db8::7")
    await spawner.start(new_spec())
    code, hosts = run_inside(engine, "cat", "/etc/hosts")
    assert code == 0
    known = [line.split() for line in hosts.splitlines()]
    assert ["192.0.2.7", "four.example"] in known
    assert ["2001:db8::7", "six.example"] in known


async def test_an_anonymous_volume_goes_with_its_container(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    volume = docker.types.Mount("/data", None, type="volume")
    spawner, spec = await spawner_with(extra_host_config={"mounts": [volume]}), new_spec()
    await spawner.start(spec)
    (container,) = engine.containers()
    (mount,) = (mount for mount in container["Mounts"] if mount["Destination"] == "/data")
    assert engine.client.inspect_volume(mount["Name"])["Name"] == mount["Name"]
    await spawner.stop(spec.server_id)
    with pytest.raises(NotFound):
        engine.client.inspect_volume(mount["Name"])


async def test_an_image_that_is_not_there_and_cannot_be_pulled_is_one_clear_line(
    spawner_with: SpawnerFactory,
) -> None:
    image = "127.0.0.1:1/absent/notebook:none"  # nothing listens there
    with pytest.raises(ConfigError) as refused:
        await spawner_with(image=image)
    text = str(refused.value)
    assert text.startswith(f"--image={image}: the engine does not have it")
    assert f"docker pull {image}" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"host_network": True, "docker_network": "n"}, "--docker-network=n"),
        ({"mem_limit": "plenty"}, "--mem-limit=plenty"),
        ({"host_directories": "/ok,bad"}, "'bad'"),
        ({"extra_hosts": ["ok:::1", "bad"]}, "'bad'"),
        ({"command": "run 'half"}, "--command"),
        ({"docker_version": "9.9"}, "--docker-version=9.9"),
        ({"extra_host_config": {"no_such_thing": 1}}, "extra_host_config"),
        ({"host_network": True, "container_ip": "192.0.2.1"}, "--container-ip=192.0.2.1"),
    ],
)
async def test_a_setting_that_cannot_work_is_named_in_one_line(
    spawner_with: SpawnerFactory, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        await spawner_with(**settings)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program", "exec no-such-program failed"),
        ("sh -c 'echo these are my last words; exit 5'", "these are my last words"),
    ],
)
async def test_a_command_that_does_not_serve_tells_why_and_leaves_nothing(
    engine: RealEngine, spawner_with: SpawnerFactory, command: str, words: str
) -> None:
    spawner, spec = await spawner_with(command=command), new_spec()

    async def is_down() -> bool:
        return not any(instance.running for instance in await spawner.list())

    with suppress(SpawnerError):  # it may end before or after it is seen running
        await spawner.start(spec)
    await wait_until(is_down, "the server ended")
    assert words in await spawner.logs(spec.server_id)
    await spawner.stop(spec.server_id)
    assert engine.containers() == []
    assert await spawner.logs(spec.server_id) == ""


async def test_foreign_containers_are_neither_listed_nor_stopped_nor_claimed(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with()
    pool = spawner.pool_name
    foreign = {
        "same-name": {},
        "same-name-claimed-1700000000": {},
        "no-mark": {"tmpnb.pool": pool, "tmpnb.server": "no-mark"},
        "other-pool": {
            "tmpnb.managed": "true",
            "tmpnb.pool": f"{pool}x",
            "tmpnb.server": "other-pool",
        },
    }
    for server_id, labels in foreign.items():
        engine.client.create_container(
            TEST_IMAGE, name=f"tmpnb-{pool}-{server_id}", labels=engine.labels | labels
        )
    names = {container["Name"] for container in engine.containers()}

    assert await spawner.list() == []
    for server_id in foreign:
        await spawner.stop(server_id)
        with pytest.raises(SpawnerError):
            await spawner.mark_claimed(server_id, 1_700_000_000)
    spec = ServerSpec("same-name", "/user/same-name/", "token-of-a-stub")
    with pytest.raises(SpawnerError, match="Conflict"):
        await spawner.start(spec)
    assert {container["Name"] for container in engine.containers()} == names


async def test_a_paused_server_does_not_run_and_is_not_lost(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner, spec = await spawner_with(), new_spec()
    await spawner.start(spec)
    (container,) = engine.containers()
    engine.client.pause(container["Id"])
    (seen,) = await spawner.list()
    assert (seen.running, seen.paused) == (False, True)
    await spawner.stop(spec.server_id)
    assert engine.containers() == []


async def test_closing_leaves_the_servers_and_a_later_start_is_refused(
    engine: RealEngine, spawner_with: SpawnerFactory
) -> None:
    spawner = await spawner_with()
    await spawner.start(new_spec())
    await spawner.close()
    with pytest.raises(SpawnerError, match="closed"):
        await spawner.start(new_spec())
    assert [container["State"]["Running"] for container in engine.containers()] == [True]

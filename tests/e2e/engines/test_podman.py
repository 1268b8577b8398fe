"""The service on Podman, behind its Docker-like socket, with real notebook servers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.visitor import Visitor
from tests.e2e.running_service import PERSON, Service, until_true
from tests.e2e.service.test_doctor import doctor, image_flags, run
from tests.support.engines.contract import stub_command, wait_until_it_answers
from tests.support.engines.docker import LABEL, reached
from tests.support.engines.podman import PodmanEngine, shared, ulimits
from tests.support.requirements import TEST_IMAGE
from tmpnb.errors import ConfigError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.hardening.seccomp import SHIPPED
from tmpnb.spawners.docker.networks.reach import opened
from tmpnb.system.http.client import Client

pytestmark = [
    pytest.mark.docker,
    pytest.mark.podman,
    pytest.mark.chp,
    pytest.mark.xdist_group("podman"),
    pytest.mark.long,
    pytest.mark.gen_test(timeout=240),
]


@pytest.fixture
def engine() -> Iterator[PodmanEngine]:
    found = shared()
    with found.inside():
        yield found
        found.remove_all()


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return the flag of a config file with what root may do here."""
    file = tmp_path / "config.py"
    settings = {"ulimits": ulimits()}
    file.write_text(f"c = get_config()\nc.DockerSpawner.extra_host_config = {settings!r}\n")
    return f"--Tmpnb.config_file={file}"


def leavings(engine: PodmanEngine) -> list[str]:
    """Return what is left in the engine of this run."""
    mine = {"label": f"{LABEL}={engine.run}"}
    volumes = engine.client.volumes(filters=mine)["Volumes"] or ()
    found = [*engine.containers(), *engine.client.networks(filters=mine), *volumes]
    return [str(one.get("Name")) for one in found]


async def test_a_notebook_on_podman_outlives_the_orchestrator_and_ends_when_idle(
    engine: PodmanEngine, config: str, tmp_path: Path
) -> None:
    service = Service(
        f"--image={TEST_IMAGE}",
        f"--pool-name=visit-{engine.run}",
        f"--DockerSpawner.labels={LABEL}={engine.run}",
        config,
        *("--spawner=docker", "--pool-size=1", "--stop-servers-on-exit", "--cull-period=1"),
        state_dir=tmp_path / "state",
        log=tmp_path / "log",
    )
    await service.start()
    try:
        await service.until_ready(1)
        visitor = Visitor(service, await service.take("/lab"))
        kernel = await Kernel.started(visitor)
        assert await kernel.says("print(6 * 7)") == "42"

        await service.stop(signal.SIGKILL)
        await service.start()
        await service.until(lambda s: s["claimed"] == 1, "adopted")
        assert (await service.client.fetch(visitor.url, timeout=20)).code == 200
        kernel.close()
        await service.stop(signal.SIGKILL)
        service.flags += ("--cull-timeout=2",)
        await service.start()
        await service.until(lambda s: s["available"] == 1 and not s["claimed"], "culled")
        ended = await service.fetch(f"/user/{visitor.id}/lab", headers=PERSON)
        assert (ended.code, b"ended" in ended.body) == (404, True)
    finally:
        await service.stop()
        service.client.close()
    await until_true(lambda: leavings(engine) == [], "nothing is left")


async def test_without_egress_servers_on_podman_reach_neither_each_other_nor_a_name_server(
    engine: PodmanEngine, client: Client
) -> None:
    spawner = engine.new_spawner("closed", stub_command("python3"), egress="none")
    specs = [ServerSpec(f"{name}-server", f"/user/{name}/", "token") for name in "ab"]
    try:
        await spawner.setup()
        for spec in specs:
            address = await spawner.start(spec)
            await wait_until_it_answers(client, f"{address}{spec.base_url}api")
        first, second = engine.containers()
        [network] = second["NetworkSettings"]["Networks"].values()
        place = f"{network['IPAddress']}:8888"
        assert reached(engine.client, second["Id"], place) == [True]
        assert reached(engine.client, first["Id"], place) == [False]
        looked = engine.client.exec_create(first["Id"], ["cat", "/etc/resolv.conf"])
        assert engine.client.exec_start(looked).split() == [b"nameserver", b"127.0.0.1"]
        for spec in specs:
            await spawner.stop(spec.server_id)
    finally:
        await spawner.close()
    assert leavings(engine) == []


async def test_a_server_on_podman_has_no_powers_and_is_bounded(engine: PodmanEngine) -> None:
    command = stub_command("python3")
    spawner = engine.new_spawner("bounds", command, disk_limit="8m", cpu_quota=50_000)
    try:
        await spawner.setup()
        await spawner.start(ServerSpec("bounded", "/user/bounded/", "token"))
        [container] = engine.containers()
        script = (
            "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; id -u; ulimit -n;"
            " head -c 9000000 /dev/zero > ~/much || touch ~/mine /opt/venv/mine"
        )
        job = engine.client.exec_create(container["Id"], ["sh", "-c", script])
        said = engine.client.exec_start(job).decode()
        assert said.split()[:8] == (
            ["CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2", "1000", "4096"]
        )
        assert "No space left on device" in said
        assert "Read-only file system" in said
        bounds = container["HostConfig"]
        assert bounds["Memory"] == bounds["MemorySwap"] == 512 * 1024**2
        assert (bounds["PidsLimit"], bounds["CpuQuota"]) == (1024, 50_000)
        await spawner.stop("bounded")
    finally:
        await spawner.close()


async def test_podman_has_a_profile_of_system_calls_by_its_place_on_its_machine_alone(
    engine: PodmanEngine, caplog: pytest.LogCaptureFixture
) -> None:
    named = {"security_opt": [f"seccomp={SHIPPED}"], "ulimits": ulimits()}
    for pool, own in (("unnamed", {"ulimits": ulimits()}), ("named", named)):
        caplog.clear()
        spawner = engine.new_spawner(pool, stub_command("python3"), extra_host_config=own)
        try:
            await spawner.setup()
            await spawner.start(ServerSpec("one", "/user/one/", "token"))
            opens = opened(engine.client, listing.selection(spawner.pool_name, "one"))
            said = [line for line in caplog.messages if "--seccomp=tmpnb has no effect" in line]
            assert len(said) == (1 if pool == "unnamed" else 0)
            assert max(map(len, caplog.messages)) < 1000, "no log shows a profile"
            if pool == "named":
                assert opens == {"vsock": False, "io_uring": False}
            await spawner.stop("one")
        finally:
            await spawner.close()


async def test_a_runtime_that_podman_would_not_use_is_refused(engine: PodmanEngine) -> None:
    spawner = engine.new_spawner("runtime", stub_command("python3"), runtime="runsc")
    with pytest.raises(ConfigError, match="--runtime=runsc: Podman runs all containers by runc"):
        await spawner.setup()
    await spawner.close()


async def test_doctor_and_check_image_know_podman(
    engine: PodmanEngine, config: str, tmp_path: Path
) -> None:
    answer = await run(*doctor(engine, tmp_path / "state", config, "--egress=none"))
    assert answer.code == 0, answer.text
    [first] = [line for line in answer.of("ok") if line.startswith("ok   engine ")]
    assert first.startswith("ok   engine   Podman 4.")
    assert any("each server is on a network of its own" in line for line in answer.of("ok"))
    assert any("enable podman-restart.service" in line for line in answer.of("warn"))
    assert any(line.startswith("warn seccomp  Podman takes no") for line in answer.of("warn"))
    checked = await run("check-image", TEST_IMAGE, config, *image_flags(engine))
    assert checked.code == 0, checked.text
    assert leavings(engine) == []

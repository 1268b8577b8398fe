"""`tmpnb doctor` and `tmpnb check-image` as an operator runs them: what breaks is what is named."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_service import SECRETS, RunningProxy, free_ports, serving, until_true
from tests.support.engines.contract import stub_command
from tests.support.engines.docker import LABEL, RealEngine
from tests.support.requirements import TEST_IMAGE, chp, missing
from tmpnb.system.process import marked

pytestmark = [pytest.mark.chp, pytest.mark.docker, pytest.mark.gen_test(timeout=300)]

END = 120.0  # seconds for a command to end
ABSENT_IMAGE = "127.0.0.1:1/absent:1"  # of a registry that nobody runs
STUB_PAGE = "--redirect-uri=/about"  # that the stub has


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if not line.startswith("     | ")]

    def of(self, level: str) -> list[str]:
        return [line for line in self.lines if line.startswith(f"{level:<4} ")]

    @property
    def failure(self) -> str:
        """The one line that fails."""
        assert self.code == 1, self.text
        [line] = self.of("FAIL")
        assert "; fix: " in line
        return line


async def start(
    *arguments: str, env: Mapping[str, str] | None = None, before: str = ""
) -> asyncio.subprocess.Process:
    """Run the program; `before` is done by the shell that becomes it."""
    own = {name: value for name, value in os.environ.items() if name not in SECRETS}
    words = [sys.executable, "-m", "tmpnb", *arguments]
    if before:
        words = ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", *words]
    return await asyncio.create_subprocess_exec(
        *words, env=own | dict(env or {}), stdout=PIPE, stderr=STDOUT
    )


async def ended(process: asyncio.subprocess.Process) -> Answer:
    output, _ = await asyncio.wait_for(process.communicate(), END)
    assert process.returncode is not None
    text = output.decode()
    assert "Traceback" not in text, text
    return Answer(process.returncode, text)


async def run(*arguments: str, **options: Any) -> Answer:
    return await ended(await start(*arguments, **options))


def held(engine: RealEngine) -> set[str]:
    """Return the names of all networks and volumes of the engine."""
    networks, volumes = engine.client.networks(), engine.client.volumes()["Volumes"] or []
    return {found["Name"] for found in [*networks, *volumes]}


@pytest.fixture
def engine() -> Iterator[RealEngine]:
    found = RealEngine.needed(missing)
    before = held(found)
    yield found
    try:
        assert found.containers() == [], "what was started is removed"
        assert held(found) == before, "networks and volumes are as they were"
    finally:
        found.remove_all()


def ports() -> list[str]:
    names = ("port", "admin-port", "proxy-port", "proxy-api-port")
    return [f"--{name}={number}" for name, number in zip(names, free_ports(4), strict=True)]


def image_flags(engine: RealEngine) -> list[str]:
    return ["--start-timeout=60", f"--DockerSpawner.labels={LABEL}={engine.run}"]


def doctor(engine: RealEngine, state_dir: Path, *more: str, own_ports: bool = False) -> list[str]:
    """Return a command line for a sound setup, apart from `more`."""
    image = [] if any(flag.startswith("--image") for flag in more) else [f"--image={TEST_IMAGE}"]
    proxy, place = f"--proxy-command={chp()}", f"--state-dir={state_dir}"
    given = [] if own_ports else ports()
    return ["doctor", "--spawner=docker", *image, proxy, place, *given, *image_flags(engine), *more]


async def test_a_sound_setup_is_found_sound_and_left_as_it_was(
    engine: RealEngine, tmp_path: Path
) -> None:
    place = tmp_path / "state"
    answer = await run(*doctor(engine, place, "--pool-size=2"))
    assert answer.code == 0, answer.text
    assert answer.of("FAIL") == []
    well = [line.split()[1] for line in answer.of("ok")]
    if engine.client.info().get("CgroupVersion") == "1":
        [gap] = [line for line in answer.of("warn") if line.split()[1] == "limits"]
        assert "memory of sockets is not bounded" in gap
    else:
        assert "limits" in well, answer.text
    for topic in (
        "engine",
        "image",
        "network",
        "seccomp",
        "settings",
        "state",
        "key",
        "token",
        "proxy",
        "files",
    ):
        assert topic in well, answer.text
    assert sum(line.split()[1] == "shared" for line in answer.lines) == 3, answer.text
    assert well.count("ports") == 4
    assert well[-7:] == ["start", "path", "access", "page", "user", "port", "idle"]
    assert not marked(f"TMPNB_PROXY_DIR={place}"), "no proxy was started"
    assert os.listdir(tmp_path) == []


async def test_without_an_engine_the_one_failure_says_so(
    engine: RealEngine, tmp_path: Path
) -> None:
    env = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    answer = await run(*doctor(engine, tmp_path), env=env)
    assert answer.failure.startswith("FAIL engine   cannot reach Docker at unix://")
    assert "start Docker" in answer.failure
    assert len(answer.of("skip")) == 6 + 7
    assert len(answer.of("ok")) == 11, "what needs no engine is looked at"


async def test_an_absent_image_is_named_with_how_to_get_it(
    engine: RealEngine, tmp_path: Path
) -> None:
    answer = await run(*doctor(engine, tmp_path, f"--image={ABSENT_IMAGE}"))
    assert answer.failure.startswith("FAIL image ")
    assert f"fix: docker pull {ABSENT_IMAGE}" in answer.failure
    assert sum("needs the image" in line for line in answer.of("skip")) == 7
    checked = await run("check-image", ABSENT_IMAGE, *image_flags(engine))
    assert checked.failure.startswith("FAIL setup ")
    assert f"fix: docker pull {ABSENT_IMAGE}" in checked.failure


async def test_a_port_in_use_is_named_with_its_flag(engine: RealEngine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        flags = doctor(engine, tmp_path, "--skip-image", *ports()[1:], own_ports=True)
        answer = await run(*flags, f"--port={number}")
    assert answer.failure.startswith(
        f"FAIL ports    --port={number} is in use; by a running tmpnb?"
    )
    assert "choose another port" in answer.failure


async def test_a_running_tmpnb_on_the_ports_is_a_warning(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with serving("--spawner=fake", "--pool-size=1") as running:
        await running.until_ready(1)
        held = [
            f"--port={running.port}",
            f"--admin-port={running.admin_port}",
            f"--proxy-port={running.visitors}",
            f"--proxy-api-port={running.api_port}",
        ]
        flags = doctor(engine, tmp_path, "--skip-image", *held, own_ports=True)
        answer = await run(*flags)
        assert answer.code == 0, answer.text
        told = [line for line in answer.of("warn") if line.startswith("warn ports ")]
        assert len(told) == 4
        assert all("in use by a running tmpnb, whose health is ok" in line for line in told)


async def test_beside_a_running_service_its_settings_are_tested(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with serving("--spawner=fake", "--pool-size=3", "--cull-timeout=777") as running:
        await running.until_ready(3)
        flags = doctor(engine, tmp_path, "--skip-image", own_ports=True)
        mine = [flag for flag in flags if flag != "--spawner=docker"]
        answer = await run(*mine, f"--admin-port={running.admin_port}")
        assert answer.lines[0] == (
            f"with the settings of the tmpnb at http://127.0.0.1:{running.admin_port}, "
            "and the flags given here"
        )
        assert not [line for line in answer.lines if "Docker" in line], "it serves pretend ones"


async def test_a_wrong_token_of_the_proxy_names_its_variable(
    engine: RealEngine, tmp_path: Path
) -> None:
    proxy = RunningProxy(free_ports(1)[0])
    await proxy.start()
    try:
        flags = doctor(engine, tmp_path, "--skip-image")
        wrong = await run(*flags, env=proxy.env | {"CONFIGPROXY_AUTH_TOKEN": "wrong-wrong-wrong"})
        assert wrong.failure.startswith("FAIL proxy ")
        assert "refused our token" in wrong.failure
        assert "CONFIGPROXY_AUTH_TOKEN" in wrong.failure
        assert "wrong-wrong" not in wrong.text
        right = await run(*flags, env=proxy.env)
        assert right.code == 0, right.text
        assert "takes our token and no other" in right.text
        assert proxy.token not in right.text
    finally:
        await proxy.kill()


async def test_a_file_in_the_place_of_the_state_directory_is_named(
    engine: RealEngine, tmp_path: Path
) -> None:
    place = tmp_path / "state"
    place.write_text("")
    answer = await run(*doctor(engine, place, "--skip-image"))
    assert answer.failure.startswith("FAIL state ")
    assert f"--state-dir={place}" in answer.failure


async def test_too_few_open_files_are_told_with_both_numbers(
    engine: RealEngine, tmp_path: Path
) -> None:
    flags = doctor(engine, tmp_path, "--skip-image", "--pool-size=100", "--mem-limit=6m")
    answer = await run(*flags, before="ulimit -n 256")
    assert answer.failure.startswith("FAIL files    256 files may be open")
    assert "needs 864 for 100 open notebooks" in answer.failure
    assert "ulimit -n 864" in answer.failure


async def test_too_little_memory_for_all_is_a_warning(engine: RealEngine, tmp_path: Path) -> None:
    flags = doctor(engine, tmp_path, "--skip-image", "--pool-size=3", "--mem-limit=100t")
    answer = await run(*flags)
    assert answer.code == 0, answer.text
    [line] = [line for line in answer.of("warn") if line.startswith("warn memory ")]
    assert "3 servers of 100 TB may take 300 TB" in line
    assert "--pool-size" in line


@pytest.mark.local
async def test_local_processes_are_tried_too(tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab")
    place = f"--LocalProcessSpawner.directory={tmp_path}"
    proxy, state = f"--proxy-command={chp()}", f"--state-dir={tmp_path / 'state'}"
    answer = await run("doctor", "--spawner=local", place, proxy, state, *ports())
    assert answer.code == 0, answer.text
    assert [line.split()[1] for line in answer.of("ok")][-4:] == ["start", "path", "access", "page"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("engine_name", ["local", "fake"])
async def test_an_engine_without_images_is_told_in_one_line(engine_name: str) -> None:
    answer = await run("check-image", "any", f"--spawner={engine_name}")
    [line] = answer.text.splitlines()
    assert answer.code == 1
    assert line.startswith("tmpnb: check-image any: this engine has no images")


# Images, good and bad: the same image with other commands


async def check(engine: RealEngine, command: str, *more: str, seconds: int = 20) -> Answer:
    label = f"--DockerSpawner.labels={LABEL}={engine.run}"
    flags = (f"--command={command}", f"--start-timeout={seconds}", label, STUB_PAGE, *more)
    return await run("check-image", TEST_IMAGE, *flags)


STUB = stub_command("python3")


async def test_a_good_image_is_found_good_in_a_network_of_its_own(engine: RealEngine) -> None:
    network = f"tmpnb-test-{engine.run}"
    answer = await check(engine, STUB, f"--docker-network={network}")
    assert answer.code == 0, answer.text
    assert [line[:4] for line in answer.lines] == ["ok  "] * 7
    assert "it runs as user id 1000" in answer.text
    assert "it listens at 0.0.0.0:8888" in answer.text


@pytest.mark.parametrize(
    ("command", "words", "mend"),
    [
        ("python3 -c 'raise SystemExit(\"my last words\")'", "exited", "--command"),
        (STUB.replace("{base_path}", "/"), "it serves at / instead of /user/", "{base_path}"),
        (STUB.replace("{base_path}", "/other/"), "HTTP 403, not 200", "--ready-path"),
        (STUB.replace("{ip}", "127.0.0.1"), "it listens at 127.0.0.1:8888 only", "--ip={ip}"),
        (STUB.replace("{port}", "9000"), "0.0.0.0:9000, and not on port 8888", "{port}"),
        ("sleep 600", "and listens nowhere", "--start-timeout"),
        ("no-such-program", "exited", "program of --command"),
    ],
    ids=["exits", "no base path", "other base path", "loopback", "port", "silent", "no program"],
)
async def test_a_bad_image_is_told_what_is_bad(
    engine: RealEngine, command: str, words: str, mend: str
) -> None:
    answer = await check(engine, command, seconds=6)
    assert answer.failure.startswith("FAIL start ")
    assert words in answer.failure
    assert mend in answer.failure.partition("; fix: ")[2]
    assert len(answer.of("skip")) == 6
    assert "     | " in answer.text, "its last words, or that there are none"


async def test_one_that_listens_nowhere_does_so_in_a_network_of_its_own_too(
    engine: RealEngine,
) -> None:
    network = f"--docker-network=tmpnb-test-{engine.run}"
    answer = await check(engine, "sleep 600", network, seconds=3)
    assert "and listens nowhere" in answer.failure, "Docker's name server is not the image's"


async def test_a_bad_image_fails_in_the_doctor_as_well(engine: RealEngine, tmp_path: Path) -> None:
    flags = doctor(engine, tmp_path, "--command=python3 -c 'raise SystemExit(\"my last words\")'")
    answer = await run(*flags)
    assert answer.failure.startswith("FAIL start ")
    assert "     | my last words" in answer.text


async def test_a_server_of_root_fails_with_how_to_change_it(engine: RealEngine) -> None:
    answer = await check(engine, STUB, "--container-user=0")
    assert answer.failure.startswith("FAIL setup    --image=")
    assert "it would run as root" in answer.failure
    assert "--container-user=1000" in answer.failure
    allowed = await check(engine, STUB, "--container-user=0", "--allow-root")
    assert allowed.code == 0, allowed.text
    assert any("it runs as root" in line for line in allowed.of("warn"))


@pytest.mark.parametrize("flag", ["--read-only", "--disk-limit=64m", "--capabilities=default"])
async def test_a_real_notebook_works_within_each_bound(engine: RealEngine, flag: str) -> None:
    answer = await run("check-image", TEST_IMAGE, flag, *image_flags(engine))
    assert answer.code == 0, answer.text
    assert answer.of("FAIL") == answer.of("warn") == []


async def test_what_a_server_reaches_is_tried_from_inside(
    engine: RealEngine, tmp_path: Path
) -> None:
    usual = await run(*doctor(engine, tmp_path, "--network"))
    assert usual.code == 0, usual.text
    private = [line for line in usual.of("ok") if line.startswith("ok   reach ")]
    for what in ("--port=", "--admin-port=", "--proxy-api-port=", "the engine "):
        assert any(what in line for line in private), usual.text
    assert any("another server is reached" in line for line in usual.of("warn"))
    assert any("that is not on loopback is reached" in line for line in usual.of("warn"))
    assert "ok   reach    a server can open no vsock and no io_uring" in usual.lines

    closed = f"--docker-network=tmpnb-test-{engine.run}", "--egress=none"
    answer = await run(*doctor(engine, tmp_path, "--network", "--seccomp=engine", *closed))
    assert answer.code == 0, answer.text
    [profile] = [line for line in answer.of("warn") if line.startswith("warn seccomp ")]
    assert profile.endswith("; fix: --seccomp=tmpnb")
    # What the engine's own profile allows depends on its version.
    assert any("a server can open " in line for line in answer.lines), answer.text
    assert "ok   reach    another server is not reached from a server" in answer.lines


async def test_a_port_of_the_service_that_a_server_reaches_is_a_failure(
    engine: RealEngine, tmp_path: Path
) -> None:
    answer = await run(*doctor(engine, tmp_path, "--network", "--ip=0.0.0.0"))
    assert answer.failure.startswith("FAIL reach    --port=")
    assert "is reached from a server at " in answer.failure


async def test_a_page_that_the_image_lacks_fails(engine: RealEngine) -> None:
    flags = (f"--command={STUB}", "--redirect-uri=/lab", *image_flags(engine))
    answer = await run("check-image", TEST_IMAGE, *flags)
    assert answer.failure.startswith("FAIL page ")
    assert "--redirect-uri" in answer.failure


def states(engine: RealEngine) -> Sequence[str]:
    return [str(c["State"]["Status"]) for c in engine.containers()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_check_removes_its_server(
    engine: RealEngine, number: signal.Signals
) -> None:
    flags = ("--command=sleep 600", *image_flags(engine))
    process = await start("check-image", TEST_IMAGE, *flags)
    try:
        await until_true(lambda: states(engine) == ["running"], "a container")
        process.send_signal(number)
        answer = await ended(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert answer.code == 1
    assert answer.lines == ["tmpnb: interrupted; what was started is removed"]


async def test_a_running_pool_leaves_the_checked_server_alone(
    engine: RealEngine, tmp_path: Path
) -> None:
    flags = [
        f"--image={TEST_IMAGE}",
        f"--command={STUB}",
        f"--pool-name=doctor-{engine.run}",
        "--pool-size=1",
        "--reconcile-interval=0.3",
        f"--DockerSpawner.labels={LABEL}={engine.run}",
    ]
    async with serving(*flags) as service:
        await service.until_ready(1)
        answer = await check(engine, "sleep 600", seconds=5)
        assert "does not answer within 5 s, and listens nowhere" in answer.failure
        assert (await service.stats())["available"] == 1

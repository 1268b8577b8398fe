"""Local processes: their directories, what they are told, and what is refused."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support.engines.contract import stub_command, wait_until
from tests.support.requirements import missing
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.local.spawner import LocalProcessSpawner
from tmpnb.system import process
from tmpnb.system.process import Process

pytestmark = pytest.mark.gen_test(timeout=60)

TOKEN = "secret-of-the-server"
NOBODY = 65534

# Starts one server and then dies a sudden death.
DOOMED = """
import asyncio, os, signal, sys
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.local import LocalProcessSpawner
async def main():
    spawner = LocalProcessSpawner(directory=sys.argv[1], command="sleep 600")
    await spawner.setup()
    await spawner.start(ServerSpec("a", "/user/a/", "token"))
    await spawner.mark_claimed("a", 1_700_000_000)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""

# Makes a spawner of the test's directory; a keyword is a trait.
NewSpawner = Callable[..., LocalProcessSpawner]


def spec_of(server_id: str) -> ServerSpec:
    return ServerSpec(server_id, f"/user/{server_id}/", TOKEN)


def root_in(directory: Path) -> Path:
    return directory / f"tmpnb-{os.geteuid()}-tmpnb"


def process_of(directory: Path, server_id: str) -> Process:
    record = json.loads((root_in(directory) / server_id / "server.json").read_text())
    return Process(**record["process"])


@pytest.fixture
def new_spawner(tmp_path: Path, io_loop: IOLoop) -> Iterator[NewSpawner]:
    made: list[LocalProcessSpawner] = []

    def make(**traits: object) -> LocalProcessSpawner:
        settings = {"directory": str(tmp_path), "command": stub_command(sys.executable)}
        made.append(LocalProcessSpawner(**(settings | traits)))
        return made[-1]

    async def remove_all() -> None:
        cleaner = LocalProcessSpawner(directory=str(tmp_path))
        for instance in await cleaner.list():
            await cleaner.stop(instance.server_id)
        for spawner in (*made, cleaner):
            await spawner.close()

    yield make
    io_loop.run_sync(remove_all, timeout=60)


async def test_the_operator_is_warned_once_that_nothing_is_isolated(
    new_spawner: NewSpawner, caplog: pytest.LogCaptureFixture
) -> None:
    spawner = new_spawner()
    await spawner.setup()
    await spawner.start(spec_of("a"))
    await spawner.list()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "every visitor runs code as this user" in warnings[0]


async def test_missing_jupyter_is_explained_in_one_line(
    new_spawner: NewSpawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = new_spawner(command=LocalProcessSpawner.command.default_value)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"jupyter is not .*pip install 'tmpnb\[local\]'$"):
        await spawner.setup()


async def test_jupyter_without_lab_is_explained_too(
    new_spawner: NewSpawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jupyter").touch(mode=0o755)
    spawner = new_spawner(command=LocalProcessSpawner.command.default_value)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"jupyter-lab is not .*pip install 'tmpnb\[local\]'$"):
        await spawner.setup()


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        ({"command": "no-such-program {port}"}, "no-such-program is not installed; see --command"),
        ({"command": "  "}, "--command is empty"),
        ({"notebook_dir": "/no/such/place"}, "notebook_dir=/no/such/place: no such directory"),
        ({"directory": "/no/such/place"}, "cannot keep servers in /no/such/place/tmpnb-"),
    ],
)
async def test_settings_that_cannot_work_are_named(
    new_spawner: NewSpawner, traits: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        await new_spawner(**traits).setup()
    assert "\n" not in str(caught.value)


async def test_the_directory_of_all_servers_is_for_this_user_alone(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    root_in(tmp_path).mkdir(mode=0o777)
    await new_spawner().setup()
    assert stat.S_IMODE(root_in(tmp_path).stat().st_mode) == 0o700


@pytest.mark.parametrize("plant", ["link", "file", "directory of another user"])
async def test_a_directory_that_somebody_planted_is_refused_and_left_as_it_was(
    new_spawner: NewSpawner, tmp_path: Path, plant: str
) -> None:
    root, elsewhere = root_in(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if plant == "link":
        root.symlink_to(elsewhere)
    elif plant == "file":
        root.touch()
    elif os.geteuid() != 0:
        missing("root, to play another user")
    else:
        root.mkdir()
        os.chown(root, NOBODY, NOBODY)
    before = root.lstat()
    with pytest.raises(ConfigError, match=r"--LocalProcessSpawner\.directory"):
        await new_spawner().setup()
    assert root.lstat().st_mode == before.st_mode
    root.unlink() if plant != "directory of another user" else root.rmdir()


async def test_a_server_learns_its_own_secret_and_no_other(
    new_spawner: NewSpawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("CONFIGPROXY_AUTH_TOKEN", "ADMIN_AUTH_TOKEN", "API_AUTH_TOKEN", "TMPNB_SECRET_KEY")
    for name in (*secrets, "AWS_SECRET_ACCESS_KEY", "JUPYTER_PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, "not for visitors")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    await new_spawner().start(spec_of("a"))

    about = Path("/proc", str(process_of(tmp_path, "a").pid))

    async def is_told() -> bool:  # a moment after its program was found
        return bool((about / "environ").read_bytes())

    await wait_until(is_told, "the server has its environment")
    entries = (about / "environ").read_bytes().rstrip(b"\0").split(b"\0")
    environment = dict(entry.decode().split("=", 1) for entry in entries)
    assert "not for visitors" not in environment.values()
    assert environment["JUPYTER_TOKEN"] == TOKEN
    assert environment["LC_TIME"] == "C.UTF-8"
    home = root_in(tmp_path) / "a" / "home"
    programs = [str(home.parent / "python" / "bin"), str(Path(sys.executable).parent)]
    assert environment["PATH"].split(":")[:2] == programs
    assert environment["HOME"] == str(home)
    assert (about / "cwd").readlink() == home
    for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        assert environment[name].startswith(f"{home.parent}/")
    assert TOKEN.encode() not in (about / "cmdline").read_bytes()


async def test_nothing_that_is_kept_holds_the_token(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    await new_spawner(command="sleep 600").start(spec_of("a"))
    files = [path for path in root_in(tmp_path).rglob("*") if path.is_file()]
    assert root_in(tmp_path) / "a" / "server.json" in files
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)


async def test_root_is_allowed_to_run_the_default_command_only(new_spawner: NewSpawner) -> None:
    default = new_spawner(command=LocalProcessSpawner.command.default_value)
    own = new_spawner(command="jupyter lab --port={port}")
    is_root = os.geteuid() == 0
    assert ("--allow-root" in default._arguments(spec_of("a"), 1)) == is_root
    assert "--allow-root" not in own._arguments(spec_of("a"), 1)


async def test_a_home_starts_with_a_copy_that_can_be_written(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "deep").mkdir(parents=True)
    (given / "welcome.ipynb").write_text("{}")
    (given / "deep" / "data.csv").write_text("1")
    (given / "link").symlink_to(given / "welcome.ipynb")
    (given / "dangling").symlink_to("nowhere")
    for path in (given / "welcome.ipynb", given / "deep" / "data.csv"):
        path.chmod(0o444)
    (given / "deep").chmod(0o555)
    spawner = new_spawner(notebook_dir=str(given), command="sleep 600")
    await spawner.setup()
    await spawner.start(spec_of("a"))

    home = root_in(tmp_path) / "a" / "home"
    assert (home / "deep" / "data.csv").read_text() == "1"
    assert stat.S_IMODE((home / "deep").stat().st_mode) & 0o700 == 0o700
    assert (home / "welcome.ipynb").stat().st_mode & 0o200
    assert not (home / "link").is_symlink()  # or its changes would reach the original
    await spawner.stop("a")
    assert (given / "deep" / "data.csv").read_text() == "1"
    (given / "deep").chmod(0o755)


async def test_the_news_are_switched_off_unless_the_operator_has_a_say(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    given = tmp_path / "given" / ".jupyter" / "labconfig"
    given.mkdir(parents=True)
    own = new_spawner(notebook_dir=str(tmp_path / "given"), command="sleep 600")
    await new_spawner(command="sleep 600").start(spec_of("plain"))
    (given / "page_config.json").write_text("{}")
    await own.start(spec_of("chosen"))

    where = "home/.jupyter/labconfig/page_config.json"
    plain = json.loads((root_in(tmp_path) / "plain" / where).read_text())
    chosen = json.loads((root_in(tmp_path) / "chosen" / where).read_text())
    assert plain["disabledExtensions"] == {"@jupyterlab/apputils-extension:announcements": True}
    assert chosen == {}


async def test_servers_of_an_orchestrator_that_was_killed_are_found_and_can_be_stopped(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    arguments = [sys.executable, "-c", DOOMED, str(tmp_path)]
    doomed = subprocess.run(arguments, check=False)  # noqa: ASYNC221, S603 - a second at most
    assert doomed.returncode == -signal.SIGKILL

    spawner = new_spawner()
    (instance,) = await spawner.list()
    assert (instance.server_id, instance.running) == ("a", True)
    assert instance.claimed_at == 1_700_000_000
    left = process_of(tmp_path, "a")
    await spawner.stop("a")
    assert not process.is_running(left)
    assert await spawner.list() == []


async def test_a_record_of_a_pid_that_is_used_again_is_not_a_running_server(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command="sleep 600")
    await spawner.start(spec_of("a"))
    await spawner.stop("a")
    me = process.find(os.getpid())
    assert me is not None
    (root_in(tmp_path) / "a").mkdir()
    record = {"port": 1, "created_at": 5.0, "process": {"pid": me.pid, "born": "earlier"}}
    (root_in(tmp_path) / "a" / "server.json").write_text(json.dumps(record))

    (instance,) = await spawner.list()
    assert not instance.running
    assert instance.created_at == 5.0
    await spawner.stop("a")
    assert await spawner.list() == []


@pytest.mark.parametrize("text", [None, "", "[]", '{"port": "x"}', "\x00", '{"process": 3}'])
async def test_a_directory_without_a_record_is_listed_and_can_be_stopped(
    new_spawner: NewSpawner, tmp_path: Path, text: str | None
) -> None:
    (root_in(tmp_path) / "a").mkdir(parents=True)
    if text is not None:
        (root_in(tmp_path) / "a" / "server.json").write_text(text)
    spawner = new_spawner()
    (instance,) = await spawner.list()
    assert (instance.server_id, instance.running, instance.address) == ("a", False, None)
    await spawner.stop("a")
    assert await spawner.list() == []


async def test_a_server_whose_record_was_lost_runs_all_the_same(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command="sleep 600")
    await spawner.start(spec_of("a"))
    server = process_of(tmp_path, "a")
    (root_in(tmp_path) / "a" / "server.json").unlink()
    (instance,) = await spawner.list()
    assert instance.running
    await spawner.stop("a")
    assert not process.is_running(server)


async def test_a_server_that_cleared_its_environment_is_stopped_all_the_same(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command="env -i sleep 600")
    await spawner.start(spec_of("a"))
    server = process_of(tmp_path, "a")

    async def is_clean() -> bool:
        return server not in process.marked(f"TMPNB_SERVER_DIR={root_in(tmp_path) / 'a'}")

    await wait_until(is_clean, "the server has no mark")
    await spawner.stop("a")
    assert not process.is_running(server)


async def test_a_server_whose_directory_was_lost_is_stopped_all_the_same(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command="sleep 600")
    await spawner.start(spec_of("a"))
    server = process_of(tmp_path, "a")
    subprocess.run(["rm", "-r", root_in(tmp_path) / "a"], check=True)  # noqa: ASYNC221, S603, S607 - at once
    await spawner.stop("a")
    assert not process.is_running(server)


async def test_a_server_that_was_killed_leaves_no_zombie(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command="sleep 600")
    await spawner.start(spec_of("a"))
    server = process_of(tmp_path, "a")
    process.send(server, signal.SIGKILL)

    async def is_reaped() -> bool:
        (instance,) = await spawner.list()
        return not instance.running and str(server.pid) not in os.listdir("/proc")

    await wait_until(is_reaped, "the killed server is reaped")


@pytest.mark.parametrize("server_id", ["..", ".", "../other", "a/../../other", ".hidden", "%2E"])
async def test_no_id_leads_out_of_the_directory(
    new_spawner: NewSpawner, tmp_path: Path, server_id: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    spawner = new_spawner(command="sleep 600")
    await spawner.start(spec_of(server_id))
    assert [instance.server_id for instance in await spawner.list()] == [server_id]
    assert len(list(root_in(tmp_path).iterdir())) == 1
    await spawner.stop(server_id)
    assert list(root_in(tmp_path).iterdir()) == []
    assert other.exists()


async def test_a_server_without_an_id_is_refused(new_spawner: NewSpawner, tmp_path: Path) -> None:
    spawner = new_spawner()
    await spawner.setup()
    for call in (spawner.start(spec_of("")), spawner.stop(""), spawner.mark_claimed("", 1)):
        with pytest.raises(SpawnerError):
            await call
    assert root_in(tmp_path).exists()


async def test_what_lies_in_the_directory_and_is_no_server_is_left_alone(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    spawner = new_spawner(command="sleep 600")
    await spawner.setup()
    (root_in(tmp_path) / "file").touch()
    (root_in(tmp_path) / "link").symlink_to(elsewhere)
    assert await spawner.list() == []
    with pytest.raises(SpawnerError):
        await spawner.stop("link")
    assert (elsewhere / "precious").exists()
    (root_in(tmp_path) / "link").unlink()


def test_a_visitor_cannot_make_files_that_cannot_be_removed() -> None:
    code = (
        "import os, tempfile\n"
        "from pathlib import Path\n"
        "from tmpnb.spawners.local.directory import Record, ServerDirectory\n"
        "root = Path(tempfile.mkdtemp(prefix='tmpnb-test-'))\n"
        f"if os.geteuid() == 0: os.chown(root, {NOBODY}, {NOBODY}); os.setuid({NOBODY})\n"
        "directory = ServerDirectory(root, 'a')\n"
        "directory.create(Record(1, 2.0))\n"
        "directory.furnish(None)\n"
        "deep = directory.home / 'closed' / 'deeper'\n"
        "deep.mkdir(parents=True)\n"
        "(deep / 'file').touch(mode=0o000)\n"
        "deep.chmod(0o000); deep.parent.chmod(0o500); directory.path.chmod(0o500)\n"
        "directory.remove()\n"
        "root.rmdir()\n"
        "print('nothing is left')\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.stdout == "nothing is left\n"


async def test_logs_keep_the_token_to_themselves(new_spawner: NewSpawner) -> None:
    says = "echo the secret is $JUPYTER_TOKEN; echo http://x/?token=another-secret-token"
    spawner = new_spawner(command=f"sh -c '{says}'")
    await spawner.start(spec_of("a"))

    async def has_spoken() -> bool:
        return len((await spawner.logs("a")).splitlines()) == 2

    await wait_until(has_spoken, "both lines are there")
    assert "the secret is [redacted]" in await spawner.logs("a")
    assert "another-secret-token" not in await spawner.logs("a")


async def test_logs_are_the_end_of_a_long_output(new_spawner: NewSpawner) -> None:
    spawner = new_spawner(command="seq 1 100000")
    await spawner.start(spec_of("a"))

    async def has_ended() -> bool:
        return (await spawner.logs("a", lines=2)) == "99999\n100000"

    await wait_until(has_ended, "the last numbers are there")
    assert await spawner.logs("a", lines=0) == ""


async def test_a_program_that_cannot_run_is_a_failed_start_and_can_be_stopped(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    spawner = new_spawner(command=str(tmp_path))
    with pytest.raises(SpawnerError, match="Permission denied"):
        await spawner.start(spec_of("a"))
    (instance,) = await spawner.list()
    assert not instance.running
    await spawner.stop("a")
    assert await spawner.list() == []


async def test_close_removes_an_empty_directory_and_no_other(
    new_spawner: NewSpawner, tmp_path: Path
) -> None:
    used, unused = new_spawner(command="sleep 600"), new_spawner()
    await used.start(spec_of("a"))
    await used.close()
    assert process.is_running(process_of(tmp_path, "a"))
    await unused.stop("a")
    await unused.close()
    assert os.listdir(tmp_path) == []

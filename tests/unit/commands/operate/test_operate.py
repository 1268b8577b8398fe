"""The commands that speak to a running service: what they print, and what each fault is called."""

from __future__ import annotations

import json
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.web import Application, RequestHandler
from traitlets import List
from traitlets.config import Configurable

from tests.support.running_site import Running
from tmpnb.commands import command_line
from tmpnb.commands.operate import admin_port
from tmpnb.commands.operate.admin_port import AdminPort, place
from tmpnb.commands.operate.commands import Remote
from tmpnb.commands.operate.served import as_served
from tmpnb.errors import AdminPortError, ConfigError
from tmpnb.settings import told as told_settings
from tmpnb.settings.application import Tmpnb
from tmpnb.spawners.base import DEFAULT_COMMAND
from tmpnb.system.net.port_owners import Owner
from tmpnb.web.admin import tables
from tmpnb.web.admin.operating import Operating
from tmpnb.web.routes import admin_application

pytestmark = pytest.mark.gen_test(timeout=30)

TOKEN = "adm1n-adm1n-adm1n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ADMIN_AUTH_TOKEN", "ADMIN_AUTH_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


class Site:
    """A service, and the program that is run beside it."""

    def __init__(self, running: Running, **changes: Any) -> None:
        self.running, self.world = running, running.world
        self.url = running.serve(admin_application(replace(running.site, **changes)))
        self.port = self.url.rpartition(":")[2]

    async def run(self, *words: str) -> tuple[bool, list[str]]:
        return await run(*words, f"--admin-port={self.port}")


async def run(*words: str) -> tuple[bool, list[str]]:
    """Run a command as the program does; return whether all was well, and its lines."""
    order = command_line.parse(words)
    program = Tmpnb()
    program.initialize(order.flags)
    assert isinstance(order.command, Remote)
    lines: list[str] = []
    return await order.command.perform(program, order, lines.append), lines


async def started(stack: AsyncExitStack, **changes: Any) -> Site:
    running = Running(2, stack)
    await running.start()
    return Site(running, **changes)


async def test_each_command_does_what_it_says() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        world = site.world
        server = await world.orchestrator.claims.claim()
        well, lines = await site.run("status")
        assert well
        assert lines[1] == "health   ok"
        assert "1 with visitors, " in lines[2]
        _, lines = await site.run("list", "--usage")
        assert lines[0].split() == list(tables.COLUMNS)
        assert lines[1].split()[:2] == [server.id, "claimed"]
        assert lines[-1] == "2 servers, 1 with visitors"
        assert (await site.run("stop", server.id))[1] == [f"server {server.id} is being stopped"]
        await world.until_gone(server.id)
        await world.until_ready(2)
        assert "2 unclaimed servers will be replaced" in (await site.run("drain"))[1][0]
        await site.run("announce", "Down on Friday.")
        assert (await site.run("announce"))[1] == ["Down on Friday."]
        await site.run("announce", "--remove")
        assert (await site.run("announce"))[1] == ["nothing is announced"]
        await site.run("ban", "2001:db8::/32")
        assert (await site.run("bans"))[1][1].startswith("2001:db8::/32  ")
        await site.run("unban", "2001:db8::/32")
        assert (await site.run("bans"))[1] == ["no network is banned here"]


async def test_json_is_the_answer_as_it_came() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        _, [text] = await site.run("list", "--json")
        assert {row["phase"] for row in json.loads(text)["servers"]} == {"ready"}
        _, [text] = await site.run("status", "--json")
        assert json.loads(text)["stats"]["capacity"] == 2


async def test_status_is_not_well_while_something_is_wrong() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        site.world.orchestrator.health.report("attic", "it is\naway")
        well, lines = await site.run("status")
        assert not well
        assert "problem  attic: it is\\x0aaway" in lines


async def test_the_token_comes_from_where_the_service_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack, admin_token=TOKEN)
        with pytest.raises(AdminPortError, match="wants a token; set ADMIN_AUTH_TOKEN"):
            await site.run("status")
        monkeypatch.setenv("ADMIN_AUTH_TOKEN", "another")
        with pytest.raises(AdminPortError, match="wants another token") as found:
            await site.run("status")
        assert "another-" not in str(found.value)
        monkeypatch.delenv("ADMIN_AUTH_TOKEN")
        file = tmp_path / "token"
        file.write_text(TOKEN)
        monkeypatch.setenv("ADMIN_AUTH_TOKEN_FILE", str(file))
        assert (await site.run("status"))[0]


async def test_a_server_that_is_not_there_is_said() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        with pytest.raises(AdminPortError, match=r"There is no such server\."):
            await site.run("stop", "nobody1")
        with pytest.raises(AdminPortError, match=r"there is no server a/\.\./b"):
            await site.run("stop", "a/../b?c\n")
        with pytest.raises(AdminPortError, match=r"10\.0\.0\.0/8 is not banned"):
            await site.run("unban", "10.0.0.0/8")
        with pytest.raises(ConfigError, match=r"write 10\.0\.0\.0/8"):
            await site.run("ban", "10.0.0.1/8")
        with pytest.raises(AdminPortError, match=r"203\.0\.113\.9 is not banned"):
            await site.run("unban", "203.0.113.9")
        await site.run("ban", "203.0.113.9")
        assert (await site.run("bans"))[1][1].startswith("203.0.113.9  ")


class Other(RequestHandler):
    """What is no tmpnb."""

    def get(self, what: str) -> None:
        if what == "html":
            self.write("<h1>hello</h1>")
        elif what == "error":
            self.set_status(404)
            self.write({"error": "no"})
        elif what == "large":
            self.write('{"a": "' + "a" * 3_000_000 + '"}')
        elif what == "list":
            self.write("[]")
        elif what == "redirect":
            self.redirect("http://192.0.2.1/")


@pytest.mark.parametrize("what", ["html", "error", "list", "redirect"])
async def test_what_is_no_tmpnb_is_called_so(what: str) -> None:
    async with AsyncExitStack() as stack:
        running = Running(1, stack)
        url = running.serve(Application([(r"/(.*)/api/status", Other)]))
        with pytest.raises(AdminPortError, match="is no tmpnb of this version"):
            await run("status", f"--admin-url={url}/{what}")


async def test_the_public_port_is_not_taken_for_the_admin_port() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack)
        url = site.running.serve_public()
        with pytest.raises(AdminPortError, match="is no admin port of this version"):
            await run("status", f"--admin-url={url}")


async def test_an_answer_has_a_size_and_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_port, "MAX_ANSWER", 2**20)
    async with AsyncExitStack() as stack:
        running = Running(1, stack)
        url = running.serve(Application([(r"/(.*)/api/status", Other)]))
        with pytest.raises(AdminPortError, match="has more than 1 MB"):
            await run("status", f"--admin-url={url}/large")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = AdminPort(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(AdminPortError, match="no tmpnb answers"):
            await port.ask("GET", "/api/status", seconds=0.2)
        port.close()


async def test_nobody_there_is_said_with_the_flags_that_say_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    with pytest.raises(AdminPortError, match="--admin-port, --admin-ip and --admin-url"):
        await run("list", f"--admin-port={number}")


@pytest.mark.parametrize(
    ("url", "ip", "found"),
    [
        ("", "127.0.0.1", "http://127.0.0.1:1"),
        ("", "0.0.0.0", "http://127.0.0.1:1"),  # noqa: S104 - no port is opened
        ("", "", "http://127.0.0.1:1"),
        ("", "::", "http://[::1]:1"),
        ("", "2001:db8::1", "http://[2001:db8::1]:1"),
        ("", "localhost", "http://localhost:1"),
        ("https://ops.example:9/", "::", "https://ops.example:9"),
    ],
)
def test_the_service_is_where_it_listens(url: str, ip: str, found: str) -> None:
    assert place(url, ip, 1) == found


@pytest.mark.parametrize("url", ["ops.example", "http://", "http://a:b@c", "ftp://x", "http://a:x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address; write http://127"):
        place(url, "", 1)


def test_a_port_that_any_may_be_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="--admin-url"):
        place("", "127.0.0.1", 0)


async def test_a_switch_takes_no_value() -> None:
    with pytest.raises(ConfigError, match="--json takes no value"):
        await run("status", "--json=yes")
    with pytest.raises(ConfigError, match="takes no text"):
        await run("announce", "text", "--remove")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"servers": 1},
        {"servers": [1, {}, {"age": "x", "id": "\x1b[2J" + "a" * 999}]},
        {"servers": [{"age": float("inf"), "memory": 10**400, "cpu_seconds": -1e300}]},
        {"in_settings": "\x1b[2J" + "a" * 999, "now": float("nan")},
    ],
)
def test_any_answer_makes_a_table(answer: dict[str, Any]) -> None:
    assert all(line.isprintable() for line in tables.servers(answer))
    assert tables.status(answer, "http://x")
    lines = tables.bans(answer | {"bans": [{"since": 1e300, "network": "\x1b[2J"}]})
    assert all(line.isprintable() and len(line) < 200 for line in lines)


class Escapes(RequestHandler):
    """Answers with what moves a terminal's cursor."""

    def prepare(self) -> None:
        escape = "\x1b]0;x\x07"
        self.write({"text": f"one\n{escape}two\r", "stopped": escape, "drained": escape})
        self.finish()


@pytest.mark.parametrize(
    "words", [["announce"], ["drain"], ["ban", "192.0.2.1", "--stop"], ["rollout", "a\x1b[2Jb"]]
)
async def test_no_answer_moves_the_cursor_of_the_terminal(words: list[str]) -> None:
    async with AsyncExitStack() as stack:
        url = Running(1, stack).serve(Application([("/.*", Escapes)]))
        _, lines = await run(*words, f"--admin-url={url}")
        assert all(line.isprintable() for line in lines)
        if words == ["announce"]:
            assert lines == ["one", "\\x1b]0;x\\x07two"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5s"), (600, "10m"), (11_000, "3h 03m"), (200_000, "2d 07h"), (-3, "0s"), (None, "-")],
)
def test_spans_are_short(seconds: float | None, words: str) -> None:
    assert tables.span(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (53_000_000, "53 MB"), (1.5e9, "1.5 GB")]
)
def test_sizes_are_short(count: float, words: str) -> None:
    assert tables.size(count) == words


# The settings of a running service


async def test_doctor_takes_the_settings_of_the_service_and_its_own_flags_before_them() -> None:
    async with AsyncExitStack() as stack:
        service = Tmpnb()
        served = "--spawner=fake --pool-size=7 --image=served:1 --cull-timeout=99 --cull-max=999"
        service.initialize(served.split())
        operating = Operating(settings=service.build().settings)
        site = await started(stack, operating=operating)
        program = Tmpnb()
        program.initialize([f"--admin-port={site.port}", "--image=mine:2", "--pool-size=8"])
        lines: list[str] = []
        await as_served(program, lines.append)
        assert lines == [f"with the settings of the tmpnb at {site.url}, and the flags given here"]
        built = program.build()
        assert (built.policy.capacity, built.policy.max_idle) == (8, 99)
        assert built.spawner.image == "mine:2"
        assert type(built.spawner).__name__ == "FakeSpawner"
        assert str(built.listening.admin_port) == site.port


def let_it_be(monkeypatch: pytest.MonkeyPatch, found: Owner) -> None:
    """Let every port be somebody's."""

    async def owner(_: str) -> Owner:
        return found

    monkeypatch.setattr(admin_port, "owner", owner)


class Asked(RequestHandler):
    """Answers with settings that run a command, and keeps what was sent."""

    seen: list[str | None]

    def initialize(self, seen: list[str | None]) -> None:
        self.seen = seen

    def get(self) -> None:
        self.seen.append(self.request.headers.get("Authorization"))
        told = {"spawner": "local", "state_dir": "/x", "pool_size": 3}
        self.write({"settings": {"Tmpnb": told, "FakeSpawner": {"command": "touch /tmp/x"}}})


@pytest.mark.parametrize(
    ("found", "sent", "said"),
    [
        (Owner.ANOTHER, [], ["another user of this machine listens"]),
        (Owner.UNKNOWN, [None], ["whose it is, is unknown", "other settings: "]),
        (Owner.ELSEWHERE, [f"token {TOKEN}"], ["on another machine", "Tmpnb.pool_size"]),
    ],
)
async def test_doctor_takes_nothing_from_whoever_else_listens(
    found: Owner, sent: list[str | None], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_AUTH_TOKEN", TOKEN)
    let_it_be(monkeypatch, found)
    async with AsyncExitStack() as stack:
        seen: list[str | None] = []
        url = Running(1, stack).serve(Application([("/api/settings", Asked, {"seen": seen})]))
        program = Tmpnb()
        program.initialize([f"--admin-port={url.rpartition(':')[2]}", "--spawner=fake"])
        lines: list[str] = []
        before = program.build().settings
        await as_served(program, lines.append)
        assert program.build().settings == before
        assert seen == sent
        assert len(lines) == len(said)
        assert all(words in line for words, line in zip(said, lines, strict=True))


async def test_who_came_after_the_first_look_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [Owner.OURS, Owner.ANOTHER]

    async def owner(_: str) -> Owner:
        return looks.pop(0)

    monkeypatch.setattr(admin_port, "owner", owner)
    async with AsyncExitStack() as stack:
        url = Running(1, stack).serve(Application([("/api/settings", Asked, {"seen": []})]))
        program = Tmpnb()
        program.initialize([f"--admin-port={url.rpartition(':')[2]}", "--spawner=fake"])
        lines: list[str] = []
        await as_served(program, lines.append)
        [line] = lines
        assert "another user of this machine" in line
        assert program.spawner == "fake"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Owner.ANOTHER, "another user of this machine listens at http://127"),
        (Owner.UNKNOWN, "wants a token, which is not sent"),
    ],
)
async def test_no_command_sends_the_token_to_whoever_else_listens(
    found: Owner, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_AUTH_TOKEN", TOKEN)
    async with AsyncExitStack() as stack:
        site = await started(stack, admin_token=TOKEN)
        assert (await site.run("status"))[0]
        let_it_be(monkeypatch, found)
        with pytest.raises(AdminPortError, match=said):
            await site.run("status")


async def test_without_a_service_the_flags_count() -> None:
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    program = Tmpnb()
    program.initialize([f"--admin-port={number}", "--spawner=fake"])
    await as_served(program, lines.append)
    program.initialize(["--admin-port=0", "--spawner=fake"])
    await as_served(program, lines.append)
    assert lines == []


async def test_a_service_that_does_not_tell_is_named() -> None:
    async with AsyncExitStack() as stack:
        site = await started(stack, admin_token=TOKEN)
        program = Tmpnb()
        program.initialize([f"--admin-port={site.port}", "--spawner=fake"])
        lines: list[str] = []
        await as_served(program, lines.append)
        [line] = lines
        assert "wants a token" in line


def test_settings_are_told_without_secrets() -> None:
    program = Tmpnb()
    program.initialize(["--spawner=docker"])
    docker = program.config.DockerSpawner
    docker.environment = {"PGPASS": "s3cret", "HF": "s3cret"}
    docker.labels = {
        "proxy": "http://me:s3cret@proxy.example",
        "store": "postgres://u:p@s3cret@h/d",
        "logo": "https://a/b?sig=s3cret&x=s3cret",
        "use_tokens": "s3cret",
        "plain": "yes",
    }
    docker.extra_host_config = {"log_config": {"Config": {"splunk-token": "s3cret"}}}
    docker.command = "jupyter lab --NotebookApp.password=argon2:s3cret --token=s3cret --key s3cret"
    told = program.build().settings
    assert "s3cret" not in json.dumps(told)
    shown = told["DockerSpawner"]
    assert shown["environment"] == ["HF", "PGPASS"]
    assert shown["labels"] == {
        "proxy": "http://[redacted]@proxy.example",
        "store": "postgres://[redacted]@h/d",
        "logo": "https://a/b?[redacted]",
        "plain": "yes",
    }
    assert shown["extra_host_config"] == ["log_config"]
    assert shown["command"] == (
        "jupyter lab --NotebookApp.password=[redacted] --token=[redacted] --key [redacted]"
    )
    assert told["Tmpnb"]["use_tokens"] is program.use_tokens


class Plugin(Configurable):
    """A spawner of somebody else."""

    argv = List().tag(config=True)


def test_a_text_that_takes_long_to_look_through_is_not_told() -> None:
    long = "token" * told_settings.LONGEST
    assert told_settings.tell(Plugin(argv=["a", long]))["Plugin"]["argv"] == ["a", "[redacted]"]


def test_a_word_after_a_flag_of_secrets_is_not_told() -> None:
    words = ["--ip=x", "--password", "s3cret", "PGPASSWORD=s3cret", "--token", "'a s3cret'", "b"]
    assert told_settings.tell(Plugin(argv=words)) == {
        "Plugin": {
            "argv": [
                *["--ip=x", "--password", "[redacted]", "PGPASSWORD=[redacted]"],
                *["--token", "[redacted]", "b"],
            ]
        }
    }


def test_the_default_command_is_told_as_it_is() -> None:
    program = Tmpnb()
    program.initialize(["--spawner=docker"])
    program.config.DockerSpawner.command = told = f"{DEFAULT_COMMAND} --App.token={{token}} --x"
    assert program.build().settings["DockerSpawner"]["command"] == told


def test_secrets_that_are_not_told_come_from_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "tmpnb_config.py").write_text(
        "c.DockerSpawner.environment = {'A_TOKEN': 's3cret', 'LANG': 'C'}\n"
    )
    program = Tmpnb()
    program.initialize([])
    docker = {
        "environment": ["A_TOKEN", "MORE\n"],
        "command": "jupyter lab --token=[redacted]",
        "labels": {"a": "b", "c": "http://[redacted]@d"},
    }
    untold = told_settings.take_over(program, {"DockerSpawner": docker})
    assert untold == [
        "DockerSpawner.command (has a secret)",
        "DockerSpawner.environment (MORE\\x0a)",
        "DockerSpawner.labels (has a secret)",
    ]
    spawner: Any = program.build().spawner
    assert spawner.environment == {"A_TOKEN": "s3cret", "LANG": "C"}
    assert spawner.command == DEFAULT_COMMAND
    assert spawner.labels == {"a": "b"}


@pytest.mark.parametrize("told", [{"Tmpnb": {"pool_size": "many"}}, {"Tmpnb": {"pool_size": 0}}])
def test_settings_that_cannot_be_are_one_line(told: dict[str, Any]) -> None:
    program = Tmpnb()
    program.initialize([])
    with pytest.raises(ConfigError, match=r"the running service told: --pool-size"):
        told_settings.take_over(program, told)
    told_settings.take_over(program, {"Elsewhere": {"x": 1}, "Tmpnb": {"unknown": 1}, "x": 3})

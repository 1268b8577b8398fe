"""Ports, state directory, secret key and proxy, as the doctor finds them without an engine."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tornado.web import Application, RequestHandler

from tmpnb.commands.doctor import origin, ports, proxy, state
from tmpnb.commands.doctor.report import Report
from tmpnb.errors import ConfigError
from tmpnb.settings.advice import one_origin
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, Level, ok, warn
from tmpnb.system import signing
from tmpnb.system.http import listen

pytestmark = [
    pytest.mark.gen_test(timeout=30),
    # Tornado leaves the socket that it could not bind to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TOKEN = "a-token-of-this-test"
VARIABLES = ("ENDPOINT", "AUTH_TOKEN", "AUTH_TOKEN_FILE")

Build = Callable[..., Service]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.chdir(tmp_path)
    for name in (*(f"CONFIGPROXY_{n}" for n in VARIABLES), "TMPNB_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)

    def made(*flags: str) -> Service:
        application = Tmpnb()
        engine = () if any(f.startswith("--spawner=") for f in flags) else ("--spawner=fake",)
        application.initialize([*engine, *flags])
        return application.build()

    return made


async def all_of(checks: AsyncGenerator[Finding, None]) -> list[Finding]:
    return [finding async for finding in checks]


# Report


def report() -> tuple[Report, list[str]]:
    lines: list[str] = []
    return Report(lines.append), lines


async def test_each_finding_is_said_before_the_next_is_looked_for() -> None:
    seen: list[int] = []
    made, lines = report()

    async def checks() -> AsyncGenerator[Finding, None]:
        yield ok("one", "is well")
        seen.append(len(lines))
        yield warn("two", "is so so")
        seen.append(len(lines))

    assert [f.topic for f in await made.collect("all", checks(), 5)] == ["one", "two"]
    assert seen == [1, 2]
    assert not made.failed


async def test_an_error_is_a_finding() -> None:
    async def checks() -> AsyncGenerator[Finding, None]:
        yield ok("one", "is well")
        raise ConfigError("--this is wrong; do that")

    made, lines = report()
    await made.collect("all", checks(), 5)
    assert lines[1:] == ["FAIL all      --this is wrong; fix: do that"]
    assert made.failed


async def test_a_silence_is_a_finding_and_what_was_begun_is_undone() -> None:
    undone = []

    async def checks() -> AsyncGenerator[Finding, None]:
        try:
            await asyncio.Event().wait()
            yield ok("never", "said")
        finally:
            undone.append("all")

    made, lines = report()
    await made.collect("slow", checks(), 0.05)
    assert lines[0].startswith("FAIL slow     no answer within 0.05 s")
    assert (made.failed, undone) == (True, ["all"])


# Ports


class Health(RequestHandler):
    def initialize(self, answer: dict[str, object], token: str = "") -> None:
        self.answer, self.token = answer, token

    def get(self) -> None:
        if self.token and self.request.headers.get("Authorization") != f"token {self.token}":
            self.set_status(401)
        self.write(self.answer)


OURS = {"status": "degraded", "last_pass": None, "problems": {}, "more": 1}


@pytest.fixture
def answer() -> dict[str, object]:
    return dict(OURS)


@pytest.fixture
def app(answer: dict[str, object]) -> Application:
    return Application([("/health", Health, {"answer": answer})])


def port_of(base_url: str) -> int:
    return int(base_url.rpartition(":")[2])


async def test_free_ports_are_well(build: Build) -> None:
    service = build("--port=0", "--admin-port=0", "--proxy-port=0", "--proxy-api-port=0")
    findings = await all_of(ports.findings(service, managed=True))
    assert [f.level for f in findings] == [Level.OK] * 4
    assert len(await all_of(ports.findings(service, managed=False))) == 2


async def test_a_port_of_another_program_fails_with_its_flag(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        taken.close()
    with socket.socket() as silent:  # in use, and takes no connection
        silent.bind(("127.0.0.1", number))
        service = build(f"--port={number}", "--admin-port=0")
        first, *_ = await all_of(ports.findings(service, managed=False))
    assert first.level is Level.FAIL
    assert f"--port={number} is in use; by a running tmpnb?" in first.words
    assert "choose another port" in first.mend


@pytest.mark.parametrize("flag", ["port", "admin-port", "proxy-port"])
async def test_a_port_of_a_running_tmpnb_is_a_warning(
    build: Build, http_server: object, base_url: str, flag: str
) -> None:
    free = {"port": 0, "admin-port": 0, "proxy-port": 0, "proxy-api-port": 0}
    flags = [f"--{name}={n}" for name, n in (free | {flag: port_of(base_url)}).items()]
    findings = await all_of(ports.findings(build(*flags), managed=True))
    [taken] = [f for f in findings if f.level is not Level.OK]
    assert taken.level is Level.WARN
    assert f"--{flag}={port_of(base_url)} is in use by a running tmpnb" in taken.words
    assert "degraded" in taken.words


async def test_the_api_port_of_a_running_tmpnbs_proxy_is_a_warning(
    build: Build, http_server: object, base_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as api:
        flags = [f"--proxy-port={port_of(base_url)}", f"--proxy-api-port={api.getsockname()[1]}"]
        service = build("--port=0", "--admin-port=0", *flags)
        findings = await all_of(ports.findings(service, managed=True))
    assert [f.level for f in findings[2:]] == [Level.WARN] * 2


async def test_another_programs_health_is_not_ours(
    build: Build, http_server: object, base_url: str, answer: dict[str, object]
) -> None:
    del answer["problems"]
    service = build(f"--port={port_of(base_url)}", "--admin-port=0")
    assert (await all_of(ports.findings(service, managed=False)))[0].level is Level.FAIL


async def test_the_admin_port_is_asked_with_its_token(
    build: Build, http_server: object, base_url: str, app: Application
) -> None:
    app.add_handlers(".*", [("/health", Health, {"answer": OURS, "token": TOKEN})])
    service = build("--port=0", f"--admin-port={port_of(base_url)}")
    stranger = (await all_of(ports.findings(service, managed=False)))[1]
    knows = replace(service, secrets=Secrets(admin_token=TOKEN))
    friend = (await all_of(ports.findings(knows, managed=False)))[1]
    assert (stranger.level, friend.level) == (Level.FAIL, Level.WARN)


async def test_an_address_of_another_machine_fails(build: Build) -> None:
    service = build("--ip=192.0.2.1", "--port=9", "--admin-port=0")
    first, _ = await all_of(ports.findings(service, managed=False))
    assert first.level is Level.FAIL
    assert "no such address" in first.words


def test_health_is_asked_for_where_it_can_be_reached() -> None:
    assert ports._health("", 80) == "http://127.0.0.1:80/health"
    assert ports._health("::", 80) == "http://[::1]:80/health"
    sockets = listen.bind("port", "::1", 0)
    for one in sockets:
        assert ports._health("::1", one.getsockname()[1]) == f"{listen.url([one])}/health"
        one.close()


# State


def test_a_state_directory_that_can_be_made_is_well_and_not_made(tmp_path: Path) -> None:
    finding = state.state_finding(tmp_path / "a" / "b")
    assert finding.level is Level.OK
    assert "can be made" in finding.words
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    assert "is writable" in state.state_finding(tmp_path).words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deep/down"])
async def test_a_file_in_the_place_of_the_state_directory_fails(
    build: Build, tmp_path: Path, below: str
) -> None:
    place = tmp_path / "state"
    place.write_text("")
    service = build(f"--state-dir={place / below}")
    first, key = await all_of(state.findings(service))
    assert first.level is Level.FAIL
    assert f"--state-dir={place}" in first.words
    assert key.level is Level.SKIP


def test_the_key_is_where_the_service_keeps_it(tmp_path: Path) -> None:
    assert "will be made" in state.key_finding(tmp_path, None).words
    signing.load_key(tmp_path, None)
    assert state.key_finding(tmp_path, None).level is Level.OK
    assert "this user alone" in state.key_finding(tmp_path, None).words


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_fails(tmp_path: Path, mode: int) -> None:
    signing.load_key(tmp_path, None)
    file = tmp_path / state.KEY_FILE
    file.chmod(mode)
    finding = state.key_finding(tmp_path, None)
    assert finding.level is Level.FAIL
    assert finding.mend.startswith(f"chmod 600 {file}")


def test_a_key_that_is_none_fails(tmp_path: Path) -> None:
    (tmp_path / state.KEY_FILE).write_text("short")
    assert "holds no secret" in state.key_finding(tmp_path, None).words
    assert state.key_finding(tmp_path, "short").level is Level.FAIL


async def test_a_key_in_the_environment_needs_no_directory(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("")
    monkeypatch.setenv("TMPNB_SECRET_KEY", "0123456789abcdef")
    _, key = await all_of(state.findings(build(f"--state-dir={tmp_path / 'state'}")))
    assert (key.level, key.words) == (Level.OK, "TMPNB_SECRET_KEY is set")


# Proxy


async def proxy_findings(service: Service) -> dict[str, Finding]:
    return {f.topic: f for f in await all_of(proxy.findings(service))}


async def test_a_program_that_is_there_says_its_version(build: Build) -> None:
    findings = await proxy_findings(build(f"--proxy-command={sys.executable}"))
    assert [f.level for f in findings.values()] == [Level.OK] * 3
    assert f"version Python {sys.version_info.major}." in findings["proxy"].words


async def test_a_program_that_is_not_there_fails_with_how_to_get_it(build: Build) -> None:
    finding = (await proxy_findings(build("--proxy-command=no-such-proxy")))["proxy"]
    assert finding.level is Level.FAIL
    assert "npm install -g configurable-http-proxy" in finding.mend


@pytest.mark.parametrize(
    ("script", "level", "words"),
    [
        ("#!/no/such/interpreter", Level.FAIL, "cannot be run"),
        ("#!/bin/sh\necho no node here >&2; exit 127", Level.FAIL, "no node here"),
        ("#!/bin/sh\necho unknown option; exit 2", Level.WARN, "unknown option"),
        ("#!/bin/sh\nexec sleep 600", Level.WARN, "does not say its version within"),
    ],
)
async def test_a_program_that_does_not_run_is_told(
    build: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    level: Level,
    words: str,
) -> None:
    monkeypatch.setattr(proxy, "VERSION", 0.5 if "sleep" in script else 10.0)
    program = tmp_path / "proxy"
    program.write_text(script)
    program.chmod(0o755)
    finding = (await proxy_findings(build(f"--proxy-command={program}")))["proxy"]
    assert finding.level is level
    assert words in finding.words


def test_open_files_are_held_against_the_capacity() -> None:
    assert proxy.files_finding(1024, 10).level is Level.OK
    assert proxy.files_finding(64, 10).level is Level.FAIL
    assert "ulimit" in proxy.files_finding(64, 10).mend
    assert proxy.other_files_finding(1024, 10).level is Level.OK
    assert proxy.other_files_finding(64, 10).level is Level.WARN


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> str:
    url = f"http://127.0.0.1:{unused_port}"
    monkeypatch.setenv("CONFIGPROXY_ENDPOINT", url)
    return url


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Api(RequestHandler):
    """The proxy's API; without a token it lets in anybody."""

    def initialize(self, token: str) -> None:
        self.token = token

    def get(self) -> None:
        given = self.request.headers.get("Authorization")
        if self.token and given != f"token {self.token}":
            self.set_status(403)
        self.write({})


@pytest.fixture
def api(http_server: object, app: Application, base_url: str) -> Iterator[Callable[[str], str]]:
    def serve(token: str) -> str:
        app.add_handlers(".*", [("/api/routes", Api, {"token": token})])
        return base_url

    return serve


@pytest.mark.parametrize(
    ("its", "ours", "level", "words"),
    [
        (TOKEN, TOKEN, Level.OK, "takes our token and no other"),
        (TOKEN, "another", Level.FAIL, "refused our token"),
        ("", TOKEN, Level.WARN, "asks for no token"),
    ],
)
async def test_the_token_of_a_running_proxy_is_right_or_wrong(
    build: Build,
    api: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    its: str,
    ours: str,
    level: Level,
    words: str,
) -> None:
    monkeypatch.setenv("CONFIGPROXY_ENDPOINT", api(its))
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", ours)
    findings = await proxy_findings(build())
    assert findings["token"].level is Level.OK
    assert findings["proxy"].level is level
    assert words in findings["proxy"].words
    assert ours not in "\n".join(f.line() for f in findings.values())


async def test_a_proxy_that_does_not_run_fails(
    build: Build, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", TOKEN)
    finding = (await proxy_findings(build()))["proxy"]
    assert finding.level is Level.FAIL
    assert endpoint in finding.words
    assert "CONFIGPROXY_ENDPOINT" in finding.mend


async def test_a_running_proxy_without_our_token_fails(build: Build, endpoint: str) -> None:
    findings = await proxy_findings(build())
    assert findings["token"].level is Level.FAIL
    assert "CONFIGPROXY_AUTH_TOKEN is not" in findings["token"].words
    assert findings["proxy"].level is Level.SKIP


async def test_a_token_file_is_read_and_never_made(
    build: Build, api: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("CONFIGPROXY_ENDPOINT", api(TOKEN))
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN_FILE", str(file))
    before = await proxy_findings(build())
    assert [before[t].level for t in ("token", "proxy")] == [Level.WARN, Level.SKIP]
    assert not file.exists()
    file.write_text(f"{TOKEN}\n")
    after = await proxy_findings(build())
    assert [after[t].level for t in ("token", "proxy")] == [Level.OK, Level.OK]


# One origin for all


@pytest.mark.parametrize(
    "flags",
    [
        ["--public-url=https://nb.example"],
        ["--ip=0.0.0.0"],
        ["--proxy-ip=0.0.0.0"],
        ["--proxy-ip="],
        ["--public-url=http://127.0.0.1:8000", "--ip=::"],
    ],
)
def test_a_public_service_with_one_origin_is_warned_of(build: Build, flags: list[str]) -> None:
    found = origin.origin_finding(build(*flags))
    assert "the service is public" in found.words
    assert found.level is Level.WARN
    assert "--subdomains=" in found.mend
    assert "\n" not in found.line()
    said = one_origin.advice(build(*flags))
    assert "--subdomains=" in said


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--public-url=http://localhost:8000"],
        ["--public-url=http://nb.localhost"],
        ["--ip=127.0.0.1", "--proxy-ip=::1"],
        ["--proxy-ip=0.0.0.0", "--subdomains=nb.example"],
        ["--public-url=http://LocalHost.:8000"],
    ],
)
def test_a_service_of_this_machine_or_with_subdomains_is_not(
    build: Build, flags: list[str]
) -> None:
    assert origin.origin_finding(build(*flags)).level is Level.OK
    assert one_origin.advice(build(*flags)) == ""


RUNNING = [
    {"CONFIGPROXY_ENDPOINT": "http://127.0.0.1:8001", "CONFIGPROXY_AUTH_TOKEN": TOKEN},
    {"CONFIGPROXY_ENDPOINT": "http://10.0.0.2:8001", "CONFIGPROXY_AUTH_TOKEN": TOKEN},
    {"CONFIGPROXY_AUTH_TOKEN": TOKEN},
    {"CONFIGPROXY_AUTH_TOKEN_FILE": "token-that-is-not-there-yet"},
]


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("variables", RUNNING)
def test_a_proxy_that_is_not_ours_may_be_public(
    build: Build, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_all(monkeypatch, variables)
    found = origin.origin_finding(build())
    assert found.level is Level.WARN
    assert "if others than this machine's users reach it" in found.words
    assert "--subdomains=" in found.mend
    assert "if others than" in one_origin.advice(build())
    assert "the service is public" in one_origin.advice(build("--public-url=https://nb.example"))
    assert origin.origin_finding(build("--subdomains=nb.example")).level is Level.OK


@pytest.mark.parametrize(
    ("variables", "proven"), list(zip(RUNNING, [True, False, True, True], strict=True))
)
def test_only_both_addresses_prove_that_it_is_not(
    build: Build, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proven: bool
) -> None:
    set_all(monkeypatch, variables)
    found = origin.origin_finding(build("--public-url=http://localhost:8000"))
    assert (found.level is Level.OK) is proven
    assert ("for visitors of this machine alone" in found.words) is proven


def test_a_front_server_that_nobody_has_told_of_is_thought_of(build: Build) -> None:
    found = origin.origin_finding(build())
    assert "for visitors of this machine alone" not in found.words
    assert "if a front server on it leads others here, set --public-url" in found.words


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ([], Level.WARN),
        (["--ip=0.0.0.0", "--proxy-ip=0.0.0.0"], Level.WARN),
        (["--spawner=local"], Level.OK),
        (["--public-url=https://nb.example"], Level.OK),
        (["--subdomains=nb.example"], Level.OK),
        (["--public-hosts=nb.example"], Level.OK),
    ],
)
async def test_names_that_a_page_may_have_are_warned_of(
    build: Build, flags: list[str], level: Level
) -> None:
    _, found = await all_of(origin.findings(build(*flags)))
    assert (found.topic, found.level) == ("names", level)
    assert "\n" not in found.line()
    assert ("--public-url=" in found.mend) is (level is Level.WARN)

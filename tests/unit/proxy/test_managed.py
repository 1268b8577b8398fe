"""The proxy as a child: it starts, comes back, ends, and says clearly why it does not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port

from tests.support.engines.contract import wait_until
from tests.support.fake_proxy import STAND_IN
from tests.support.requirements import chp
from tmpnb.errors import ConfigError, ProxyError, UnreachableError
from tmpnb.proxy import managed
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.proxy.managed import ManagedProxy, ManagedProxySettings
from tmpnb.system import process
from tmpnb.system.backoff import Backoff
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.process import Process

pytestmark = pytest.mark.gen_test(timeout=60)

TOKEN = "a-token-of-this-test"
STUB = (sys.executable, "-c", STAND_IN)

# Started and killed by a test: an orchestrator that leaves its proxy behind.
ORCHESTRATOR = """
import asyncio, sys
from pathlib import Path
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.proxy.managed import ManagedProxy, ManagedProxySettings
*command, port, api_port, state_dir = sys.argv[1:]
settings = ManagedProxySettings(
    command=command, ip="127.0.0.1", port=int(port), api_port=int(api_port),
    token="a-token-of-this-test", state_dir=Path(state_dir),
)
async def main():
    proxy = ManagedProxy(settings, Client(MAX_ANSWER), lambda: None, lambda _: None)
    await proxy.start()
    print("started", flush=True)
    await proxy.run()
asyncio.run(main())
"""

# Makes a proxy that is not started yet; a keyword replaces a setting.
NewProxy = Callable[..., ManagedProxy]


class Restarts:
    """Counts how often the proxy came back."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def free_port() -> int:
    sock, port = bind_unused_port()
    sock.close()
    return port


def child_of(settings: ManagedProxySettings) -> Process:
    """Return the proxy's process, as its record has it."""
    return Process(**json.loads((settings.state_dir / "proxy.json").read_text())["child"])


@pytest.fixture
def settings(tmp_path: Path) -> ManagedProxySettings:
    return ManagedProxySettings(
        command=STUB,
        ip="127.0.0.1",
        port=free_port(),
        api_port=free_port(),
        token=TOKEN,
        state_dir=tmp_path / "state",
    )


@pytest.fixture(params=["stand-in", pytest.param("chp", marks=pytest.mark.chp)])
def command(request: pytest.FixtureRequest) -> Sequence[str]:
    return STUB if request.param == "stand-in" else [chp()]


@pytest.fixture
def restarts() -> Restarts:
    return Restarts()


@pytest.fixture
def told() -> list[str]:
    """What proxies of `new_proxy` said of the state directory, beginning with the last change."""
    return [""]


@pytest.fixture
def new_proxy(
    settings: ManagedProxySettings, restarts: Restarts, told: list[str], io_loop: IOLoop
) -> Iterator[NewProxy]:
    made: list[ManagedProxy] = []

    def tell(words: str) -> None:
        if words != told[0]:
            told.insert(0, words)

    def make(**changes: object) -> ManagedProxy:
        changed = replace(settings, **changes)  # type: ignore[arg-type]  # the fields' own types
        backoff = Backoff(random_factor=lambda: 0.0)
        made.append(ManagedProxy(changed, Client(MAX_ANSWER), restarts, tell, backoff))
        return made[-1]

    async def close_all() -> None:
        for proxy in made:
            await proxy.close()

    yield make
    io_loop.run_sync(close_all, timeout=30)


async def test_it_serves_once_started_and_leaves_nothing_behind(
    new_proxy: NewProxy, settings: ManagedProxySettings, command: Sequence[str]
) -> None:
    proxy = new_proxy(command=command)
    await proxy.start()
    await ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb").setup()
    child = child_of(settings)
    assert process.is_running(child)

    await proxy.close()
    assert not process.is_running(child)
    assert list(settings.state_dir.iterdir()) == []
    with pytest.raises(ProxyError):
        await ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb").setup()


async def test_it_comes_back_when_it_dies_and_says_so(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    command: Sequence[str],
    restarts: Restarts,
) -> None:
    proxy = new_proxy(command=command)
    await proxy.start()
    running = asyncio.ensure_future(proxy.run())

    async def is_back() -> bool:
        return restarts.count > before

    for before in (0, 1):
        process.send(child_of(settings), signal.SIGKILL)
        await wait_until(is_back, f"the proxy is back after {before} times")
    await ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb").setup()
    assert not running.done()

    last = child_of(settings)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not process.is_running(last)


async def test_one_that_hangs_is_ended_and_started_again(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    command: Sequence[str],
    restarts: Restarts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(managed, "SILENCE", 1.2)
    monkeypatch.setattr(managed, "GRACE", 0.1)
    proxy = new_proxy(command=command)
    await proxy.start()
    hanging = child_of(settings)
    running = asyncio.ensure_future(proxy.run())
    process.send(hanging, signal.SIGSTOP)

    async def is_back() -> bool:
        return restarts.count > 0

    await wait_until(is_back, "another one serves")
    assert not process.is_running(hanging)
    await ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb").setup()
    assert caplog.text.count("has not answered for 1.2 s") == 1
    await cancelled(running)


class Deaf(Client):
    """Misses all answers but each sixth, as an orchestrator does that stood still for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def fetch(self, url: str, **options: Any) -> HTTPResponse:
        self.asked += 1
        if self.asked % managed.QUESTIONS:
            raise UnreachableError("deaf")
        return await super().fetch(url, **options | {"timeout": 20.0})  # however busy we are


async def test_one_that_answers_now_and_then_is_left_alone(
    settings: ManagedProxySettings, restarts: Restarts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "SILENCE", 0.06)
    client = Deaf()
    running = asyncio.ensure_future(ManagedProxy(settings, client, restarts, print).run())

    async def was_asked_often() -> bool:
        return client.asked > 5 * managed.QUESTIONS

    await wait_until(was_asked_often, "many questions")
    assert restarts.count == 0
    await cancelled(running)


async def test_a_record_that_cannot_be_written_keeps_it_down_no_longer_and_is_written_later(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    restarts: Restarts,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(managed, "SILENCE", 1.2)
    proxy = new_proxy()
    await proxy.start()
    running = asyncio.ensure_future(proxy.run())
    record, moved = settings.state_dir / "proxy.json", settings.state_dir.with_name("moved")
    child = child_of(settings)
    settings.state_dir.rename(moved)
    settings.state_dir.write_text("in the way")
    process.send(child, signal.SIGKILL)

    async def is_back() -> bool:
        return restarts.count > 0

    await wait_until(is_back, "it is back")
    assert told[0].startswith(f"--state-dir: cannot write {record}: ")
    settings.state_dir.unlink()
    moved.rename(settings.state_dir)

    async def is_written() -> bool:
        return record.exists() and child_of(settings) != child

    await wait_until(is_written, "the record is written")
    assert process.is_running(child_of(settings))
    assert told[0] == "", "it is told that all is well again"
    await cancelled(running)


async def cancelled(running: asyncio.Future[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_run_starts_it_as_well(new_proxy: NewProxy, settings: ManagedProxySettings) -> None:
    running = asyncio.ensure_future(new_proxy().run())
    api = ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb")

    async def answers() -> bool:
        with suppress(ProxyError):
            await api.setup()
            return True
        return False

    await wait_until(answers, "the API answers")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not await answers()


async def test_cancelled_while_it_starts_it_leaves_nothing_behind(
    new_proxy: NewProxy, settings: ManagedProxySettings
) -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    starting = asyncio.ensure_future(new_proxy(command=silent).start())

    async def is_born() -> bool:
        return (settings.state_dir / "proxy.json").exists()

    await wait_until(is_born, "the child is born")
    child = child_of(settings)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not process.is_running(child)


async def test_one_that_ignores_the_polite_signal_is_killed(
    new_proxy: NewProxy, settings: ManagedProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "GRACE", 0.1)
    proxy = new_proxy(command=(*STUB, "--stubborn"))
    await proxy.start()
    child = child_of(settings)
    await proxy.close()
    assert not process.is_running(child)


async def test_the_token_goes_by_environment_alone(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ADMIN_AUTH_TOKEN", "not-for-the-proxy")
    caplog.set_level(logging.DEBUG)
    proxy = new_proxy()
    await proxy.start()
    about = Path("/proc", str(child_of(settings).pid))
    assert TOKEN.encode() not in (about / "cmdline").read_bytes()
    environment = (about / "environ").read_bytes().split(b"\0")
    assert f"CONFIGPROXY_AUTH_TOKEN={TOKEN}".encode() in environment
    assert not any(entry.startswith(b"ADMIN_AUTH_TOKEN") for entry in environment)
    assert TOKEN not in repr(settings)

    await proxy.close()
    assert "proxy: request with [redacted]" in caplog.messages
    assert TOKEN not in caplog.text


async def test_its_errors_are_warnings_of_ours_and_the_rest_is_for_debugging(
    new_proxy: NewProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = new_proxy(command=(*STUB, "--say=\x1b[31merror\x1b[39m: of paint\nall is well"))
    await proxy.start()
    await proxy.close()
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels["proxy: error: of paint"] == logging.WARNING
    assert levels["proxy: all is well"] == logging.DEBUG


async def test_a_missing_program_is_explained_in_one_line(new_proxy: NewProxy) -> None:
    with pytest.raises(ConfigError) as caught:
        await new_proxy(command=["no-such-proxy"]).start()
    message = str(caught.value)
    assert "no-such-proxy" in message
    assert "npm install -g configurable-http-proxy" in message
    assert "CONFIGPROXY_ENDPOINT and CONFIGPROXY_AUTH_TOKEN" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "flag"), [("port", "--proxy-port"), ("api_port", "--proxy-api-port")]
)
async def test_a_port_in_use_is_named_with_its_flag(
    new_proxy: NewProxy, command: Sequence[str], field: str, flag: str
) -> None:
    sock, port = bind_unused_port()
    try:
        with pytest.raises(ConfigError, match=rf"^{flag}={port} is in use.*\S$"):
            await new_proxy(command=command, **{field: port}).start()
    finally:
        sock.close()


@pytest.mark.chp
async def test_an_address_the_real_proxy_cannot_listen_at_is_an_error_although_it_goes_on(
    new_proxy: NewProxy, settings: ManagedProxySettings
) -> None:
    with pytest.raises(ConfigError, match=rf"^--proxy-port={settings.port}: .*EADDRNOTAVAIL"):
        await new_proxy(command=[chp()], ip="192.0.2.1").start()
    assert list(settings.state_dir.iterdir()) == []


@pytest.mark.chp
@pytest.mark.parametrize(
    ("version", "end"), [("1.1", asyncio.IncompleteReadError), ("1.0", ConnectionResetError)]
)
async def test_an_answer_that_breaks_off_breaks_off_for_the_visitor_too(
    new_proxy: NewProxy, settings: ManagedProxySettings, version: str, end: type[Exception]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()
        await half_came.wait()
        writer.close()

    half_came = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await new_proxy(command=[chp()], default_target=target).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.port)
    try:
        writer.write(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"half")
        half_came.set()
        with pytest.raises(end):
            await reader.readuntil(b"0\r\n\r\n")
    finally:
        writer.close()
        server.close()


async def test_a_proxy_that_cannot_listen_is_ended_although_it_goes_on(
    new_proxy: NewProxy, settings: ManagedProxySettings
) -> None:
    words = f"error: listen EACCES: permission denied 127.0.0.1:{settings.port}"
    with pytest.raises(ConfigError, match=rf"^--proxy-port={settings.port}: .*EACCES"):
        await new_proxy(command=(*STUB, f"--say={words}")).start()


async def test_a_proxy_that_ends_at_once_has_its_last_words_told(new_proxy: NewProxy) -> None:
    command = (*STUB, "--say=no such option\nread the manual", "--exit=3")
    with pytest.raises(ConfigError, match=r"code 3: no such option \| read the manual$"):
        await new_proxy(command=command).start()


async def test_a_proxy_whose_api_alone_answers_is_given_up(
    new_proxy: NewProxy, settings: ManagedProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "BOOT", 2.0)
    with pytest.raises(ConfigError, match=rf"does not serve 2 s .*{settings.port}"):
        await new_proxy(command=(*STUB, "--say=I do not listen")).start()


async def test_a_proxy_that_never_answers_is_given_up(
    new_proxy: NewProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed, "BOOT", 0.2)
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    with pytest.raises(ConfigError, match="does not serve"):
        await new_proxy(command=silent).start()


@pytest.fixture
def other_orchestrator(
    settings: ManagedProxySettings, command: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [*command, settings.port, settings.api_port, settings.state_dir]
    other = subprocess.Popen(  # noqa: S603 - this project's own code
        [sys.executable, "-c", ORCHESTRATOR, *map(str, arguments)], stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"started\n"
    theirs = child_of(settings)
    yield other
    other.kill()
    other.wait()
    other.stdout.close()
    process.send(theirs, signal.SIGKILL)


async def test_what_a_killed_orchestrator_left_is_ended_and_replaced(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    command: Sequence[str],
    other_orchestrator: subprocess.Popen[bytes],
) -> None:
    other_orchestrator.kill()
    other_orchestrator.wait()
    left = child_of(settings)
    assert process.is_running(left)

    await new_proxy(command=command).start()
    assert not process.is_running(left)
    assert child_of(settings) != left
    await ConfigurableHTTPProxy(Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb").setup()


async def test_the_proxy_of_a_living_orchestrator_is_left_alone(
    new_proxy: NewProxy,
    settings: ManagedProxySettings,
    other_orchestrator: subprocess.Popen[bytes],
) -> None:
    theirs = child_of(settings)
    with pytest.raises(ConfigError, match=rf"process {other_orchestrator.pid}.*--state-dir="):
        await new_proxy().start()
    assert process.is_running(theirs)


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)  # noqa: S607
    yield bystander
    bystander.kill()
    bystander.wait()


async def test_a_pid_that_is_used_again_is_never_touched(
    new_proxy: NewProxy, settings: ManagedProxySettings, innocent: subprocess.Popen[bytes]
) -> None:
    now = process.find(innocent.pid)
    assert now is not None
    settings.state_dir.mkdir()
    past = {
        "owner": asdict(Process(os.getpid(), "an earlier boot/1")),
        "child": asdict(replace(now, born="an earlier boot/2")),
    }
    (settings.state_dir / "proxy.json").write_text(json.dumps(past))
    await new_proxy().start()
    assert innocent.poll() is None


@pytest.mark.parametrize("text", ["", "[]", '{"owner": 1}', "\x00"])
async def test_a_broken_record_is_no_obstacle(
    new_proxy: NewProxy, settings: ManagedProxySettings, text: str
) -> None:
    settings.state_dir.mkdir()
    (settings.state_dir / "proxy.json").write_text(text)
    await new_proxy().start()
    assert process.is_running(child_of(settings))


async def test_a_state_directory_that_cannot_be_written_is_named(
    new_proxy: NewProxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^--state-dir: cannot"):
        await new_proxy(state_dir=tmp_path / "file").start()

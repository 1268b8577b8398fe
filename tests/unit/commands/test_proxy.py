"""`tmpnb proxy`: what takes its place, with which words and variables, and what is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tornado.testing import bind_unused_port

from tmpnb.commands.proxy import become_the_proxy
from tmpnb.errors import ConfigError
from tmpnb.proxy.managed import SCRIPTS
from tmpnb.settings.application import Tmpnb

TOKEN = "a-token-of-this-test"
Became = tuple[str, list[str], dict[str, str]]


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CONFIGPROXY_", "TMPNB_", "ADMIN_", "API_", "NODE_OPTIONS")):
            monkeypatch.delenv(name)


def became(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], *flags: str) -> Became:
    """Return what the process would become."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    application = Tmpnb()
    application.initialize(["--spawner=fake", f"--proxy-command={sys.executable} x", *flags])
    found: list[Became] = []
    become_the_proxy(application.build(), lambda *said: found.append(said))
    return found[0]


def free_port() -> int:
    sock, port = bind_unused_port()
    sock.close()
    return port


def test_it_is_the_proxy_that_tmpnb_would_start(monkeypatch: pytest.MonkeyPatch) -> None:
    port, api_port = free_port(), free_port()
    secrets = {"CONFIGPROXY_AUTH_TOKEN": TOKEN, "TMPNB_SECRET_KEY": "k" * 32}
    ports = f"--proxy-port={port}", f"--proxy-api-port={api_port}"
    program, words, variables = became(
        monkeypatch, secrets, *ports, "--port=9001", "--subdomains=nb.example"
    )
    assert (program, words[:2]) == (sys.executable, [sys.executable, "x"])
    assert set(words[2:]) == {
        "--ip=127.0.0.1",
        f"--port={port}",
        "--api-ip=127.0.0.1",
        f"--api-port={api_port}",
        "--default-target=http://127.0.0.1:9001",
        "--error-target=http://127.0.0.1:9001/proxy-error",
        "--host-routing",
    }
    assert variables["CONFIGPROXY_AUTH_TOKEN"] == TOKEN
    assert "TMPNB_SECRET_KEY" not in variables
    assert all(str(script) in variables["NODE_OPTIONS"] for script in SCRIPTS)


@pytest.mark.parametrize(("ip", "target"), [("::", "[::1]"), ("", "127.0.0.1"), ("::1", "[::1]")])
def test_it_finds_the_orchestrator_wherever_that_listens(
    ip: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = f"--proxy-port={free_port()}", f"--proxy-api-port={free_port()}"
    _, words, _ = became(monkeypatch, {"CONFIGPROXY_AUTH_TOKEN": TOKEN}, f"--ip={ip}", *ports)
    assert f"--default-target=http://{target}:9999" in words


def test_the_file_with_the_token_is_made_by_who_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    ports = f"--proxy-port={free_port()}", f"--proxy-api-port={free_port()}"
    for _ in range(2):
        named = {"CONFIGPROXY_AUTH_TOKEN_FILE": str(file)}
        _, _, variables = became(monkeypatch, named, *ports)
        assert variables["CONFIGPROXY_AUTH_TOKEN"] == file.read_text().strip()


def test_without_a_token_or_a_port_of_the_orchestrator_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="set CONFIGPROXY_AUTH_TOKEN_FILE for both"):
        became(monkeypatch, {})
    with pytest.raises(ConfigError, match="--port=0"):
        became(monkeypatch, {"CONFIGPROXY_AUTH_TOKEN": TOKEN}, "--port=0")


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, port = bind_unused_port()
    with taken, pytest.raises(ConfigError, match=f"--proxy-port={port} is in use"):
        became(monkeypatch, {"CONFIGPROXY_AUTH_TOKEN": TOKEN}, f"--proxy-port={port}")


def test_a_proxy_that_is_not_there_is_told_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", TOKEN)
    application = Tmpnb()
    ports = f"--proxy-port={free_port()}", f"--proxy-api-port={free_port()}"
    application.initialize(["--spawner=fake", "--proxy-command=/no/such/proxy", *ports])
    with pytest.raises(ConfigError, match="npm install -g configurable-http-proxy"):
        become_the_proxy(application.build())

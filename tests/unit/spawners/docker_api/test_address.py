"""Which engine the environment names; what cannot work is one clear line."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, StandIn
from tests.support.fed_pipe import fed_pipe
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.base import PoolIdentity
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.docker_api import connection
from tmpnb.spawners.docker_api.address import environment, shown, unfollowed
from tmpnb.spawners.finding import Level

ROOTLESS = "unix:///run/user/1000/docker.sock"


@pytest.fixture(autouse=True)
def configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HOST", "CONTEXT", "TLS_VERIFY", "CERT_PATH"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setattr(connection, "FIRST_ANSWER", 1.0)
    return folder


@pytest.fixture
def engine() -> Iterator[StandIn]:
    found = Engine()
    yield found.state
    found.close()


def add_context(folder: Path, name: str, host: object = ROOTLESS) -> None:
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    about = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (meta / "meta.json").write_text(json.dumps(about))


def reach() -> None:
    connection.connect("auto", timeout=1.0, connections=1, assert_hostname=True).close()


def refusal() -> str:
    with pytest.raises((ConfigError, SpawnerError)) as refused:
        reach()
    words = str(refused.value)
    assert "\n" not in words
    return words


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("ssh://me@host", "engines cannot be reached over ssh; forward the socket"),
        ("ssh://host:22", "engines cannot be reached over ssh; forward the socket"),
        ("npipe:////./pipe/docker_engine", "named pipes exist only on Windows"),
        ("http://127.0.0.1", "port is required"),
        ("https://host", "port is required"),
        ("tcp://host:99999", "Port out of range"),
        ("tcp://host:x", "Port could not be cast"),
        ("tcp://[::1", "Invalid IPv6 URL"),
        ("/var/run/docker.sock", "write for example unix:///var/run/docker.sock"),
        ("unix://relative.sock", "not an absolute path"),
        ("unix:relative.sock", "not an absolute path"),
        ("fd://3", "fd protocol"),
    ],
)
def test_an_address_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    words = refusal()
    assert words.startswith(f"DOCKER_HOST={shown(host)}: ")
    assert said in words


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_path_that_is_no_socket_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "docker.sock"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "file").write_text("")
        path.symlink_to("file")
    else:
        path.write_text("")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert "not a socket" in refusal()


def test_a_link_to_a_socket_is_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "real"))
        (tmp_path / "link").symlink_to("real")
        monkeypatch.setenv("DOCKER_HOST", f" unix://{tmp_path}/link ")
        assert environment() == {"base_url": f"unix://{tmp_path}/link"}


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:s3cr3t@host:1")
    assert "s3cr3t" not in refusal()


def test_a_context_asked_for_by_name_is_refused_with_its_address(
    monkeypatch: pytest.MonkeyPatch, configuration: Path
) -> None:
    add_context(configuration, "rootless")
    monkeypatch.setenv("DOCKER_CONTEXT", "rootless")
    assert refusal() == (
        "DOCKER_CONTEXT=rootless: contexts are not supported; set "
        f"DOCKER_HOST={ROOTLESS}, and unset DOCKER_CONTEXT"
    )
    monkeypatch.setenv("DOCKER_CONTEXT", "absent")
    assert "docker context inspect" in refusal()
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert environment() == {}


@pytest.mark.parametrize("host", [None, 7, [], {"a": 1}])
def test_a_context_of_odd_shape_is_named_all_the_same(
    monkeypatch: pytest.MonkeyPatch, configuration: Path, host: object
) -> None:
    add_context(configuration, "odd", host)
    monkeypatch.setenv("DOCKER_CONTEXT", "odd")
    assert "contexts are not supported" in refusal()


def test_a_context_of_the_configuration_is_told_of_where_it_matters(
    monkeypatch: pytest.MonkeyPatch, configuration: Path
) -> None:
    add_context(configuration, "rootless")
    (configuration / "config.json").write_text('{"currentContext": "rootless"}')
    said = f"the docker context rootless is not supported; set DOCKER_HOST={ROOTLESS}"
    assert unfollowed() == said
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert unfollowed() == "", "as for Docker's own program"
    monkeypatch.setenv("DOCKER_CONTEXT", "rootless")
    assert "DOCKER_HOST overrides DOCKER_CONTEXT=rootless" in unfollowed()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 7}', "[" * 100_000])
def test_a_configuration_that_cannot_be_read_names_no_context(
    configuration: Path, text: str
) -> None:
    (configuration / "config.json").write_text(text)
    assert unfollowed() == ""


def test_what_the_client_trips_over_is_one_line(
    monkeypatch: pytest.MonkeyPatch, configuration: Path
) -> None:
    (configuration / "config.json").write_text("[]")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    words = refusal()
    assert "the Docker client cannot be set up" in words
    assert "config.json" in words


def test_it_is_said_at_the_start_and_by_doctor(
    monkeypatch: pytest.MonkeyPatch,
    engine: StandIn,
    caplog: pytest.LogCaptureFixture,
    io_loop: IOLoop,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    engine.rule("GET /info", lambda: (200, {}))

    async def look() -> None:
        spawner = DockerSpawner()
        spawner.pool = PoolIdentity("pool")
        found = [f async for f in spawner.examination().findings(1)]
        assert [f.level for f in found if f.topic == "context"] == [Level.WARN]
        await spawner.setup()
        await spawner.close()

    io_loop.run_sync(look)
    assert caplog.text.count("DOCKER_HOST overrides DOCKER_CONTEXT=elsewhere") == 1


@pytest.mark.parametrize("said", ["0", "false", "No"])
def test_no_is_yes_to_docker_which_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", said)
    assert f"DOCKER_TLS_VERIFY={said} means yes" in refusal()


def test_certificates_that_are_none_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert refusal().startswith("DOCKER_CERT_PATH: ca.pem, or cert.pem with key.pem, of ")


def test_a_pipe_in_the_place_of_a_certificate_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with fed_pipe(tmp_path / "ca.pem"):
        assert "not a plain file" in refusal()

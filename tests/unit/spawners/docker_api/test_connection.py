"""Reaching an engine: what is said when there is none, or when a setting cannot work."""

from __future__ import annotations

import gc
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.docker_stand_in import Engine, StandIn
from tests.support.requirements import missing
from tmpnb.errors import ConfigError, SpawnerError, TmpnbError
from tmpnb.spawners.docker_api import connection
from tmpnb.spawners.docker_api.connection import about, connect, has_image, pull

NOBODY = 65534  # a user without rights


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "TLS_VERIFY", "CERT_PATH"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # the engine is reached without
    monkeypatch.setattr(connection, "FIRST_ANSWER", 1.0)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    engine = Engine()
    monkeypatch.setenv("DOCKER_HOST", engine.state.url)
    yield engine.state
    engine.close()


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[docker.APIClient]:
    made = reach()
    yield made
    made.close()


def reach(version: str = "auto", *, assert_hostname: bool = True) -> docker.APIClient:
    return connect(version, timeout=5.0, connections=3, assert_hostname=assert_hostname)


def refusal(call: Callable[[], object], kind: type[TmpnbError] = SpawnerError) -> str:
    """Return the one line a call is refused with."""
    with warnings.catch_warnings():
        # docker-py leaves a unix socket open that it could not connect.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(kind) as refused:
            call()
        text = str(refused.value)
        del refused
        gc.collect()
    assert "\n" not in text
    return text


def test_an_engine_that_answers_gives_its_own_version(client: docker.APIClient) -> None:
    assert client.api_version == "1.41"
    assert client.timeout == 5.0


def test_a_missing_socket_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert refusal(reach) == (
        f"cannot reach Docker at unix://{tmp_path}/none.sock: there is no such socket;"
        " start Docker, set DOCKER_HOST, or try --spawner=local"
    )


def test_a_missing_socket_of_podman_is_podmans_to_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/podman.sock")
    assert refusal(reach).endswith(
        "no such socket; start podman.socket by systemctl, or set DOCKER_HOST"
    )


def test_a_port_nobody_listens_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("DOCKER_HOST", address)
    assert f"{address}: nothing listens there; start Docker" in refusal(reach)


def test_a_socket_that_may_not_be_used_says_how_it_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    user = os.geteuid()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o000)
        try:
            if user == 0:  # nothing is forbidden to root
                os.seteuid(NOBODY)
            text = refusal(reach)
        finally:
            os.seteuid(user)
    assert "permission denied; add this user to the group docker" in text


def test_what_is_not_docker_is_not_taken_for_it(stand_in: StandIn) -> None:
    stand_in.rule("GET /version", lambda: (200, {"hello": "world"}))
    assert "is not a Docker engine" in refusal(reach)


def test_a_web_page_is_not_taken_for_an_engine(stand_in: StandIn) -> None:
    stand_in.rule("GET /version", lambda: (200, b"<html>hello</html>"))
    assert "cannot reach Docker at tcp://127.0.0.1" in refusal(reach)


def test_an_engine_that_is_too_old_is_refused(stand_in: StandIn) -> None:
    stand_in.rule("GET /version", lambda: (200, {"ApiVersion": "1.18"}))
    assert "update Docker" in refusal(reach)


@pytest.mark.parametrize("version", ["", "latest", "1", "v1.41", "1.41.2"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    text = refusal(lambda: reach(version), ConfigError)
    assert text.startswith(f"--docker-version={version}:")


@pytest.mark.parametrize("version", ["1.11", "1.99", "2.0"])
def test_a_version_the_engine_does_not_speak_is_refused(stand_in: StandIn, version: str) -> None:
    text = refusal(lambda: reach(version), ConfigError)
    assert text.startswith(f"--docker-version={version}: this engine takes 1.")


def test_a_version_the_engine_speaks_is_used(stand_in: StandIn) -> None:
    client = reach("1.40")
    assert client.api_version == "1.40"
    client.close()


@pytest.mark.parametrize("host", ["tcp://", "ftp://x:1", "tcp://host", "fd://3", "tcp://h:1?a=b"])
def test_an_unreadable_docker_host_is_named(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert refusal(reach, ConfigError).startswith(f"DOCKER_HOST={host}: ")


def test_missing_certificates_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    text = refusal(reach, ConfigError)
    assert f"{tmp_path} must hold ca.pem, cert.pem and key.pem" in text


def test_an_image_is_there_or_is_not(client: docker.APIClient, stand_in: StandIn) -> None:
    assert has_image(client, "some/image")
    stand_in.refuse("GET /images/.*", 404, "No such image: some/image")
    assert not has_image(client, "some/image")


def test_an_engine_that_says_nothing_of_itself_is_no_failure(
    client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.rule("GET /info", lambda: (200, {"ID": "x"}), times=1)
    assert about(client) == {"ID": "x"}
    stand_in.refuse("GET /info", 403, "forbidden by the filter")
    assert about(client) == {}


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"message": "pull access denied,\nrepository does not exist"}),
        (500, {"message": "dial tcp: pull access denied"}),
        (200, {"error": "pull access denied"}),
    ],
)
def test_an_image_that_cannot_be_pulled_is_one_clear_line(
    client: docker.APIClient, stand_in: StandIn, answer: tuple[int, Any]
) -> None:
    stand_in.rule("POST /images/create", lambda: answer)
    text = refusal(lambda: pull(client, "some/image", threading.Event()), ConfigError)
    assert text.startswith("--image=some/image: ")
    assert "pull access denied" in text
    assert "docker pull some/image" in text
    assert "docker build -t some/image" in text


def test_an_image_is_pulled_with_its_tag_or_the_latest(
    client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.rule("POST /images/create", lambda: (200, b'{"status": "Pulling"}\n'))
    pull(client, "some/image", threading.Event())
    pull(client, "some/image:1.2", threading.Event())
    asked = stand_in.requests("images/create")
    assert "tag=latest" in asked[0]
    assert "tag=1.2" in asked[1]


@contextmanager
def tls_engine(directory: Path, common_name: str) -> Iterator[int]:
    """Answer as an engine over TLS, with a certificate of that name; yield the port."""
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl")
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
        f" -subj /CN={common_name} -addext subjectAltName=DNS:{common_name}"
        " -keyout key.pem -out cert.pem"
    )
    command = [openssl, *words.split()]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)  # noqa: S603 - our own words
    shutil.copy(directory / "cert.pem", directory / "ca.pem")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("assert_hostname", "common_name", "reached"),
    [
        (False, "elsewhere.example", True),
        (True, "elsewhere.example", False),
        (True, "localhost", True),
    ],
)
def test_the_certificate_must_name_the_engines_host_if_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    assert_hostname: bool,
    common_name: str,
    reached: bool,
) -> None:
    with tls_engine(tmp_path, common_name) as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://localhost:{port}")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        if reached:
            client = reach(assert_hostname=assert_hostname)
            assert client.api_version == "1.41"
            client.close()
        else:
            text = refusal(lambda: reach(assert_hostname=assert_hostname))
            assert "certificate verify failed" in text


def test_a_certificate_of_another_authority_is_refused_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    with tls_engine(own, "localhost") as port, tls_engine(other, "localhost"):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://localhost:{port}")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(other))
        assert "certificate verify failed" in refusal(lambda: reach(assert_hostname=False))

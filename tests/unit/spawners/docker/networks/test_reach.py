"""What a server reaches is told by a program that runs inside it."""

from __future__ import annotations

import errno
import json
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, cast

import docker
import pytest

from tests.support.engines import docker as docker_engine
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.networks import reach
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.kind import Kind

PROGRAMS = {
    reach.PROBE: lambda said: json.loads(said),
    docker_engine.PROBE: lambda said: [word == "open" for word in said.split()],
}

each = pytest.mark.parametrize(
    ("program", "read"), PROGRAMS.items(), ids=("of the doctor", "of the tests")
)
Read = Callable[[str], list[bool]]


def told(
    program: str, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(sys, "argv", ["-c", place])
    exec(program, {})  # noqa: S102 - our own
    return capsys.readouterr().out


@each
def test_who_listens_is_reached_and_who_has_gone_is_not(
    program: str,
    read: Read,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        assert read(told(program, place, capsys, monkeypatch)) == [True]
    assert read(told(program, place, capsys, monkeypatch)) == [False]


@each
def test_an_attempt_that_ended_without_a_word_is_no_connection(
    program: str,
    read: Read,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    assert read(told(program, "127.0.0.1:1", capsys, monkeypatch)) == [False]


class Opened:
    """A socket that may be closed and nothing else."""

    made: ClassVar[list[tuple[int, int]]] = []
    closed = 0

    def __init__(self, family: int, kind: int) -> None:
        self.made.append((family, kind))

    def close(self) -> None:
        type(self).closed += 1


def test_a_vsock_is_opened_and_never_connected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", Opened)
    exec(reach.OPENING, {})  # noqa: S102 - our own
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"vsock", "io_uring"}
    assert said["vsock"] is True
    assert (Opened.made, Opened.closed) == ([(40, socket.SOCK_STREAM)], 1)


def refusing(*_: object) -> NoReturn:
    raise OSError(errno.EPERM, "not permitted")


def test_what_is_refused_is_told_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", refusing)
    exec(reach.OPENING, {})  # noqa: S102 - our own
    assert json.loads(capsys.readouterr().out)["vsock"] is False


class Printing:
    """An engine with one container, or none, in which every program prints the same."""

    def __init__(self, printed: bytes, *, running: bool) -> None:
        self._printed, self._running = printed, running

    def containers(self, **_: Any) -> list[dict[str, str]]:
        return [{"Id": "one"}] * self._running

    def exec_create(self, container: str, command: list[str]) -> str:
        assert command[:2] == ["python3", "-c"]
        return container

    def exec_start(self, order: str) -> bytes:
        assert order == "one"
        return self._printed


@pytest.mark.parametrize(
    ("printed", "running", "found"),
    [
        (b'{"vsock": true, "io_uring": false}', True, {"vsock": True, "io_uring": False}),
        (b"", True, None),  # the image has no python3
        (b"[true]", True, None),
        (b'{"vsock"', True, None),
        (b"{}", False, None),
    ],
)
def test_what_a_container_opens_is_read_or_unknown(
    printed: bytes, running: bool, found: dict[str, bool] | None
) -> None:
    client = cast("docker.APIClient", Printing(printed, running=running))
    assert reach.opened(client, {}) == found


CLOSED = {"NetworkSettings": {"Networks": {"tmpnb-closed": {"Gateway": ""}}}}
OPEN = {"NetworkSettings": {"Networks": {"tmpnb-closed": {"Gateway": "198.18.0.1"}}}}
BOTH = {"NetworkSettings": {"Networks": {"own": {"Gateway": ""}, "out": {"Gateway": "10.0.0.1"}}}}


@pytest.mark.parametrize(
    ("entry", "kind", "runtime", "expected"),
    [
        (CLOSED, Kind(), "", "tmpnb-closed"),
        (CLOSED, Kind(), "runc", "tmpnb-closed"),
        (CLOSED, Kind(), "runsc", ""),  # in a table of its own
        (CLOSED, Kind("Podman"), "", ""),  # whose profile of system calls is told of anyway
        (OPEN, Kind(), "", ""),
        (BOTH, Kind(), "", ""),  # told of by the networks themselves
        ({"NetworkSettings": {"Networks": {"a": None}}}, Kind(), "", "a"),
        ({"NetworkSettings": None}, Kind(), "", ""),
        ({}, Kind(), "", ""),
    ],
)
def test_a_network_without_a_way_out_is_told_where_it_matters(
    entry: dict[str, Any], kind: Kind, runtime: str, expected: str
) -> None:
    options = Options("image", kind=kind, limits=Limits(runtime=runtime))
    assert reach.routeless(entry, options) == expected

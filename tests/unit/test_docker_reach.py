"""What a server reaches is told by a program that runs inside it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable

import docker_engine
import pytest

from tmpnb.spawners import docker_reach

PROGRAMS = {
    docker_reach.PROBE: lambda said: json.loads(said),
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

"""Secrets from the environment and from files: where they are from, and what cannot be one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tmpnb.commands.doctor import state
from tmpnb.commands.serve import _signing
from tmpnb.errors import ConfigError
from tmpnb.settings import env_vars
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Level
from tmpnb.system.files import secret_file
from tmpnb.system.files.secret_file import LARGEST

HUSH = "hush-hush-hush-hush"
BY_FILE = {
    "CONFIGPROXY_AUTH_TOKEN": "proxy_token",
    "API_AUTH_TOKEN": "api_token",
    "ADMIN_AUTH_TOKEN": "admin_token",
    "TMPNB_SECRET_KEY": "secret_key",
    "TMPNB_PASSPHRASE": "passphrase",
}
each_by_file = pytest.mark.parametrize("name", BY_FILE)


def one_line(function: Callable[[], object]) -> str:
    """Return the message of the ConfigError that `function` raises, which tells no secret."""
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)
    return str(caught.value)


def test_secrets_come_from_the_environment() -> None:
    """O18: the original ended with a KeyError when one was missing."""
    assert Secrets.from_environment({}) == Secrets()
    assert Secrets.from_environment(
        {
            "CONFIGPROXY_AUTH_TOKEN": "p",
            "CONFIGPROXY_AUTH_TOKEN_FILE": "/run/token",
            "API_AUTH_TOKEN": "a",
            "ADMIN_AUTH_TOKEN": "d",
            "TMPNB_SECRET_KEY": "k",
            "TMPNB_PASSPHRASE": "w",
        }
    ) == Secrets("p", Path("/run/token"), "a", "d", "k", "w")


def test_empty_variable_counts_as_unset() -> None:
    """An empty API_AUTH_TOKEN must not be a token that everybody knows."""
    names = [*env_vars.VARIABLES, *(f"{n}_FILE" for n in env_vars.VARIABLES)]
    assert Secrets.from_environment(dict.fromkeys(names, "")) == Secrets()


def test_secrets_do_not_print_themselves(tmp_path: Path) -> None:
    shown = repr(Secrets("hush1", None, "hush2", "hush3", "hush4", "hush5"))
    assert "hush" not in shown
    by_file = {f"{name}_FILE": str(holding(tmp_path, HUSH)) for name in BY_FILE}
    assert "hush" not in repr(Secrets.from_environment(by_file))


def holding(directory: Path, content: str | bytes) -> Path:
    """Return a file of this user alone."""
    file = directory / "file"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(0o600)
    return file


@each_by_file
@pytest.mark.parametrize("content", [HUSH, f"{HUSH}\n", f"\ufeff{HUSH}\r\n", f" {HUSH} \n\n"])
def test_each_can_be_in_a_file(tmp_path: Path, name: str, content: str) -> None:
    file = holding(tmp_path, content)
    given = Secrets.from_environment({f"{name}_FILE": str(file), name: ""})
    assert getattr(given, BY_FILE[name]) == HUSH
    assert given.source(name) == f"{name}_FILE={file}"
    others = {own: getattr(given, field) for own, field in BY_FILE.items() if own != name}
    assert set(others.values()) == {None}
    assert {given.source(own) for own in others} == set(others)


@pytest.mark.parametrize("name", [*BY_FILE][1:])
def test_a_secret_and_a_file_with_one_are_one_too_many(tmp_path: Path, name: str) -> None:
    both = {name: HUSH, f"{name}_FILE": str(holding(tmp_path, HUSH))}
    said = one_line(lambda: Secrets.from_environment(both))
    assert said == f"{name} and {name}_FILE are both set; leave one of them out"


@each_by_file
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hush\nhush\n", "more than one line"),
        (b"hush\0hush", "cannot be typed"),
        (b"hush\xff", "it is no text in UTF-8"),
        ("hush".encode("utf-16"), "it is in UTF-16; save it as UTF-8"),
        (b"h" * (LARGEST + 1), f"is larger than {LARGEST} bytes"),
    ],
)
def test_a_file_without_a_secret_is_said_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    file = tmp_path / "file" if content is None else holding(tmp_path, content)
    if content is None and name == "CONFIGPROXY_AUTH_TOKEN":
        file.symlink_to("nowhere")  # tmpnb makes one that is not there, where it can
    message = one_line(lambda: Secrets.from_environment({f"{name}_FILE": str(file)}))
    assert message.startswith(f"{name}_FILE={file}")
    assert said in message


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path):
        said = one_line(lambda p=place: Secrets.from_environment({"API_AUTH_TOKEN_FILE": str(p)}))
        assert "is no file with a secret in it" in said


def test_a_file_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(secret_file, "_content", refuse)
    file = {"ADMIN_AUTH_TOKEN_FILE": str(tmp_path / "file")}
    assert "cannot be read: Permission denied" in one_line(lambda: Secrets.from_environment(file))


@pytest.mark.gen_test
@pytest.mark.parametrize(("mode", "open_"), [(0o600, False), (0o640, True), (0o604, True)])
async def test_a_file_that_others_can_read_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, open_: bool
) -> None:
    file = holding(tmp_path, HUSH)
    file.chmod(mode)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPNB_SECRET_KEY_FILE", str(file))
    service = made()
    assert list(service.secrets.open_to_others()) == ([file] if open_ else [])
    found = {f.topic: f async for f in state.findings(service)}
    assert (found["key"].level, found["key"].words) == (
        Level.OK,
        f"TMPNB_SECRET_KEY_FILE={file} is set",
    )
    assert ("secrets" in found) == open_
    if open_:
        assert (found["secrets"].level, found["secrets"].mend) == (Level.WARN, f"chmod 600 {file}")


def test_the_log_names_a_file_that_others_can_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = holding(tmp_path, HUSH)
    file.chmod(0o644)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    by_file = Secrets.from_environment({"TMPNB_PASSPHRASE_FILE": str(file)})
    service = replace(made(), secrets=by_file)
    with caplog.at_level(logging.WARNING):
        assert _signing(service)[1] == HUSH
    assert [str(file) in record.message for record in caplog.records] == [True]
    assert HUSH not in caplog.text


def test_secrets_of_engines_and_credentials_of_systemd_are_for_one_alone() -> None:
    assert {str(place) for place in env_vars.GUARDED} == {"/run/secrets", "/run/credentials"}


def test_where_engines_mount_secrets_nobody_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = holding(tmp_path, HUSH)
    file.chmod(0o444)
    given = Secrets.from_environment({"API_AUTH_TOKEN_FILE": str(file)})
    assert list(given.open_to_others()) == [file]
    monkeypatch.setattr(env_vars, "GUARDED", {PurePosixPath(tmp_path)})
    assert list(given.open_to_others()) == []


def test_a_key_in_a_file_is_checked_as_any_other(tmp_path: Path) -> None:
    service = replace(
        made(),
        state_dir=tmp_path,
        secrets=Secrets.from_environment({"TMPNB_SECRET_KEY_FILE": str(holding(tmp_path, "hush"))}),
    )
    said = one_line(lambda: _signing(service))
    assert said.startswith(f"TMPNB_SECRET_KEY_FILE={tmp_path / 'file'} is shorter than 16")


def made() -> Service:
    application = Tmpnb()
    application.initialize(["--spawner=fake"])
    return application.build()

"""Secrets: made from one key, kept in a file nobody else reads, compared with care."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tmpnb.errors import ConfigError
from tmpnb.system import signing
from tmpnb.system.signing import TokenMaker, load_key, new_id, same, secret_file

KEY = b"0123456789abcdef"


def one_line(function: Callable[[], object]) -> str:
    """Return the message of the ConfigError that `function` raises."""
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_token_is_the_same_after_a_restart() -> None:
    assert TokenMaker(KEY).token_for("abc") == TokenMaker(KEY).token_for("abc")
    assert TokenMaker(KEY).token_for("abc") == (
        hmac.new(KEY, b"server:abc", hashlib.sha256).hexdigest()
    )


def test_tokens_differ_by_server_and_by_key() -> None:
    ids = ["a", "b", "ab", "A", "server:a", ""]
    found = {TokenMaker(key).token_for(i) for i in ids for key in (KEY, KEY + b"x")}
    assert len(found) == 2 * len(ids)
    assert all(len(token) == 64 and int(token, 16) >= 0 for token in found)


def test_key_in_the_environment_wins_and_touches_no_file(tmp_path: Path) -> None:
    assert load_key(tmp_path / "state", "sixteen letters!") == b"sixteen letters!"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("key", ["", "x", "fifteen letters"])
def test_short_key_is_refused_without_showing_it(tmp_path: Path, key: str) -> None:
    message = one_line(lambda: load_key(tmp_path, key))
    assert message.startswith("TMPNB_SECRET_KEY is shorter than 16 characters")
    assert "fifteen" not in message


def test_key_is_made_once_and_kept(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    first = load_key(state, None)
    assert len(first) == 64
    assert load_key(state, None) == first
    assert load_key(tmp_path / "other", None) != first


def test_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    load_key(tmp_path, None)
    assert mode_of(tmp_path / "secret_key") == 0o600


def test_mode_is_the_one_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        secret_file(tmp_path / "token", mode=0o640)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "token") == 0o640


def test_no_draft_is_left_behind(tmp_path: Path) -> None:
    secret_file(tmp_path / "token", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_secret_of_a_file_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sixteen letters!\n")
    assert secret_file(tmp_path / "token", mode=0o600) == "sixteen letters!"


def test_process_that_was_faster_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("written meanwhile\n")
    monkeypatch.setattr(Path, "exists", lambda _: False)  # as it was a moment ago
    assert secret_file(tmp_path / "token", mode=0o600) == "written meanwhile"


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: secret_file(tmp_path / "token", 0o600), range(32)))
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", ["", "\n", "short", " " * 40])
def test_file_without_a_secret_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    message = one_line(lambda: secret_file(tmp_path / "token", mode=0o600))
    assert message == f"{tmp_path}/token holds no secret (shorter than 16); remove the file"


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff" * 64)
    message = one_line(lambda: secret_file(tmp_path / "token", mode=0o600))
    assert message == f"{tmp_path}/token: it is no text in UTF-8; save it as UTF-8"


def test_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    message = one_line(lambda: load_key(tmp_path / "state", None))
    assert message.startswith(f"cannot keep a secret in {tmp_path}/state/secret_key: ")


def test_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to(tmp_path / "nowhere")
    assert "cannot keep a secret" in one_line(lambda: secret_file(tmp_path / "token", 0o600))


def test_ids_are_random_and_fit_a_path() -> None:
    """O4: a path that only took `\\w` lost ids with other characters."""
    found = [new_id(12) for _ in range(2000)]
    assert len(set(found)) == len(found)
    assert {len(server_id) for server_id in found} == {12}
    assert set("".join(found)) == set(signing.ALPHABET)
    assert signing.ALPHABET.isascii()
    assert signing.ALPHABET.isalnum()


@pytest.mark.parametrize(
    ("given", "expected", "equal"),
    [
        ("secret", "secret", True),
        ("secret", "Secret", False),
        ("secre", "secret", False),
        ("", "secret", False),
        ("sécret", "secret", False),
        ("sécret", "sécret", True),
    ],
)
def test_secrets_are_compared_whole(given: str, expected: str, equal: bool) -> None:
    assert same(given, expected) is equal

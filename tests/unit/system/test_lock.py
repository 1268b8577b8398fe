"""Two orchestrators and one pool: who comes second is refused, until the first is gone."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tmpnb.errors import ConfigError
from tmpnb.system.lock import engine_held, state_held

HOLD = """
import sys
from pathlib import Path
from tmpnb.system.lock import engine_held, state_held
with state_held(Path(sys.argv[1]), "mine"), engine_held(sys.argv[2], "mine"):
    print("held", flush=True)
    sys.stdin.read()
"""


def enter(held: AbstractContextManager[None]) -> None:
    with held:
        pytest.fail("held twice")


def test_one_state_directory_and_pool_is_held_by_one_only(tmp_path: Path) -> None:
    refusal = pytest.raises(ConfigError, match=r"process \d+\) runs the pool mine already; stop it")
    with state_held(tmp_path, "mine"), state_held(tmp_path, "other"), refusal:
        enter(state_held(tmp_path, "mine"))
    with state_held(tmp_path, "mine"):
        assert (tmp_path / "mine.lock").exists()


def test_one_pool_of_an_engine_is_held_by_one_only() -> None:
    engine = secrets.token_hex(8)
    refusal = pytest.raises(ConfigError, match="another state directory runs the pool mine")
    others = (engine_held(engine, "other"), engine_held("", "mine"))
    with engine_held(engine, "mine"), others[0], others[1], refusal:
        enter(engine_held(engine, "mine"))
    with engine_held(engine, "mine"):
        assert engine


def test_an_error_within_is_not_taken_for_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="of its own"), state_held(tmp_path, "mine"):
        raise BlockingIOError("of its own")


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    engine = secrets.token_hex(8)
    arguments = [sys.executable, "-c", HOLD, str(tmp_path), engine]
    with subprocess.Popen(  # noqa: S603 - this very Python
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=re.escape(f"(process {holder.pid})")):
            enter(state_held(tmp_path, "mine"))
        holder.kill()
        holder.wait()
    with state_held(tmp_path, "mine"), engine_held(engine, "mine"):
        assert (tmp_path / "mine.lock").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot use .*mine\.lock: .*; see --state-dir"):
        enter(state_held(tmp_path / "file", "mine"))

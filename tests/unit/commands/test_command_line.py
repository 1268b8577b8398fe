"""The program's commands: which one is meant, what belongs to it, and the exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmpnb.commands import command_line
from tmpnb.commands.command_line import Order
from tmpnb.commands.main import main
from tmpnb.commands.orders import Say
from tmpnb.errors import ConfigError
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.service import Service

# The first loop of pytest-tornado makes another one and leaves it to the garbage collector,
# once `asyncio.run` has put nothing in its place.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    gc.collect()


@pytest.mark.parametrize("arguments", [[], ["--port=1"], ["-h"]])
def test_without_a_command_it_serves(arguments: list[str]) -> None:
    order = command_line.parse(arguments)
    assert order == Order(None, (), frozenset(), tuple(arguments))
    assert "tmpnb check-image IMAGE" in command_line.description(order, "The program.")


def test_a_command_takes_what_is_its_own_and_leaves_the_flags() -> None:
    doctor = command_line.parse(["doctor", "--port=1", "--skip-image", "--image", "a"])
    assert doctor.command is command_line.COMMANDS["doctor"]
    assert (doctor.switches, doctor.flags) == (
        frozenset({"--skip-image"}),
        ("--port=1", "--image", "a"),
    )
    check = command_line.parse(["check-image", "a/b:1", "--image=c"])
    assert (check.operands, check.flags) == (("a/b:1",), ("--image=c",))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["doctr"], "did you mean tmpnb doctor?"),
        (["check_image"], "did you mean tmpnb check-image?"),
        (["elephant"], "unexpected argument 'elephant'; flags begin with --"),
        (["check-image"], "write: tmpnb check-image IMAGE"),
        (["check-image", "--port=1"], "write: tmpnb check-image IMAGE"),
        (["check-image", ""], "write: tmpnb check-image IMAGE"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        command_line.parse(arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check-image", "a", "b"], "unexpected argument 'b'"),
        (["check-image", "a", "--skip-image"], "unknown flag --skip-image"),
        (["doctor", "--pol-size=3"], "did you mean --pool-size?"),
        (["check-image", "a", "--spawner=fake"], "this engine has no images"),
    ],
)
def test_flags_of_a_command_are_those_of_the_program(arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert said in str(ended.value.code)


@pytest.mark.parametrize("name", command_line.COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_has_its_own_help(
    name: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, flag])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert shown.startswith(f"tmpnb {command_line.COMMANDS[name].usage}")
    assert "--pool-size" in shown


def test_the_programs_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  tmpnb {c.usage} " in shown for c in command_line.COMMANDS.values())


def program() -> Tmpnb:
    application = Tmpnb()
    application.initialize(["--spawner=fake"])
    return application


def order_for(result: bool | Exception | signal.Signals) -> Order:
    async def run(service: Service, order: Order, say: Say) -> bool:
        say("a line")
        if isinstance(result, signal.Signals):
            os.kill(os.getpid(), result)
            await asyncio.sleep(30)
        if isinstance(result, Exception):
            raise result
        return bool(result)

    command = command_line.Command(usage="try", summary="", help="", run=run)
    return Order(command, (), frozenset(), ())


def test_the_exit_code_is_0_only_if_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.perform(order_for(True), program()) == 0
    assert command_line.perform(order_for(False), program()) == 1
    assert capsys.readouterr().out == "a line\na line\n"
    with pytest.raises(ConfigError):
        command_line.perform(order_for(ConfigError("no")), program())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_with_1(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.perform(order_for(number), program()) == 1
    assert "interrupted" in capsys.readouterr().err

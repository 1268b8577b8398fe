"""The program's commands besides serving: their names, their words, and running one."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tmpnb import signals
from tmpnb.doctor.checkup import Say, check_image, doctor
from tmpnb.errors import ConfigError
from tmpnb.load.run import load
from tmpnb.service import Service

HELP = frozenset({"-h", "--help", "--help-all"})


@dataclass(frozen=True, slots=True)
class Order:
    """What a command line asks for."""

    command: Command | None  # None: serve
    operands: tuple[str, ...]
    switches: frozenset[str]  # those of the command itself
    flags: tuple[str, ...]  # those of the program

    def description(self, program: str) -> str:
        """Return what `--help` begins with, given what the program says of itself."""
        if self.command is not None:
            return self.command.help
        listed = "\n".join(f"  tmpnb {c.usage:<22} {c.summary}" for c in _listed())
        return f"{program}\n\nCommands besides serving, each with --help:\n{listed}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `run` returns whether all is well."""

    usage: str
    summary: str
    help: str  # paragraphs
    run: Callable[[Service, Order, Say], Awaitable[bool]]
    operands: tuple[str, ...] = ()
    switches: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that needs no settings of the service: all words after its name are its own.

    `run` gets those words, and returns whether all is well.
    """

    usage: str
    summary: str
    run: Callable[[Sequence[str], Say], Awaitable[bool]]


def tool(arguments: Sequence[str]) -> Tool | None:
    """Return the tool that a command line begins with, if it does."""
    return TOOLS.get(arguments[0]) if arguments else None


def use(chosen: Tool, words: Sequence[str]) -> int:
    """Run a tool with the words after its name; return its exit code: 0 if all is well, else 1.

    Raises:
        ConfigError: What it was asked cannot be done; in one line.
        SystemExit: Its help was asked for and printed.
    """
    return _ended(_interruptible(lambda: chosen.run(words, _say)), "all visitors have left")


def parse(arguments: Sequence[str]) -> Order:
    """Take the command and what belongs to it off the command line.

    Raises:
        ConfigError: There is no such command, or it lacks something; in one line.
    """
    if not arguments or arguments[0].startswith("-"):
        return Order(None, (), frozenset(), tuple(arguments))
    name, *rest = arguments
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigError(f"unexpected argument {name!r}{_nearest(name)}")
    count = len(command.operands)
    operands = tuple(rest[:count])
    if HELP & set(rest):
        operands, count = (), 0
    elif len(operands) < count or any(not word or word.startswith("-") for word in operands):
        raise ConfigError(f"write: tmpnb {command.usage}, and flags after that")
    own = command.switches & set(rest[count:])
    flags = tuple(word for word in rest[count:] if word not in own)
    return Order(command, operands, own, flags)


def perform(order: Order, service: Service) -> int:
    """Run a command; return its exit code: 0 if all is well, else 1.

    Raises:
        ConfigError: A setting cannot be; in one line.
    """
    return _ended(_interruptible(lambda: _run(order, service)), "what was started is removed")


async def _run(order: Order, service: Service) -> bool:
    assert order.command is not None  # noqa: S101 - serving is no command
    try:
        return await order.command.run(service, order, _say)
    finally:
        await service.spawner.close()


def _ended(work: Coroutine[None, None, bool], when_interrupted: str) -> int:
    try:
        return 0 if asyncio.run(work) else 1
    except asyncio.CancelledError:
        sys.stderr.write(f"tmpnb: interrupted; {when_interrupted}\n")
        return 1


async def _interruptible(work: Callable[[], Awaitable[bool]]) -> bool:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    with signals.handled(signals.Ending(task.cancel)):
        return await work()


async def _doctor(service: Service, order: Order, say: Say) -> bool:
    return await doctor(service, say, without_server=bool(order.switches))


async def _check_image(service: Service, order: Order, say: Say) -> bool:
    return await check_image(service, order.operands[0], say)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer to the command


def _listed() -> Iterable[Command | Tool]:
    yield from COMMANDS.values()
    yield from TOOLS.values()


def _nearest(name: str) -> str:
    found = difflib.get_close_matches(name, (*COMMANDS, *TOOLS), n=1)
    if found:
        return f"; did you mean tmpnb {found[0]}?"
    return "; flags begin with --, and tmpnb --help has the commands"


COMMANDS: Mapping[str, Command] = {
    "doctor": Command(
        usage="doctor [--skip-image]",
        summary="see whether everything is there to serve",
        help="""tmpnb doctor [--skip-image] [flags of tmpnb]

        Looks at everything that serving needs: engine, image, network, memory, disk, state
        directory, secret key, proxy, open files and ports. Then starts one server, sees that it
        does what it must, and removes it; --skip-image leaves that out. Nothing is fetched.

        Give it the flags, the config file and the environment that tmpnb will have. One line for
        each check: ok, warn, FAIL with what to do, or skip. The exit code is 1 if one fails, else
        0. The flags below are those of tmpnb.""",
        run=_doctor,
        switches=frozenset({"--skip-image"}),
    ),
    "check-image": Command(
        usage="check-image IMAGE",
        summary="see whether an image can be served",
        help="""tmpnb check-image IMAGE [flags of tmpnb]

        Starts one server of IMAGE just as the pool would, sees that it does what it must, and
        removes it. The image is fetched if the engine does not have it. IMAGE takes the place of
        the one in the settings.

        One line for each check: ok, warn, FAIL with what to do, or skip. The exit code is 1 if
        one fails, else 0. The flags below are those of tmpnb.""",
        run=_check_image,
        operands=("IMAGE",),
    ),
}
TOOLS: Mapping[str, Tool] = {
    "load": Tool(
        usage="load URL [flags]",
        summary="let visitors come, and see how long they wait",
        run=load,
    ),
}

"""The program's other commands: their names and help, and running one.

Each is imported when it runs, so that none costs the others, and serving, time at the start.
"""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

from tmpnb.commands.operate.commands import OPERATING, Remote
from tmpnb.commands.operate.served import as_served
from tmpnb.commands.orders import Command, Order, Say, Tool
from tmpnb.errors import ConfigError
from tmpnb.orchestrator.guarded import let_go
from tmpnb.settings.program import Program
from tmpnb.settings.service import Service
from tmpnb.system import leaving, signals

SKIP_IMAGE, NETWORK, TARGET = "--skip-image", "--network", "--network-target"
HELP = frozenset({"-h", "--help", "--help-all"})


def tool(arguments: Sequence[str]) -> Tool | None:
    """Return the tool that a command line begins with, if it does."""
    return TOOLS.get(arguments[0]) if arguments else None


def use(chosen: Tool, words: Sequence[str]) -> int:
    """Run a tool with the words after its name; return its exit code: 0 if all is well, else 1.

    Raises:
        ConfigError: What it was asked cannot be done; in one line.
        SystemExit: Its help was asked for and printed.
    """
    return _ended(_interruptible(lambda: chosen.run(words, _say)), chosen.when_interrupted)


def description(order: Order, program: str) -> str:
    """Return the beginning of `--help`, given the program's own description."""
    if order.command is not None:
        return order.command.help
    listed = "\n".join(f"  tmpnb {c.usage:<29} {c.summary}" for c in _listed())
    return f"{program}\n\nOther commands, each with --help:\n{listed}"


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
    if command.is_optional and (not rest or rest[0].startswith("-")):
        count = 0
    operands = tuple(rest[:count])
    if HELP & set(rest):
        operands, count = (), 0
    elif len(operands) < count or any(not word or word.startswith("-") for word in operands):
        raise ConfigError(f"usage: tmpnb {command.usage}, followed by flags")
    own = frozenset(w for w in rest[count:] if w.partition("=")[0] in command.switches)
    words = [word for word in rest[count:] if word not in own]
    options = _take_options(command, words)
    return Order(command, operands, own, tuple(words), options)


def _take_options(command: Command | Remote, words: list[str]) -> dict[str, str]:
    """Take the command's own options and their values out of `words`."""
    found: dict[str, str] = {}
    for at in reversed(range(len(words))):
        name, has_value, value = words[at].partition("=")
        if name not in command.options:
            continue
        if not has_value:
            value = words.pop(at + 1) if at + 1 < len(words) else ""
        if not value or value.startswith("--"):
            raise ConfigError(f"{name} needs a value; write {name}=…")
        if name in found:
            raise ConfigError(f"{name} is given twice; leave one out")
        found[name] = value
        del words[at]
    return found


def perform(order: Order, program: Program) -> int:
    """Run a command with the settings of a program; return its exit code: 0 if all is well, else 1.

    Raises:
        ConfigError: A setting cannot be; in one line.
        AdminPortError: The running service cannot be spoken to; in one line.
    """
    assert order.command is not None  # noqa: S101 - serving is no command
    until = order.command.when_interrupted
    return _ended(_interruptible(lambda: _run(order, program)), until)


async def _run(order: Order, program: Program) -> bool:
    command = order.command
    if isinstance(command, Remote):
        return await command.perform(program, order, _say)
    assert isinstance(command, Command)  # noqa: S101 - there are two kinds
    if command.as_served:
        await as_served(program, _say)
    service = program.build()
    try:
        return await command.run(service, order, _say)
    finally:
        await let_go(service.spawner)


def _ended(work: Coroutine[None, None, bool], when_interrupted: str) -> int:
    try:
        return 0 if leaving.run(work) else 1
    except asyncio.CancelledError:
        sys.stderr.write(f"tmpnb: interrupted; {when_interrupted}\n")
        return 1


async def _interruptible(work: Callable[[], Awaitable[bool]]) -> bool:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    with signals.handled(signals.Ending(task.cancel)):
        return await work()


async def _doctor(service: Service, order: Order, say: Say) -> bool:
    from tmpnb.commands.doctor import checkup, network

    asked = order.switches
    places = network.targets([s for s in asked if s.startswith(TARGET)])
    wanted = NETWORK in asked
    if places and not wanted:
        raise ConfigError(f"{TARGET} needs {NETWORK} beside it")
    if unknown := {s for s in asked if "=" in s and not s.startswith(f"{TARGET}=")}:
        raise ConfigError(f"{min(unknown).partition('=')[0]} takes no value")
    if wanted and SKIP_IMAGE in asked:
        raise ConfigError(f"{NETWORK} tests from inside a server; leave out {SKIP_IMAGE}")
    return await checkup.doctor(
        service, say, without_server=SKIP_IMAGE in asked, places=places if wanted else None
    )


async def _check_image(service: Service, order: Order, say: Say) -> bool:
    from tmpnb.commands.doctor.checkup import check_image

    return await check_image(service, order.operands[0], say)


async def _invite(service: Service, order: Order, say: Say) -> bool:
    from tmpnb.commands.invite import invite

    return invite(service, order.options, say)


async def _proxy(service: Service, order: Order, say: Say) -> bool:
    from tmpnb.commands.proxy import become_the_proxy

    del order, say
    become_the_proxy(service)
    return False  # never: another program runs here by now


async def _load(words: Sequence[str], say: Say) -> bool:
    from tmpnb.commands.load.run import load

    return await load(words, say)


async def _firewall(words: Sequence[str], say: Say) -> bool:
    from tmpnb.commands.firewall import firewall

    return await firewall(words, say)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer to the command


def _listed() -> Iterable[Command | Remote | Tool]:
    yield from COMMANDS.values()
    yield from TOOLS.values()


def _nearest(name: str) -> str:
    found = difflib.get_close_matches(name, (*COMMANDS, *TOOLS), n=1)
    if found:
        return f"; did you mean tmpnb {found[0]}?"
    return "; flags begin with --, and tmpnb --help lists the commands"


COMMANDS: Mapping[str, Command | Remote] = {
    "doctor": Command(
        usage="doctor [--network]",
        summary="check whether everything is ready to serve",
        help="""tmpnb doctor [--network] [--skip-image] [flags of tmpnb]

        Checks everything the service needs: engine, image, network, memory, disk, state directory,
        secret key, proxy, open files and ports. Then starts one server, checks that it works, and
        removes it; --skip-image skips that. Nothing is downloaded.

        --network starts a second server and tests, from inside the first, whether it can reach the
        ports of the service, the engine, the second server and this machine. No outside address is
        tried except those given with --network-target=host:port, which may be repeated.

        Use the same flags, config file and environment as for tmpnb. If tmpnb already runs at the
        admin port they name, as root or as you, its settings are used, and flags override them.
        Prints one line per check: ok, warn, FAIL with what to do, or skip. The exit code is 1 if a
        check fails, else 0. The flags below are those of tmpnb.""",
        run=_doctor,
        switches=frozenset({SKIP_IMAGE, NETWORK, TARGET}),
        as_served=True,
    ),
    "check-image": Command(
        usage="check-image IMAGE",
        summary="check whether an image works as a notebook server",
        help="""tmpnb check-image IMAGE [flags of tmpnb]

        Starts one server of IMAGE exactly as the pool would, checks that it works, and removes it.
        The image is pulled if it is missing. IMAGE replaces the one in the settings.

        Prints one line per check: ok, warn, FAIL with what to do, or skip. The exit code is 1 if a
        check fails, else 0. The flags below are those of tmpnb.""",
        run=_check_image,
        operands=("IMAGE",),
    ),
    "invite": Command(
        usage="invite [--hours N] [--url U]",
        summary="print a link that works without the passphrase",
        help="""tmpnb invite [--hours N] [--url U] [flags of tmpnb]

        Prints a link that lets anyone who has it into the service without the passphrase
        (TMPNB_PASSPHRASE), for N hours (default 24). U is the public address of the service,
        optionally with the path of a page: https://notebooks.example/lab/tree/first.ipynb. Default:
        --public-url, or this machine.

        The link is signed with the secret key, so use the flags and the environment of the service.
        Nothing is stored: the only way to revoke a link early is to replace the key. The flags
        below are those of tmpnb.""",
        run=_invite,
        options=frozenset({"--hours", "--url"}),
    ),
    **OPERATING,
    "proxy": Command(
        usage="proxy",
        summary="run the proxy as a separate process",
        help="""tmpnb proxy [flags of tmpnb]

        Runs configurable-http-proxy exactly as tmpnb would: with the addresses from the flags and
        everything tmpnb loads into it. With the proxy in its own process, you can restart the
        orchestrator without closing any visitor's websocket.

        Set CONFIGPROXY_AUTH_TOKEN_FILE for both to the same file, which is created if it is
        missing, or set CONFIGPROXY_AUTH_TOKEN. Give both the same flags. The flags below are those
        of tmpnb.""",
        run=_proxy,
    ),
}
TOOLS: Mapping[str, Tool] = {
    "load": Tool(
        usage="load URL [flags]",
        summary="simulate visitors and measure how long they wait",
        run=_load,
        when_interrupted="all visitors have left",
    ),
    "firewall": Tool(
        usage="firewall [flags]",
        summary="print or set the firewall rules that --egress=internet needs",
        run=_firewall,
        when_interrupted="either the old rules or the new ones are in force, never a mix",
    ),
}

"""The commands that speak to the running service: their names, their words, and what each asks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tmpnb.access import bans
from tmpnb.commands.operate.admin_port import AdminPort, place
from tmpnb.commands.orders import Asked, Order, Say
from tmpnb.errors import AdminPortError, ConfigError
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.program import Program
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.web.admin import tables

AT, JSON = "--admin-url", "--json"
USAGE, STOP, REMOVE = "--usage", "--stop", "--remove"
PATIENCE = 3900.0  # seconds for a new image, which may have to be fetched
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
DONE = "what was asked of the service may have been done"
ANYWHERE = """The service is found by --admin-port, --admin-ip, the config file and
        ADMIN_AUTH_TOKEN or ADMIN_AUTH_TOKEN_FILE, as it has them itself, or by
        --admin-url=http://host:port. --json prints the answer as it came. The exit code is 0 if it
        was done, else 1, with one line that says why. The flags below are those of tmpnb."""


@dataclass(frozen=True, kw_only=True)
class Remote(Asked):
    """One command that asks the running service; `run` returns whether all is well."""

    run: Callable[[AdminPort, Order, Say], Awaitable[bool]]

    async def perform(self, program: Program, order: Order, say: Say) -> bool:
        """Run it against the service that has the settings of a program.

        Raises:
            ConfigError: A setting cannot be; in one line.
            AdminPortError: It was not done; in one line.
        """
        if unknown := [s for s in order.switches if "=" in s]:
            raise ConfigError(f"{unknown[0].partition('=')[0]} takes no value")
        url = place(order.options.get(AT, ""), program.admin_ip, program.admin_port)
        port = AdminPort(url, Secrets.from_environment(os.environ).admin_token)
        try:
            return await self.run(port, order, say)
        finally:
            port.close()


async def _status(port: AdminPort, order: Order, say: Say) -> bool:
    told = await port.ask("GET", "/api/status")
    _show(told, tables.status(told, port.url), order, say)
    return told.get("status") == "ok"


async def _list(port: AdminPort, order: Order, say: Say) -> bool:
    told = await port.ask("GET", f"/api/servers{'?usage=1' if USAGE in order.switches else ''}")
    return _show(told, tables.servers(told), order, say)


async def _stop(port: AdminPort, order: Order, say: Say) -> bool:
    [server_id] = order.operands
    if not _ID.fullmatch(server_id):
        raise AdminPortError(f"there is no server {on_one_line(server_id[:80])}")
    await port.ask("DELETE", f"/api/servers/{server_id}")
    return _show({"stopped": server_id}, [f"server {server_id} is being stopped"], order, say)


async def _drain(port: AdminPort, order: Order, say: Say) -> bool:
    told = await port.ask("DELETE", "/api/pool")
    return _show(told, [f"{_unclaimed(told)} will be replaced"], order, say)


async def _rollout(port: AdminPort, order: Order, say: Say) -> bool:
    [image] = order.operands
    told = await port.ask("POST", "/api/pool", {"image": image}, seconds=PATIENCE)
    lines = [
        f"a server of {image} is ready; {_unclaimed(told)} will be replaced",
        "also change --image, which applies again after a restart",
    ]
    return _show(told, lines, order, say)


async def _announce(port: AdminPort, order: Order, say: Say) -> bool:
    remove = REMOVE in order.switches
    if remove and order.operands:
        raise ConfigError(f"{REMOVE} takes no text; leave one of them out")
    if order.operands:
        told = await port.ask("PUT", "/api/announcement", {"text": order.operands[0]})
        lines = ["it is now shown above every page"]
    elif remove:
        await port.ask("DELETE", "/api/announcement")
        told, lines = {"text": ""}, ["the announcement is removed"]
    else:
        told = await port.ask("GET", "/api/announcement")
        lines = (str(told.get("text") or "") or "nothing is announced").splitlines()
    return _show(told, lines, order, say)


async def _bans(port: AdminPort, order: Order, say: Say) -> bool:
    told = await port.ask("GET", "/api/bans")
    return _show(told, tables.bans(told), order, say)


async def _ban(port: AdminPort, order: Order, say: Say) -> bool:
    network, stop = bans.network(order.operands[0]), STOP in order.switches
    told = await port.ask("PUT", f"/api/bans/{network}{'?stop=1' if stop else ''}")
    lines = [f"{bans.written(network)} can no longer get a server"]
    if stop:
        lines.append(f"{tables.many(told.get('stopped'), 'server')} that it has will be stopped")
    elif told.get("servers"):
        has = tables.many(told.get("servers"), "server")
        lines.append(f"it keeps {has}; add {STOP} to stop those as well")
    if told.get("kept") is not True:
        lines.append("it could not be written down, so it counts until a restart; see the log")
    return _show(told, lines, order, say)


async def _unban(port: AdminPort, order: Order, say: Say) -> bool:
    network = bans.network(order.operands[0])
    await port.ask("DELETE", f"/api/bans/{network}")
    return _show(
        {"network": str(network)}, [f"{bans.written(network)} may take servers again"], order, say
    )


def _unclaimed(told: Mapping[str, object]) -> str:
    return tables.many(told.get("drained"), "unclaimed server")


def _show(told: Mapping[str, object], lines: list[str], order: Order, say: Say) -> bool:
    """Print an answer as it was asked for; all is well.

    Raises:
        AdminPortError: It cannot be written.
    """
    if JSON not in order.switches:
        for line in lines:
            say(on_one_line(line))  # whoever answers has a say in it
        return True
    try:
        say(json.dumps(told, indent=2))
    except ValueError as error:
        raise AdminPortError(f"the answer cannot be written: {error}") from error
    return True


def _remote(
    usage: str,
    summary: str,
    run: Callable[[AdminPort, Order, Say], Awaitable[bool]],
    words: str,
    *switches: str,
    operand: str = "",
    is_optional: bool = False,
) -> Remote:
    return Remote(
        usage=usage,
        summary=summary,
        help=f"tmpnb {usage} [--json] [flags of tmpnb]\n\n        {words}\n\n        {ANYWHERE}",
        run=run,
        operands=(operand,) if operand else (),
        is_optional=is_optional,
        switches=frozenset({JSON, *switches}),
        options=frozenset({AT}),
        when_interrupted=DONE,
    )


OPERATING: Mapping[str, Remote] = {
    "status": _remote(
        "status",
        "how the running service is",
        _status,
        "Shows its health, its servers in numbers, and what is announced and banned. The exit\n"
        "        code is 1 as well while something is wrong with it.",
    ),
    "list": _remote(
        "list [--usage]",
        "who has which server",
        _list,
        "Shows every server: for how long its visitor has it, when they used it last, when it\n"
        "        ends, and from where they came. --usage asks engine and servers anew, for CPU\n"
        "        time and memory as well, which takes up to ten seconds.",
        USAGE,
    ),
    "stop": _remote(
        "stop ID",
        "stop one server, whoever has it",
        _stop,
        "Its files are gone, and its page says that those who run the service stopped it.",
        operand="ID",
    ),
    "drain": _remote(
        "drain",
        "replace all unclaimed servers",
        _drain,
        "A few at a time, as after an update of the image. Visitors keep theirs.",
    ),
    "rollout": _remote(
        "rollout IMAGE",
        "change the image, once it has proved itself",
        _rollout,
        "Starts one server of IMAGE first, which is fetched if need be. If that does not become\n"
        "        ready, nothing changes.",
        operand="IMAGE",
    ),
    "announce": _remote(
        'announce ["TEXT"]',
        "say something above every page",
        _announce,
        "TEXT may have links, [words](https://…). --remove takes it away; without either, what is\n"
        "        announced now is printed.",
        REMOVE,
        operand="TEXT",
        is_optional=True,
    ),
    "ban": _remote(
        "ban NET [--stop]",
        "give a network no servers any more",
        _ban,
        "NET is an address or a network, 192.0.2.0/24 or 2001:db8::/32. The ban is kept over\n"
        "        restarts. What it has goes on, unless --stop stops that too.",
        STOP,
        operand="NET",
    ),
    "unban": _remote(
        "unban NET",
        "let a network take servers again",
        _unban,
        "NET is written as in tmpnb bans. What --banned-networks has stays banned.",
        operand="NET",
    ),
    "bans": _remote(
        "bans",
        "the networks that were banned so",
        _bans,
        "Those of --banned-networks are counted only.",
    ),
}

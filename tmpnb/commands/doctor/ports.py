"""Whether the ports are free, or taken by a tmpnb that runs already."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field

from tmpnb.errors import ConfigError, UnreachableError
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, fail, failure, ok, warn
from tmpnb.system import untrusted_json
from tmpnb.system.http import listen
from tmpnb.system.http.client import Client
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.system.net.host_port import place, reachable
from tmpnb.system.net.port_owners import Owner, owner

TIMEOUT = 5.0  # seconds for a running one to say that it is ours
LONGEST = 40  # characters of its health that are shown
MOST_VALUES = 1000  # in it
OURS = {"status", "last_pass", "problems"}  # the keys of /health
API_IP = "127.0.0.1"  # of the proxy that tmpnb starts


@dataclass(frozen=True, slots=True)
class Port:
    """One port that tmpnb or its proxy will listen on."""

    flag: str
    ip: str
    number: int
    health: str  # the URL at which a running tmpnb would answer for it
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


async def findings(service: Service, *, managed: bool) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each port.

    Args:
        service: The settings.
        managed: Whether tmpnb starts the proxy.
    """
    client = Client()
    try:
        for port in listed(service, managed=managed):
            yield await _finding(client, port)
    finally:
        client.close()


def listed(service: Service, *, managed: bool) -> Iterator[Port]:
    """Yield the ports that will be in use; of the proxy only those of one that tmpnb starts."""
    at, proxy, admin = service.listening, service.proxy, service.secrets.admin_token
    headers = {"Authorization": f"token {admin}"} if admin else {}
    yield Port("port", at.ip, at.port, _health(at.ip, at.port))
    yield Port(
        "admin-port", at.admin_ip, at.admin_port, _health(at.admin_ip, at.admin_port), headers
    )
    if managed:
        through_proxy = _health(proxy.ip, proxy.port)
        yield Port("proxy-port", proxy.ip, proxy.port, through_proxy)
        yield Port("proxy-api-port", API_IP, proxy.api_port, through_proxy)


def _health(ip: str, port: int) -> str:
    return f"http://{place(reachable(ip), port)}/health"


async def _finding(client: Client, port: Port) -> Finding:
    flag = f"--{port.flag}={port.number}"
    try:
        for free in await asyncio.to_thread(listen.bind, port.flag, port.ip, port.number):
            free.close()
    except ConfigError as error:
        cause = error.__cause__
        if not (isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE):
            return failure("ports", str(error), f"choose another --{port.flag}")
    else:
        return ok("ports", f"{flag} is free" if port.number else f"{flag} takes any free port")
    whose = await owner(port.health)
    status = None if whose is Owner.ANOTHER else await _status_of_ours(client, port, whose)
    if status is None:
        return fail(
            "ports",
            f"{flag} is in use; by a running tmpnb? None answers at {port.health}",
            "stop what listens there, or choose another port",
        )
    return warn(
        "ports",
        f"{flag} is in use by a running tmpnb, whose health is {status}",
        "nothing, unless another one shall run beside it",
    )


async def _status_of_ours(client: Client, port: Port, whose: Owner) -> str | None:
    """Return what a running tmpnb says of its health; None if none answers."""
    headers = {} if whose is Owner.UNKNOWN else port.headers
    try:
        answer = await client.fetch(port.health, timeout=TIMEOUT, headers=headers)
        said = untrusted_json.loads(answer.body, most=MOST_VALUES) if answer.code == 200 else None
    except (UnreachableError, ValueError):
        return None
    if not isinstance(said, dict) or not set(said) >= OURS:
        return None
    return on_one_line(str(said["status"])[:LONGEST])

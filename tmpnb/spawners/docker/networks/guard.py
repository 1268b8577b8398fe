"""See from inside a container whether the firewall keeps servers with --egress=internet.

A sentry, a container of our own on their network, sends a packet to the machine itself and to
addresses that are refused in any case. In force are the rules if the machine says quickly of
each that it is prohibited (ICMP type 3, code 13). Silence, a connection and any other error
prove nothing. All of it blocks: call it through the door.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

import docker
from docker.errors import APIError
from docker.utils.socket import SocketError

from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker.networks.whereabouts import place_of
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.docker_api.threads import FAULTS, explain
from tmpnb.spawners.egress.rules import SIGNS, example

log = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds for which an answer counts
LABEL = "tmpnb.sentry"  # of such a container: the pool it is for
PROHIBITED = (3, 13)  # ICMP: the destination is closed by an administrator
MEMORY = 128 * 1024**2  # bytes
WAIT = "import signal; signal.pause()"
# Runs inside, so it must do with any Python 3. An answer comes at once or never; but the kernel
# gives few of them a second to one address, so it is asked again, argv[1] times in all.
PROBE = """
import json, select, socket, struct, sys
IP_RECVERR, ICMP = 11, 2
def ask(place):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    try:
        one.connect((place, 9))
        one.send(b"")
    except OSError:
        pass
    return one
def said(one):
    try:
        _, parts, _, _ = one.recvmsg(64, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for level, kind, data in parts:
        if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR):
            _, origin, what, code = struct.unpack_from("=IBBB", data)
            if origin == ICMP:
                return [what, code, socket.inet_ntoa(data[20:24])]
    return None
answers = dict.fromkeys(sys.argv[2:])
for _ in range(int(sys.argv[1])):
    asked = {ask(place): place for place in answers if answers[place] is None}
    left, poll = {one.fileno(): one for one in asked}, select.poll()
    for number in left:
        poll.register(number, 0)
    while left:
        ready = poll.poll(1000)
        if not ready:
            break
        for number, _ in ready:
            poll.unregister(number)
            one = left.pop(number)
            answers[asked[one]] = said(one)
    if None not in answers.values():
        break
print(json.dumps(list(answers.values())))
"""
FAULT = (
    "--egress=internet: the firewall's rules are not in force on the engine's machine, as seen from"
    " a container ({}); until they are, no server is started or given to a visitor. Run there, as"
    " root: tmpnb firewall --apply"
)
UNSEEN = "not looked at yet"


class Guard:
    """Knows whether the rules are in force on the network of a pool's servers."""

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        network: str,
        options: Options,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._pool, self._network = client, pool, network
        self._options, self._now = options, now
        self._lock = threading.Lock()
        self._looked: float | None = None
        self.fault = FAULT.format(UNSEEN)  # in words, with the mend; empty: they are in force

    def look(self) -> None:
        """Look, unless that was done less than `INTERVAL` ago. Never fails: see `fault`."""
        with self._lock:
            now = self._now()
            if self._looked is not None and now - self._looked < INTERVAL:
                return
            self.fault = self._look()
            self._looked = self._now()

    def require(self) -> None:
        """Look, and go on only if the rules are in force.

        Raises:
            SpawnerError: They are not; in words, with the mend.
        """
        self.look()
        if fault := self.fault:
            raise SpawnerError(fault)

    def close(self) -> None:
        """Remove the sentry."""
        with suppress(*FAULTS):
            self._remove(self._found())

    def _look(self) -> str:
        try:
            network, sentry = self._client.inspect_network(self._network), self._sentry()
            gateway = gateway_of(network, sentry)
            signs = signs_for(sentry)
            answers = refusals(self._client, sentry["Id"], [gateway, *signs])
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was seen to be in force
            return FAULT.format(f"it cannot be tried: {explain(error)}")
        return fault_in(answers, gateway, signs)

    def _found(self) -> list[dict[str, Any]]:
        wanted = {"label": f"{LABEL}={self._pool}"}
        found: list[dict[str, Any]] = self._client.containers(all=True, filters=wanted)
        return found

    def _sentry(self) -> dict[str, Any]:
        """Return what the engine says of a container on the network; made if need be.

        Raises:
            LookupError: It ended as soon as it was made.
        """
        found = self._found()
        for entry in found:
            on = (entry.get("NetworkSettings") or {}).get("Networks") or {}
            if len(found) == 1 and entry["State"] == "running" and self._network in on:
                return entry
        self._remove(found)
        return self._started(f"tmpnb-sentry-{self._pool}")

    def _started(self, name: str) -> dict[str, Any]:
        options = self._options
        config = self._client.create_host_config(
            network_mode=self._network,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", *self._options.limits.seccomp.options],
            init=True,
            pids_limit=32,
            mem_limit=MEMORY,
            read_only=True,
        )
        made = self._client.create_container(
            image=options.image,
            entrypoint=["python3", "-c", WAIT],
            command=[],
            name=name,
            labels={**options.labels, LABEL: self._pool},
            user=options.user or None,
            host_config=config,
        )
        self._client.start(made["Id"])
        log.info("sentry started network=%s", self._network)
        about: dict[str, Any] = self._client.inspect_container(made["Id"])
        if not about["State"]["Running"]:
            raise LookupError(f"the container ended at once; see docker logs {name}")
        return about

    def _remove(self, entries: Sequence[dict[str, Any]]) -> None:
        for entry in entries:
            with suppress(APIError):
                self._client.remove_container(entry["Id"], force=True, v=True)


Refusal = tuple[int, int, str]  # ICMP's type and code, and who says so


def refusals(
    client: docker.APIClient, container: str, places: Sequence[str], tries: int = 3
) -> list[Refusal | None] | None:
    """Return for each address who refuses packets to it, and why; None if it cannot be tried."""
    order = client.exec_create(container, ["python3", "-c", PROBE, str(tries), *places])
    try:
        answers = json.loads(client.exec_start(order))
        found = [
            None if one is None else (int(one[0]), int(one[1]), str(one[2])) for one in answers
        ]
    except (ValueError, TypeError, LookupError):
        return None
    return found if len(found) == len(places) else None


def refused(
    client: docker.APIClient, wanted: Mapping[str, Any], network: str, ranges: Sequence[IPv4Network]
) -> list[bool | None] | None:
    """Return for each range whether the firewall refuses it; None if it cannot be tried.

    None of them can if no such container runs, and none that is its own network.

    Args:
        client: Of the engine.
        wanted: Selects the container that asks.
        network: On which the machine has the address that the refusal comes from.
        ranges: One address of each is asked; the kernel answers about one a second.
    """
    found = client.containers(filters=wanted)
    if not found:
        return None
    gateway = gateway_of(client.inspect_network(network), found[0])
    near = place_of(found[0]).subnets
    places = {one: str(address) for one in ranges if (address := example(one, near)) is not None}
    try:
        answers = refusals(client, found[0]["Id"], [*places.values()], tries=2 * len(places))
    except SocketError:
        return None
    if answers is None:
        return None
    said = dict(zip(places, (is_refused(answer, gateway) for answer in answers), strict=True))
    return [said.get(one) for one in ranges]


def signs_for(container: Facts) -> list[str]:
    """Return the signs that a container asks the machine for: those not on its own networks."""
    near = place_of(container).subnets
    far = [sign for sign in SIGNS if not any(sign in network for network in near)]
    return list(map(str, far or SIGNS))


def is_refused(answer: Refusal | None, gateway: str) -> bool:
    """Return whether that is what the rules say. Pure."""
    return answer == (*PROHIBITED, gateway)


def fault_in(answers: Sequence[Refusal | None] | None, gateway: str, signs: Sequence[str]) -> str:
    """Return what is wrong, in words with the mend; empty if the rules are in force. Pure.

    Args:
        answers: First of the machine itself, then of the signs.
        gateway: The machine's address on the network.
        signs: Addresses that are refused in any case.
    """
    if answers is None:
        return FAULT.format("it cannot be tried: the image has no python3")
    for place, answer in zip(("the machine itself", *signs), answers, strict=True):
        if not is_refused(answer, gateway):
            return FAULT.format(f"{place} is not refused")
    return ""


def gateway_of(network: Facts, container: Facts) -> str:
    """Return the machine's IPv4 address on a network. Pure.

    Of a network that was made with a subnet alone, an engine may tell no gateway until it is
    restarted. Of a container on it, it always does.

    Args:
        network: As the engine describes it.
        container: One that runs on it, in the same words.

    Raises:
        LookupError: Neither tells it; in words, with the mend.
    """
    name, configs = network.get("Name"), _within(network, "IPAM", "Config")
    told = configs if isinstance(configs, list) else []
    for place in (*told, _within(container, "NetworkSettings", "Networks", name)):
        if address := _ipv4(_within(place, "Gateway")):
            return address
    raise LookupError(
        f"the engine tells no IPv4 gateway of the network {name}; remove it (docker network rm"
        f" {name}), and start tmpnb again, which makes it anew"
    )


def _within(facts: object, *names: object) -> object:
    """Return what stands under these names, one in the other; None if there is no such thing."""
    for name in names:
        facts = facts.get(name) if isinstance(facts, Mapping) else None
    return facts


def _ipv4(told: object) -> str:
    """Return an address without its length; "" if it is none of a machine's in IPv4."""
    with suppress(ValueError):
        address = IPv4Interface(str(told)).ip
        return "" if address.is_unspecified else str(address)
    return ""

"""Why a started server does not respond as it should, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Finding, Level

TOPIC = "start"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a server whose start failed. HTTP statuses; None: no response."""

    error: str  # what the start said
    timed_out: bool  # as opposed to: it ended, or the engine refused it
    seconds: float  # it was given
    ready_path: str  # that should have answered 200, with its base URL
    address: str | None = None  # where it should answer, http://host:port
    at_ready_path: int | None = None
    at_root: int | None = None  # at /api, outside of its base URL
    facts: ServerFacts = field(default_factory=ServerFacts)
    printed: tuple[str, ...] = ()  # its last lines


def diagnose(seen: Evidence) -> Finding:
    """Return the failure in words."""
    words, mend = _reason(seen)
    return Finding(Level.FAIL, TOPIC, words, mend, seen.printed or ("it printed nothing",))


def _reason(seen: Evidence) -> tuple[str, str]:
    if not seen.timed_out:
        return (
            seen.error,
            "check its output; the image must have the program in --command, which "
            "must not exit or go into the background",
        )
    if seen.address is None:
        return (
            f"the engine did not start it within {seen.seconds:g} s",
            "check the engine's own log, or raise --start-timeout",
        )
    if seen.at_root == 200:
        return (
            f"it serves at / instead of {_base_url(seen)}",
            "pass {base_path} on in --command, as in --ServerApp.base_url={base_path}",
        )
    if seen.at_ready_path is not None:
        return _wrong_answer(seen, seen.at_ready_path)
    return _no_answer(seen)


def _wrong_answer(seen: Evidence, status: int) -> tuple[str, str]:
    if status == 200:
        return f"it needs more than {seen.seconds:g} s to respond", "raise --start-timeout"
    words = f"GET {seen.ready_path} returns HTTP {status}, not 200"
    if status in (302, 401, 403):
        return words, "set --ready-path to a path that returns 200 without a token"
    if status >= 500:
        return words, "check its output"
    return (
        f"{words}; does it serve under another path?",
        "pass {base_path} on in --command, as in --ServerApp.base_url={base_path}, or "
        "set --ready-path to a path that returns 200",
    )


def _no_answer(seen: Evidence) -> tuple[str, str]:
    port, listeners = seen.facts.port, seen.facts.listeners
    silence = f"it does not respond within {seen.seconds:g} s"
    if listeners is None:
        return (
            silence,
            "--command must listen on {ip} and {port}; if it is only slow, raise --start-timeout",
        )
    if not listeners:
        return (
            f"{silence} and does not listen on any port",
            "check its output; if it is only slow, raise --start-timeout",
        )
    if not seen.facts.at_port:
        return (
            f"it listens at {', '.join(map(str, listeners))}, but not on port {port}",
            "pass {port} on in --command, as in --port={port}, or set --container-port",
        )
    if all(one.is_loopback for one in seen.facts.at_port):
        return (
            f"it listens only at {seen.facts.at_port[0]}, where nothing else can reach it",
            "pass {ip} on in --command, as in --ip={ip}",
        )
    return (
        f"it listens at {seen.facts.at_port[0]}, but {seen.address} cannot be reached from here",
        "if tmpnb runs in a container, set --docker-network to a network shared by "
        "both; if the engine runs on another machine, set --container-ip to an address "
        "of that machine",
    )


def _base_url(seen: Evidence) -> str:
    return "/".join(seen.ready_path.split("/")[:3]) + "/"

"""Why a server that was started does not answer as it should, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Finding, Level

TOPIC = "start"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is seen of a server whose start failed. HTTP statuses; None: no answer."""

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
            "see what it printed; the image must have the program of --command, which must not"
            " end nor go into the background",
        )
    if seen.address is None:
        return (
            f"the engine did not start it within {seen.seconds:g} s",
            "see what the engine's own log says, or raise --start-timeout",
        )
    if seen.at_root == 200:
        return (
            f"it serves at / instead of {_base_url(seen)}",
            "hand {base_path} on in --command, as in --ServerApp.base_url={base_path}",
        )
    if seen.at_ready_path is not None:
        return _wrong_answer(seen, seen.at_ready_path)
    return _no_answer(seen)


def _wrong_answer(seen: Evidence, status: int) -> tuple[str, str]:
    if status == 200:
        return f"it needs more than {seen.seconds:g} s to answer", "raise --start-timeout"
    words = f"GET {seen.ready_path} is HTTP {status}, not 200"
    if status in (302, 401, 403):
        return words, "name with --ready-path what answers 200 to anybody"
    if status >= 500:
        return words, "see what it printed"
    return (
        f"{words}; does it serve under another path?",
        "hand {base_path} on in --command, as in --ServerApp.base_url={base_path}, or name with"
        " --ready-path what answers 200",
    )


def _no_answer(seen: Evidence) -> tuple[str, str]:
    port, listeners = seen.facts.port, seen.facts.listeners
    silence = f"it does not answer within {seen.seconds:g} s"
    if listeners is None:
        return (
            silence,
            "--command must listen on {ip} and {port}; if it is only slow, raise --start-timeout",
        )
    if not listeners:
        return (
            f"{silence}, and listens nowhere",
            "see what it printed; if it is only slow, raise --start-timeout",
        )
    if not seen.facts.at_port:
        return (
            f"it listens at {', '.join(map(str, listeners))}, and not on port {port}",
            "hand {port} on in --command, as in --port={port}, or set --container-port",
        )
    if all(one.is_loopback for one in seen.facts.at_port):
        return (
            f"it listens at {seen.facts.at_port[0]} only, where nobody else can reach it",
            "hand {ip} on in --command, as in --ip={ip}",
        )
    return (
        f"it listens at {seen.facts.at_port[0]}, and {seen.address} cannot be reached from here",
        "with tmpnb in a container, name a network of both with --docker-network; with an engine"
        " on another machine, an address of that machine with --container-ip",
    )


def _base_url(seen: Evidence) -> str:
    return "/".join(seen.ready_path.split("/")[:3]) + "/"

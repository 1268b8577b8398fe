"""Say which parts of an engine are so old that a container is known to get out of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.finding import Finding, skip, warn

TOPIC = "version"
SUPPORTED = 25  # of Docker, the oldest with fixes by its makers
OLDEST = f"{SUPPORTED}.0"
OLDEST_REBUILT = "20.10"  # and by any distribution
UPDATE = "update the engine of this machine, and restart it"

# runc: first mended release of each line, and what mends it. Later lines came with the fix.
RUNC: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("CVE-2024-21626", ("1.1.12",)),
    ("CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
)
_NUMBER = re.compile(
    r"v?(\d{1,9}(?:\.\d{1,9}){1,2})(?:[-~.]?(alpha|beta|rc)[-.]?(\d{0,9}))?", re.IGNORECASE
)
_STAGES = ("alpha", "beta", "rc", "")  # of a number, in their order; the last is the release itself
# `1.1.5+ds1`, `20.10.24+dfsg1`, `1.1.12-0ubuntu3`, `1.1.4-1.el9`: fixes under an old number.
_REBUILT = re.compile(r"\+ds|\+dfsg|~ds|~deb|\+deb|ubuntu|\.el\d|\.fc\d|suse|amzn", re.IGNORECASE)


def findings(said: Facts) -> Iterator[Finding]:
    """Yield what is too old; nothing is said of what the engine does not tell.

    Args:
        said: The engine's answer to who it is and what it consists of.
    """
    for part in _parts(said):
        name, whole = str(part.get("Name") or ""), _whole(part)
        number = _number(str(part.get("Version") or ""))
        oldest = OLDEST_REBUILT if _REBUILT.search(whole) else OLDEST
        if name == "Engine" and number and number < _number(oldest):
            words = f"Docker {part.get('Version')} gets no more fixes from those who made it"
            yield warn(TOPIC, words, f"Docker {SUPPORTED} or newer, or your distribution's own")
        elif "runc" in name.lower() and (number := _number(_runcs(part))):
            yield from _of_runc(number, _runcs(part), whole)


def _of_runc(number: tuple[int, ...], version: str, whole: str) -> Iterator[Finding]:
    known = [flaw for flaw, mended in RUNC if not _has(number, mended)]
    if not known:
        return
    flaws = " and ".join(known)
    if _REBUILT.search(whole):
        words = (
            f"runc {version} is built by a distribution, whose number does not tell whether it is"
            f" mended; see that its security updates are installed: {flaws}"
        )
        yield skip(TOPIC, words)
    else:
        yield warn(TOPIC, f"runc {version} has known ways out of a container: {flaws}", UPDATE)


def _has(number: tuple[int, ...], mended: tuple[str, ...]) -> bool:
    """Return whether a release has a fix that came with these, each the first of its line."""
    first = [_number(one) for one in mended]
    return number >= first[-1] or any(number[:2] == m[:2] and number >= m for m in first)


def _parts(said: Facts) -> list[Mapping[str, Any]]:
    listed = said.get("Components")
    return (
        [part for part in listed if isinstance(part, Mapping)] if isinstance(listed, list) else []
    )


def _runcs(part: Mapping[str, Any]) -> str:
    """Return the version of runc; Podman says it in a text of several lines."""
    version = str(part.get("Version") or "")
    found = re.search(r"runc version (\S+)", version)
    return found[1] if found else version


def _whole(part: Mapping[str, Any]) -> str:
    details = part.get("Details")
    commit = details.get("GitCommit") if isinstance(details, Mapping) else ""
    return f"{part.get('Version')} {commit}"


def _number(version: str) -> tuple[int, ...]:
    """Return what to compare: three numbers, the stage, and the number of a pre-release."""
    found = _NUMBER.match(version)
    if not found:
        return ()
    whole, stage, count = found.groups(default="")
    numbers = [*map(int, whole.split(".")), 0][:3]
    return (*numbers, _STAGES.index(stage.lower()), int(count or 0))

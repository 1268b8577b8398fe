"""Which pages of other origins may read our answers: the headers that tell browsers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tmpnb.core.origins import canonical
from tmpnb.errors import ConfigError

ANYBODY = "*"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type, X-XSRFToken"
EXPOSED = "Retry-After"

_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?\Z")
_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*\Z")
_SECONDS = re.compile(r"-1\Z|\d{1,9}\Z")


@dataclass(frozen=True, slots=True)
class Cors:
    """What the operator allows, checked.

    Attributes:
        origins: Who may read: nobody, anybody (`*`), one, or several, as browsers write them.
        always: Headers of every answer.
        preflight: Headers of answers to OPTIONS, where they are not among those of every answer.
    """

    origins: tuple[str, ...] = ()
    always: Mapping[str, str] = field(default_factory=dict)
    preflight: Mapping[str, str] = field(default_factory=dict)

    def headers(self, origin: str, *, preflight: bool) -> dict[str, str]:
        """Return the headers of an answer.

        Args:
            origin: The request's `Origin`; empty for none.
            preflight: Whether it is an OPTIONS request.
        """
        found = dict(self.always)
        if len(self.origins) == 1:
            found["Access-Control-Allow-Origin"] = self.origins[0]
        elif self.origins:
            found["Vary"] = "Origin"
            if canonical(origin) in self.origins:
                found["Access-Control-Allow-Origin"] = canonical(origin)
        return {**self.preflight, **found} if preflight else found

    def names(self, origin: str) -> bool:
        """Whether pages of `origin` may read our answers."""
        return ANYBODY in self.origins or canonical(origin) in self.origins

    def and_origin(self, origin: str) -> Cors:
        """Return the same for an answer that `origin` may read, whoever else may."""
        always = {**self.always, "Vary": "Origin"}
        return Cors((origin,), always, _preflight(always))


def cors(values: Mapping[str, str]) -> Cors:
    """Return what the six flags of the original say together, with what they leave open.

    Args:
        values: By the flag's name with underscores; empty where it is not given.

    Raises:
        ConfigError: A value that no browser would understand; in one line.
    """
    for name, value in values.items():
        if any(ord(c) < 32 or ord(c) > 126 for c in value):
            raise ConfigError(f"{_flag(name)}: a header value must be plain ASCII text on one line")
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    origins = _origins(given.pop("allow_origin", ""))
    if given.get("allow_credentials", "").lower() == "false":
        del given["allow_credentials"]
    always = {_header(name): _checked(name, value) for name, value in given.items()}
    if origins:
        always.setdefault("Access-Control-Expose-Headers", EXPOSED)
    return Cors(origins, always, _preflight(always) if origins else {})


def advice(allowed: Cors) -> str | None:
    """Return what to tell an operator whose settings do less than they seem to."""
    if ANYBODY in allowed.origins and "Access-Control-Allow-Credentials" in allowed.always:
        return (
            "--allow-credentials=true has no effect with --allow-origin=*: browsers want the "
            "origins by name, like --allow-origin=https://journal.example,https://blog.example"
        )
    return None


def _preflight(always: Mapping[str, str]) -> dict[str, str]:
    standard = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
    }
    return {name: value for name, value in standard.items() if name not in always}


def _origins(given: str) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(o.strip() for o in given.split(",") if o.strip()))
    if origins == (ANYBODY,):
        return origins
    for origin in origins:
        if not _ORIGIN.match(origin):
            raise ConfigError(
                f"--allow-origin: {origin!r} is not an origin; write https://journal.example, "
                "without a path, several with commas between them, or * alone for anybody"
            )
    return tuple(dict.fromkeys(map(canonical, origins)))


def _checked(name: str, value: str) -> str:
    if name == "allow_credentials":
        if value.lower() != "true":
            raise ConfigError(f"{_flag(name)}={value}: write true, or leave it out")
        return "true"
    if name == "max_age":
        if not _SECONDS.match(value):
            raise ConfigError(f"{_flag(name)}={value}: write a number of seconds, 600 for example")
        return value
    if not _NAMES.match(value):
        example = "GET, POST" if name == "allow_methods" else "Authorization, Content-Type"
        raise ConfigError(f"{_flag(name)}={value}: write names with commas between them: {example}")
    return value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _header(name: str) -> str:
    return f"Access-Control-{name.replace('_', '-').title()}"

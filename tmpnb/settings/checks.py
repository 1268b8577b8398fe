"""Values that the command line hands to the service, and the checks that join them. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tmpnb.core import links
from tmpnb.core.links import BadLinkError
from tmpnb.core.origins import source
from tmpnb.core.plan import Policy
from tmpnb.errors import ConfigError
from tmpnb.system.net.networks import is_loopback
from tmpnb.web.embedding import expression

_POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:(\d{1,5}|\*))?\Z")
_ORIGIN_V6 = re.compile(r"https?://\[[0-9a-fA-F:]+\](:\d{1,5})?\Z")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the service listens."""

    ip: str
    port: int
    admin_ip: str
    admin_port: int
    admin_hosts: frozenset[str] = frozenset()  # further names that the admin port goes by
    public_metrics: bool = False  # whether the public port has /metrics as well


def check_policy(policy: Policy) -> None:
    """Check limits against each other.

    Raises:
        ConfigError: Two of them cannot both hold, or one is not a number.
    """
    for flag, seconds in (("cull-timeout", policy.max_idle), ("cull-max", policy.max_age)):
        if math.isnan(seconds):
            raise ConfigError(f"--{flag}={seconds} is not a number of seconds")
    if policy.min_ready > policy.capacity:
        raise ConfigError(
            f"--min-ready={policy.min_ready} is more than --pool-size={policy.capacity}; "
            "lower the one or raise the other"
        )
    if policy.max_idle > policy.max_age:
        raise ConfigError(
            f"--cull-timeout={policy.max_idle:g} is longer than --cull-max={policy.max_age:g}: "
            "no server would ever be idle before it is too old; lower the one or raise the other"
        )


def check_listening(where: Listening, admin_token: str | None) -> None:
    """Check the ports against each other and the admin port against strangers.

    Raises:
        ConfigError: One port for both, or an admin port open to others without a token.
    """
    if where.port and where.port == where.admin_port:
        raise ConfigError(f"--port and --admin-port are both {where.port}; choose two")
    if not is_loopback(where.admin_ip) and admin_token is None:
        raise ConfigError(
            f"--admin-ip={where.admin_ip} opens the admin port to others; "
            "set ADMIN_AUTH_TOKEN, or ADMIN_AUTH_TOKEN_FILE, first, or keep it on 127.0.0.1"
        )


def pool_name(given: str, image: str) -> str:
    """Return the pool's name: as given, else made from the image's name.

    Raises:
        ConfigError: It cannot be part of a container's name.
    """
    name = given or re.sub(r"[^A-Za-z0-9_.-]+", "-", image).strip("-.")[:63] or "tmpnb"
    if not _POOL_NAME.match(name):
        raise ConfigError(
            f"--pool-name={name}: use letters, digits, '_', '.' and '-', at most 63, "
            "beginning with a letter or digit"
        )
    return name


def frame_ancestors(origins: str) -> str:
    """Return the sources that may frame us, as the Content-Security-Policy writes them.

    Args:
        origins: `https://journal.example,https://*.blog.example`; empty: only ourselves.

    Raises:
        ConfigError: One of them is not an origin.
    """
    sources = ["'self'"]
    for origin in (o.strip() for o in origins.split(",")):
        if not origin:
            continue
        if origin != "*" and not _ORIGIN.match(origin) and not _ORIGIN_V6.match(origin):
            raise ConfigError(
                f"--embed-origins: {origin!r} is not an origin; write https://journal.example, "
                "without a path"
            )
        sources.append(source(origin))
    return " ".join(sources)


def script_origins(frame_ancestors: str, allow_origin: str) -> str:
    """Return whose scripts may ask a notebook server, as a regular expression; empty: nobody's.

    `*` counts for neither: a notebook runs code, so its sites are named one by one.

    Args:
        frame_ancestors: The sites that may show notebooks, as `frame_ancestors` returns them.
        allow_origin: The sites whose scripts may ask the service, with commas between.
    """
    sources = [*frame_ancestors.split(), *(s.strip() for s in allow_origin.split(","))]
    named = dict.fromkeys(s for s in sources if _ORIGIN.match(s) or _ORIGIN_V6.match(s))
    joined = "|".join(map(expression, named))
    return rf"(?:{joined})\Z" if joined else ""


def public_url(given: str) -> str:
    """Return the address where visitors find the service, without a slash at its end.

    Args:
        given: `https://notebooks.example`; empty: each visitor's browser says it.

    Raises:
        ConfigError: It is no address, or has a path.
    """
    url = given.strip().rstrip("/")
    if url and ("*" in url or not (_ORIGIN.match(url) or _ORIGIN_V6.match(url))):
        raise ConfigError(
            f"--public-url={given} is not an address; write https://notebooks.example, "
            "without a path"
        )
    return url


def redirect_uri(given: str) -> str:
    """Return the landing page, checked.

    Raises:
        ConfigError: It is not a path on a notebook server.
    """
    path, _, query = given.partition("?")
    try:
        links.parse(path, query)
    except BadLinkError as error:
        raise ConfigError(f"--redirect-uri={given}: {error}; write /lab, for example") from error
    if not path.startswith("/") or path.startswith("//"):
        raise ConfigError(f"--redirect-uri={given} must begin with one slash, as /lab does")
    return given

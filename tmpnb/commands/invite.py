"""`tmpnb invite`: a link that lets its holders in for a while, without the passphrase."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from tmpnb.access.passphrase import Passes, given_passphrase
from tmpnb.core import links
from tmpnb.core.links import BadLinkError
from tmpnb.errors import ConfigError
from tmpnb.settings import checks
from tmpnb.settings.service import Service
from tmpnb.system.net.host_port import place, reachable
from tmpnb.system.signing import TokenMaker, load_key

NOTE = "TMPNB_PASSPHRASE is not set here; a service without it lets everybody in anyway"
HOURS = 24.0  # that a link lets in unless told otherwise


def invite(service: Service, options: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Say the link; whether it will be of use.

    Args:
        service: The settings; the key in them signs the link.
        options: `--hours`, and `--url` where visitors find the service, with the page's path.
        say: Called with each line.

    Raises:
        ConfigError: An option cannot be, or there is no key yet.
    """
    if service.secrets.secret_key is None and not (service.state_dir / "secret_key").exists():
        raise ConfigError(
            f"there is no secret key in {service.state_dir}: give tmpnb invite the flags and the "
            "environment of the service, after its first start"
        )
    site, path = _place(options.get("--url") or _default_url(service))
    given = service.secrets
    key = load_key(service.state_dir, given.secret_key, given.source("TMPNB_SECRET_KEY"))
    passes = Passes(TokenMaker(key))
    say(f"{site}/invite{path}?token={passes.invite(_hours(options.get('--hours')))}")
    if not given_passphrase(given.passphrase, given.source("TMPNB_PASSPHRASE")):
        sys.stderr.write(f"tmpnb: {NOTE}\n")
    return True


def _default_url(service: Service) -> str:
    return service.public_url or f"http://{place(reachable(service.proxy.ip), service.proxy.port)}"


def _hours(given: str | None) -> float:
    try:
        hours = HOURS if given is None else float(given)
    except ValueError as error:
        raise ConfigError(f"--hours={given} is not a number of hours") from error
    if not math.isfinite(hours):
        raise ConfigError(f"--hours={given} is not a number of hours")
    return hours


def _place(url: str) -> tuple[str, str]:
    """Return the site of an address and the path on it, which is empty or begins with a slash."""
    try:
        parts = urlsplit(url)
        site = checks.public_url(f"{parts.scheme}://{parts.netloc}")
        path = links.parse(parts.path, "").path
    except (ValueError, BadLinkError, ConfigError) as error:
        raise ConfigError(
            f"--url={url} is not an address; write https://notebooks.example, with the path of a "
            "page behind it if you like"
        ) from error
    if parts.query or parts.fragment:
        raise ConfigError(f"--url={url}: leave out what stands behind the path")
    return site, f"/{path}" if path else ""

"""Read from the environment which engine is meant, and refuse what cannot work, in one line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

from docker.errors import DockerException, TLSParameterError
from docker.utils import kwargs_from_env, parse_host

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_api.threads import explain
from tmpnb.system.files import plain_file
from tmpnb.system.logs.redaction import on_one_line

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
EXAMPLES = "write for example unix:///var/run/docker.sock or tcp://127.0.0.1:2375"
NO = ("0", "false", "no", "off")  # what some write and Docker takes for yes
LARGEST = 1024**2  # bytes of a file of Docker's that is read


def address() -> str:
    """Return where the engine is, as DOCKER_HOST has it."""
    return os.environ.get("DOCKER_HOST", "").strip() or DEFAULT_ADDRESS


def shown(where: str) -> str:
    """Return an address for people, without a password."""
    return on_one_line(re.sub(r"//[^/@]*@", "//***@", where))


def is_on_this_linux() -> bool:
    """Whether the engine that DOCKER_HOST names shares this machine's loopback addresses."""
    return sys.platform == "linux" and address().startswith("unix:")


def environment() -> dict[str, Any]:
    """Return docker-py's arguments for the engine that is meant.

    Raises:
        ConfigError: A variable is wrong; the message names it and what to do.
    """
    host = os.environ.get("DOCKER_HOST", "").strip()
    _require_no_context(host)
    if host:
        _require_known(host)
    try:
        found: dict[str, Any] = kwargs_from_env({**os.environ, "DOCKER_HOST": host})
    except TLSParameterError as error:
        path = os.environ.get("DOCKER_CERT_PATH") or "~/.docker"
        raise ConfigError(
            f"DOCKER_TLS_VERIFY, DOCKER_CERT_PATH: {path} must hold ca.pem, cert.pem and key.pem"
            f"{_meant_no()}"
        ) from error
    if "tls" in found and "base_url" not in found:
        raise ConfigError(
            "DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is set without DOCKER_HOST; set all or none"
        )
    if "tls" in found:
        _require_certificates()
    return found


def unfollowed() -> str:
    """Return in one line that Docker's own program would ask another engine; "" if not.

    Contexts are Docker's way to name engines. They are not followed here, as they may mean
    another engine tomorrow.
    """
    named = os.environ.get("DOCKER_CONTEXT", "").strip()
    chosen = _text_of(_configuration("config.json"), "currentContext")
    if os.environ.get("DOCKER_HOST", "").strip():
        if named in ("", "default"):
            return ""
        return f"DOCKER_HOST goes before DOCKER_CONTEXT={on_one_line(named)}, which is not followed"
    context = named or chosen
    if context in ("", "default"):
        return ""
    return f"the docker context {on_one_line(context)} is not followed; {_instead_of(context)}"


def _require_no_context(host: str) -> None:
    """Refuse what somebody asked for by name; what a file says is told of by `unfollowed`."""
    named = os.environ.get("DOCKER_CONTEXT", "").strip()
    if named not in ("", "default") and not host:
        raise ConfigError(
            f"DOCKER_CONTEXT={on_one_line(named)}: contexts are not followed;"
            f" {_instead_of(named)}, and unset DOCKER_CONTEXT"
        )


def _instead_of(context: str) -> str:
    digest = hashlib.sha256(context.encode(errors="surrogateescape")).hexdigest()
    about = _configuration(f"contexts/meta/{digest}/meta.json")
    ends = about.get("Endpoints")
    docker = ends.get("docker") if isinstance(ends, dict) else None
    where = _text_of(docker, "Host") or "to the address that `docker context inspect` shows"
    return f"set DOCKER_HOST={shown(where)}" if "://" in where else f"set DOCKER_HOST {where}"


def _configuration(name: str) -> dict[str, Any]:
    """Return a file of Docker's own program; empty if there is none that can be read."""
    folder = os.environ.get("DOCKER_CONFIG") or "~/.docker"
    try:
        path = Path(folder).expanduser() / name
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            found = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RuntimeError):  # no such home, or nested without end
        return {}
    return found if isinstance(found, dict) else {}


def _text_of(table: object, name: str) -> str:
    value = table.get(name) if isinstance(table, dict) else None
    return value.strip() if isinstance(value, str) else ""


def _require_known(host: str) -> None:
    try:
        parsed = str(parse_host(host))
    except (DockerException, ValueError) as error:
        raise ConfigError(
            f"DOCKER_HOST={shown(host)}: {shown(explain(error))}; {EXAMPLES}"
        ) from error
    scheme = parsed.partition("://")[0]
    if scheme == "ssh":
        raise ConfigError(
            f"DOCKER_HOST={shown(host)}: engines are not reached by ssh; forward the socket with"
            " ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST and set"
            " DOCKER_HOST=unix:///tmp/docker.sock"
        )
    if scheme == "npipe":
        raise ConfigError(f"DOCKER_HOST={shown(host)}: Windows alone has named pipes; {EXAMPLES}")
    if scheme == "http+unix":
        _require_socket(host, parsed.partition("://")[2])


def _require_socket(host: str, path: str) -> None:
    if not path.startswith("/"):
        raise ConfigError(f"DOCKER_HOST={shown(host)}: not an absolute path; {EXAMPLES}")
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return  # what the connection says is clearer
    if not is_socket:
        raise ConfigError(f"DOCKER_HOST={shown(host)}: that is no socket; {EXAMPLES}")


def _require_certificates() -> None:
    path = Path(os.environ.get("DOCKER_CERT_PATH") or Path("~/.docker").expanduser())
    context = ssl.create_default_context()
    try:
        for name in ("ca.pem", "cert.pem", "key.pem"):
            plain_file.read(path / name, LARGEST)  # OpenSSL would wait for a pipe
        context.load_verify_locations(path / "ca.pem")
        context.load_cert_chain(path / "cert.pem", path / "key.pem", password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"DOCKER_CERT_PATH: ca.pem, or cert.pem with key.pem, of {path} cannot be used:"
            f" {explain(error)}{_meant_no()}"
        ) from error


def _meant_no() -> str:
    said = os.environ.get("DOCKER_TLS_VERIFY", "").strip()
    if said.lower() not in NO:
        return ""
    return f"; DOCKER_TLS_VERIFY={said} means yes, as all text does: unset it to go without"

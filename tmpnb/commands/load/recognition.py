"""Find out which of the systems answers at a URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tmpnb.commands.load.doors import Door, HubDoor, JupyterDoor, TmpnbDoor
from tmpnb.commands.load.session import reason
from tmpnb.commands.load.target import Target
from tmpnb.errors import ConfigError, UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

TIMEOUT = 20.0  # seconds
HUB, OURS, JUPYTER = "hub/api", "health/ready", "api"  # asked below the root

Answer = tuple[int, Any]  # status, and the JSON it has


async def recognised(target: Target) -> Door:
    """Return the door that fits.

    Raises:
        ConfigError: Nothing answers there, or none of the three; in one line.
    """
    client = Client(MAX_ANSWER)
    try:
        paths = (HUB, OURS, JUPYTER)
        found = await asyncio.gather(*(_ask(client, target.root + path) for path in paths))
        return door(target, dict(zip(paths, found, strict=True)))
    except UnreachableError as error:
        raise ConfigError(f"{target.url}: no answer ({reason(error)}); does it run?") from error
    finally:
        client.close()


def door(target: Target, answers: Mapping[str, Answer]) -> Door:
    """Return the door that fits to what was answered.

    Raises:
        ConfigError: None does; in one line.
    """
    if _says(answers[HUB], "version"):
        return HubDoor(target)
    if _says(answers[OURS], "ready", "checks"):
        return TmpnbDoor(target)
    if _says(answers[JUPYTER], "version"):
        return JupyterDoor(target)
    raise ConfigError(f"{target.url}: there is a web server, but no tmpnb, JupyterHub or Jupyter")


async def _ask(client: Client, url: str) -> Answer:
    answer = await client.fetch(url, timeout=TIMEOUT)
    try:
        return answer.code, json.loads(answer.body)
    except ValueError:
        return answer.code, None


def _says(answer: Answer, *keys: str) -> bool:
    code, told = answer
    return code in (200, 503) and isinstance(told, dict) and all(key in told for key in keys)

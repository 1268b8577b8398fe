"""Take the settings of the service that runs already: for `tmpnb doctor`, which tests them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tmpnb.commands.operate.admin_port import AdminPort, place
from tmpnb.commands.orders import Say
from tmpnb.errors import AdminPortError, NobodyThereError
from tmpnb.orchestrator.guarded import let_go
from tmpnb.settings import told as told_settings
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.program import Program
from tmpnb.system.net.port_owners import Owner

PATIENCE = 5.0  # seconds for a running service to tell its settings


async def as_served(program: Program, say: Say) -> None:
    """Let a program have the settings of the service at its admin port, if one answers there.

    Flags of its own go before them. Settings name what is run and what servers see of the machine,
    so they are taken only from our own user and from root; of others it is said what differs.

    Raises:
        ConfigError: A setting cannot be; in one line.
    """
    if not program.admin_port:
        return
    url = place("", program.admin_ip, program.admin_port)
    port = AdminPort(url, Secrets.from_environment(os.environ).admin_token)
    try:
        told = (await port.ask("GET", "/api/settings", seconds=PATIENCE)).get("settings")
        was_ours = port.owner is Owner.OURS
        await port.look()  # who answered may have come after the first look
    except NobodyThereError:
        return
    except AdminPortError as error:  # whose port it is, is one of the checks
        say(f"with the flags given here, not those of what answers at {url}: {error}")
        return
    finally:
        port.close()
    if not isinstance(told, dict):
        return
    if was_ours and port.owner is Owner.OURS:
        untold = told_settings.take_over(program, told)
        say(f"with the settings of the tmpnb at {url}, and the flags given here")
        if untold:
            say(f"but for what it does not tell: {', '.join(untold)}; give those here as well")
        return
    why = "it is on another machine" if port.owner is Owner.ELSEWHERE else "whose it is, is unknown"
    say(f"with the flags given here, not those of what answers at {url}: {why}")
    if differing := await _differing(program, told):
        say(f"which has other settings: {', '.join(differing)}")


async def _differing(program: Program, told: Mapping[str, object]) -> list[str]:
    service = program.build()
    try:
        return told_settings.differing(service.settings, told)
    finally:
        await let_go(service.spawner)

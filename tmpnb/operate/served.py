"""Take the settings of the service that runs already: for `tmpnb doctor`, which tests them."""

from __future__ import annotations

import os

from tmpnb import told_settings
from tmpnb.errors import AdminPortError, NobodyThereError
from tmpnb.operate.admin_port import AdminPort, place
from tmpnb.orders import Program, Say
from tmpnb.secret_settings import Secrets

PATIENCE = 5.0  # seconds for a running service to tell its settings


async def as_served(program: Program, say: Say) -> None:
    """Let a program have the settings of the service at its admin port, if one answers there.

    Flags of its own go before them. It is said in a line.

    Raises:
        ConfigError: A setting cannot be; in one line.
    """
    if not program.admin_port:
        return
    url = place("", program.admin_ip, program.admin_port)
    port = AdminPort(url, Secrets.from_environment(os.environ).admin_token)
    try:
        told = (await port.ask("GET", "/api/settings", seconds=PATIENCE)).get("settings")
    except NobodyThereError:
        return
    except AdminPortError as error:  # whose port it is, is one of the checks
        say(f"with the flags given here, not those of what answers at {url}: {error}")
        return
    finally:
        port.close()
    if isinstance(told, dict):
        told_settings.take_over(program, told)
        say(f"with the settings of the tmpnb at {url}, and the flags given here")

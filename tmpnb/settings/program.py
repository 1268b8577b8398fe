"""What commands need of the program whose settings they read, as a contract."""

from __future__ import annotations

from typing import Any, Protocol

from tmpnb.settings.service import Service


class Program(Protocol):
    """What commands need of the program: settings that were read, of which no service is made yet.

    Attributes:
        admin_ip: Where the admin port is.
        admin_port: Its number.
        config: The settings that are not the defaults.
        cli_config: Those of the command line.
        classes: All that can be set.
    """

    admin_ip: Any
    admin_port: Any
    config: Any
    cli_config: Any
    classes: Any

    def build(self) -> Service:
        """Turn the settings into a service; raise ConfigError if they cannot be."""
        ...

    def update_config(self, config: Any) -> None:
        """Have these settings, beside those that there are."""
        ...

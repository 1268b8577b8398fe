"""The settings in force as values that can be told: without secrets, and taken over elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from traitlets import TraitError
from traitlets.config import Config, Configurable

from tmpnb import flags
from tmpnb.config_file import NOT_SETTINGS
from tmpnb.errors import ConfigError
from tmpnb.orders import Program

# Secrets of the service come from the environment and are no settings. What an operator hands on
# to servers, or to the engine's drivers of logs, may be one all the same.
_SECRET = re.compile(r"token|secret|passw|passphrase|credential|private|api_?key|\bkey|_key", re.I)
_PLAIN = frozenset({"use_tokens", "allow_credentials"})
_DRIVERS = frozenset({"log_config", "LogConfig"})  # with addresses and tokens of log services
_USER = re.compile(r"(?<=://)[^/@\s]+@")


def tell(*configurables: Configurable) -> dict[str, dict[str, Any]]:
    """Return the settings of each, by the name of its class.

    Left out is what may be a secret, and what JSON has no form for.
    """
    told: dict[str, dict[str, Any]] = {}
    for configurable in configurables:
        names = set(configurable.class_trait_names(config=True)) - NOT_SETTINGS
        values = {name: getattr(configurable, name) for name in sorted(names)}
        told[type(configurable).__name__] = _without_secrets(values)
    return told


def take_over(program: Program, told: Mapping[str, Any]) -> None:
    """Let the program have settings that a service told, but for those of its own flags.

    Raises:
        ConfigError: They are of another version, or make no sense; in one line.
    """
    known = {c.__name__: set(c.class_trait_names(config=True)) for c in program.classes}
    config = Config()
    for section, values in told.items():
        if section not in known or not isinstance(values, dict):
            continue  # of a spawner that is not installed here
        own = program.config.get(section, {})
        for name in values.keys() & known[section]:
            value, before = values[name], own.get(name)
            merged = isinstance(value, dict) and isinstance(before, dict)
            # Secrets in them are not told, and may be in our own config file.
            config[section][name] = {**before, **value} if merged else value
    given = program.cli_config
    flags.let_flags_win(config, given, program.classes)
    try:
        program.update_config(config)
        program.update_config(given)
    except TraitError as error:
        raise ConfigError(f"the running service told: {flags.in_words(str(error))}") from error


def _without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in values.items():
        secret = name not in _PLAIN and (_SECRET.search(str(name)) or name in _DRIVERS)
        if not secret and _is_plain(value):
            kept[str(name)] = _told(value)
    return kept


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_secrets(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_told(one) for one in value if _is_plain(one)]
    return _USER.sub("", value) if isinstance(value, str) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | dict | list | tuple | set | frozenset)

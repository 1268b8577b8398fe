"""The settings in force as values that can be told: without secrets, and taken over elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from traitlets import TraitError
from traitlets.config import Config, Configurable

from tmpnb.errors import ConfigError
from tmpnb.settings import flags
from tmpnb.settings.config_file import NOT_SETTINGS
from tmpnb.settings.program import Program
from tmpnb.system.logs.redaction import on_one_line, redact

# Secrets of the service come from the environment and are no settings. What an operator hands on
# to servers, or to the engine's drivers of logs, may be one all the same.
_SECRET = re.compile(r"token|secret|passw|passphrase|credential|private|api_?key|\bkey|_key", re.I)
_PLAIN = frozenset({"use_tokens", "allow_credentials"})  # settings
_DRIVERS = frozenset({"log_config", "LogConfig"})  # with addresses and tokens of log services
_NAMES_ALONE = frozenset({"environment", "extra_host_config"})  # any name may be a secret's
HIDDEN = "[redacted]"
LONGEST = 10_000  # characters of a text that is told
_USER = re.compile(r"(?<=://)[^/\s]*@")  # up to the last @ before the path
_QUERY = re.compile(r"(?<=://)([^\s\"'?#]*)[?#][^\s\"']+")
_WORD = r"[\w.-]*(?:token|passw|passphrase|pwd|secret|credential|key|auth)[\w.-]*"
_FLAG = re.compile(rf"--{_WORD}", re.I)
_VALUE = re.compile(  # --ServerApp.token=…, PASSWORD=…, --password …, in quotes or without
    rf"(?<![\w.-])({_WORD}=|--{_WORD}[ \t]+(?!-))(?!<\{{|''|\"\"|(?:true|false)\b)"
    r"(?:\"[^\"]*\"?|'[^']*'?|[^\s\"']+)+",
    re.I,
)
_FILLED_IN = re.compile(r"(?<=[= ])(\{\w+\})(?=[\s\"']|$)")  # in a command: no secret itself
MOST_NAMED = 20


def tell(*configurables: Configurable) -> dict[str, dict[str, Any]]:
    """Return the settings of each, by the name of its class.

    Left out is what may be a secret, and what JSON has no form for. Of environment and the
    engine's own settings the names alone are told.
    """
    told: dict[str, dict[str, Any]] = {}
    for configurable in configurables:
        names = set(configurable.class_trait_names(config=True)) - NOT_SETTINGS
        values = {name: getattr(configurable, name) for name in sorted(names)}
        plain = {name: _told(value) for name, value in values.items() if name in _PLAIN}
        alone = {name: sorted(map(str, values[name])) for name in _NAMES_ALONE & names}
        told[type(configurable).__name__] = _without_secrets(values) | plain | alone
    return told


def take_over(program: Program, told: Mapping[str, Any]) -> list[str]:
    """Let the program have settings that a service told, but for those of its own flags.

    Of a setting that has a secret in it, its own config file counts.

    Returns:
        What the service has and does not tell, and the program has not of itself.

    Raises:
        ConfigError: They are of another version, or make no sense; in one line.
    """
    known = {c.__name__: c for c in program.classes}
    config, untold = Config(), list[str]()
    for section, values in told.items():
        if section not in known or not isinstance(values, dict):
            continue  # of a spawner that is not installed here
        for name in sorted(values.keys() & set(known[section].class_trait_names(config=True))):
            value, own = values[name], _own(program, known[section], name)
            if missing := _untold(name, value, own):
                untold.append(f"{section}.{name}{missing}")
            if name in _NAMES_ALONE or (_hides(value) and not isinstance(value, dict)):
                continue
            if isinstance(value, dict):  # secrets in it are not told, and may be in our own
                shown = {key: one for key, one in value.items() if not _hides(one)}
                value = {**own, **shown} if isinstance(own, dict) else shown
            config[section][name] = value
    given = program.cli_config
    flags.let_flags_win(config, given, program.classes)
    try:
        program.update_config(config)
        program.update_config(given)
    except TraitError as error:
        raise ConfigError(f"the running service told: {flags.in_words(str(error))}") from error
    return _few(untold)


def differing(own: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that are told otherwise than our own are."""
    names = []
    for section, values in own.items():
        others = told.get(section)
        if isinstance(others, dict):
            shared = sorted(values.keys() & others.keys())
            names += [f"{section}.{name}" for name in shared if values[name] != others[name]]
    return _few(names)


def _own(program: Program, section: type, name: str) -> object:
    """Return what the program was given for a setting, for its class or one that it is made of."""
    sections = (program.config.get(one.__name__, {}) for one in section.__mro__)
    return next((values[name] for values in sections if name in values), None)


def _untold(name: str, value: object, own: object) -> str:
    """Return what is left to say of a value that is not told as a whole; empty: nothing."""
    if name in _NAMES_ALONE:
        names = value if isinstance(value, list | dict) else ()
        missing = {str(one) for one in names} - set(own if isinstance(own, dict) else ())
        return f" ({', '.join(_few(sorted(missing)))})" if missing else ""
    return " (has a secret)" if _hides(value) and _told(own) != value else ""


def _few(names: list[str]) -> list[str]:
    more = len(names) - MOST_NAMED
    shown = [on_one_line(name) for name in names[:MOST_NAMED]]
    return [*shown, f"{more} more"] if more > 0 else shown


def _hides(value: object) -> bool:
    return HIDDEN in str(value)


def _without_secrets(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): _told(value)
        for name, value in values.items()
        if not _SECRET.search(str(name)) and name not in _DRIVERS and _is_plain(value)
    }


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_secrets(value)
    if isinstance(value, list | tuple | set | frozenset):
        return _listed([one for one in value if _is_plain(one)])
    return _hidden(value) if isinstance(value, str) else value


def _listed(values: list[Any]) -> list[Any]:
    """Return values of which one may be a flag and the next its secret."""
    before = [None, *values]
    return [
        HIDDEN if isinstance(flag, str) and _FLAG.fullmatch(flag) else _told(value)
        for flag, value in zip(before, values, strict=False)
    ]


def _hidden(text: str) -> str:
    """Return a text without what may be a secret in it."""
    if len(text) > LONGEST:  # to look through it would take too long
        return HIDDEN
    text = _QUERY.sub(rf"\1?{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))
    text = _FILLED_IN.sub(r"<\1>", text)
    text = redact(_VALUE.sub(rf"\1{HIDDEN}", text))
    return re.sub(r"<(\{\w+\})>", r"\1", text)


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | dict | list | tuple | set | frozenset)

"""Turn the operator's command template into the arguments of a process. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from tmpnb.errors import ConfigError

PLACEHOLDERS = ("base_path", "port", "ip", "token", "frame_ancestors")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
_SHELL_ONLY = frozenset("$`();<>|&")
_SHELL_BEGINS = re.compile(r"\s*([A-Za-z_]\w*=|(exec|cd|export|set|source|\.)\s)")
_HARMLESS = re.compile(r"[\w@%+=:,./~-]*", re.ASCII)  # means the same with and without a shell


def render(template: str, values: Mapping[str, str]) -> list[str]:
    """Return the command as an argument list, ready to run without a shell.

    Only the known placeholders are filled in: JSON and other braces survive. A
    command that uses the shell's own operators, variables, assignments or `exec` is
    run by one, as operators of the original are used to.

    Args:
        template: The operator's.
        values: What each placeholder stands for. All but `frame_ancestors`, which is
            the operator's as well, may come from a visitor.

    Raises:
        ConfigError: A quote is not closed, or there is no command at all, or a shell
            would run what a visitor wrote.
    """
    words = _split(template)
    if not _needs_shell(template):
        return [_fill(word, values) for word in words]
    for name in _PLACEHOLDER.findall(template):
        if name != "frame_ancestors" and not _HARMLESS.fullmatch(values[name]):
            raise ConfigError(f"--command needs a shell, which must not see this {name}")
    return ["/bin/sh", "-c", _fill(template, values)]


def _split(template: str) -> list[str]:
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise ConfigError(f"--command: {error} in: {template}") from error
    if not words:
        raise ConfigError("--command is empty; leave it out for the default")
    return words


def _needs_shell(template: str) -> bool:
    quote, escaped = "", False
    for char in template:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char in "\"'" and quote in ("", char):
            quote = "" if quote else char
        elif (not quote and char in _SHELL_ONLY) or (quote == '"' and char in "$`"):
            return True
    return _SHELL_BEGINS.match(template) is not None


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)

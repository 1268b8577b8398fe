"""Says that a notebook has no internet, when a cell failed for want of it. Runs in a kernel."""

from __future__ import annotations

import builtins
import errno
import re
import socket
import subprocess
import sys
from typing import Any

MESSAGE = """
This notebook has no internet access: the service that runs it keeps notebooks offline.
Nothing can be installed or downloaded here; use what is already installed.
"""
_FETCHES = (
    r"(?:sudo\s+)?(?:\S+\s+-m\s+)?(?:\S*/)?"
    r"(?:pip[\d.]*|uv|conda|mamba|micromamba|apt|apt-get|npm|git|curl|wget)\s"
)
_IN_PYTHON = re.compile(rf"^\s*[!%]{{1,2}}\s*{_FETCHES}", re.MULTILINE)
_IN_A_SHELL = re.compile(rf"^\s*{_FETCHES}", re.MULTILINE)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH)
_MOST_CAUSES = 20  # errors that led to an error; they may go in a circle


def watch() -> None:
    """Look at each cell of this kernel after it ran; at a plain prompt of Python, do nothing."""
    shell = getattr(builtins, "get_ipython", lambda: None)()
    if shell is None:
        return

    def look(result: Any = None) -> None:
        cell = getattr(getattr(result, "info", None), "raw_cell", None) or ""
        # IPython keeps there what the last program of a cell ended with.
        code = shell.user_ns.get("_exit_code")
        if wanted_the_network(cell, code, getattr(result, "error_in_exec", None)):
            sys.stderr.write(MESSAGE)

    shell.events.register("post_run_cell", look)


def wanted_the_network(cell: str, code: Any, error: BaseException | None) -> bool:
    """Whether a cell failed as it does without a network.

    Args:
        cell: Its source.
        code: What the last program ended with that a cell ran; 0 is success.
        error: What the cell raised.
    """
    if error is None:
        return bool(code) and _IN_PYTHON.search(cell) is not None
    if isinstance(error, subprocess.CalledProcessError):  # of %%bash and its like
        return _IN_A_SHELL.search(cell) is not None
    return _is_of_the_network(error)


def _is_of_the_network(error: BaseException | None) -> bool:
    for _ in range(_MOST_CAUSES):
        if error is None:
            return False
        if isinstance(error, OSError) and _is_of_a_socket(error):
            return True
        reason = getattr(error, "reason", None)  # of urllib's own
        inner = reason if isinstance(reason, BaseException) else None
        error = inner or error.__cause__ or error.__context__
    return False


def _is_of_a_socket(error: OSError) -> bool:
    """Whether a name or an address could not be reached.

    Of errors that say that time is up, those of sockets say so in words, and asyncio's do not.
    """
    late = isinstance(error, socket.timeout) and "timed out" in str(error)
    return late or isinstance(error, socket.gaierror) or error.errno in _UNREACHABLE

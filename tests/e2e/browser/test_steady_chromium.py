"""The browser of the tests hears nothing of network interfaces, and connects all the same."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.browser.browser import STEADY

ASK = """
import socket, sys
socket.socket(socket.AF_INET).close()
socket.socket(getattr(socket, sys.argv[1])).close()
"""


def asked(family: str) -> subprocess.CompletedProcess[str]:
    """Let a program in the browser's place ask for a socket of `family`."""
    environment = {**os.environ, "TMPNB_CHROMIUM": sys.executable}
    return subprocess.run(  # noqa: S603 - the words are ours
        [STEADY, "-c", ASK, family], env=environment, capture_output=True, text=True, timeout=30
    )


def test_only_news_of_the_network_is_refused() -> None:
    assert asked("AF_UNIX").returncode == 0
    refused = asked("AF_NETLINK")
    assert refused.returncode == 1
    assert "Address family not supported" in refused.stderr

"""Lets scripts of the named sites ask a notebook server, with its token. Runs in that server.

A browser asks beforehand whether a page of another site may send a token, and takes
silence for no. What an image or a command has set itself stays as it is. Whatever fails
here, the server starts all the same.
"""

from __future__ import annotations

import os
import re
from typing import Any

VARIABLE = "TMPNB_ORIGINS"  # a regular expression of whole origins
SAID_ALREADY = "Access-Control-Allow-Origin"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell the server what to load."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Change who may ask a server that is about to listen."""
    settings, pattern = server.web_app.settings, os.environ.get(VARIABLE)
    if not pattern or SAID_ALREADY in settings.get("headers", {}):
        return
    if not settings.get("allow_origin") and not settings.get("allow_origin_pat"):
        settings["allow_origin_pat"] = re.compile(pattern)

"""Lets a notebook server set cookies in a frame of another site. Runs in that server.

Only where visitors come by https: a browser takes no such cookie otherwise. What an
image has set itself stays as it is. Whatever fails here, the server starts all the same.
"""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any

FRAMED = {"samesite": "None", "secure": True, "partitioned": True}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell the server what to load."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Change the two cookies of a server that is about to listen."""
    _teach_partitioned()
    settings = server.web_app.settings
    path = {"path": server.base_url}
    login = settings.get("cookie_options")
    if login == {}:
        login.update(FRAMED)  # in place: the server's identity provider reads the same one
    if settings.get("xsrf_cookie_kwargs", path) == path:
        settings["xsrf_cookie_kwargs"] = {**FRAMED, **path}


def _teach_partitioned() -> None:
    """Python before 3.14 refuses an attribute of a cookie that it does not know."""
    morsel: Any = Morsel
    morsel._reserved.setdefault("partitioned", "Partitioned")
    morsel._flags.add("partitioned")

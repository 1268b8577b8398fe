"""Notes when a person last used a page that is not Jupyter's own. Runs in a notebook server.

An open page of Jupyter asks its server again and again by itself, so what is asked says
nothing about a person. Two things do, and Jupyter does not tell them apart from the others:
requests to what jupyter-server-proxy shows, such as a dashboard, and messages on websockets
of anybody but Jupyter. `GET tmpnb/use` answers `{"last_use": 1790000000.0}`, Unix time in
seconds, or null for never.
"""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

PROXY = "jupyter_server_proxy"  # each of its requests is for a page that is not Jupyter's
# Whose websockets say nothing about a person: an open page keeps them and talks on them.
JUPYTERS_OWN = frozenset(
    [
        "jupyter_collaboration",
        "jupyter_lsp",
        "jupyter_server",
        "jupyter_server_documents",
        "jupyter_server_nbmodel",
        "jupyter_server_terminals",
        "jupyter_server_ydoc",
        "jupyterlab",
        "jupyterlab_server",
        "notebook",
        "nbclassic",
        "terminado",
    ]
)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell the server what to load."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Look at every request to a server that is about to listen, and answer when that was."""
    application, watch = server.web_app, Watch()
    find = application.find_handler

    def find_and_note(request: Any, **kwargs: Any) -> Any:
        found = find(request, **kwargs)
        handler = getattr(found, "handler_class", None)
        if isinstance(handler, type):
            found.handler_class = watch.seen(handler)
        return found

    application.find_handler = find_and_note
    path = f"{server.base_url}tmpnb/use"
    application.add_handlers(".*$", [(path, _answering(watch))])


class Watch:
    """Knows when something was used last."""

    def __init__(self) -> None:
        self.last_use: float | None = None  # Unix time in seconds
        self._noting = cache(self._make_noting)

    def note(self) -> None:
        """Take it as used now."""
        self.last_use = time.time()

    def seen(self, handler: type) -> type:
        """Return who is to answer a request that this handler was found for."""
        owner = handler.__module__.partition(".")[0]
        if owner == PROXY:
            self.note()
        return self._noting(handler) if owner not in JUPYTERS_OWN else handler

    def _make_noting(self, handler: type) -> type:
        """Return the handler, which notes each message if it takes any."""
        if not hasattr(handler, "on_message"):
            return handler
        note = self.note

        class Noting(handler):  # type: ignore[misc]  # whatever it is
            def on_message(self, message: Any) -> Any:
                note()
                return super().on_message(message)

        Noting.__name__, Noting.__module__ = handler.__name__, handler.__module__
        return Noting


def _answering(watch: Watch) -> type:
    from jupyter_server.base.handlers import APIHandler  # is there only in a server
    from tornado.web import authenticated

    class Use(APIHandler):
        @authenticated
        def get(self) -> None:
            self.finish(json.dumps({"last_use": watch.last_use}))

    return Use

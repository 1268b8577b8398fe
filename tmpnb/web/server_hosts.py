"""What we answer at the hosts of servers: what their pages ask of us, and the way to our own host.

The proxy sends us all that comes to such a host and is not below `/user/<id>/` of a live
server. No page that can do anything is here: a notebook at the same host could act on it.
"""

from __future__ import annotations

from typing import Any

from tornado.routing import URLSpec
from tornado.web import HTTPError

from tmpnb.web.api.servers import ExtendHandler, ServerHandler
from tmpnb.web.assets import PackageFileHandler
from tmpnb.web.base import BaseHandler
from tmpnb.web.pages.branding import LogoHandler
from tmpnb.web.pages.gone import UserHandler


def server_host_table(args: dict[str, Any], server_id: str, static_path: str) -> list[URLSpec]:
    """Return the addresses at a server's host.

    Args:
        args: Of every handler.
        server_id: A regular expression of ids, with one group.
        static_path: The directory of our files.
    """
    files = args | {"path": static_path}
    return [
        URLSpec(rf"/user/{server_id}(/.*)?", UserHandler, args),
        URLSpec(rf"/api/servers/{server_id}", ServerHandler, args),
        URLSpec(rf"/api/servers/{server_id}/extend", ExtendHandler, args),
        URLSpec(r"/static/(.*)", PackageFileHandler, files),
        URLSpec(r"/(robots\.txt)", PackageFileHandler, files),
        URLSpec(r"/logo", LogoHandler, args),
        URLSpec(r".*", ElsewhereHandler, args),
    ]


class ElsewhereHandler(BaseHandler):
    """All that is at our own host and not here."""

    async def get(self) -> None:
        """Send on to the same address there: a link of a notebook's page, or a person.

        Raises:
            HTTPError: 404, it is no address.
        """
        address = self.request.uri or ""
        if not address.startswith("/"):
            raise HTTPError(404)
        self.redirect(self.absolute(address))

    head = get

    async def post(self) -> None:
        """Refuse: a form or a script of a notebook would act in our name.

        Raises:
            HTTPError: 404.
        """
        raise HTTPError(404)

    put = patch = delete = post

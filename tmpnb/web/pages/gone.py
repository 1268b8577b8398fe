"""What is said in place of a notebook server that the proxy cannot reach."""

from __future__ import annotations

import re
from http import HTTPStatus

from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, stream_request_body

from tmpnb.core import links
from tmpnb.core.links import is_broken, mended
from tmpnb.system.signing import same
from tmpnb.web.base import BaseHandler

NOWHERE = links.Link()
RETRY_AFTER = 2  # seconds, while a lost route comes back
LARGEST_SAVE = 100 * 1024 * 1024  # bytes that an old tab may send in vain; none is kept
SLOWEST_SAVE = 300.0  # seconds that it may take
BROKEN = "This link is broken: it has a percent sign that does not encode a character."
CLEARED = '"storage"'
MOST_COOKIES = 20  # of an ended server that are removed
READ = ("document", "iframe", "frame", "embed", "object")  # Sec-Fetch-Dest of what a person reads
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_USER_PATH = re.compile(r"/user/([A-Za-z0-9_-]{1,64})(/.*)?\Z")
_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)")


def say_goodbye(
    handler: BaseHandler,
    server_id: str,
    link: links.Link = NOWHERE,
    status: int = 404,
    *,
    token: str = "",
) -> None:
    """Finish with the page that says why a server is no more, and offers a new one.

    Args:
        handler: Who answers.
        server_id: Of the server that has ended.
        link: Where on it the visitor wanted to be, and shall be on a new one.
        status: Of the answer.
        token: The server's, where the request has shown it: the page can reopen it then even if
            the browser keeps no cookie.
    """
    may_start = not handler.site.api_token
    may_reopen = may_start and handler.site.orchestrator.is_id(server_id)
    handler.proof = token
    handler.page(
        "ended.html",
        status,
        farewell=handler.site.lifetimes.farewell(server_id),
        spawn_url=f"/spawn{link.suffix}" if may_start else "",
        reopen_url=f"/spawn/user/{server_id}{link.suffix}" if may_reopen else "",
        server_id=server_id,
    )


def reconnecting(handler: BaseHandler) -> None:
    """Finish with the page that loads itself again, or with JSON for a program."""
    handler.set_header("Retry-After", str(RETRY_AFTER))
    if handler.wants_json():
        message = "The way to this notebook server is being restored."
        error = {"code": "route_lost", "message": message}
        handler.write_json({"error": error, "message": message}, 503)
    else:
        handler.page("reconnecting.html", 503, retry_after=RETRY_AFTER)


@stream_request_body
class UserHandler(BaseHandler):
    """`/user/<id>/…` that has no route: the server has ended, or its route was lost.

    Nothing is started here. A person gets a page that says so and offers a new
    notebook; a program gets JSON, so that a save into a server that is gone fails
    where the user can see it.
    """

    def prepare(self) -> None:
        """Take larger bodies than others do."""
        super().prepare()
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(LARGEST_SAVE)
            connection.set_body_timeout(SLOWEST_SAVE)

    def data_received(self, chunk: bytes) -> None:
        """Drop the body: an old tab may try to save a large file."""

    def wants_json(self) -> bool:
        """Whether nobody reads the answer as a page: also where an open page asks for its parts."""
        headers = self.request.headers
        is_part = headers.get("Sec-Fetch-Dest", "document") not in READ or "Upgrade" in headers
        return is_part or super().wants_json()

    async def _answer(self, server_id: str, *_: str) -> None:
        orchestrator = self.site.orchestrator
        if self._is_elsewhere(server_id):
            self._point_to(server_id)
        elif orchestrator.claims.live(server_id) is not None or not orchestrator.adopted:
            self.site.orchestrator.wake()  # the pass adds the route again
            reconnecting(self)
        elif self.wants_json() or self.request.method not in ("GET", "HEAD") or self.site.api_token:
            error = self.site.lifetimes.farewell(server_id).as_error()
            self.write_json(error, self._status_for_program(server_id))
        else:
            path = self.request.path.removeprefix(f"/user/{server_id}")
            link = links.parse(path, self.request.query)
            say_goodbye(self, server_id, link, token=self._shown_token(server_id))

    def _shown_token(self, server_id: str) -> str:
        """Return the server's token if the address has it, as that of a frame or an old tab."""
        token = self.get_query_argument("token", "")
        return token if same(token, self.site.orchestrator.token_for(server_id)) else ""

    def _status_for_program(self, server_id: str) -> HTTPStatus:
        """Return what an open page of Jupyter takes calmly.

        After 404 JupyterLab's file browser asks again at once, and its visitor closes one dialog
        after another. A kernel that is not found is gone, and no more is said; after another
        status its page says that it has died.
        """
        is_kernel = self.request.path.startswith(f"/user/{server_id}/api/kernels")
        return HTTPStatus.NOT_FOUND if is_kernel else HTTPStatus.GONE

    def _is_elsewhere(self, server_id: str) -> bool:
        """Whether a person shall be sent to another host: our page is not at a server's host.

        A page there would be taken for the notebook's own by a browser, and a notebook could
        act on it.
        """
        subdomains, orchestrator = self.site.subdomains, self.site.orchestrator
        if subdomains is None or self.wants_json() or self.request.method not in ("GET", "HEAD"):
            return False
        host = self.request.host_name.removesuffix(".")
        if orchestrator.claims.live(server_id) is not None:
            return host != subdomains.host_of(server_id)
        return orchestrator.adopted and host.endswith(f".{subdomains.domain}")

    def _has_ended_here(self, server_id: str) -> bool:
        """Whether this is the host of a server that is gone, and not just being opened again."""
        subdomains, orchestrator = self.site.subdomains, self.site.orchestrator
        if subdomains is None or not orchestrator.is_id(server_id):
            return False
        is_gone = orchestrator.adopted and server_id not in orchestrator.pool.servers
        return is_gone and self.request.host_name.removesuffix(".") == subdomains.host_of(server_id)

    def _clear(self, server_id: str) -> None:
        """Let the browser forget what a server has kept at its host, workers too.

        Cookies by name: `Clear-Site-Data: "cookies"` would take those of the whole domain, with
        the one by which our own host knows the visitor, and those of servers that live.
        """
        self.set_header("Clear-Site-Data", CLEARED)
        kinds = ("; Secure; SameSite=None; Partitioned", "; Secure") if self.is_https else ("",)
        names = [name for name in self.request.cookies if _TOKEN.fullmatch(name)]
        for name in names[:MOST_COOKIES]:
            for kind in kinds:
                path = f"/user/{server_id}/"
                self.add_header("Set-Cookie", f"{name}=; Path={path}; Max-Age=0; HttpOnly{kind}")

    def _point_to(self, server_id: str) -> None:
        """Send on: to the server if it lives, else to our page that says why it does not."""
        path, query = self.request.path, self.request.query
        if self._has_ended_here(server_id):
            self._clear(server_id)
        if self.site.orchestrator.claims.live(server_id) is not None:
            address = self.on_server(server_id, f"{path}?{query}" if query else path)
        else:
            link = links.parse(path.removeprefix(f"/user/{server_id}"), query)
            token = self._shown_token(server_id)
            shown = links.on_server(server_id, link, token) if token else ""
            address = self.absolute(shown or f"/user/{server_id}{link.suffix or '/'}")
        self.redirect(address)

    get = head = post = put = patch = delete = _answer


def _path_of(url: str) -> str:
    """Return the path in a URL as a visitor sent it; empty if it has none.

    Not by `urlsplit`, which may take the square of its length.
    """
    found = _URL.match(url)
    return found[1] if found else ""


class ProxyErrorHandler(BaseHandler):
    """`/proxy-error/<status>?url=…`: the page the proxy shows when a target fails.

    The proxy fetches it and sends it on with its own status; it never has a notebook's
    secrets in it. One without our scripts fails at links that cannot be decoded, and says 500.
    """

    async def get(self, status: str) -> None:
        """Answer for the address the visitor wanted."""
        path = _path_of(self._asked())
        found = _USER_PATH.match(path)
        if is_broken(path):
            self._broken(path)
        elif found and self.site.orchestrator.claims.live(found.group(1)) is not None:
            self.site.orchestrator.wake()  # if its server died, the pass finds out
            reconnecting(self)
        elif found and self.site.lifetimes.farewell(found.group(1)).reason is not None:
            self._ended(found.group(1))
        else:
            code = int(status)
            raise HTTPError(code if 400 <= code <= 599 else 502)

    def wants_json(self) -> bool:
        """Whether the visitor is a program: the proxy asks for all alike."""
        return "/api/" in _path_of(self._asked()) or super().wants_json()

    def _asked(self) -> str:
        *_, url = self.request.query_arguments.get("url", [b""])
        return url.decode(errors="replace")

    def _broken(self, path: str) -> None:
        if self.wants_json():
            error = {"code": "bad_link", "message": BROKEN}
            self.write_json({"error": error, "message": BROKEN}, 400)
        else:
            query = self._asked().partition("#")[0].partition("?")[2]
            self.page("broken.html", 400, meant=mended(path, query))

    def _ended(self, server_id: str) -> None:
        if self.wants_json():
            self.write_json(self.site.lifetimes.farewell(server_id).as_error(), 404)
        elif self.site.subdomains:  # this body stands at the server's host: let it load again
            reconnecting(self)
        else:
            say_goodbye(self, server_id)

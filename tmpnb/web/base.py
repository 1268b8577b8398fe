"""What all handlers share: cross-origin headers, tokens, pages, and one shape of errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from types import TracebackType
from typing import Any

from tornado.web import HTTPError

from tmpnb import errors
from tmpnb.access.gate import Gate
from tmpnb.access.public_hosts import PublicHosts
from tmpnb.core.links import FORM_KEY, BadLinkError
from tmpnb.core.subdomains import Subdomains
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.system.http.presence import Presence
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.visitors.arrivals import Arrivals
from tmpnb.visitors.downloads import Downloads
from tmpnb.visitors.identity import Visitors
from tmpnb.visitors.roster import Roster
from tmpnb.visitors.time_left import Lifetimes
from tmpnb.web.access_log import AccessLog
from tmpnb.web.admin.operating import Operating
from tmpnb.web.asked import intent
from tmpnb.web.asked.cookie_names import own
from tmpnb.web.asked.counted import CountedHandler
from tmpnb.web.asked.forms import Forms
from tmpnb.web.brand import Analytics, Brand, Notice
from tmpnb.web.cors import Cors
from tmpnb.web.features import NEVER_NEEDED

log = logging.getLogger(__name__)

STATUS: Mapping[type[errors.TmpnbError], tuple[int, str]] = {
    BadLinkError: (400, "bad_link"),
    errors.PoolEmptyError: (503, "pool_empty"),
    errors.LineFullError: (503, "line_full"),
    errors.TicketError: (503, "place_lost"),
    errors.VisitorLeftError: (503, "pool_empty"),  # nobody is there to read it
    errors.BannedError: (403, "banned"),
    errors.PassphraseError: (403, "passphrase_needed"),
    errors.ClientLimitError: (429, "client_limit"),
    errors.TooManyTriesError: (429, "too_many_tries"),
    errors.ServerExistsError: (409, "server_exists"),
    errors.ServerStartsError: (409, "server_starting"),
    errors.BansFullError: (409, "too_many_bans"),
    errors.TooManyDownloadsError: (429, "too_many_downloads"),
    errors.DownloadBrokenError: (503, "download_failed"),
    errors.RolloutRefusedError: (409, "rollout_refused"),
    errors.ImageFailedError: (409, "image_failed"),
    errors.SpawnerError: (503, "engine_unavailable"),
    errors.NoInstanceError: (503, "engine_unavailable"),
    errors.StartTimeoutError: (503, "engine_unavailable"),
    errors.ProxyError: (503, "proxy_unavailable"),
    errors.ProxyAuthError: (503, "proxy_unavailable"),
}

# The others may tell of the inside of an engine or a proxy. Images are an operator's matter.
SAID_TO_CLIENTS = (
    BadLinkError,
    errors.PoolEmptyError,
    errors.BannedError,
    errors.PassphraseError,
    errors.ClientLimitError,
    errors.ServerExistsError,
    errors.ServerStartsError,
    errors.BansFullError,
    errors.TooManyDownloadsError,
    errors.DownloadBrokenError,
    errors.RolloutRefusedError,
    errors.ImageFailedError,
)


@dataclass(frozen=True, slots=True)
class Site:
    """What the handlers need to know."""

    orchestrator: Orchestrator
    arrivals: Arrivals
    visitors: Visitors
    gate: Gate
    version: str
    lifetimes: Lifetimes  # how long visitors have
    downloads: Downloads  # all files of a server in one archive
    roster: Roster  # who is here, for the operator
    access_log: AccessLog = field(default_factory=AccessLog)
    remember_visitors: float = 14400.0  # seconds
    public_url: str = ""  # https://host where visitors find us; empty: as they say themselves
    subdomains: Subdomains | None = None  # where servers have host names of their own
    hosts: PublicHosts = field(default_factory=PublicHosts)  # under which notebooks are given out
    brand: Brand = field(default_factory=Brand)
    notice: Notice = field(default_factory=Notice)
    forms: Forms = field(default_factory=Forms)  # that led to a page of ours
    frame_ancestors: str = "'self'"  # sources allowed to frame our pages, as in CSP
    cors: Cors = field(default_factory=Cors)
    open_files: int = 0  # that this process may have
    open_files_needed: int = 0
    own_names: frozenset[str] = frozenset()  # that the admin port goes by, in lower case
    public_metrics: bool = False  # whether the public port has /metrics as well
    operating: Operating = field(default_factory=Operating)  # what the admin port needs besides
    api_token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)


class BaseHandler(CountedHandler):
    """A request to the orchestrator itself."""

    site: Site
    for_pages_of = "same-origin"  # whose pages may load this as a part, unseen by their scripts
    proof = ""  # the token of a server, from one who has it or had it: carried on by our pages
    proof_of = ""  # the id of that server, where the address does not have it
    refused = ""  # why it was, for the log
    measured = False  # whether the operator's analytics may see it: no page with secrets may be

    def initialize(self, site: Site) -> None:
        """Take what the URL table gives; called before anything else by Tornado."""
        self.site, self.gate, self.presence = site, site.gate, Presence()

    def prepare(self) -> Awaitable[None] | None:
        """Set what the site decides on every answer."""
        self._site_headers()
        return super().prepare()

    def is_free(self) -> bool:
        """Whether a program sends it, which takes servers for others."""
        return self.has_token(self.site.api_token)

    def _site_headers(self) -> None:
        origin = self.request.headers.get("Origin", "")
        preflight = self.request.method == "OPTIONS"
        for name, value in self.cors(origin).headers(origin, preflight=preflight).items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "strict-origin")
        self.set_header("Cross-Origin-Resource-Policy", self.for_pages_of)
        self.set_header("Origin-Agent-Cluster", "?1")
        self.set_header("Permissions-Policy", NEVER_NEEDED)
        if self.is_https:  # elsewhere a browser ignores it, and complains
            self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header(
            "Content-Security-Policy",
            "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
            f"form-action 'self'{self._form_policy()}; "
            f"frame-ancestors {self.site.frame_ancestors}{self._analytics_policy()}",
        )

    def _form_policy(self) -> str:
        """Let our forms lead to the servers, which browsers forbid if they are elsewhere."""
        subdomains = self.site.subdomains
        return f" {subdomains.all_origins(self.absolute(''))}" if subdomains else ""

    def analytics(self) -> Analytics | None:
        """Return whose script may count this visit: nobody's where the address opens something."""
        seen = self.measured and not {"token", FORM_KEY} & self.request.query_arguments.keys()
        return self.site.brand.analytics if seen else None

    def _analytics_policy(self) -> str:
        analytics = self.analytics()
        if analytics is None:
            return ""
        return f"; script-src 'self' {analytics.origin}; connect-src 'self' {analytics.origin}"

    def cors(self, origin: str) -> Cors:
        """Return who may read this answer; `origin` is who asks."""
        del origin
        return self.site.cors

    def on_connection_close(self) -> None:
        """Note that nobody waits for the answer any more."""
        super().on_connection_close()
        self.presence.leave()

    def is_own_page(self) -> bool:
        """Whether a request comes from our own page or from no page at all."""
        return intent.is_own_page(self.request.headers, self.site.public_url)

    @property
    def is_https(self) -> bool:
        """Whether the visitor speaks https with whatever stands before us."""
        return self.absolute("").startswith("https:")

    def absolute(self, path: str) -> str:
        """Return the address under which the visitor finds `path` of our own pages."""
        if self.site.public_url:
            return self.site.public_url + path
        forwarded = self.request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip(" \t")
        scheme = "https" if forwarded == "https" else "http"
        subdomains, host = self.site.subdomains, self.request.host
        return f"{scheme}://{subdomains.main_host(host) if subdomains else host}{path}"

    def on_server(self, server_id: str, path: str) -> str:
        """Return the address of a path on a server; the path itself if it is at our own host."""
        subdomains = self.site.subdomains
        return subdomains.origin_of(server_id, self.absolute("")) + path if subdomains else path

    def absolute_on_server(self, server_id: str, path: str) -> str:
        """Return the address of a path on a server in full."""
        address = self.on_server(server_id, path)
        return address if self.site.subdomains else self.absolute(address)

    def cookie_name(self, kind: str) -> str:
        """Return the name of a cookie of this service."""
        return own(kind, self.site.orchestrator.name, self.absolute(""))

    def set_lasting_cookie(self, kind: str, value: str, *, path: str, age: int) -> None:
        """Set a cookie for `age` seconds, in a frame of another site too if https allows that."""
        site = "Secure; SameSite=None; Partitioned" if self.is_https else "SameSite=Lax"
        # By hand: `set_cookie` knows of no partitions before Python 3.14.
        cookie = f"{self.cookie_name(kind)}={value}; Path={path}; Max-Age={age}; HttpOnly; {site}"
        self.add_header("Set-Cookie", cookie)

    def options(self, *_: str) -> None:
        """Answer a preflight: 204 with the configured headers."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    def page(self, template: str, status: int = 200, **values: Any) -> None:
        """Finish with a page."""
        brand = self.site.brand
        self.set_status(status)
        self.add_header("Vary", "Sec-Fetch-Dest, Sec-Fetch-User, Sec-Purpose, User-Agent")
        self.render(
            template,
            brand=brand.name,
            logo=f"/logo?v={brand.logo.version}" if brand.logo else self.static_url("favicon.svg"),
            welcome=brand.welcome,
            footer=brand.footer,
            announcement=self.site.notice.text,
            has_terms=brand.terms is not None,
            has_pages=self.settings["has_pages"],
            analytics=self.analytics(),
            static=self.static_url,
            parents=self.site.frame_ancestors,
            proof=self.proof,
            proof_of=self.proof_of,
            status=status,
            **values,
        )

    def write_json(self, value: Mapping[str, Any], status: int = 200) -> None:
        """Finish with a JSON object."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(value) + "\n")

    def require_token(self, expected: str | None) -> None:
        """Let the request pass only with `Authorization: token <expected>` (or `Bearer`).

        Raises:
            HTTPError: 401 without a token or with a wrong one. None expected: all pass.
        """
        if expected is not None and not self.has_token(expected):
            raise HTTPError(401, reason="Unauthorized: send 'Authorization: token <your token>'")

    def wants_json(self) -> bool:
        """Whether the client is a program: by path, by method, or by what it accepts."""
        accept = self.request.headers.get("Accept", "*/*")
        if "/api/" in self.request.path:
            return True
        if self.request.method not in ("GET", "HEAD"):
            return "text/html" not in accept
        return "json" in accept and "html" not in accept

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error in the one JSON shape, or as a page for a person."""
        self._site_headers()
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, code = _classify(status_code, error)
        message = _message(status, error)
        if status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "token")
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", "5")
        if isinstance(error, errors.ClientLimitError):
            self.set_header("Retry-After", str(error.retry_after))
        if self.wants_json():
            self.write_json({"error": {"code": code, "message": message}}, status)
        else:
            title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
            self.page("error.html", status, title=title, message=message)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Give our own errors their own status before Tornado turns them into 500."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        super().send_error(_classify(status_code, error)[0], **kwargs)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log a traceback for bugs only, and never a query."""
        if isinstance(value, (HTTPError, errors.TmpnbError)):
            # Tornado's own words about an HTTPError quote what was sent, secrets included.
            # The line of the access log has them, once for all that are refused alike.
            self.refused = _said(value) if isinstance(value, HTTPError) else str(value)
        else:
            path = on_one_line(self.request.path)
            log.error("unexpected error in %s %s", self.request.method, path, exc_info=value)


def _said(error: HTTPError) -> str:
    return error.reason or responses.get(error.status_code, "Unknown")


_STATUSES = frozenset(int(s) for s in HTTPStatus)


def _classify(status: int, error: BaseException | None) -> tuple[int, str]:
    if isinstance(error, errors.TmpnbError):
        return STATUS.get(type(error), (500, "internal_server_error"))
    phrase = HTTPStatus(status).phrase if status in _STATUSES else "error"
    return status, phrase.lower().replace(" ", "_").replace("-", "_")


def _message(status: int, error: BaseException | None) -> str:
    """Return words for the client; the inside of an engine or proxy is none of its business."""
    if isinstance(error, SAID_TO_CLIENTS):
        return str(error)
    if isinstance(error, errors.TmpnbError):
        return "The service cannot give out a notebook at the moment. Please try again soon."
    if isinstance(error, HTTPError) and error.reason:
        return str(error.reason)
    return _MESSAGES.get(status, "Something went wrong.")


_MESSAGES = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not take this kind of request.",
    500: "Something went wrong on our side. It has been logged.",
}

"""The settings for the addresses of the service and of its servers."""

from __future__ import annotations

from traitlets import Bool, Unicode
from traitlets.config import Configurable

from tmpnb.access import own_hosts, public_hosts
from tmpnb.access.public_hosts import PublicHosts
from tmpnb.core import subdomains
from tmpnb.core.subdomains import Subdomains
from tmpnb.orchestrator.launch.readiness import first_page
from tmpnb.orchestrator.launch.small_page import TREE
from tmpnb.settings import checks
from tmpnb.settings.checks import Listening


class AddressSettings(Configurable):
    """The addresses of the service and the servers, and the page where visitors land."""

    ip: str
    port: int
    admin_ip: str
    admin_port: int
    user_length: int
    allow_origin: str
    embed_origins: str

    public_url = Unicode(
        "",
        help="""Public address of the service: https://notebooks.example. With https, notebooks set
        cookies that work in frames on other sites. Requests under any other name are redirected
        here. Empty: taken from each visitor's request.""",
    ).tag(config=True)
    redirect_uri = Unicode(
        "/lab",
        help="""Page of the notebook server that visitors of / land on. Unless it is set, phones and
        frames land on /tree, Notebook 7's file list, if the image has it.""",
    ).tag(config=True)
    subdomains = Unicode(
        "",
        help="""Domain under which each server gets its own host name, to isolate visitors from each
        other: notebooks.example. Needs wildcard DNS, and a wildcard certificate for https.""",
    ).tag(config=True)

    public_hosts = Unicode(
        "",
        help="""More host names to serve notebooks under, for example behind a reverse proxy that
        does not pass on the Host header: notebooks.internal.example,… Those of --public-url and
        --subdomains, IP addresses, local network names and the machine's own name are always
        accepted.""",
    ).tag(config=True)
    admin_hosts = Unicode(
        "",
        help="""More host names under which the admin port answers without ADMIN_AUTH_TOKEN:
        tmpnb.ops.example,… IP addresses, local network names and the machine's own name are always
        accepted.""",
    ).tag(config=True)

    public_metrics = Bool(
        False, help="Serve /metrics on the public port too, not only on the admin port."
    ).tag(config=True)

    def landing(self) -> tuple[str, str, str]:
        """Return the page visitors land on, the part of it to prepare ahead, and the small page.

        That is the page for phones and frames, below the base URL; empty if the operator has
        chosen one page for all.

        Raises:
            ConfigError: The page is none.
        """
        page = checks.redirect_uri(self.redirect_uri)
        is_chosen = "redirect_uri" in self.config.get("Tmpnb", {})
        return page, first_page(page), "" if is_chosen else TREE

    def listening(self) -> Listening:
        """Return where the service listens, and what it serves there.

        Raises:
            ConfigError: A further name of the admin port is none.
        """
        names = own_hosts.names(self.admin_hosts)
        ports = (self.ip, self.port, self.admin_ip, self.admin_port)
        return Listening(*ports, names, self.public_metrics)

    def names(self, public_url: str, domain: str, *, walls: bool) -> PublicHosts:
        """Return the host names under which notebooks are served, except the machine's own.

        Args:
            public_url: As `addresses` returns it.
            domain: Of the servers; empty: there is none.
            walls: Whether a server is kept from the machine it is on.

        Raises:
            ConfigError: A further one is none.
        """
        main = public_url.partition("://")[2] or domain
        return public_hosts.public_hosts(main, self.public_hosts, domain=domain, walls=walls)

    def addresses(self) -> tuple[str, Subdomains | None]:
        """Return the public URL, without a slash at its end, and the domain of the servers.

        Raises:
            ConfigError: One of them cannot be, or does not go with the other settings.
        """
        public_url = checks.public_url(self.public_url)
        chosen = subdomains.subdomains(self.subdomains)
        if chosen is not None:
            named = [*self.embed_origins.split(","), *self.allow_origin.split(",")]
            subdomains.check(
                chosen,
                public_url=public_url,
                user_length=self.user_length,
                trusted_sites=[source.strip() for source in named],
            )
        return public_url, chosen

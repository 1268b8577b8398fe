"""The settings of where visitors find the service, and the servers they are given."""

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
    """Where visitors find the service and the servers, and where on these they land."""

    ip: str
    port: int
    admin_ip: str
    admin_port: int
    user_length: int
    allow_origin: str
    embed_origins: str

    public_url = Unicode(
        "",
        help="""Where visitors find the service: https://notebooks.example. With https, notebooks
        set cookies that work in frames of other sites. Pages there are ours, and who
        asks by a name that is not is sent there. Empty: as each visitor's request says.""",
    ).tag(config=True)
    redirect_uri = Unicode(
        "/lab",
        help="""Page of the notebook server that a visitor of / lands on. Unless it is set, phones
        and frames land on /tree, Notebook 7's list of files, where the image has it.""",
    ).tag(config=True)
    subdomains = Unicode(
        "",
        help="""Domain below which each server gets a host name of its own, which keeps visitors
        apart: notebooks.example. Needs wildcard DNS, and a wildcard certificate for https.""",
    ).tag(config=True)

    public_hosts = Unicode(
        "",
        help="""Further names under which notebooks are given out, as a front server that does not
        pass the Host header asks by; beside those of --public-url and --subdomains, addresses,
        names of the local network and the machine's own: notebooks.internal.example,…""",
    ).tag(config=True)
    admin_hosts = Unicode(
        "",
        help="""Further names by which the admin port is asked without ADMIN_AUTH_TOKEN, beside
        addresses, names of the local network and the machine's own: tmpnb.ops.example,…""",
    ).tag(config=True)

    public_metrics = Bool(
        False, help="Show /metrics on the public port as well, and not on the admin port alone."
    ).tag(config=True)

    def landing(self) -> tuple[str, str, str]:
        """Return the page that visitors land on, what of it to make ahead, and the small page.

        That is the page for phones and frames, below the base URL; empty if the operator has
        chosen one page for all.

        Raises:
            ConfigError: The page is none.
        """
        page = checks.redirect_uri(self.redirect_uri)
        is_chosen = "redirect_uri" in self.config.get("Tmpnb", {})
        return page, first_page(page), "" if is_chosen else TREE

    def listening(self) -> Listening:
        """Return where the service listens, and what it shows there.

        Raises:
            ConfigError: A further name of the admin port is none.
        """
        names = own_hosts.names(self.admin_hosts)
        ports = (self.ip, self.port, self.admin_ip, self.admin_port)
        return Listening(*ports, names, self.public_metrics)

    def names(self, public_url: str, domain: str, *, walls: bool) -> PublicHosts:
        """Return the names under which notebooks are given out, but for the machine's own.

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

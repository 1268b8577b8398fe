"""Put the parts of one orchestrator together and run them until a signal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer

from tmpnb import __version__, listen, open_files, signals
from tmpnb.access import Access
from tmpnb.access_log import AccessLog
from tmpnb.anonymous_peers import anonymous_peers
from tmpnb.arrival import Arrivals
from tmpnb.bans import Bans
from tmpnb.brand import Brand, Notice
from tmpnb.cautions import Caution, cautions
from tmpnb.client_limits import ClientLimits
from tmpnb.clock import SteadyClock
from tmpnb.cors import Cors
from tmpnb.errors import ProxyAuthError, ProxyError
from tmpnb.gate import Gate
from tmpnb.guarded import GuardedProxy, GuardedSpawner, let_go
from tmpnb.handlers import Site, admin_application, public_application
from tmpnb.journal import Journal
from tmpnb.machine_names import machine_names
from tmpnb.operating import Operating
from tmpnb.orchestrator import Orchestrator
from tmpnb.passes import Passes, given_passphrase
from tmpnb.pool_lock import engine_held, state_held
from tmpnb.proxy import Proxy
from tmpnb.proxy_choice import ProxyChoice, open_proxy
from tmpnb.public_hosts import PublicHosts
from tmpnb.reconcile import Policy
from tmpnb.secret_settings import Secrets
from tmpnb.settings import Listening
from tmpnb.spawners.base import Spawner
from tmpnb.starter import StartSettings
from tmpnb.subdomains import Subdomains
from tmpnb.timing import Timing
from tmpnb.tokens import TokenMaker, load_key
from tmpnb.trusted import TrustedProxies, host_of
from tmpnb.visitors import Visitors
from tmpnb.wrong_tokens import WrongTokens

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """Everything one orchestrator needs, checked but not running yet."""

    spawner: Spawner
    policy: Policy
    listening: Listening
    secrets: Secrets
    proxy: ProxyChoice
    timing: Timing
    starts: StartSettings
    cull_period: float  # seconds
    redirect_uri: str
    state_dir: Path
    frame_ancestors: str = "'self'"
    public_url: str = ""  # where visitors find it, without a slash at its end
    subdomains: Subdomains | None = None  # where servers have host names of their own
    hosts: PublicHosts = field(default_factory=PublicHosts)  # but for the machine's own names
    cors: Cors = field(default_factory=Cors)
    brand: Brand = field(default_factory=Brand)
    notice: Notice = field(default_factory=Notice)
    template_path: Path | None = None
    stop_servers_on_exit: bool = False
    access: Access = field(default_factory=Access)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def cautions(self) -> Iterator[Caution]:
        """Yield which settings are harmful, and what to do about it."""
        yield from cautions(
            self.policy,
            self.access,
            cull_period=self.cull_period,
            start_timeout=self.starts.timeout,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        The ports are open before the engine is asked for anything, so that a visitor
        sees the pool fill instead of an error.

        Raises:
            ConfigError: Something the operator must fix before this can run.
            SpawnerError: The engine cannot be used.
            ProxyError: The proxy refuses us.
        """
        may_open = open_files.raise_limit()
        main = asyncio.current_task()
        assert main is not None  # noqa: S101 - a coroutine runs in a task
        async with AsyncExitStack() as stack:
            ending = signals.Ending(main.cancel)
            stack.enter_context(signals.handled(ending))
            stack.enter_context(anonymous_peers(anonymize=self.access.anonymize))
            stack.enter_context(state_held(self.state_dir, self.spawner.pool_name))
            public = listen.bind("port", self.listening.ip, self.listening.port)
            admin = listen.bind("admin-port", self.listening.admin_ip, self.listening.admin_port)
            for listening in (*public, *admin):
                stack.callback(listening.close)
            tokens, passphrase = self._secrets()
            wake, tell = _Later(), _Later()
            proxy = await stack.enter_async_context(
                open_proxy(
                    self.proxy, self.secrets, self.spawner.pool_name, listen.url(public), wake, tell
                )
            )
            orchestrator = self._orchestrator(proxy, tokens)
            wake.target = orchestrator.wake
            tell.target = partial(orchestrator.health.state, "state")
            site = self._site(orchestrator, may_open, passphrase)
            stack.callback(site.access_log.close)
            if advice := open_files.advice(may_open, self.policy.capacity):
                orchestrator.health.report("open_files", advice)
            for application, sockets, most in (
                (public_application(site, self.template_path), public, listen.MOST_CONNECTIONS),
                (admin_application(site), admin, listen.MOST_OF_OPERATOR),
            ):
                whose = site.gate.bounded_key
                server = listen.server(application, may_open, whose=whose, most=most)
                server.add_sockets(sockets)
                stack.push_async_callback(_close, server)
            log.info("listening on %s, admin API on %s", listen.url(public), listen.url(admin))
            stack.push_async_callback(let_go, self.spawner)
            await GuardedSpawner(self.spawner).setup()
            stack.enter_context(engine_held(self.spawner.engine_id, self.spawner.pool_name))
            await _first_contact(GuardedProxy(proxy), orchestrator)
            culling = asyncio.create_task(_again_and_again(orchestrator.cull, self.cull_period))
            stack.callback(culling.cancel)
            ending.action = lambda: orchestrator.shutdown(stop_claimed=self.stop_servers_on_exit)
            await orchestrator.run()

    def _secrets(self) -> tuple[TokenMaker, str]:
        """Return the signer and the passphrase; warn about files that others can read."""
        given = self.secrets
        for file in given.open_to_others():
            log.warning("%s can be read by other users of this machine: chmod 600 %s", file, file)
        key = load_key(self.state_dir, given.secret_key, given.source("TMPNB_SECRET_KEY"))
        return TokenMaker(key), given_passphrase(given.passphrase, given.source("TMPNB_PASSPHRASE"))

    def _orchestrator(self, proxy: Proxy, tokens: TokenMaker) -> Orchestrator:
        return Orchestrator(
            spawner=self.spawner,
            proxy=proxy,
            policy=self.policy,
            tokens=tokens,
            clock=SteadyClock(),
            timing=self.timing,
            starts=self.starts,
            journal=Journal(self.state_dir / f"{self.spawner.pool_name}.claims"),
            kept=Journal(self.state_dir / f"{self.spawner.pool_name}.kept"),
        )

    def _site(self, orchestrator: Orchestrator, may_open: int, passphrase: str) -> Site:
        visitors = Visitors(orchestrator.tokens, orchestrator.claims.live)
        bans = Bans(self.access.banned, self.state_dir / f"{self.spawner.pool_name}.bans")
        machine, gate = machine_names(), self._gate(orchestrator, passphrase, bans)
        return Site(
            orchestrator=orchestrator,
            arrivals=Arrivals(orchestrator, self.redirect_uri, visitors),
            visitors=visitors,
            gate=gate,
            access_log=AccessLog(gate.seen, anonymize=self.access.anonymize),
            remember_visitors=self.policy.max_age,
            version=__version__,
            frame_ancestors=self.frame_ancestors,
            public_url=self.public_url,
            subdomains=self.subdomains,
            cors=self.cors,
            brand=self.brand,
            notice=self.notice,
            open_files=may_open,
            open_files_needed=open_files.needed(self.policy.capacity),
            public_metrics=self.listening.public_metrics,
            api_token=self.secrets.api_token,
            admin_token=self.secrets.admin_token,
            hosts=self.hosts.and_names(machine),
            own_names=machine | self.listening.admin_hosts,
            operating=self._operating(bans),
        )

    def _operating(self, bans: Bans) -> Operating:
        access = self.access
        wrong = WrongTokens(access.named, anonymize=access.anonymize)
        return Operating(bans, access.anonymize, wrong, settings=self.settings)

    def _gate(self, orchestrator: Orchestrator, passphrase: str, bans: Bans) -> Gate:
        clock, claims, access = SteadyClock(), orchestrator.claims, self.access
        return Gate(
            limits=ClientLimits(
                access.allowance,
                clock,
                claimed=claims.live_among,
                waiting=claims.waiting_among,
            ),
            passes=Passes(orchestrator.tokens, passphrase),
            clock=clock,
            trusted=TrustedProxies(
                access.trusted, (host_of(self.proxy.endpoint), self.listening.ip)
            ),
            banned=bans,
            anonymize=access.anonymize,
            exempt=access.exempt,
            is_notebook=orchestrator.notebooks.have,
        )


class _Later:
    """A call that can be handed out before its receiver exists."""

    target: Callable[..., None] | None = None

    def __call__(self, *words: str) -> None:
        if self.target is not None:
            self.target(*words)


async def _again_and_again(act: Callable[[], None], period: float) -> None:
    """Act every `period` seconds until cancelled, whatever the system clock does.

    Tornado's PeriodicCallback goes by that clock, and pauses for the hour it is put back.
    """
    while True:
        await asyncio.sleep(period)
        act()


async def _first_contact(proxy: Proxy, orchestrator: Orchestrator) -> None:
    """Refuse to run with a wrong token; wait for a proxy that starts after us."""
    try:
        await proxy.setup()
    except ProxyAuthError:
        raise
    except ProxyError as error:
        orchestrator.health.report("proxy", str(error))


async def _close(server: HTTPServer) -> None:
    server.stop()
    await server.close_all_connections()

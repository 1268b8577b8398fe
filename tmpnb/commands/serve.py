"""Put the parts of the service together and run them until a signal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from socket import socket

from tornado.httpserver import HTTPServer

from tmpnb import __version__
from tmpnb.access.bans import Bans
from tmpnb.access.gate import Gate
from tmpnb.access.limits import ClientLimits
from tmpnb.access.passphrase import Passes, given_passphrase
from tmpnb.access.trusted_proxies import TrustedProxies, host_of
from tmpnb.access.wrong_tokens import WrongTokens
from tmpnb.core.health import Health
from tmpnb.errors import ProxyAuthError, ProxyError
from tmpnb.orchestrator.assembly import PoolSettings, assemble
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.orchestrator.guarded import GuardedProxy, GuardedSpawner, let_go
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.proxy.choice import open_proxy
from tmpnb.proxy.contract import Proxy
from tmpnb.settings.checks import Listening
from tmpnb.settings.service import Service
from tmpnb.system import open_files, signals
from tmpnb.system.clock import Clock, SteadyClock
from tmpnb.system.http import listen
from tmpnb.system.lock import engine_held, state_held
from tmpnb.system.net.machine_names import machine_names
from tmpnb.system.signing import Signer, load_key
from tmpnb.visitors.arrivals import Arrivals
from tmpnb.visitors.downloads import Downloads
from tmpnb.visitors.identity import Visitors
from tmpnb.visitors.roster import Roster
from tmpnb.visitors.time_left import TimeLeft
from tmpnb.web.access_log import AccessLog
from tmpnb.web.admin.operating import Operating
from tmpnb.web.anonymous_peers import anonymous_peers
from tmpnb.web.routes import Site, admin_application, public_application

log = logging.getLogger(__name__)

Sockets = Sequence[socket]


async def serve(service: Service) -> None:
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
        stack.enter_context(anonymous_peers(anonymize=service.access.anonymize))
        stack.enter_context(state_held(service.state_dir, service.spawner.pool_name))
        public, admin = _bound(service.listening, stack)
        tokens, passphrase = _signing(service)
        health, changes = Health(clock := SteadyClock()), Changes()
        proxy = await stack.enter_async_context(
            open_proxy(
                service.proxy,
                service.secrets,
                service.spawner.pool_name,
                listen.url(public),
                changes.begin_pass,
                partial(health.state, "state"),
            )
        )
        orchestrator = _orchestrator(service, proxy, tokens, clock, health, changes)
        site = site_of(service, orchestrator, may_open, passphrase)
        _open(site, service.template_path, public, admin, stack)
        stack.push_async_callback(let_go, service.spawner)
        await GuardedSpawner(service.spawner).setup()
        stack.enter_context(engine_held(service.spawner.engine_id, service.spawner.pool_name))
        await _first_contact(GuardedProxy(proxy), health)
        culling = asyncio.create_task(_again_and_again(orchestrator.cull, service.cull_period))
        stack.callback(culling.cancel)
        ending.action = lambda: orchestrator.shutdown(stop_claimed=service.stop_servers_on_exit)
        await orchestrator.run()


def _bound(where: Listening, stack: AsyncExitStack) -> tuple[Sockets, Sockets]:
    """Return the sockets of the public port and those of the admin port."""
    public = listen.bind("port", where.ip, where.port)
    admin = listen.bind("admin-port", where.admin_ip, where.admin_port)
    for listening in (*public, *admin):
        stack.callback(listening.close)
    return public, admin


def _open(
    site: Site, templates: Path | None, public: Sockets, admin: Sockets, stack: AsyncExitStack
) -> None:
    """Answer at both ports until the stack ends."""
    stack.callback(site.access_log.close)
    for application, sockets, most in (
        (public_application(site, templates), public, listen.MOST_CONNECTIONS),
        (admin_application(site), admin, listen.MOST_OF_OPERATOR),
    ):
        whose = site.gate.bounded_key
        server = listen.server(application, site.open_files, whose=whose, most=most)
        server.add_sockets(sockets)
        stack.push_async_callback(_close, server)
    log.info("listening on %s, admin API on %s", listen.url(public), listen.url(admin))


def _signing(service: Service) -> tuple[Signer, str]:
    """Return the signer and the passphrase; warn about files that others can read."""
    given = service.secrets
    for file in given.open_to_others():
        log.warning("%s can be read by other users of this machine: chmod 600 %s", file, file)
    key = load_key(service.state_dir, given.secret_key, given.source("TMPNB_SECRET_KEY"))
    return Signer(key), given_passphrase(given.passphrase, given.source("TMPNB_PASSPHRASE"))


def _orchestrator(
    service: Service,
    proxy: Proxy,
    signer: Signer,
    clock: Clock,
    health: Health,
    changes: Changes,
) -> Orchestrator:
    name = service.spawner.pool_name
    settings = PoolSettings(
        service.policy,
        service.timing,
        service.starts,
        journal=Journal(service.state_dir / f"{name}.claims"),
        kept=Journal(service.state_dir / f"{name}.kept"),
    )
    return Orchestrator(
        assemble(
            service.spawner,
            proxy,
            settings,
            signer=signer,
            clock=clock,
            health=health,
            changes=changes,
        )
    )


def site_of(service: Service, orchestrator: Orchestrator, may_open: int, passphrase: str) -> Site:
    """Return what the handlers need to know of a service.

    Args:
        service: Its settings.
        orchestrator: Keeps its pool.
        may_open: Files that this process may have open.
        passphrase: What visitors have to say; empty: nothing.
    """
    visitors = Visitors(orchestrator.tokens, orchestrator.claims.live)
    bans = Bans(service.access.banned, service.state_dir / f"{service.spawner.pool_name}.bans")
    time_left = time_left_of(orchestrator)
    if advice := open_files.advice(may_open, service.policy.capacity):
        orchestrator.health.report("open_files", advice)
    machine, gate = machine_names(), _gate(service, orchestrator, passphrase, bans)
    return Site(
        orchestrator=orchestrator,
        arrivals=Arrivals(orchestrator, service.redirect_uri, visitors),
        visitors=visitors,
        gate=gate,
        access_log=AccessLog(gate.seen, anonymize=service.access.anonymize),
        remember_visitors=service.policy.max_age,
        version=__version__,
        time_left=time_left,
        downloads=downloads_of(orchestrator),
        roster=roster_of(orchestrator, time_left),
        frame_ancestors=service.frame_ancestors,
        public_url=service.public_url,
        subdomains=service.subdomains,
        cors=service.cors,
        brand=service.brand,
        notice=service.notice,
        open_files=may_open,
        open_files_needed=open_files.needed(service.policy.capacity),
        public_metrics=service.listening.public_metrics,
        api_token=service.secrets.api_token,
        admin_token=service.secrets.admin_token,
        hosts=service.hosts.and_names(machine),
        own_names=machine | service.listening.admin_hosts,
        operating=_operating(service, bans),
    )


def _operating(service: Service, bans: Bans) -> Operating:
    access = service.access
    wrong = WrongTokens(access.named, anonymize=access.anonymize)
    return Operating(bans, access.anonymize, wrong, settings=service.settings)


def _gate(service: Service, orchestrator: Orchestrator, passphrase: str, bans: Bans) -> Gate:
    parts, access = orchestrator.parts, service.access
    clock, claims = parts.shared.clock, parts.claims
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
            access.trusted, (host_of(service.proxy.endpoint), service.listening.ip)
        ),
        banned=bans,
        anonymize=access.anonymize,
        exempt=access.exempt,
        is_notebook=orchestrator.parts.notebooks.have,
    )


def time_left_of(orchestrator: Orchestrator) -> TimeLeft:
    """Return what tells visitors of an orchestrator how long they have."""
    return TimeLeft(
        pool=orchestrator.pool,
        usage=orchestrator.parts.usage,
        clock=orchestrator.parts.shared.clock,
        max_idle=orchestrator.parts.settings.policy.max_idle,
        max_age=orchestrator.parts.settings.policy.max_age,
    )


def downloads_of(orchestrator: Orchestrator) -> Downloads:
    """Return what packs the files of its servers."""
    claims = orchestrator.claims
    return Downloads(orchestrator.parts.shared.client, orchestrator.tokens, claims.live, claims.use)


def roster_of(orchestrator: Orchestrator, time_left: TimeLeft) -> Roster:
    """Return what tells the operator who is here."""
    return Roster(
        pool=orchestrator.pool,
        spawner=orchestrator.parts.shared.spawner,
        usage=orchestrator.parts.usage,
        time_left=time_left,
        clock=orchestrator.parts.shared.clock,
    )


async def _again_and_again(act: Callable[[], None], period: float) -> None:
    """Act every `period` seconds until cancelled, whatever the system clock does.

    Tornado's PeriodicCallback goes by that clock, and pauses for the hour it is put back.
    """
    while True:
        await asyncio.sleep(period)
        act()


async def _first_contact(proxy: Proxy, health: Health) -> None:
    """Refuse to run with a wrong token; wait for a proxy that starts after us."""
    try:
        await proxy.setup()
    except ProxyAuthError:
        raise
    except ProxyError as error:
        health.report("proxy", str(error))


async def _close(server: HTTPServer) -> None:
    server.stop()
    await server.close_all_connections()

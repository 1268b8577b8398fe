"""All routes of the service: the public ones and those of the admin port."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tornado.routing import URLSpec
from tornado.web import Application

from tmpnb.core.links import PAGES
from tmpnb.web.admin.api import (
    AdminServerHandler,
    BanHandler,
    BansHandler,
    RosterHandler,
    SettingsHandler,
    StatusHandler,
)
from tmpnb.web.admin.page import AdminPageHandler, LoginHandler, RootHandler
from tmpnb.web.api.health import AdminReadyHandler, HealthHandler, ReadyHandler, TroubleHandler
from tmpnb.web.api.metrics import FRESH, MetricsHandler, OperatorMetricsHandler, metrics_of
from tmpnb.web.api.openapi import OpenAPIHandler
from tmpnb.web.api.servers import ExtendHandler, ServerHandler
from tmpnb.web.api.spawn import PoolHandler, SpawnAPIHandler, StatsHandler
from tmpnb.web.assets import STATIC, TEMPLATES, OverridingLoader, PackageFileHandler
from tmpnb.web.base import Site
from tmpnb.web.fallback import NotFoundHandler
from tmpnb.web.pages.branding import AnnouncementHandler, LogoHandler, TermsHandler
from tmpnb.web.pages.embed import DAY, HOUR, AssetHandler, EmbeddableHandler, EmbedHandler
from tmpnb.web.pages.gone import ProxyErrorHandler, UserHandler
from tmpnb.web.pages.info import InfoHandler
from tmpnb.web.pages.invite import InviteHandler
from tmpnb.web.pages.reopen import ReopenHandler
from tmpnb.web.pages.session import FilesHandler, SessionHandler
from tmpnb.web.pages.spawn import USER_REDIRECT, LoadingHandler, SpawnHandler, UserRedirectHandler
from tmpnb.web.pages.waiting import WaitHandler
from tmpnb.web.server_hosts import server_host_table

__all__ = ["Site", "admin_application", "public_application"]

_ID = r"([A-Za-z0-9_-]{1,64})"


def public_application(site: Site, template_path: Path | None = None) -> Application:
    """Return the application behind the proxy's default target.

    With an API token there are no pages that lead to a notebook: only programs that
    know the token take servers.
    """
    args: dict[str, Any] = {"site": site}
    pages = [
        URLSpec(r"/", LoadingHandler, args),
        URLSpec(rf"/((?:{'|'.join(PAGES)})(?:/.*)?)", LoadingHandler, args),
        URLSpec(rf"{USER_REDIRECT}(/.*)?", UserRedirectHandler, args),
        URLSpec(rf"/spawn/user/{_ID}(/.*)?", ReopenHandler, args),
        URLSpec(r"/spawn(?!/user(?:/|$))(/.*)?", SpawnHandler, args),
        URLSpec(rf"/wait/{_ID}", WaitHandler, args),
        URLSpec(r"/invite(/.*)?", InviteHandler, args),
        URLSpec(r"/info/?", InfoHandler, args),
        URLSpec(r"/embed/?", EmbedHandler, args),
        URLSpec(r"/api/embed", EmbeddableHandler, args),
        URLSpec(r"/terms", TermsHandler, args),
        URLSpec(r"/badge\.svg", AssetHandler, args | {"name": "badge.svg", "seconds": DAY}),
        URLSpec(r"/embed\.js", AssetHandler, args | {"name": "embed.js", "seconds": HOUR}),
    ]
    always = [
        URLSpec(r"/api/spawn/?", SpawnAPIHandler, args),
        URLSpec(rf"/api/servers/{_ID}", ServerHandler, args),
        URLSpec(rf"/api/servers/{_ID}/extend", ExtendHandler, args),
        URLSpec(rf"/session/{_ID}", SessionHandler, args),
        URLSpec(rf"/session/{_ID}/files\.zip", FilesHandler, args),
        URLSpec(r"/(?:api/)?stats/?", StatsHandler, args),
        URLSpec(r"/metrics", MetricsHandler, metrics_of(site, FRESH)),
        URLSpec(r"/api/openapi\.json", OpenAPIHandler, args),
        URLSpec(r"/health", HealthHandler, args),
        URLSpec(r"/health/ready", ReadyHandler, args),
        URLSpec(r"/logo", LogoHandler, args),
        URLSpec(rf"/user/{_ID}(/.*)?", UserHandler, args),
        URLSpec(r"/proxy-error/([0-9]{3})", ProxyErrorHandler, args),
    ]
    given = [] if site.api_token else pages
    application = _application(site, [*given, *always], template_path, has_pages=bool(given))
    if site.subdomains is not None:
        table = server_host_table(args, _ID, str(STATIC))
        application.add_handlers(site.subdomains.pattern, list(table))
    return application


def admin_application(site: Site) -> Application:
    """Return the application of the admin port."""
    # Nobody frames a page of the operator's. The picture of the service is on the public port.
    site = replace(site, frame_ancestors="'none'", brand=replace(site.brand, logo=None))
    args = {"site": site}
    table = [
        URLSpec(r"/(?:admin)?", RootHandler, args),
        URLSpec(r"/admin/", AdminPageHandler, args),
        URLSpec(r"/admin/login", LoginHandler, args),
        URLSpec(r"/api/servers/?", RosterHandler, args),
        URLSpec(rf"/api/servers/{_ID}", AdminServerHandler, args),
        URLSpec(r"/api/bans/?", BansHandler, args),
        URLSpec(r"/api/bans/([0-9A-Fa-f.:]{1,64}(?:/[0-9]{1,3})?)", BanHandler, args),
        URLSpec(r"/api/settings/?", SettingsHandler, args),
        URLSpec(r"/api/status/?", StatusHandler, args),
        URLSpec(r"/api/pool/?", PoolHandler, args),
        URLSpec(r"/api/announcement/?", AnnouncementHandler, args),
        URLSpec(r"/metrics", OperatorMetricsHandler, metrics_of(site)),
        URLSpec(r"/health", TroubleHandler, args),
        URLSpec(r"/health/ready", AdminReadyHandler, args),
    ]
    return _application(site, table, has_pages=False)


def _application(
    site: Site, table: list[URLSpec], template_path: Path | None = None, *, has_pages: bool
) -> Application:
    return Application(
        list(table),
        default_handler_class=NotFoundHandler,
        default_handler_args={"site": site},
        has_pages=has_pages,
        log_function=site.access_log.write,
        static_handler_class=PackageFileHandler,
        static_handler_args={"site": site},
        static_path=str(STATIC),  # robots.txt of it is served at the root as well
        template_path=str(template_path or TEMPLATES),  # Tornado caches loaders by it
        template_loader=OverridingLoader(TEMPLATES, template_path),
    )

"""Who is here, and who is not let in: the servers, the bans and the settings, on the admin port."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from tmpnb.access import bans
from tmpnb.core.server import Phase
from tmpnb.errors import ConfigError
from tmpnb.system.net.networks import Network
from tmpnb.web.admin.operator import OperatorHandler
from tmpnb.web.base import Site
from tmpnb.web.pages.info import stats

YES = frozenset({"1", "true", "yes"})
IN_SETTINGS = "is in --banned-networks, which this does not change"


class SwitchedHandler(OperatorHandler):
    """A request with switches in its query."""

    def is_on(self, name: str) -> bool:
        """Whether a switch is set, `?name=1`."""
        return self.get_query_argument(name, "").lower() in YES


class RosterHandler(SwitchedHandler):
    """`/api/servers`, on the admin port."""

    async def get(self) -> None:
        """Answer with all servers: `{"servers": [{"id", "phase", …}], "anonymized", "now"}`.

        With `?usage=1` the engine is asked what those that visitors have use, and each of them
        when it was used last; that takes seconds at most.
        """
        roster, anonymize = self.site.roster, self.site.operating.anonymize
        used = await roster.used() if self.is_on("usage") else None
        rows = roster.rows(anonymize=anonymize, used=used)
        about = {"anonymized": anonymize, "now": roster.now}
        self.write_json({"servers": [row.as_dict() for row in rows], **about})

    head = get


class AdminServerHandler(OperatorHandler):
    """`/api/servers/<id>`, on the admin port."""

    async def delete(self, server_id: str) -> None:
        """Stop it: 204, also if it is being stopped; 404 if there is no such server."""
        orchestrator = self.site.orchestrator
        server = orchestrator.pool.servers.get(server_id)
        if server is None or server.phase is Phase.GONE:
            raise HTTPError(404, reason="There is no such server.")
        orchestrator.claims.stop(server)
        self.set_status(204)
        self.finish()


class StatusHandler(OperatorHandler):
    """`/api/status`, on the admin port."""

    async def get(self) -> None:
        """Answer with the numbers of `/stats`, with what is wrong, and what is set meanwhile."""
        self.write_json(status(self.site))

    head = get


def status(site: Site) -> dict[str, Any]:
    """Return how the service is, for programs and for the operator's page."""
    orchestrator, known = site.orchestrator, site.operating.bans
    problems = orchestrator.health.problems
    return {
        "status": "degraded" if problems else "ok",
        "pool": orchestrator.name,
        "stats": stats(site),
        "problems": {t: {"message": p.message, "since": p.since} for t, p in problems.items()},
        "announcement": site.notice.source,
        "bans": {"here": len(known.since), "in_settings": known.given.count},
    }


class BansHandler(OperatorHandler):
    """`/api/bans`, on the admin port."""

    async def get(self) -> None:
        """Answer with the banned networks: `{"bans": [{"network", "since"}], "in_settings": n}`."""
        known = self.site.operating.bans
        listed = [{"network": str(n), "since": since} for n, since in known.since.items()]
        self.write_json({"bans": listed, "in_settings": known.given.count})

    head = get


class BanHandler(SwitchedHandler):
    """`/api/bans/<network>`, on the admin port."""

    async def put(self, text: str) -> None:
        """Ban a network: `{"network", "kept", "servers", "stopped"}`.

        `servers` is how many the network has now; with `?stop=1` they are stopped. `kept` is
        whether the ban outlives a restart.
        """
        network = _network(text)
        kept = self.site.operating.bans.add(network)
        orchestrator = self.site.orchestrator
        found = self.site.roster.of_network(network)
        stopped = found if self.is_on("stop") else []
        for server in stopped:
            orchestrator.claims.stop(server)
        counted: dict[str, Any] = {"servers": len(found), "stopped": len(stopped)}
        self.write_json({"network": str(network), "kept": kept} | counted)

    async def delete(self, text: str) -> None:
        """Ban it no more: 204; 404 if it was not banned here."""
        network, known = _network(text), self.site.operating.bans
        try:
            known.remove(network)
        except KeyError:
            also = (
                f"{bans.written(network)} {IN_SETTINGS}."
                if network.network_address in known.given
                else ""
            )
            raise HTTPError(404, reason=also or f"{bans.written(network)} is not banned.") from None
        self.set_status(204)
        self.finish()


class SettingsHandler(OperatorHandler):
    """`/api/settings`, on the admin port."""

    async def get(self) -> None:
        """Answer with the settings in force, without secrets: `{"settings": {"Tmpnb": {…}}}`."""
        self.write_json(
            {"version": self.site.version, "settings": dict(self.site.operating.settings)}
        )

    head = get


def _network(text: str) -> Network:
    """Return the network that is meant.

    Raises:
        HTTPError: 400, with what is wrong.
    """
    try:
        return bans.network(text)
    except ConfigError as error:
        raise HTTPError(400, reason=str(error)) from error

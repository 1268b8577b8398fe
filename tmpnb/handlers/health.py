"""`/health`: whether the service lives, and what troubles it."""

from __future__ import annotations

from typing import Any

from tmpnb.handlers.base import BaseHandler


class HealthHandler(BaseHandler):
    """`GET /health` on the public port: 200 while the process serves."""

    async def get(self) -> None:
        """Answer `{"status": "ok"|"degraded", "last_pass", "problems"}`.

        `last_pass` is the Unix time in seconds of the last pass that could read engine
        and proxy, or null. `problems` maps a topic to the Unix time since when; what
        engine and proxy said stands on the admin port and in the log.
        """
        problems = self.site.orchestrator.health.problems
        self._answer({topic: problem.since for topic, problem in problems.items()})

    head = get

    def _answer(self, problems: dict[str, Any]) -> None:
        status = "degraded" if problems else "ok"
        last_pass = self.site.orchestrator.health.last_pass
        self.write_json({"status": status, "last_pass": last_pass, "problems": problems})


class TroubleHandler(HealthHandler):
    """`GET /health` on the admin port: the same with the problems in words."""

    async def get(self) -> None:
        """Answer with `problems` as topic -> `{"message", "since"}`."""
        self.require_token(self.site.admin_token)
        problems = self.site.orchestrator.health.problems
        self._answer({t: {"message": p.message, "since": p.since} for t, p in problems.items()})

    head = get

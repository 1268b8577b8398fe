"""`/health` and `/health/ready`: whether the service lives, what troubles it, can it serve."""

from __future__ import annotations

from typing import Any

from tmpnb.core.health import Problem
from tmpnb.web.admin.operator import AdminHandler, OperatorHandler
from tmpnb.web.base import BaseHandler


class HealthHandler(BaseHandler):
    """`GET /health` on the public port: 200 while the process serves."""

    async def get(self) -> None:
        """Answer `{"status": "ok"|"degraded", "last_pass", "last_pass_age", "open_files", …}`.

        `last_pass` is the Unix time in seconds of the last pass that could read engine
        and proxy, `last_pass_age` the seconds since; both null before the first.
        `open_files` has the limit of this process and what its capacity needs. `problems`
        maps a topic to the Unix time since when; what engine and proxy said stands on
        the admin port and in the log.
        """
        self.write_json(self._vitals())

    head = get

    def _vitals(self) -> dict[str, Any]:
        health = self.site.orchestrator.health
        return {
            "status": "degraded" if health.problems else "ok",
            "last_pass": health.last_pass,
            "last_pass_age": health.last_pass_age(),
            "open_files": {"limit": self.site.open_files, "needed": self.site.open_files_needed},
            "problems": {topic: problem.since for topic, problem in health.problems.items()},
        }


class TroubleHandler(OperatorHandler, HealthHandler):
    """`GET /health` on the admin port: the same with the problems in words."""

    async def get(self) -> None:
        """Answer with `problems` as topic -> `{"message", "since"}`, and with `last_error`.

        `last_error` is the latest `{"message", "since"}`, over or not, or null.
        """
        health = self.site.orchestrator.health
        problems = {t: _in_words(p) for t, p in health.problems.items()}
        last_error = None if health.last_error is None else _in_words(health.last_error)
        self.write_json(self._vitals() | {"problems": problems, "last_error": last_error})

    head = get


class ReadyHandler(BaseHandler):
    """`GET /health/ready`: 200 while a visitor who comes now can be served, soon at least."""

    async def get(self) -> None:
        """Answer `{"ready", "checks": {"engine", "proxy", "servers"}}`; 503 unless all are true.

        `engine` and `proxy`: read in the last pass. `servers`: one is ready, or there is
        room to start one, what it needs of its image is there, and starts do not fail.
        """
        checks = self.site.orchestrator.readiness()
        ready = all(checks.values())
        self.write_json({"ready": ready, "checks": checks}, 200 if ready else 503)

    head = get


class AdminReadyHandler(AdminHandler, ReadyHandler):
    """`GET /health/ready` on the admin port, for probes: no token, and for no page."""


def _in_words(problem: Problem) -> dict[str, Any]:
    return {"message": problem.message, "since": problem.since}

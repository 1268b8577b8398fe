"""Decide which idle servers to stop, after asking them, outside the passes of the loop."""

from __future__ import annotations

import asyncio

from tmpnb.core.health import Health
from tmpnb.core.observation import Observation
from tmpnb.core.pool import Pool
from tmpnb.core.server import Phase
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.culling.usage import Usage
from tmpnb.system.tasks import Tasks

SILENT = "silent"  # topic of health: servers of visitors do not answer


class Culling:
    """Asks the servers in use, and says when a pass should judge them.

    No pass waits for what a visitor's server answers.
    """

    def __init__(
        self, usage: Usage, pool: Pool, tasks: Tasks, health: Health, changes: Changes
    ) -> None:
        """Store the dependencies.

        Args:
            usage: Asks servers.
            pool: The servers there are.
            tasks: Where the asking runs.
            health: Is told of servers that do not answer.
            changes: Is told when a pass is to judge.
        """
        self._usage, self._pool, self._tasks = usage, pool, tasks
        self._health, self._changes = health, changes
        self._asking: asyncio.Task[None] | None = None
        self._due = False

    @property
    def asking(self) -> bool:
        """Whether servers are being asked."""
        return self._asking is not None and not self._asking.done()

    def begin(self) -> None:
        """Ask all servers that visitors have, unless they are being asked already."""
        if not self.asking:
            servers = self._pool.servers.values()
            claimed = [s for s in servers if s.phase is Phase.CLAIMED and s.address]
            self._asking = self._tasks.spawn(self._usage.look(claimed, self._judge), "use")

    def take_due(self) -> bool:
        """Return whether the pass that begins now is to judge; the next one is not."""
        due, self._due = self._due, False
        return due

    def added_to(self, seen: Observation) -> Observation:
        """Return an observation with what servers said just before it."""
        return self._usage.added_to(seen)

    def _judge(self) -> None:
        hung = self._usage.hung()
        words = f"{hung} of the servers in use did not respond to a check"
        self._health.state(SILENT, words if hung else "")
        self._due = True
        self._changes.begin_pass()

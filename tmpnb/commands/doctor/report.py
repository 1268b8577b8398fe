"""Say each finding as soon as there is one, and remember whether all is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from tmpnb.errors import TmpnbError
from tmpnb.spawners.finding import Finding, Level, fail, failure
from tmpnb.system.border import Border


class Report:
    """The findings so far.

    Attributes:
        failed: Whether one of them is a failure.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.failed = False
        self._say = say
        self._border = Border(TmpnbError)

    async def collect(
        self, topic: str, checks: AsyncGenerator[Finding, None], seconds: float
    ) -> list[Finding]:
        """Say what `checks` find, and return it; an error or a silence is a finding as well.

        Args:
            topic: Of an error or a silence.
            checks: Closed when this returns.
            seconds: How long to wait for the next finding.
        """
        found: list[Finding] = []
        async with aclosing(checks):
            try:
                while True:
                    async with asyncio.timeout(seconds):
                        with self._border.crossing("the check went wrong"):
                            finding = await anext(checks, None)
                    if finding is None:
                        return found
                    self._add(finding, found)
            except TimeoutError:
                silence = f"no answer within {seconds:g} s"
                self._add(fail(topic, silence, "see what it waits for, with --debug"), found)
            except TmpnbError as error:
                self._add(failure(topic, str(error)), found)
        return found

    def _add(self, finding: Finding, found: list[Finding]) -> None:
        found.append(finding)
        self.failed = self.failed or finding.level is Level.FAIL
        self._say(finding.line())

"""One visit: open, start a kernel, run the notebook, save it, stay a while, leave."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass

from tmpnb.commands.load.doors import GOODBYE, Door, JupyterDoor, Place
from tmpnb.commands.load.kernel import Kernel
from tmpnb.commands.load.notebook import Notebook, Output
from tmpnb.commands.load.session import JSON, Session, must
from tmpnb.commands.load.tally import FIRST_CELL, OPEN, Tally
from tmpnb.errors import VisitError


@dataclass(frozen=True, slots=True)
class Plan:
    """What each visitor does. Times in seconds."""

    door: Door
    notebook: Notebook
    idle: float
    patience: float


async def visit(plan: Plan, tally: Tally) -> None:
    """Do all of it, and keep in the tally how it went. Whatever happens, leave."""
    tally.arrived += 1
    session = Session(plan.patience)
    try:
        begun = tally.clock()
        await _Visit(plan, tally, session).run()
        tally.note("whole visit", tally.clock() - begun)
    except VisitError as error:
        tally.failed += 1
        tally.errors[str(error)] += 1
    except BaseException:
        tally.failed += 1
        raise
    else:
        tally.served += 1
    finally:
        session.close()


class _Visit:
    def __init__(self, plan: Plan, tally: Tally, session: Session) -> None:
        self._plan, self._tally, self._session = plan, tally, session
        self._begun = tally.clock()
        self._path = f"load-{secrets.token_hex(6)}.ipynb"
        self._outputs: list[list[Output]] = []
        self._kernel: Kernel | None = None

    async def run(self) -> None:
        place = await self._plan.door.enter(self._session, self._tally)
        self._tally.note(OPEN, self._tally.clock() - self._begun)
        try:
            await self._work(place)
        except BaseException:
            await self._flee(place)
            raise
        with self._tally.timed("leave"):
            async with asyncio.timeout(self._plan.patience):
                await self._leave(place)

    async def _work(self, place: Place) -> None:
        with self._tally.timed("kernel"):
            async with asyncio.timeout(self._plan.patience):
                await self._save(place)  # a page shows a file that is there
                self._kernel = await Kernel.start(
                    self._session, place, self._path, self._plan.notebook.kernel
                )
        for code in self._plan.notebook.code:
            await self._run_cell(self._kernel, code)
        with self._tally.timed("save"):
            await self._save(place)
        await asyncio.sleep(self._plan.idle)

    async def _run_cell(self, kernel: Kernel, code: str) -> None:
        with self._tally.timed("cell"):
            async with asyncio.timeout(self._plan.patience):
                execution = await kernel.run(code)
            self._outputs.append(execution.outputs)
            if execution.error:
                raise VisitError(f"the notebook raised {execution.error}")
        if len(self._outputs) == 1:
            self._tally.note(FIRST_CELL, self._tally.clock() - self._begun)

    async def _save(self, place: Place) -> None:
        content = self._plan.notebook.saved(self._outputs)
        model = {"type": "notebook", "format": "json", "content": content}
        answer = await self._session.ask(
            f"{place.root}api/contents/{self._path}",
            method="PUT",
            headers={**place.headers, **JSON},
            body=json.dumps(model),
        )
        must(answer, 200, 201)

    async def _leave(self, place: Place) -> None:
        if isinstance(self._plan.door, JupyterDoor):  # what others share is left tidy
            if self._kernel is not None:
                await self._kernel.end()
            url = f"{place.root}api/contents/{self._path}"
            must(await self._session.ask(url, method="DELETE", headers=place.headers), 204, 404)
        elif self._kernel is not None:
            self._kernel.disconnect()
        await self._plan.door.leave(self._session, place)

    async def _flee(self, place: Place) -> None:
        """Leave after a fault; another one in doing so adds nothing."""
        try:
            async with asyncio.timeout(GOODBYE):
                await self._leave(place)
        except (VisitError, TimeoutError):
            pass

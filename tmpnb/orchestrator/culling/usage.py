"""What the servers that visitors have say of their use: asked beside the passes, shared by all.

A server is asked by one look at a time, however many want to know, and what it said is good
for a moment. A look has a deadline as a whole; what goes wrong in it costs nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace

from tmpnb.core.observation import Observation
from tmpnb.core.server import NotebookServer
from tmpnb.orchestrator.culling.activity import Word, ask_for_use, ask_whether_it_lives
from tmpnb.system.clock import Clock
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker
from tmpnb.system.tasks import Tasks

FRESH = 20.0  # seconds for which what a server said is good enough to be told
ASKED_AT_ONCE = 50  # servers
JUDGED = 10.0  # seconds for which it is good enough to be judged by
PROMPT = 2.0  # seconds after which those that have answered are judged without the others
MOST_TOLD_ANEW = 16  # requests that await one look; a server that stalls holds no more
MISSES = 3  # looks in a row without a word, after which the proxy's clock decides


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one server. Times in Unix seconds, by the steady clock.

    Attributes:
        asked_at: When it was asked last.
        last_use: What it said then; None if it said nothing that can be used.
        answered: Whether it answered at all.
        misses: How often in a row it said nothing that can be used.
    """

    asked_at: float
    last_use: float | None = None
    answered: bool = True
    misses: int = 0


class Usage:
    """Asks servers, and remembers."""

    def __init__(
        self,
        *,
        client: Client,
        tokens: TokenMaker,
        clock: Clock,
        tasks: Tasks,
        max_idle: float,
        live: Callable[[str], NotebookServer | None],
    ) -> None:
        """Begin with knowing nothing.

        Args:
            client: Asks servers.
            tokens: Opens them.
            clock: Unix time in seconds.
            tasks: Where each look runs.
            max_idle: Seconds without use after which a server ends.
            live: Returns a server by its id while a visitor has it.
        """
        self._client, self._tokens, self._clock = client, tokens, clock
        self._tasks, self._max_idle, self._live = tasks, max_idle, live
        self._known: dict[str, Known] = {}
        self._unanswered: dict[str, int] = {}  # by id, how often in a row; 0 after an answer
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._small_looks: dict[str, asyncio.Task[None]] = {}
        self._awaiting: Counter[str] = Counter()  # by id, who wants to know
        self._slots = asyncio.Semaphore(ASKED_AT_ONCE)

    def forget(self, server_id: str) -> None:
        """Ask a server itself the next time."""
        self._known.pop(server_id, None)

    def last_use(self, server_id: str) -> float | None:
        """Return what a server said when it was asked last; None if nobody knows. Asks nobody."""
        known = self._known.get(server_id)
        return known.last_use if known else None

    def hung(self) -> int:
        """Return how many servers gave no answer at all when they were asked, twice at least."""
        return sum(count > 1 for count in self._unanswered.values())

    async def of(self, server: NotebookServer) -> Known:
        """Return what is known of a server, not older than `FRESH` seconds.

        It may be older, or nothing, for those who ask while `MOST_TOLD_ANEW` others await a look.
        """
        known = self._known.get(server.id)
        is_old = known is None or self._clock() - known.asked_at > FRESH
        if is_old and self._awaiting[server.id] < MOST_TOLD_ANEW:
            await self._await_look(server)
            known = self._known.get(server.id)
        return known or Known(self._clock())

    async def _await_look(self, server: NotebookServer) -> None:
        self._awaiting[server.id] += 1
        try:
            await asyncio.wait({self._begin(server)})
        finally:
            self._awaiting[server.id] -= 1
            if not self._awaiting[server.id]:
                del self._awaiting[server.id]

    async def look(self, servers: Iterable[NotebookServer], judge: Callable[[], None]) -> None:
        """Ask servers anew; call `judge` when most have answered, and until all have or will not.

        Those that a visitor has had for less than the idle time are asked no more than whether
        they answer.
        """
        self._drop_others()
        now = self._clock()
        looks = {
            self._begin(s) if now - s.since > self._max_idle else self._begin_small(s)
            for s in servers
        }
        if not looks:
            judge()
        patience = PROMPT
        while looks:
            _, looks = await asyncio.wait(looks, timeout=patience)
            judge()
            patience = JUDGED - PROMPT  # before what others said is too old to be judged by

    def added_to(self, seen: Observation) -> Observation:
        """Return an observation with what servers said just before it, so that it can be judged."""
        limit = seen.taken_at - JUDGED
        told = {i: k for i, k in self._known.items() if k.asked_at >= limit}
        return replace(
            seen,
            activity={i: k.last_use for i, k in told.items() if k.last_use is not None},
            silent=frozenset(i for i, k in told.items() if k.misses >= MISSES),
            culling=True,
        )

    def _drop_others(self) -> None:
        self._known = {i: k for i, k in self._known.items() if self._live(i)}
        self._unanswered = {i: n for i, n in self._unanswered.items() if self._live(i)}

    def _begin(self, server: NotebookServer) -> asyncio.Task[None]:
        """Return the look at a server, the one that is under way if there is one."""
        return self._looks.get(server.id) or self._spawn(self._looks, server, self._look(server))

    def _begin_small(self, server: NotebookServer) -> asyncio.Task[None]:
        """Return a look at whether a server answers, which any other tells as well."""
        under_way = self._looks.get(server.id) or self._small_looks.get(server.id)
        return under_way or self._spawn(self._small_looks, server, self._look_small(server))

    def _spawn(
        self,
        looks: dict[str, asyncio.Task[None]],
        server: NotebookServer,
        work: Coroutine[None, None, None],
    ) -> asyncio.Task[None]:
        look = looks[server.id] = self._tasks.spawn(work, f"look at {server.id}")
        look.add_done_callback(lambda _: looks.pop(server.id, None))
        return look

    async def _look_small(self, server: NotebookServer) -> None:
        url, token = f"{server.address}{server.base_url}", self._tokens.token_for(server.id)
        async with self._slots:
            answered = await ask_whether_it_lives(self._client, url, token)
        if self._live(server.id) is server:
            self._count_silence(server.id, answered=answered)

    async def _look(self, server: NotebookServer) -> None:
        url, token = f"{server.address}{server.base_url}", self._tokens.token_for(server.id)
        async with self._slots:
            now = self._clock()
            word = await ask_for_use(
                self._client,
                url,
                token,
                now=self._clock.to_system(now),
                max_idle=self._max_idle,
            )
        if self._live(server.id) is server:
            self._note(server.id, word)

    def _note(self, server_id: str, word: Word) -> None:
        said, before = word.last_use, self._known.get(server_id)
        misses = 1 + (before.misses if before else 0) if said is None else 0
        steady = None if said is None else self._clock.from_system(said)
        self._known[server_id] = Known(self._clock(), steady, word.answered, misses)
        self._count_silence(server_id, answered=word.answered)

    def _count_silence(self, server_id: str, *, answered: bool) -> None:
        count = self._unanswered.get(server_id, 0)
        self._unanswered[server_id] = 0 if answered else count + 1

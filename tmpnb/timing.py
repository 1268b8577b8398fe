"""How the orchestrator's loop runs, and what the ids are like that it makes."""

from __future__ import annotations

from dataclasses import dataclass

from tmpnb.tokens import ALPHABET, LOWER_CASE, new_id


@dataclass(frozen=True, slots=True)
class Timing:
    """How the loop runs."""

    reconcile_interval: float = 10.0  # seconds between passes that nothing woke
    shutdown_timeout: float = 20.0  # seconds at the end in which no server goes away
    user_length: int = 12  # characters of a server id
    lower_case: bool = False  # whether an id has no capital letters, as the name of a host

    def new_id(self) -> str:
        """Return a random server id."""
        return new_id(self.user_length, LOWER_CASE if self.lower_case else ALPHABET)

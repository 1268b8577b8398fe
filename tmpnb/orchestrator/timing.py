"""How the loop of an orchestrator runs, and the form of the ids it gives its servers. Values."""

from __future__ import annotations

from dataclasses import dataclass

from tmpnb.system.signing import ALPHABET, LOWER_CASE, is_id, new_id


@dataclass(frozen=True, slots=True)
class Timing:
    """How the loop runs."""

    reconcile_interval: float = 10.0  # seconds between passes that nothing woke
    shutdown_timeout: float = 20.0  # seconds at the end in which no server goes away
    user_length: int = 12  # characters of a server id
    lower_case: bool = False  # whether an id has no capital letters, as the name of a host

    def new_id(self) -> str:
        """Return a random server id."""
        return new_id(self.user_length, self._alphabet)

    def is_id(self, text: str) -> bool:
        """Whether `new_id` could have made a text: no other names a server to be started."""
        return is_id(text, self.user_length, self._alphabet)

    @property
    def _alphabet(self) -> str:
        return LOWER_CASE if self.lower_case else ALPHABET

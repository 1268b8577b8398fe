"""How far the life of an orchestrator is: whether visitors are served at all."""

from __future__ import annotations

from dataclasses import dataclass

from tmpnb.orchestrator.bars import Bars


@dataclass(slots=True)
class Stage:
    """Changed by the loop alone; asked by everybody.

    Attributes:
        adopted: Whether it is known which servers a former orchestrator gave out.
        closing: Whether the end has begun.
    """

    bars: Bars
    adopted: bool = False
    closing: bool = False

    @property
    def serves(self) -> bool:
        """Whether visitors get servers now; asking changes nothing."""
        return self.adopted and not self.closing and not self.bars.barred

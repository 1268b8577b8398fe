"""What a command line asks for, as values: the kinds of commands, and one order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tmpnb.settings.service import Service

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a command line asks for."""

    command: Asked | None  # None: serve
    operands: tuple[str, ...]
    switches: frozenset[str]  # those of the command itself
    flags: tuple[str, ...]  # those of the program
    options: Mapping[str, str] = field(default_factory=dict)  # of the command itself, with values


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How one command is asked for."""

    usage: str
    summary: str
    help: str  # paragraphs
    operands: tuple[str, ...] = ()
    is_optional: bool = False  # whether the operands may be left out
    switches: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()  # with a value behind `=` or as the next word
    when_interrupted: str = "what was started is removed"  # what is true then


@dataclass(frozen=True, kw_only=True)
class Command(Asked):
    """One command that works with the settings; `run` returns whether all is well."""

    run: Callable[[Service, Order, Say], Awaitable[bool]]
    as_served: bool = False  # whether a service that runs already says its settings


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that needs no settings of the service: all words after its name are its own.

    `run` gets those words, and returns whether all is well.
    """

    usage: str
    summary: str
    run: Callable[[Sequence[str], Say], Awaitable[bool]]
    when_interrupted: str  # what is true then

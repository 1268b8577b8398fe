"""Count what a program holds: the size of every collection within reach of some objects."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from queue import SimpleQueue

DEPTH = 9  # attributes from the beginning
NO_CONTAINER = (str, bytes, bytearray, int, float, complex, bool, types.NoneType)
# These belong to the process.
NOT_HELD = (types.ModuleType, type, logging.Logger, logging.Handler, threading.Thread)


def sizes(roots: Mapping[str, object]) -> dict[str, int]:
    """Return the number of elements by the path of attributes that leads to a collection.

    The elements of a collection share one path, so that the sizes of a thousand small
    collections count as one sum.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    waiting = deque((name, thing, 0) for name, thing in roots.items())
    while waiting:
        path, thing, depth = waiting.popleft()
        if isinstance(thing, (*NO_CONTAINER, *NOT_HELD)) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if (size := _size(thing)) is not None:
            found[path] = found.get(path, 0) + size
        if depth < DEPTH:
            waiting.extend((path + step, inner, depth + 1) for step, inner in _inside(thing))
    return found


def _size(thing: object) -> int | None:
    if isinstance(thing, SimpleQueue):
        return thing.qsize()
    if isinstance(thing, list):  # a loop keeps cancelled timers for a while
        return sum(not (isinstance(e, asyncio.Handle) and e.cancelled()) for e in thing)
    if isinstance(thing, Sized) and isinstance(thing, Iterable):
        return len(thing)
    return None


def _inside(thing: object) -> Iterator[tuple[str, object]]:
    """Return what a thing refers to, and how it is called there."""
    if isinstance(thing, dict):
        yield from (("[]", value) for value in tuple(thing.values()))
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        yield from (("[]", value) for value in tuple(thing))
    elif isinstance(thing, types.MethodType):
        yield "", thing.__self__
    elif isinstance(thing, functools.partial):
        yield from (("()", value) for value in (thing.func, *thing.args))
    elif isinstance(thing, types.FunctionType):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
        yield from ((f"<{name}>", cell.cell_contents) for name, cell in cells)
    else:
        yield from ((f".{name}", value) for name, value in _attributes(thing))


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    yield from tuple(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(kind.__dict__.get(name), types.MemberDescriptorType) and hasattr(
                thing, name
            ):
                yield name, getattr(thing, name)

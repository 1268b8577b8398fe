"""A pipe in the place of a file, which nobody waits for without end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECRET = "sixteen letters!"


@contextmanager
def fed_pipe(path: Path, content: str = SECRET) -> Iterator[Path]:
    """Make a pipe that gives its content to who waits for it, so that nobody waits for ever."""
    os.mkfifo(path)

    def feed() -> None:
        with suppress(BrokenPipeError), path.open("w") as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield path
    finally:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # lets it go
        feeder.join(10)
        os.close(reader)
        assert not feeder.is_alive()

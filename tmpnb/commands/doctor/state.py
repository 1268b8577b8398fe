"""Whether the state directory can be used, and whether the secret key in it is secret."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.settings.advice.weak_tokens import weak_tokens
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, Level, fail, failure, ok, skip, warn
from tmpnb.system import units
from tmpnb.system.signing import load_key

KEY_FILE = "secret_key"  # as `tokens.load_key` names it
LITTLE_DISK = 64 * 1024**2  # bytes: plenty for what lies there
OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield what is found; nothing is written that stays."""
    directory = state_finding(service.state_dir)
    yield directory
    if directory.level is Level.FAIL and service.secrets.secret_key is None:
        yield skip("key", "needs the state directory")
    else:
        source = service.secrets.source("TMPNB_SECRET_KEY")
        yield key_finding(service.state_dir, service.secrets.secret_key, source)
    for file in service.secrets.open_to_others():
        yield warn("secrets", f"{file} can be read by other users", f"chmod 600 {file}")
    for words, mend in weak_tokens(service):
        yield warn("secrets", words, mend)


def state_finding(state_dir: Path) -> Finding:
    """Say whether files can be made in the state directory, or it in what is above it."""
    place = next(path for path in (state_dir, *state_dir.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        return fail(
            "state",
            f"cannot write in --state-dir={state_dir}: {place}: {error.strerror}",
            "choose a directory with --state-dir that this user may write in",
        )
    words = f"{state_dir} is writable" if place == state_dir else f"{state_dir} can be made"
    words = f"{words}, {units.in_words(free)} free"
    if free < LITTLE_DISK:
        return warn("state", words, "make room, or choose another --state-dir")
    return ok("state", words)


def key_finding(state_dir: Path, given: str | None, source: str = "TMPNB_SECRET_KEY") -> Finding:
    """Say where the secret key is, and whether others can read it."""
    file = state_dir / KEY_FILE
    if given is None and not file.exists():
        return ok("key", f"{file} will be made at the first start")
    try:
        load_key(state_dir, given, source)
    except ConfigError as error:
        return failure("key", str(error))
    if given is not None:
        return ok("key", f"{source} is set")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & OTHERS:
        return fail(
            "key",
            f"{file} can be read by others (mode {mode:o}), who can then open every notebook",
            f"chmod 600 {file}; remove it to have a new one",
        )
    return ok("key", f"{file} is there, for this user alone")

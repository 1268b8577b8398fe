"""What every notebook server is given besides its image: it fits into frames, and says its end.

share/   an extension of JupyterLab and Notebook 7 that needs no build
config/  settings of their pages
look/    a theme that follows the system's, unless somebody has chosen one
use/     notes when a person used a page that is not Jupyter's own
https/   cookies for frames of other sites; only where visitors come by https
origins/ leave for scripts of other sites to ask the server; only where sites are named
siblings/ no cookies for pages of other servers; only where each server has a host of its own
offline/ a word in a cell that failed for want of the internet; only where servers have none

Whatever a server cannot use of it, it leaves alone.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent
PARTS = ("share", "config", "look", "use", "https", "origins", "siblings", "offline")
ORIGINS = "TMPNB_ORIGINS"
FAIL_AT_ONCE = {"PIP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # in place of ten seconds


def environment(
    directory: str,
    present: Mapping[str, str],
    *,
    https: bool,
    origins: str = "",
    siblings: bool = False,
    offline: bool = False,
) -> dict[str, str]:
    """Return the variables by which a server finds the kit, after what it has already.

    Args:
        directory: Where the kit is, as the server sees it.
        present: The environment that the server would have without it.
        https: Whether visitors come by https.
        origins: Whose scripts may ask the server, as a regular expression; empty: nobody's.
        siblings: Whether other servers have hosts of the same site.
        offline: Whether the server reaches nothing outside.
    """
    wanted = {
        "config": True,
        "look": True,
        "use": True,
        "https": https,
        "origins": origins,
        "siblings": siblings,
    }
    config = [part for part, is_wanted in wanted.items() if is_wanted]
    added = {"JUPYTER_PATH": ["share"], "JUPYTER_CONFIG_PATH": config}
    found = {
        name: ":".join(filter(None, [present.get(name), *(f"{directory}/{p}" for p in parts)]))
        for name, parts in added.items()
    }
    wishes = {"PYTHONSTARTUP": f"{directory}/offline/start.py", **FAIL_AT_ONCE}
    added_wishes = {n: v for n, v in wishes.items() if offline and n not in present}
    return found | ({ORIGINS: origins} if origins else {}) | added_wishes


@cache
def archive() -> bytes:
    """Return the kit as a tar file, the same bytes for the same kit, readable by everybody."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in _paths():
            entry = tarfile.TarInfo(path.relative_to(DIRECTORY).as_posix())
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@cache
def version() -> str:
    """Return a name for these very contents."""
    return hashlib.sha256(archive()).hexdigest()[:12]


def _paths() -> list[Path]:
    """Return files and directories in order, each after the directory that it is in."""
    found = [p for part in PARTS for p in (DIRECTORY / part, *(DIRECTORY / part).rglob("*"))]
    return sorted(p for p in found if "__pycache__" not in p.parts)

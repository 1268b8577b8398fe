"""What a local server finds in its environment: nothing of ours but what is its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tmpnb.spawners import kit
from tmpnb.spawners.base import KitSettings, ServerSpec
from tmpnb.spawners.local import packages
from tmpnb.spawners.local.directory import MARKER, ServerDirectory

KEPT = ("LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER")  # and LC_*


def search_path() -> str:
    """Return PATH with this Python's own programs first."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def environment(
    spec: ServerSpec, directory: ServerDirectory, *, kit_settings: KitSettings
) -> dict[str, str]:
    """Return all that a server learns of ours: no secret but its own, no place but its own."""
    kept = {n: v for n, v in os.environ.items() if n in KEPT or n.startswith("LC_")}
    present = {"JUPYTER_PATH": packages.kernels(directory.python)}
    kept |= kit.environment(str(kit.DIRECTORY), present, **kit_settings)
    kept |= packages.variables(directory.python, search_path())
    return kept | {
        "HOME": str(directory.home),
        "TMPDIR": str(directory.temp),
        "JUPYTER_TOKEN": spec.token,
        "JUPYTER_CONFIG_DIR": str(directory.home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(directory.home / ".local/share/jupyter"),
        "JUPYTER_RUNTIME_DIR": str(directory.runtime),
        "JUPYTER_PREFER_ENV_PATH": "1",  # kernels of this Python before those of the machine
        MARKER: str(directory.path),
    }

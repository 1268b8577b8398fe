"""Lets the theme of Jupyter's pages follow the system's, unless somebody has chosen one.

Runs in a notebook server, before JupyterLab reads its settings. What an image or a user says of
themes anywhere stays as it is. Whatever fails here, the server starts all the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

PLUGIN = "apputils-extension:themes"
LARGEST = 1_000_000  # characters of a file that are read
VARIABLE = "JUPYTER_CONFIG_PATH"
SYSTEM = Path(__file__).with_name("system")


def follow_system() -> None:
    """Put a directory with one setting behind those where settings are looked for."""
    if not any(_speaks_of_themes(path) for path in _settings()):
        paths = [os.environ.get(VARIABLE, ""), str(SYSTEM)]
        os.environ[VARIABLE] = os.pathsep.join(filter(None, paths))


def _settings() -> Iterator[Path]:
    """Yield the files in which an image or a user may have chosen a theme."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_config_path

    for directory in (Path(path, "labconfig") for path in jupyter_config_path()):
        yield directory / "default_setting_overrides.json"
        yield from directory.glob("default_setting_overrides.d/*.json")
    lab = os.environ.get("JUPYTERLAB_DIR") or Path(sys.prefix, "share", "jupyter", "lab")
    yield from Path(lab, "settings").glob("overrides*.json*")
    yield from Path(lab, "settings").glob("overrides.d/*.json*")
    own = os.environ.get("JUPYTERLAB_SETTINGS_DIR")
    users = Path(own) if own else Path(jupyter_config_dir(), "lab", "user-settings")
    yield from users.glob("@jupyterlab/apputils-extension/themes.*")


def _speaks_of_themes(path: Path) -> bool:
    if path.name.startswith("themes."):
        return True
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return PLUGIN in file.read(LARGEST)

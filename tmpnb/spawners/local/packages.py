"""A Python environment for each local server: what its visitor installs goes with it. Blocking.

The packages of the service's own Python are seen in it and cannot be changed from it: pip takes
them for those of another environment, and leaves them alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

KERNELS = Path("share", "jupyter", "kernels")
PACKAGES = ("site-packages", "dist-packages")  # what the folders of packages are called
PYTHONS = frozenset(["python", "python3", Path(sys.executable).name, sys.executable])
PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def make(place: Path) -> None:
    """Make the environment, with its own `python`, `pip` and kernels.

    Args:
        place: A directory that is not there yet.

    Raises:
        OSError: It cannot be written, as when the disk is full.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    _show_packages(place)
    for name in ("pip", "pip3"):
        program = place / "bin" / name
        program.write_text(PIP)
        program.chmod(0o755)
    for found in _kernels():
        _copy_kernel(found, place)


def variables(place: Path, path: str) -> Mapping[str, str]:
    """Return the environment of a server that uses it.

    Args:
        place: Of the environment.
        path: PATH without it.
    """
    return {
        "PATH": f"{place / 'bin'}{os.pathsep}{path}",
        "VIRTUAL_ENV": str(place),  # for installers that are no part of it, such as uv
    }


def kernels(place: Path) -> str:
    """Return the directory for JUPYTER_PATH by which a server finds the kernels."""
    return str(place / KERNELS.parent)


def _show_packages(place: Path) -> None:
    """Let the service's packages be found after those that are installed here."""
    [own] = place.glob("lib/python*/site-packages")
    seen = [path for path in sys.path if Path(path).name in PACKAGES and Path(path).is_dir()]
    line = f"import site; list(map(site.addsitedir, {seen!r}))\n"
    (own / "tmpnb_service.pth").write_text(line)


def _kernels() -> Iterator[Path]:
    """Yield the kernels of the service's Python that run in that Python."""
    for spec in sorted(Path(sys.prefix).joinpath(KERNELS).glob("*/kernel.json")):
        if _runs_in_python(spec):
            yield spec.parent


def _runs_in_python(spec: Path) -> bool:
    try:
        return json.loads(spec.read_text(encoding="utf-8"))["argv"][0] in PYTHONS
    except (OSError, ValueError, LookupError, TypeError):
        return False  # Jupyter says what is wrong with it


def _copy_kernel(found: Path, place: Path) -> None:
    copy = place / KERNELS / found.name
    shutil.copytree(found, copy)
    spec = json.loads((copy / "kernel.json").read_text(encoding="utf-8"))
    spec["argv"][0] = str(place / "bin" / "python")
    (copy / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")

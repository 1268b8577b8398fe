"""The notebook that visitors run: its code cells, and the file as it is saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file

LARGEST = 100 * 1024 * 1024  # bytes of its file
LEAST_FORMAT = 4  # before that, cells were kept elsewhere in the file
SMALL = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "one",
            "metadata": {},
            "outputs": [],
            "source": "print(6 * 7)",
        }
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}

Output = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook file.

    Attributes:
        document: As in the file.
        code: Of each code cell that is not empty, in order.
        kernel: Its name; empty for the server's default.
    """

    document: dict[str, Any]
    code: tuple[str, ...]
    kernel: str

    def saved(self, outputs: Sequence[Sequence[Output]]) -> dict[str, Any]:
        """Return the document with what the first cells have put out."""
        cells, numbers = [], iter(range(len(outputs)))
        for cell in self.document["cells"]:
            number = next(numbers, None) if _code(cell).strip() else None
            if number is not None:
                cell = cell | {"execution_count": number + 1, "outputs": list(outputs[number])}
            cells.append(cell)
        return self.document | {"cells": cells}


def read(path: Path | None) -> Notebook:
    """Return the notebook in a file; without one, a small notebook.

    Raises:
        ConfigError: It cannot be read or is no notebook with code; in one line.
    """
    if path is None:
        return parse(json.dumps(SMALL), "the small notebook")
    try:
        text = plain_file.text(path, LARGEST)
    except OSError as error:
        raise ConfigError(f"--notebook={path}: {error.strerror}") from error
    return parse(text, f"--notebook={path}")


def parse(text: str, name: str) -> Notebook:
    """Return the notebook that a file holds.

    Args:
        text: Of the file.
        name: Said in errors.

    Raises:
        ConfigError: It is no notebook with code; in one line.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}: this is no JSON, so no notebook ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
        raise ConfigError(f"{name}: this JSON is no notebook, for it has no nbformat")
    if document["nbformat"] < LEAST_FORMAT:
        raise ConfigError(
            f"{name}: nbformat {document['nbformat']} is too old; open it in Jupyter and save it"
        )
    cells = document.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ConfigError(f"{name}: this notebook has no list of cells")
    code = tuple(text for cell in cells if (text := _code(cell)).strip())
    if not code:
        raise ConfigError(f"{name}: this notebook has no code to run")
    return Notebook(document, code, _kernel(document))


def _code(cell: dict[str, Any]) -> str:
    """Return a code cell's text, and nothing of other cells."""
    source = cell.get("source", "") if cell.get("cell_type") == "code" else ""
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _kernel(document: dict[str, Any]) -> str:
    metadata = document.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    return str(spec.get("name") or "") if isinstance(spec, dict) else ""

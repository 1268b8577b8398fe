"""The blocks of code in the documents: what language they are in, and which of them tests run.

Every block names its language. `sh` are commands, `console` are commands behind `$` with what they
print; tests run both. A comment in the line before may say otherwise:

    <!-- example: the reason -->    no test can run it here
    <!-- exits 1 -->                the last command fails, and shall
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = frozenset({"sh", "console"})
EXAMPLE, EXITS = re.compile(r"example: (.+)"), re.compile(r"exits (\d+)")
_MARK = re.compile(r" *<!-- ((?:example|exits).*) -->")
_FENCE = re.compile(r"( *)```(\S*)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its page, its first line there, its language, its text, the mark before it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str:
        """Why it is not run; empty: it is."""
        found = EXAMPLE.fullmatch(self.mark)
        return found[1] if found else ""

    @property
    def status(self) -> int:
        """The exit code that is meant."""
        found = EXITS.fullmatch(self.mark)
        return int(found[1]) if found else 0

    @property
    def script(self) -> str:
        """The commands alone, as a shell reads them."""
        if self.language != "console":
            return self.text
        lines = self.text.splitlines()
        return "".join(f"{line[2:]}\n" for line in lines if line.startswith("$ "))

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command, up to where its input or output goes elsewhere."""
        for line in self.script.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
                words.pop(0)
            ends = [at for at, word in enumerate(words) if word in {"|", "&", ">", "<", "&&"}]
            if words:
                yield words[: ends[0]] if ends else words


def pages() -> list[Path]:
    """Return all documents, but for what others wrote."""
    hidden = (".", "build", "node_modules")
    found = []
    for folder, folders, names in os.walk(ROOT):
        # Not even looked at: there is far more in hidden folders than there is of ours.
        folders[:] = [name for name in folders if not name.startswith(hidden)]
        found += [Path(folder, name).relative_to(ROOT) for name in names if name.endswith(".md")]
    return sorted(path for path in found if not path.name.startswith(hidden))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in their order."""
    mark, started, fence, held = "", 0, ("", ""), list[str]()
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        found = _FENCE.fullmatch(line)
        if started and found and not found[2]:
            yield Block(page, started, fence[1], "".join(held), mark)
            mark, started, held = "", 0, []
        elif started:
            held.append(f"{line.removeprefix(fence[0])}\n")
        elif found:
            started, fence = number, (found[1], found[2])
        else:
            marked = _MARK.fullmatch(line)
            mark = marked[1] if marked else ""

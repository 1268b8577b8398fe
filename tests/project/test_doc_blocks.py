"""Every block of the documents says what it is, and no command that could run is an example."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.documents import COMMANDS, EXAMPLE, EXITS, ROOT, Block, blocks, pages
from tmpnb.commands import command_line, firewall
from tmpnb.commands.load import options
from tmpnb.settings import flags
from tmpnb.settings.application import Tmpnb

LANGUAGES = COMMANDS | {
    "dockerfile", "html", "ini", "js", "json", "mermaid", "python", "text", "toml", "yaml",
}  # fmt: skip
# What needs a registry, another machine, hours, or this machine's kernel, packages or services.
NOT_HERE = {
    "/opt/tmpnb/bin/pip", "apt-get", "cp", "curl", "git", "make images", "make test", "npm",
    "python -m benchmarks.scale.run", "python -m benchmarks.soak.run", "scripts/pin",
    "sysctl", "systemctl", "tmpnb load",
}  # fmt: skip
PROGRAMS = ("$ ", "docker ", "make ", "tmpnb ", "curl ", "pip ", "python ", "sudo ", "nft ")
PARSERS = {"load": options.parser, "firewall": firewall.parser}
ALL = [block for page in pages() for block in blocks(page)]
RUN_OR_SHOWN = [block for block in ALL if block.language in COMMANDS]


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_names_its_language_and_commands_are_in_sh(block: Block) -> None:
    assert block.language in LANGUAGES, "write the language behind ```: CONTRIBUTING.md"
    if block.language not in COMMANDS:
        assert not block.mark, "a mark is for commands"
        hidden = [line for line in block.text.splitlines() if line.startswith(PROGRAMS)]
        assert hidden == [], "commands belong in a block of sh or console"
    else:
        assert list(block.commands())


@pytest.mark.parametrize("block", [b for b in ALL if b.mark], ids=str)
def test_an_example_has_a_reason_and_nothing_in_it_could_run_here(block: Block) -> None:
    assert EXAMPLE.fullmatch(block.mark) or EXITS.fullmatch(block.mark), block.mark
    if block.reason:
        assert len(block.reason.split()) > 2
        for words in block.commands():
            assert {words[0], " ".join(words[:2])} & NOT_HERE, f"{words[0]} can run in a test"


@pytest.mark.parametrize("page", pages(), ids=str)
def test_no_mark_stands_alone(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    marks = re.findall(r"^ *<!-- (?:example|exits)\b", text, re.MULTILINE)
    assert len(marks) == len([block for block in blocks(page) if block.mark])


def of_tmpnb(block: Block) -> list[list[str]]:
    """Return the words of each of our own command lines in a block, those in Compose as well."""
    found = []
    for words in block.commands():
        names = [Path(word).name for word in words]
        if words[0] == "tmpnb" or (words[:2] == ["docker", "compose"] and "tmpnb" in names[:5]):
            found.append(words[names.index("tmpnb") + 1 :])
        elif words[:2] == ["docker", "compose"] and "run" in words and "orchestrator" in words:
            found.append(words[words.index("orchestrator") + 1 :])
    return found


def read(words: list[str], directory: Path) -> None:
    """Read a command line as the program does, and start nothing."""
    if command_line.tool(words):
        if words[0] in PARSERS:
            PARSERS[words[0]]().parse_args(words[1:])
        return
    order = command_line.parse(words)
    given = [word for word in order.flags if not word.startswith("--config=")]  # of another machine
    Tmpnb().initialize([f"--config={directory}/none", "--generate-config", *given])


@pytest.mark.parametrize("block", [b for b in RUN_OR_SHOWN if of_tmpnb(b)], ids=str)
def test_the_program_knows_every_flag_of_its_command_lines(block: Block, tmp_path: Path) -> None:
    for words in of_tmpnb(block):
        read([word for word in words if word != "--generate-config"], tmp_path)


FRAGMENTS = [
    (block, line.partition("TMPNB_OPTIONS=")[2] or line)
    for block in ALL
    if block.language in {"text", "ini"}
    for line in block.text.splitlines()
    if line.startswith(("--", "TMPNB_OPTIONS="))
]


@pytest.mark.parametrize(("block", "line"), FRAGMENTS, ids=lambda value: str(value)[:60])
def test_flags_that_stand_alone_exist(block: Block, line: str, tmp_path: Path) -> None:
    read(shlex.split(line), tmp_path)


def test_a_flag_that_does_not_exist_is_seen(tmp_path: Path) -> None:
    block = Block(Path("x.md"), 1, "console", "$ A=b tmpnb --pol-size=3 &\nsaid\n", "")
    [words] = of_tmpnb(block)
    assert words == ["--pol-size=3"]
    assert "pol-size" not in flags.owners()
    with pytest.raises(command_line.ConfigError, match="pool-size"):
        read(words, tmp_path)

"""The program knows which flags docker-compose.yml gives, and the example their variables."""

from __future__ import annotations

import re

from requirements import ROOT

from tmpnb import flags


def given() -> dict[str, str]:
    """Return the flags of the orchestrator in docker-compose.yml, and their variables."""
    text = (ROOT / "docker-compose.yml").read_text()
    service = text.partition("\n  orchestrator:")[2].partition("\nnetworks:")[0]
    [command] = re.findall(r"\n    command: >-\n((?: {6}\S.*\n)+)", service)
    found = {}
    for word in command.split():
        flag = re.fullmatch(r"--([a-z-]+)(?:=(?:\$\{(\w+):?-[^}]*\}|[^$]*))?", word)
        assert flag or word == "${TMPNB_OPTIONS:-}", word
        if flag:
            found[flag[1].replace("-", "_")] = flag[2] or ""
    return found


def test_the_program_knows_what_docker_compose_yml_gives() -> None:
    assert given() == flags.COMPOSE


def test_an_example_has_each_variable() -> None:
    example = (ROOT / ".env.example").read_text()
    for variable in set(flags.COMPOSE.values()) - {""}:
        assert re.search(rf"^{variable}=", example, re.MULTILINE), variable

"""Compose and the program understand the Compose files, and the example has their variables."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

import pytest

from tests.support.requirements import ROOT, compose_plugin, docker_compose
from tmpnb.proxy.managed import SCRIPTS
from tmpnb.settings import flags


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


@pytest.mark.parametrize("compose", [docker_compose, compose_plugin])
@pytest.mark.parametrize("more", [[], ["--file=docker-compose.filtered.yml"]])
def test_old_and_new_versions_of_compose_read_the_files_without_a_word(
    compose: Callable[[], str], more: list[str]
) -> None:
    words = [compose(), "--env-file=.env.example", "--file=docker-compose.yml", *more]
    done = subprocess.run(  # noqa: S603 - our own words
        [*words, "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def services(name: str) -> dict[str, str]:
    """Return what stands under each service of a Compose file that says how its log is kept."""
    text = (ROOT / name).read_text().partition("\nservices:\n")[2]
    text = re.split(r"\n(?=\S)", text)[0]
    parts = re.split(r"(?:^|\n)  (?=\w[\w-]*:)", text)
    return {part.partition(":")[0].strip(): part for part in parts if part.strip()}


def test_the_log_of_each_service_is_bounded() -> None:
    plain, filtered = services("docker-compose.yml"), services("docker-compose.filtered.yml")
    assert set(plain) == {"proxy", "orchestrator"}
    assert set(filtered) == {"engine-filter", "orchestrator"}  # the second adds to the plain one
    for service in (*plain.values(), filtered["engine-filter"]):
        assert "logging: *logs" in service or "max-size: 10m, max-file:" in service


def test_compose_loads_what_tmpnb_loads_into_the_proxy() -> None:
    proxy = services("docker-compose.yml")["proxy"]
    [loaded] = re.findall(r"for script in ([\w ]+); do", proxy)
    assert loaded.split() == [script.stem for script in SCRIPTS]
    mounted = re.findall(r"- \./tmpnb/proxy/(\w+)\.cjs:/etc/\1\.cjs:ro", proxy)
    assert set(mounted) == {"proxied", *loaded.split()}

"""Files of text are read as editors save them: with a byte order mark, and not in UTF-16."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tmpnb.access.banned import Banned
from tmpnb.commands.load import notebook
from tmpnb.errors import ConfigError
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.branding import Branding
from tmpnb.settings.env_vars import Secrets
from tmpnb.spawners.docker.hardening import seccomp as docker_seccomp
from tmpnb.system import signing
from tmpnb.system.files.plain_text import NoTextError, decoded
from tmpnb.system.net.networks import address
from tmpnb.web import assets
from tmpnb.web.assets import TEMPLATES

SECRET = "a-secret-of-this-test-only"
NOTEBOOK = {
    "cells": [{"cell_type": "code", "source": "1", "metadata": {}, "outputs": []}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def config(file: Path) -> object:
    app = Tmpnb()
    app.initialize([f"--config={file}"])
    return app.pool_size


def banned(file: Path) -> object:
    return address("203.0.113.9") in Banned(f"@{file}")


def terms(file: Path) -> object:
    found = Branding(terms_file=str(file)).checked().terms
    return found and str(found.text)


def logo(file: Path) -> object:
    found = Branding(logo=str(file)).checked().logo
    return found and found.kind


def secret(file: Path) -> object:
    return Secrets.from_environment({"TMPNB_SECRET_KEY_FILE": str(file)}).secret_key


def own_key(file: Path) -> object:
    return signing.secret_file(file, 0o600)


def seccomp(file: Path) -> object:
    return docker_seccomp.chosen(str(file)).text


def loaded_notebook(file: Path) -> object:
    return str(notebook.read(file))


def template(file: Path) -> object:
    place = file.parent / "templates"
    place.mkdir(exist_ok=True)
    (place / "art.html").write_bytes(file.read_bytes())
    assets.check(TEMPLATES, place)
    return assets.OverridingLoader(TEMPLATES, place).load("art.html").generate()


# What reads a file, and a text that it takes.
READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "config.py": (config, "c.Tmpnb.pool_size = 7\n"),
    "banned": (banned, "203.0.113.0/24 # é\n"),
    "terms": (terms, "Be kind, café.\n"),
    "logo": (logo, '<svg xmlns="http://www.w3.org/2000/svg"></svg>'),
    "secret": (secret, f"{SECRET}\n"),
    "secret_key": (own_key, f"{SECRET}\n"),
    "profile": (seccomp, '{"defaultAction": "SCMP_ACT_ERRNO"}'),
    "notebook.ipynb": (loaded_notebook, json.dumps(NOTEBOOK)),
    "art.html": (template, "<p>é</p>"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str) -> None:
    read, text = READERS[name]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    without = read(file)
    file.write_text(text, encoding="utf-8-sig")
    assert read(file) == without
    assert without


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_what_notepad_calls_unicode_is_named_in_one_line(
    tmp_path: Path, name: str, encoding: str
) -> None:
    read, text = READERS[name]
    file = tmp_path / name
    file.write_text(text, encoding=encoding)
    with pytest.raises(ConfigError) as refused:
        read(file)
    said = str(refused.value)
    assert said.endswith(f"it is in {encoding.upper()}; save it as UTF-8")
    assert name in said
    assert "\n" not in said
    assert SECRET not in said


def test_a_ban_list_that_notepad_saved_counts_while_the_service_runs(tmp_path: Path) -> None:
    file, now = tmp_path / "banned", [0.0]
    file.write_text("198.51.100.0/24\n")
    known = Banned(f"@{file}", lambda: now[0])
    assert address("203.0.113.9") not in known
    file.write_text("203.0.113.0/24\r\n192.0.2.7\r\n", encoding="utf-8-sig")
    now[0] += 2
    assert address("203.0.113.9") in known


def test_a_config_file_may_declare_its_encoding(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    text = "# -*- coding: latin-1 -*-\nname = 'caf\xe9'\nc.Tmpnb.pool_size = len(name)\n"
    file.write_bytes(text.encode("latin-1"))
    assert config(file) == 4


def test_a_template_that_cannot_be_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "info.html").write_text("{% if %}\n{% end %}")
    with pytest.raises(ConfigError, match=r"--template-path: .*info\.html: ") as refused:
        assets.check(TEMPLATES, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff", b"a\x80", codecs.BOM_UTF16_LE, "ä".encode("utf-16")])
def test_what_is_no_text_is_not_quoted(content: bytes) -> None:
    with pytest.raises(NoTextError) as refused:
        decoded(content)
    assert "save it as UTF-8" in str(refused.value.strerror)
    assert "x" not in str(refused.value.strerror).replace("text", "")

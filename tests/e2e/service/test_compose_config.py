"""With Compose, an operator's own files are found in one directory, and read as they change."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, installed
from tests.e2e.running_service import until_true
from tests.support.engines.contract import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

BOTH = pytest.mark.parametrize("kind", ["command", "plugin"])
SETTINGS = """\
c.Branding.brand = "Tidal Lab"
c.Branding.logo = "logo.svg"
c.Branding.terms_file = "terms.txt"
c.Tmpnb.banned_networks = "@banned.txt"
"""
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle r="1"/></svg>'
OTHER_USER = 1000


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a directory with an operator's files."""
    made = tmp_path / "config"
    made.mkdir(mode=0o755)
    files = {
        "tmpnb_config.py": SETTINGS,
        "logo.svg": LOGO,
        "terms.txt": "Nothing that harms the harbour.",
        "banned.txt": "",
    }
    for name, text in files.items():
        (made / name).write_text(text)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return an empty directory for the installation."""
    made = tmp_path / "installation"
    made.mkdir()
    return made


@BOTH
async def test_an_operators_files_are_found_and_the_bans_are_read_as_they_change(
    place: Path, own: Path, kind: str
) -> None:
    with installed(place, kind, TMPNB_CONFIG_DIR=str(own)) as installation:
        await installation.until_stats(available=2)
        page = (await installation.fetch("/")).body.decode()
        assert "Tidal Lab" in page
        assert "Nothing that harms the harbour." in page
        assert (await installation.fetch("/logo")).body.decode() == LOGO

        reader = {"X-Forwarded-For": "203.0.113.9"}  # as a front server on the machine says
        spawn = partial(installation.fetch, "/api/spawn", method="POST")
        assert (await spawn(headers=reader)).code == 200
        (own / "new").write_text("203.0.113.0/24\n")
        os.replace(own / "new", own / "banned.txt")  # as editors do

        async def is_banned() -> bool:
            return (await spawn(headers=reader)).code == 403

        await wait_until(is_banned, "the ban counts")
        assert (await spawn()).code != 403, "nobody else"


@BOTH
async def test_what_root_without_capabilities_cannot_read_is_named(
    place: Path, own: Path, kind: str
) -> None:
    with installed(place, kind, TMPNB_CONFIG_DIR=str(own)) as installation:
        await installation.until_stats(available=2)
        for name, said in (
            ("terms.txt", "--terms-file=terms.txt: cannot be read: Permission denied; root"),
            ("tmpnb_config.py", "tmpnb_config.py: cannot be read: Permission denied; root"),
            (".", "tmpnb_config.py: cannot be read: Permission denied; root"),
        ):
            os.chown(own / name, OTHER_USER, OTHER_USER)
            (own / name).chmod(0o700)
            before = _lines(installation, said)
            installation.compose("restart", "orchestrator")
            await until_true(partial(_more_lines, installation, said, before), said)
            os.chown(own / name, 0, 0)
        assert "Traceback" not in installation.compose("logs", "orchestrator")
        installation.compose("restart", "orchestrator")
        await installation.until_stats(available=2)


def _lines(installation: Installation, said: str) -> int:
    return installation.compose("logs", "orchestrator").count(said)


def _more_lines(installation: Installation, said: str, before: int) -> bool:
    return _lines(installation, said) > before

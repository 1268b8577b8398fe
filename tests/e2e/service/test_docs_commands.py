"""The commands of each page of the documents, word for word and in their order, with real parts.

They run as root in a shard, each page in a folder that is like a clone. What takes the place of
registries and of what never ends is in `tests/support/commands`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_service import SECRETS
from tests.support import evidence
from tests.support.documents import COMMANDS, Block, blocks, pages
from tests.support.engines.docker import RealEngine
from tests.support.requirements import ROOT, TEST_IMAGE, chp, missing

pytestmark = [
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.local,
    pytest.mark.long,
    pytest.mark.gen_test(timeout=1300),
]

PAGE = 1200.0  # seconds for all commands of a page
SHIMS = ROOT / "tests" / "support" / "commands"
LEFT_OUT = (".git", ".venv", ".cache", ".*_cache", "build", "*.egg-info")
PROXY_IMAGE = "tmpnb-test/proxy"
ORCHESTRATOR_IMAGE = os.environ.get("TMPNB_TEST_ORCHESTRATOR", "tmpnb-test/orchestrator")
# What the documents call images that an operator has, and those of the tests.
IMAGES = {
    "quay.io/jupyter/minimal-notebook": TEST_IMAGE,
    "quay.io/jupyter/minimal-notebook:2026-10-05": TEST_IMAGE,
    "lesson": TEST_IMAGE,
    "my/notebook:2": TEST_IMAGE,
    "quay.io/jupyterhub/configurable-http-proxy:5.3.0": PROXY_IMAGE,
    "tmpnb": ORCHESTRATOR_IMAGE,
}
COMPOSE = {
    "TMPNB_IMAGE": TEST_IMAGE,
    "TMPNB_PROXY_IMAGE": PROXY_IMAGE,
    "TMPNB_ORCHESTRATOR_IMAGE": ORCHESTRATOR_IMAGE,
    "TMPNB_FILTER_IMAGE": "tmpnb-test/filter",
    "TMPNB_POOL_SIZE": "2",
    "TMPNB_NOFILE": "4096",  # the engine of a test machine may not raise it further
    "COMPOSE_PROJECT_NAME": "tmpnb-docs",
}
# What asks a service that runs already.
ASKS = re.compile(r"^(curl .*http://127\.0\.0\.1|tmpnb (list|status|bans)\b)", re.MULTILINE)


def run(page: Path) -> list[Block]:
    """Return the blocks of a page that tests run."""
    return [b for b in blocks(page) if b.language in COMMANDS and not b.reason]


def script(block: Block) -> str:
    """Return the commands of a block; before questions to a service comes one that answers."""
    text = block.script
    if text.rstrip().splitlines()[-1].startswith("tmpnb proxy") and "&" not in text:
        text = f'{text.rstrip()} &\n"$DOCS_COMMANDS/until-open" http://127.0.0.1:8001\n'
    if ASKS.search(text):
        begin = '"$DOCS_PYTHON" -m tmpnb --stop-servers-on-exit & "$DOCS_COMMANDS/until-ready"'
        secret = "export ADMIN_AUTH_TOKEN=a-token-of-this-page\n" if "$ADMIN" in text else ""
        text = f"{secret}{begin} http://127.0.0.1:8000 $!\n{text}"
    return text


@pytest.fixture
def folder(engine: RealEngine) -> Iterator[Path]:
    """Return a folder with a short name, as sockets in it have a limit; images have their names."""
    made = Path(tempfile.mkdtemp(prefix="docs-"))
    made.chmod(0o755)
    for name, image in IMAGES.items():
        engine.client.tag(image, *name.split(":"))
    yield made
    for name in IMAGES:
        engine.client.remove_image(name, noprune=True)
    shutil.rmtree(made)


def furnish(folder: Path, page: Path, labels: dict[str, str]) -> None:
    """Put there what a reader of the page has."""
    here, etc = folder / "here", folder / "etc"
    if page.name == "images.md":  # its own Dockerfile, of a package index
        here.mkdir()
        (here / "Dockerfile").write_text(f"FROM {TEST_IMAGE}\n")
    else:
        shutil.copytree(ROOT, here, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    settings = f"c.Tmpnb.pool_size = 1\nc.DockerSpawner.labels = {labels!r}\n"
    (here / "tmpnb_config.py").write_text(settings)
    shutil.copy(ROOT / "tests" / "e2e" / "browser" / "tidal-atlas.svg", here)
    (here / "terms.txt").write_text("Be kind.\n")
    etc.mkdir()
    shutil.copy(ROOT / "tmpnb/spawners/docker/hardening/seccomp_profile.json", etc / "seccomp.json")
    (etc / "banned").write_text("203.0.113.0/24  # nobody\n")
    (folder / "blocks").mkdir()
    for number, block in enumerate(run(page)):
        ending = f".exits-{block.status}.sh" if block.status else ".sh"
        name = f"{number:02}-line-{block.line}{ending}"
        (folder / "blocks" / name).write_text(script(block))


def environment(folder: Path) -> dict[str, str]:
    dropped = ("TMPNB_", "PYTEST_", "COMPOSE_", "MAKE")
    kept = {n: v for n, v in os.environ.items() if n not in SECRETS and not n.startswith(dropped)}
    environments = Path(sys.executable).parent
    return (
        kept
        | COMPOSE
        | {
            "PATH": f"{SHIMS}:{environments}:{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "TMPDIR": str(folder),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # the other way round than it reads: there is none
            "DOCS_ROOT": str(ROOT),
            "DOCS_COMMANDS": str(SHIMS),
            "DOCS_PYTHON": sys.executable,
            "DOCS_PACKAGES": sysconfig.get_path("purelib"),
            "DOCS_PROXY": chp(),
            "DOCS_PROXY_VERSION": version_of_the_proxy(),
            "DOCS_UP": str(folder / "up"),
        }
    )


def version_of_the_proxy() -> str:
    found = re.search(
        r"^CHP_VERSION=(\S+)", (ROOT / "scripts" / "lib.sh").read_text(), re.MULTILINE
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize("page", [page for page in pages() if run(page)], ids=str)
async def test_the_commands_of_a_page_do_what_they_say(
    page: Path, folder: Path, engine: RealEngine
) -> None:
    if "TMPNB_SHARD" not in os.environ:
        missing("a shard, as the ports and places are fixed: make test as root")
    furnish(folder, page, engine.labels)
    log = folder / "log"
    evidence.of(f"the commands of {page}", lambda: evidence.end_of(log))
    with log.open("wb") as output:
        program = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            str(SHIMS / "world"), str(folder),
            env=environment(folder), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            status = await asyncio.wait_for(program.wait(), PAGE)
        finally:
            if program.returncode is None:
                os.killpg(program.pid, signal.SIGKILL)
                await program.wait()
    assert status == 0, log.read_text()[-6000:]

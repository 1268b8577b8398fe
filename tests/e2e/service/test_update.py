"""An update takes over all that the former version has, and a step back takes it over again."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.faults.fault_proxy import HOLD
from tests.e2e.faults.run import Run
from tests.e2e.faults.visitor import JUPYTER
from tests.e2e.running_service import Service
from tests.e2e.service.guest import Browser, Guest
from tests.e2e.service.versions import Version, archive, former, in_working_tree
from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing

PASSPHRASE = "correct horse battery"
POOL = 2  # servers
# A setting of each class that operators name in their files.
CONFIG = """
c.Tmpnb.cull_max = 7200
c.Branding.brand = "Notebooks of before"
c.DockerSpawner.mem_limit = "600m"
c.LocalProcessSpawner.notebook_dir = {home!r}
"""
MARK = r"^POST /[^?]*/rename"  # tells the engine of a claim
KINDS = ("containers", "volumes", "networks", "directories")


class Moving:
    """A service that goes from one version to another, with visitors who must lose nothing."""

    def __init__(self, run: Run, service: Service, *, connected: bool) -> None:
        """Begin with nobody.

        Args:
            run: What the service belongs to.
            service: Which runs one version.
            connected: Whether connections go on, as the proxy has a life of its own.
        """
        self.run, self.service, self._connected = run, service, connected
        self.guests: list[Guest] = []
        self._known: dict[str, Any] = {}

    async def welcome(self) -> None:
        """Give a server to somebody new, who has a kernel if they are the first."""
        if self.guests:
            self.guests.append(await self.guests[0].friend(self.service))
            return
        self.guests.append(await Guest.arriving(self.service, PASSPHRASE))
        await self.guests[0].work()

    async def end(self, how: signal.Signals) -> None:
        """End the version that runs, when all is at rest."""
        for guest in self.guests:
            await guest.look_after_it()
        ready = POOL - len(self.guests)
        await self.service.until(lambda s: s["available"] == ready, "all is at rest")
        self._known = await self._look()
        await self.service.stop(how)

    async def begin(self, version: Version) -> None:
        """Start another version, which must find all that there was."""
        version.install(self.service)
        await self.service.start()
        assert await version.runs(self.service), "it is not this version that runs"
        urls = [guest.visitor.url for guest in self.guests]
        await self.run.whole(self.service, *urls, available=POOL - len(urls))
        _compare(self._known, await self._look())
        for guest in self.guests:
            await guest.finds_all_again(connected=self._connected)
        stranger = await self.service.fetch("/api/spawn", method="POST", body="")
        assert stranger.code == 403, "who does not know the passphrase may come in"

    async def all_leave(self) -> None:
        for guest in self.guests:
            await guest.leave()
        await self.service.until(lambda s: not s["claimed"] and not s["stopping"], "all have left")

    async def admin(self, path: str, method: str = "GET") -> Any:
        """Ask the admin port; return the JSON of its answer."""
        url = f"http://127.0.0.1:{self.service.admin_port}{path}"
        answer = await self.service.client.fetch(url, timeout=20, method=method)
        assert answer.code == 200, f"{method} {path}: {answer.code}"
        return json.loads(answer.body)

    async def _look(self) -> dict[str, Any]:
        """Return what must be the same in the next version; of names in a set it may have more."""
        status, in_force = await self.admin("/api/status"), await self.admin("/api/settings")
        bans = await self.admin("/api/bans")
        count, instances = self.run.census.count(), _instances(self.run)
        return {
            "keys of /stats": set(await self.service.stats()),
            "keys of /api/status": set(status),
            "keys of /api/servers": set((await self.admin("/api/servers"))["servers"][0]),
            "settings": set(_settings(in_force["settings"])),
            "addresses": await self._addresses(),
            "metrics": await self._metrics(),
            "announcement": status["announcement"],
            "bans": {b["network"]: int(b["since"]) for b in bans["bans"]},
            "state directory": sorted(path.name for path in self.service.state_dir.iterdir()),
            "servers": {guest.visitor.id: instances[guest.visitor.id] for guest in self.guests},
            "number of": {kind: len([n for n in count[kind] if not _is_kit(n)]) for kind in KINDS},
        }

    async def _addresses(self) -> set[str]:
        document = json.loads((await self.service.fetch("/api/openapi.json")).body)
        return {f"{how} {path}" for path, item in document["paths"].items() for how in item}

    async def _metrics(self) -> set[str]:
        url = f"http://127.0.0.1:{self.service.admin_port}/metrics"
        text = (await self.service.client.fetch(url, timeout=20)).body.decode()
        return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def _is_kit(name: str) -> bool:
    """Whether it is a volume that servers read the kit from.

    A version with another kit has its own, beside the one that the claimed servers still read.
    """
    return name.startswith("tmpnb-kit-")


def _compare(before: dict[str, Any], now: dict[str, Any]) -> None:
    for what, known in before.items():
        if isinstance(known, set):
            assert known <= now[what], f"{what}: without {sorted(known - now[what])}"
        else:
            assert now[what] == known, f"{what}: {known} before, {now[what]} now"


def _settings(sections: dict[str, dict[str, Any]]) -> Iterator[str]:
    for section, values in sections.items():
        yield from (f"{section}.{name} = {value!r}" for name, value in values.items())


def _instances(run: Run) -> dict[str, str]:
    """Return which container or process each server is, by the server's id."""
    if run.engine is not None:
        found = run.engine.containers()
        return {c["Config"]["Labels"]["tmpnb.server"]: c["Id"] for c in found}
    records = run.directory.glob("tmp/tmpnb-*/*/server.json")
    return {r.parent.name: str(json.loads(r.read_text())["process"]) for r in records}


def service_of(run: Run, version: Version) -> Service:
    """Return a service that uses what an update could lose; it is not started yet."""
    home, terms, config = (run.directory / name for name in ("home", "terms.txt", "config.py"))
    home.mkdir()
    terms.write_text("Be kind.")
    config.write_text(CONFIG.format(home=str(home)))
    service = run.service(
        JUPYTER,
        f"--pool-size={POOL}",
        f"--config={config}",
        f"--terms-file={terms}",
        "--announcement=Down on Friday.",
        env={"TMPNB_PASSPHRASE": PASSPHRASE},
    )
    version.install(service)
    return service


async def begun(moving: Moving, version: Version) -> str:
    """Wait until the pool is full, and ban somebody; return the path of an invitation."""
    assert await version.runs(moving.service), "it is not this version that runs"
    await moving.service.until_ready(POOL)
    await moving.admin("/api/bans/192.0.2.0/24", "PUT")
    state = f"--state-dir={moving.service.state_dir}"
    link = urlsplit(version.prints("invite", "--hours=1", state).strip())
    return f"{link.path}?{link.query}"


async def still_counts(invitation: str, service: Service) -> None:
    browser = Browser(service)
    assert (await browser.get(invitation)).code == 302
    assert browser.cookies, "an invitation of before counts no more"


@pytest.fixture
def run(engine: RealEngine) -> Iterator[Run]:
    """A run whose servers are containers."""
    made = Run(engine, engine.run)
    yield made
    made.close()


@pytest.fixture
def local_run() -> Iterator[Run]:
    """A run whose servers are processes."""
    made = Run(None, f"local-{secrets.token_hex(6)}")
    yield made
    made.close()


@pytest.fixture
def before(tmp_path: Path) -> Version:
    """The version that is updated from."""
    return former(tmp_path)


@pytest.mark.local
@pytest.mark.chp
@pytest.mark.long
@pytest.mark.gen_test(timeout=300)
async def test_update_and_step_back_keep_local_servers(local_run: Run, before: Version) -> None:
    run, after, service = local_run, in_working_tree(), service_of(local_run, before)
    assert before.flags() <= after.flags()
    async with run.started(service):
        moving = Moving(run, service, connected=False)
        invitation = await begun(moving, before)
        await moving.welcome()
        await moving.end(signal.SIGKILL)
        await moving.begin(after)
        await still_counts(invitation, service)
        await moving.welcome()
        await moving.end(signal.SIGTERM)
        await moving.begin(before)
        await moving.all_leave()


@pytest.mark.docker
@pytest.mark.chp
@pytest.mark.long
@pytest.mark.gen_test(timeout=300)
async def test_update_and_step_back_keep_containers(run: Run, before: Version) -> None:
    async with run.faulty_engine() as engine:
        service, after = service_of(run, before), in_working_tree()
        async with run.proxy(service), run.started(service):
            moving = Moving(run, service, connected=True)
            await begun(moving, before)
            with engine.fault(HOLD, MARK):  # the engine is not told
                await moving.welcome()
                await engine.until_met(MARK)
                await moving.end(signal.SIGTERM)
                engine.cut()
            await moving.begin(after)
            await moving.welcome()
            await moving.end(signal.SIGKILL)
            await moving.begin(before)
            await moving.all_leave()


def test_shallow_clone_is_completed_or_says_what_it_lacks(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        missing("git")
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"

    def git(*words: str) -> str:
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        command = ["git", *me, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)  # noqa: S603 - fixed words
        return done.stdout.strip()

    git("init", "--quiet", str(whole))
    (whole / "tmpnb").mkdir()
    for text in ("former", "present"):
        (whole / "tmpnb" / "module.py").write_text(text)
        git("-C", str(whole), "add", ".")
        git("-C", str(whole), "commit", "--quiet", "--message", text)
    commit = git("-C", str(whole), "rev-parse", "HEAD~1")
    git("clone", "--quiet", "--depth=1", whole.as_uri(), str(shallow))

    origin = tmp_path / "elsewhere"
    whole.rename(origin)
    with pytest.raises(pytest.fail.Exception, match=r"^the former .*: git fetch --unshallow$"):
        archive(shallow, commit, "tmpnb")
    origin.rename(whole)
    assert b"former" in archive(shallow, commit, "tmpnb")

"""One server on trial: started as the pool would, looked at, and always removed."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.world import wait_until
from tmpnb.commands.doctor import checkup, trial, verify
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.settings import checks
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.service import Service
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.docker.image.copies import BEGIN, HOME
from tmpnb.spawners.examination import Examination
from tmpnb.spawners.fake import FakeEngine, FakeSpawner
from tmpnb.spawners.finding import Finding, Level

pytestmark = pytest.mark.gen_test(timeout=30)

# Makes a service over a spawner; all that it may need is in the test's own directory.
Build = Callable[..., Service]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial, "LOOK", 0.02)

    def made(spawner: FakeSpawner, *flags: str, timeout: float = 1.0) -> Service:
        application = Tmpnb()
        application.initialize(["--spawner=fake", f"--start-timeout={timeout}", *flags])
        spawner.engine = FakeEngine()
        spawner.pool = PoolIdentity(trial.POOL)
        return replace(application.build(), spawner=spawner)

    return made


def engine_of(service: Service) -> FakeEngine:
    assert isinstance(service.spawner, FakeSpawner)
    assert service.spawner.engine is not None
    return service.spawner.engine


async def found(service: Service) -> dict[str, Finding]:
    try:
        return {f.topic: f async for f in trial.findings(service, Examination())}
    finally:
        await engine_of(service).close()


def test_no_operator_can_name_a_pool_like_ours() -> None:
    with pytest.raises(ConfigError):
        checks.pool_name(trial.POOL, "")


async def test_a_sound_server_is_found_sound_and_removed(build: Build) -> None:
    service = build(FakeSpawner())
    findings = await found(service)
    assert tuple(findings) == ("start", *verify.TOPICS)
    assert {f.level for f in findings.values()} == {Level.OK, Level.SKIP}
    assert engine_of(service).servers == {}


class Unready(FakeSpawner):
    """Cannot be set up."""

    async def setup(self) -> None:
        raise SpawnerError("no engine; start it")


async def test_without_an_engine_all_is_skipped(build: Build) -> None:
    findings = await found(build(Unready()))
    assert findings["setup"].line() == "FAIL setup    no engine; fix: start it"
    assert {f.level for t, f in findings.items() if t != "setup"} == {Level.SKIP}
    assert set(findings) == {"setup", "start", *verify.TOPICS}


class Uncopied(FakeSpawner):
    """Its engine cannot get what servers need of the image."""

    async def prepare(self, image: str) -> None:
        raise SpawnerError(f"the files of {image} in /data could not be copied: no space left")


async def test_what_takes_longer_than_a_start_is_awaited_before_it(build: Build) -> None:
    spawner = Uncopied()
    spawner.image = "lesson"
    findings = await found(build(spawner))
    line = findings["setup"].line()
    assert "FAIL setup    the files of lesson in /data could not be copied: no space left" in line
    assert findings["start"].level is Level.SKIP


class Ending(FakeSpawner):
    """Its servers end at once, with a secret among their last words."""

    async def start(self, spec: ServerSpec) -> str:
        address = await super().start(spec)
        assert self.engine is not None
        server = self.engine.servers[self.pool_name, spec.server_id]
        server.running = False
        server.log.extend(("I cannot go on", f"as {spec.token}"))
        return address


async def test_one_that_ends_is_not_waited_for_and_its_last_words_are_shown(build: Build) -> None:
    service = build(Ending(), timeout=3600)
    findings = await found(service)
    start = findings["start"]
    assert start.level is Level.FAIL
    assert "exited before it responded" in start.words
    assert start.detail == ("I cannot go on", "as [redacted]")
    assert all(findings[topic].level is Level.SKIP for topic in verify.TOPICS)
    assert engine_of(service).servers == {}


class Printing(FakeSpawner):
    """Its servers print these lines first, and many more after them."""

    def __init__(self, *first: str) -> None:
        super().__init__()
        self.first = first

    async def start(self, spec: ServerSpec) -> str:
        address = await super().start(spec)
        assert self.engine is not None
        more = (f"[I] extension {number} loaded" for number in range(50))
        self.engine.servers[self.pool_name, spec.server_id].log.extend((*self.first, *more))
        return address


async def test_a_home_that_begins_empty_is_told_with_what_to_raise(build: Build) -> None:
    lines = begun("/home/jovyan", 64, 100_000)
    findings = await found(build(Printing(*lines)))
    assert findings["start"].level is Level.OK
    assert findings["home"].line() == (
        "warn home     what the image has in /home/jovyan is more than 64 kB, so it begins empty;"
        " fix: raise --disk-limit, and --mem-limit with it"
    )


async def test_a_home_that_lacks_something_is_told(build: Build) -> None:
    lines = ["cp: cannot open 'a'", "tmpnb: not all of what the image has in /home/x is there"]
    home = (await found(build(Printing(*lines))))["home"]
    assert home.level is Level.WARN
    assert home.words == "not all of what the image has in /home/x is there"
    assert "cp" in home.mend


async def test_a_server_that_says_nothing_of_its_home_has_no_such_line(build: Build) -> None:
    assert "home" not in await found(build(Printing("see what the image has in /home/jovyan")))


def begun(home: str, kilobytes: int, size: int) -> list[str]:
    """Return what a server of Docker prints whose image has so many bytes in its home."""
    script = BEGIN.replace(f"du -sk {HOME} | cut -f1", f"echo {size // 1024}")
    words = ["sh", "-c", script, "tmpnb", home, str(kilobytes), "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - our own words
    return done.stderr.splitlines()


class Misled(FakeSpawner):
    """Its servers serve under another path than they were told to."""

    async def start(self, spec: ServerSpec) -> str:
        return await super().start(replace(spec, base_url="/user/other/"))


async def test_one_under_another_path_is_told(build: Build) -> None:
    start = (await found(build(Misled())))["start"]
    assert start.level is Level.FAIL
    assert "HTTP 404" in start.words
    assert "{base_path}" in start.mend


class Sticky(FakeSpawner):
    """Its servers cannot be removed at the first tries."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def stop(self, server_id: str) -> None:
        if self.failures:
            self.failures -= 1
            raise SpawnerError("the engine is busy")
        await super().stop(server_id)


async def test_removal_is_tried_again(build: Build) -> None:
    service = build(Sticky(trial.TRIES - 1))
    assert "removal" not in await found(service)
    assert engine_of(service).servers == {}


async def test_what_could_not_be_removed_is_told(build: Build) -> None:
    service = build(Sticky(trial.TRIES))
    removal = (await found(service))["removal"]
    assert removal.level is Level.WARN
    [(_, server_id)] = engine_of(service).servers
    assert server_id in removal.words
    assert "the engine is busy" in removal.words


class Slow(FakeSpawner):
    """Its servers exist and their start does not return."""

    async def start(self, spec: ServerSpec) -> str:
        await super().start(spec)
        await asyncio.Event().wait()
        return ""


async def test_an_interrupted_trial_removes_its_server(build: Build) -> None:
    service = build(Slow(), timeout=3600)
    task = asyncio.create_task(found(service))
    await wait_until(lambda: engine_of(service).servers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine_of(service).servers == {}


async def test_an_engine_that_does_not_start_it_in_time_is_told(build: Build) -> None:
    start = (await found(build(Slow())))["start"]
    assert "did not start it within 1 s" in start.words


async def test_a_trial_that_nobody_listens_to_any_more_removes_its_server(build: Build) -> None:
    service = build(FakeSpawner())
    async with aclosing(trial.findings(service, Examination())) as findings:
        assert (await anext(findings)).topic == "start"
        assert len(engine_of(service).servers) == 1
    assert engine_of(service).servers == {}
    await engine_of(service).close()


async def test_servers_of_trials_that_were_killed_are_removed(build: Build) -> None:
    service = build(FakeSpawner())
    await service.spawner.setup()
    for name in ("old", "new"):
        await service.spawner.start(ServerSpec(name, f"/user/{name}/", "a token"))
    engine_of(service).servers[trial.POOL, "old"].created_at -= 2 * trial.LEFT_OVER
    await found(service)
    assert set(engine_of(service).servers) == {(trial.POOL, "new")}


# The commands


async def doctor(service: Service, **options: bool) -> tuple[bool, list[str]]:
    lines: list[str] = []
    try:
        return await checkup.doctor(service, lines.append, **options), lines
    finally:
        await engine_of(service).close()


def free(*flags: str) -> tuple[str, ...]:
    return ("--port=0", "--admin-port=0", "--proxy-port=0", "--proxy-api-port=0", *flags)


async def test_doctor_is_well_when_nothing_fails(build: Build) -> None:
    flags = ("--proxy-command=python3", "--state-dir=state", "--public-url=http://localhost:8000")
    service = build(FakeSpawner(), *free(*flags), timeout=60)
    well, lines = await doctor(service)
    assert well
    assert {line[:4] for line in lines} == {"ok  ", "skip"}, lines
    assert "ok   start" in "\n".join(lines)
    assert os.listdir() == [], "it leaves nothing behind"


async def test_doctor_starts_no_server_if_it_must_not(build: Build) -> None:
    service = build(Unready(), *free("--proxy-command=python3"))
    well, lines = await doctor(service, without_server=True)
    assert well
    assert lines[-1].startswith("skip start")


class Doomed(Examination):
    """Finds an engine that no server can be tried on."""

    def __init__(self, finding: Finding) -> None:
        self._finding = finding

    async def findings(self, capacity: int):  # type: ignore[no-untyped-def]  # as its parent's
        del capacity
        yield self._finding


@pytest.mark.parametrize("level", [Level.FAIL, Level.WARN])
async def test_doctor_starts_no_server_where_none_can_be(build: Build, level: Level) -> None:
    spawner = Unready()
    spawner.examination = lambda: Doomed(Finding(level, "image", "none", stops=True))  # type: ignore[method-assign]  # one fault
    well, lines = await doctor(build(spawner, *free("--proxy-command=python3")))
    assert well is (level is Level.WARN)
    assert lines[-1] == "skip idle     needs the image"
    assert not any("setup" in line for line in lines)

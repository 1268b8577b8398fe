"""The filter before the engine: what passes works as without it, and the rest is refused."""

from __future__ import annotations

import http.client
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from tests.e2e.running_service import until_true
from tests.support.engine_requests import (
    CALLS,
    CREATE,
    HARMLESS,
    JSON,
    KIT,
    NOWHERE,
    OWN_NETWORK,
    PROFILE,
    REFUSED,
    Ask,
    made,
    of_host,
    seccomp,
)
from tests.support.engines.contract import stub_command, wait_until_it_answers
from tests.support.engines.docker import RealEngine
from tests.support.requirements import ROOT, missing
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

IMAGE = "tmpnb-test/filter"
RULES = ROOT / "deploy" / "engine-filter"
ALLOWED = ["TMPNB_REGISTRIES=docker.io,quay.io,127.0.0.1:1", "TMPNB_RUNTIMES=runsc"]


@pytest.fixture
def rules() -> Path:
    """Return the directory of the filter's own files."""
    return RULES


@pytest.fixture
def filtered(engine: RealEngine, io_loop: IOLoop, rules: Path, tmp_path: Path) -> Iterator[str]:
    """Return the address of the engine's API behind the filter."""
    if os.geteuid() != 0:
        missing("root, whom the filter's socket belongs to")
    if not engine.client.images(IMAGE):
        missing(f"the image {IMAGE}: make images")
    directory = Path(tempfile.mkdtemp(prefix="tmpnb-filter-"))  # short enough for a socket
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(PROFILE, indent=2))
    shown = [
        "/var/run/docker.sock:/var/run/docker.sock",
        f"{directory}:/run/engine",
        f"{ROOT}/deploy/engine-filter.cfg:/etc/engine-filter.cfg:ro",
        f"{rules}:/etc/engine-filter:ro",
        f"{profile}:/etc/tmpnb-seccomp.json:ro",
    ]
    container = engine.client.create_container(
        IMAGE,
        entrypoint=["haproxy", "-db", "-f", "/etc/engine-filter.cfg"],
        user="0:0",
        environment=ALLOWED,
        labels=engine.labels,
        host_config=engine.client.create_host_config(
            binds=shown, network_mode="none", cap_drop=["ALL"], read_only=True
        ),
    )
    engine.client.start(container)
    at = directory / "docker.sock"
    try:
        io_loop.run_sync(lambda: until_true(lambda: listens(at), "the filter listens"))
        yield f"unix://{at}"
    finally:
        engine.client.remove_container(container, force=True)
        shutil.rmtree(directory)


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


def answer(filtered: str, ask: Ask) -> tuple[int, str]:
    """Return status and body for a request that is sent exactly as it is."""
    with closing(http.client.HTTPConnection("engine", timeout=60)) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(filtered.removeprefix("unix://"))
        connection.putrequest(ask.method, f"/v1.41{ask.target}", skip_accept_encoding=True)
        if ask.body or ask.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(ask.body)))
        for name, value in ask.headers.items():
            connection.putheader(name, value)
        with suppress(BrokenPipeError):  # it has answered before it had all
            connection.endheaders(ask.body)
        got = connection.getresponse()
        return got.status, got.read().decode()


def is_refused(filtered: str, ask: Ask) -> bool:
    """Return whether the filter refused; the engine itself may answer 403, in other words."""
    status, said = answer(filtered, ask)
    in_words = "refused by the filter before the engine: " in said or ask.method == "HEAD"
    return status == 403 and in_words


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"egress": "none", "read_only": True, "extra_host_config": {"shm_size": "64m"}},
        {"egress": "none", "disk_limit": "64m", "container_user": "1000"},
    ],
    ids=["published", "closed", "disk"],
)
async def test_a_spawner_works_through_the_filter_as_without_it(
    engine: RealEngine,
    filtered: str,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if settings.get("egress") == "none":
        settings = {**settings, "docker_network": f"tmpnb-{engine.run}"}
    monkeypatch.setenv("DOCKER_HOST", filtered)
    caplog.set_level(logging.WARNING)
    spawner = engine.new_spawner("filtered", stub_command("python3"), **settings)
    client = Client(MAX_ANSWER)
    spec = ServerSpec(secrets.token_hex(6), "/user/a/", secrets.token_urlsafe(24))
    try:
        await spawner.setup()
        address = await spawner.start(spec)
        await wait_until_it_answers(client, f"{address}/user/a/api")
        await spawner.mark_claimed(spec.server_id, 1_900_000_000.0)
        [instance] = await spawner.list()
        assert (instance.server_id, instance.claimed_at) == (spec.server_id, 1_900_000_000.0)
        assert isinstance(await spawner.logs(spec.server_id), str)
        [made] = (c for c in engine.containers() if spec.server_id in c["Name"])
        assert any(m["Destination"] == "/opt/tmpnb-kit" for m in made["Mounts"])
        with pytest.raises(ConfigError, match="connection refused"):
            await spawner.prepare(f"{NOWHERE}:1")
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1:2 is not among TMPNB_REG"):
            await spawner.prepare(NOWHERE.replace(":1/", ":2/"))
        facts = await spawner.examination().server(spec.server_id)
        assert facts.memory is not None
        assert facts.listeners is None, "that would need an exec"
        await spawner.stop(spec.server_id)
        assert await spawner.list() == []
    finally:
        client.close()
        await spawner.close()
    assert [r for r in caplog.messages if "cannot be seen" in r or "without the kit" in r] == []


async def test_an_orchestrator_of_another_version_is_told_what_to_do_in_one_line(
    engine: RealEngine, filtered: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    older = tmp_path / "older.json"
    older.write_text(json.dumps({**PROFILE, "syscalls": PROFILE["syscalls"][1:]}))
    monkeypatch.setenv("DOCKER_HOST", filtered)
    spawner = engine.new_spawner("older", stub_command("python3"), seccomp=str(older))
    try:
        await spawner.setup()
        with pytest.raises(SpawnerError) as refused:
            await spawner.start(ServerSpec("abc", "/user/abc/", "token"))
    finally:
        await spawner.close()
    text = str(refused.value)
    assert text.endswith(
        "another seccomp profile than the filter has;"
        " after git pull: docker compose up -d --build --force-recreate"
    )
    assert "\n" not in text


async def test_what_tmpnb_does_not_ask_is_refused(filtered: str, engine: RealEngine) -> None:
    before = {entry["Id"] for entry in engine.client.containers(all=True)}
    assert len(REFUSED) > 300
    assert [str(ask) for ask in REFUSED if not is_refused(filtered, ask)] == []
    assert {entry["Id"] for entry in engine.client.containers(all=True)} == before


async def test_each_call_that_tmpnb_makes_gets_as_far_as_the_engine(filtered: str) -> None:
    answers = {str(ask): answer(filtered, ask) for ask in CALLS}
    assert {ask: said for ask, (_, said) in answers.items() if "filter before" in said} == {}
    made_and_removed = {got[0] for ask, got in answers.items() if OWN_NETWORK in ask or KIT in ask}
    assert made_and_removed & {200, 201, 204} == {200, 201, 204}
    assert answers[str(CALLS[-1])][0] == 204, "and nothing is left"
    assert answers[f"DELETE {OWN_NETWORK} {{}} "][0] == 204


async def test_what_operators_add_gets_as_far_as_the_engine(filtered: str) -> None:
    answers = {str(ask): answer(filtered, ask) for ask in HARMLESS}
    # It has no such image, and perhaps not the runtime.
    assert {ask: got for ask, got in answers.items() if got[0] not in (400, 404)} == {}
    of_filter = [ask for ask, (_, said) in answers.items() if "filter" in said]
    assert of_filter == []


async def test_the_seccomp_profile_that_the_filter_has_passes_and_no_other(filtered: str) -> None:
    profile = seccomp(json.dumps(PROFILE))
    assert answer(filtered, of_host(SecurityOpt=[profile]))[0] == 404
    assert is_refused(filtered, of_host(SecurityOpt=[profile.replace("ERRNO", "ALLOW")]))
    large = made(Labels={"long": "a" * 60_000}, HostConfig={"SecurityOpt": [profile]})
    assert answer(filtered, large)[0] == 404


async def test_what_is_not_seen_in_full_is_refused(filtered: str) -> None:
    assert is_refused(filtered, made(Hostname="a" * 300_000))
    assert is_refused(filtered, made(Labels={"long": "a" * 300_000}))
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.connect(filtered.removeprefix("unix://"))
        head = f"POST {CREATE} HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON['Content-Type']}\r\n"
        body = b'{"Image": "none", "HostConfig": {}}'
        pieces = f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
        one.sendall(head.encode() + pieces + body + b"\r\n0\r\n\r\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 403 ")


async def test_files_go_into_the_kit_s_directory_however_large(filtered: str) -> None:
    kit = "/containers/none/archive?path=%2Fopt%2Ftmpnb-kit"
    assert answer(filtered, Ask("PUT", kit, b"a" * 500_000))[0] == 404
    assert answer(filtered, Ask("GET", "/containers/none/archive?path=%2Fetc%2Fpasswd"))[0] == 404
    assert answer(filtered, Ask("POST", "/containers/none/start"))[0] == 404


class TestBroken:
    """A filter that cannot judge."""

    @pytest.fixture(params=["error('broken')", "while true do end", "txn.sf:no_such_thing()"])
    def rules(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        copy = tmp_path / "rules"
        shutil.copytree(RULES, copy)
        main = copy / "main.lua"
        text = main.read_text(encoding="utf-8")
        action = 'core.register_action("judge", { "http-req" }, function(txn)\n'
        assert action in text
        main.write_text(text.replace(action, f"{action}do {request.param} end\n"))
        return copy

    async def test_it_lets_nothing_through(self, filtered: str) -> None:
        for ask in (Ask("GET", "/version"), of_host()):
            status, said = answer(filtered, ask)
            assert (status, "it cannot be judged" in said) == (403, True), said

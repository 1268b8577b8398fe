"""The filter before the engine: what passes works as without it, and the rest is refused."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker_engine import RealEngine
from e2e.service import until_true
from requirements import ROOT, missing
from spawner_engines import stub_command, wait_until_it_answers
from tornado.ioloop import IOLoop

from tmpnb.errors import ConfigError
from tmpnb.http import MAX_ANSWER, Client
from tmpnb.spawners.base import ServerSpec

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

IMAGE = "tmpnb-test/filter"
NOWHERE = "127.0.0.1:1/lesson:1"  # an image of a registry that nobody is


@pytest.fixture
def filtered(engine: RealEngine, io_loop: IOLoop) -> Iterator[str]:
    """Return the address of the engine's API behind the filter."""
    if os.geteuid() != 0:
        missing("root, whom the filter's socket belongs to")
    if not engine.client.images(IMAGE):
        missing(f"the image {IMAGE}: make images")
    directory = Path(tempfile.mkdtemp(prefix="tmpnb-filter-"))  # short enough for a socket
    shown = [
        "/var/run/docker.sock:/var/run/docker.sock",
        f"{directory}:/run/engine",
        f"{ROOT}/deploy/engine-filter.cfg:/etc/engine-filter.cfg:ro",
    ]
    container = engine.client.create_container(
        IMAGE,
        entrypoint=["haproxy", "-db", "-f", "/etc/engine-filter.cfg"],
        user="0:0",
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


async def test_a_spawner_works_through_the_filter_as_without_it(
    engine: RealEngine,
    filtered: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", filtered)
    caplog.set_level(logging.WARNING)
    spawner = engine.new_spawner("filtered", stub_command("python3"))
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
            await spawner.prepare(NOWHERE)
        facts = await spawner.examination().server(spec.server_id)
        assert facts.memory is not None
        assert facts.listeners is None, "that would need an exec"
        await spawner.stop(spec.server_id)
        assert await spawner.list() == []
    finally:
        client.close()
        await spawner.close()
    assert [r for r in caplog.messages if "cannot be seen" in r or "without the kit" in r] == []


def of_host(**settings: Any) -> str:
    return json.dumps({"Image": "none", "HostConfig": settings})


LOCAL_BIND = {"Type": "none", "Options": {"o": "bind", "device": "/"}}
TOO_MUCH = [
    of_host(Privileged=True),
    of_host(Binds=["/:/mnt"]),
    of_host(Mounts=[{"Type": "bind", "Source": "/", "Target": "/mnt"}]),
    of_host(Mounts=[{"Type": "volume", "VolumeOptions": {"DriverConfig": LOCAL_BIND}}]),
    of_host(CapAdd=["SYS_ADMIN"]),
    of_host(Devices=[{"PathOnHost": "/dev/sda"}]),
    of_host(DeviceCgroupRules=["a *:* rwm"]),
    of_host(PidMode="host"),
    of_host(UsernsMode="host"),
    of_host(NetworkMode="host"),
    of_host(NetworkMode="container:abc"),
    of_host(VolumesFrom=["abc"]),
    of_host(SecurityOpt=["seccomp=unconfined"]),
    of_host(MaskedPaths=[]),
    of_host(Runtime="/mnt/own"),
    # The engine does not mind how a key is written.
    '{"Image": "none", "hostconfig": {"PRIVILEGED": true}}',
    '{"Image": "none", "HostConfig": {"Pri\\u0076ileged": true}}',
    '{"Image": "none", "HostConfig": {"Bind\\u017f": ["/:/mnt"]}}',
    '{"Image": "none", "HostConfig": {"Bind\u017f": ["/:/mnt"]}}',
    '{"Image": "none", "HostConfig": {"Mounts": [{"Type"\n:\n"bind"}]}}',
    f'{{"Image": "none", "Hostname": "{"a" * 300_000}", "HostConfig": {{"Privileged": true}}}}',
]
FINE = [
    of_host(SecurityOpt=["no-new-privileges"], NetworkMode="lan"),
    of_host(Mounts=[{"Type": "volume", "Source": "kit", "Target": "/kit"}]),
    json.dumps({"Image": "none", "Env": ['WHO=the "privileged"', "NAME=Zoë"]}),
    json.dumps({"Image": "none", "Labels": {"long": "a" * 60_000}}),
]


async def test_creations_that_grasp_at_the_machine_are_refused(filtered: str) -> None:
    client = docker.APIClient(base_url=filtered, version="1.41", timeout=20)
    root = f"{client.base_url}/v1.41"

    def status(path: str, body: Any = None) -> int:
        sent = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "application/json"}
        return int(client.post(root + path, data=sent, headers=headers).status_code)

    try:
        create = "/containers/create"
        assert {body: status(create, body) for body in TOO_MUCH} == dict.fromkeys(TOO_MUCH, 403)
        # These get as far as the engine, which has no such image.
        assert {body: status(create, body) for body in FINE} == dict.fromkeys(FINE, 404)
        assert status(create, iter([b'{"Image": ', b'"none"}'])) == 403, "in pieces"
        assert status("/volumes/create", '{"Name": "x", "DriverOpts": {"o": "bind"}}') == 403
        assert status("/containers/none/start", '{"Privileged": true}') == 403
        assert status("/containers/none/start") == 404
        files = {
            path: client.get(f"{root}/containers/none/archive?path={path}").status_code
            for path in ("%2Fetc%2Fpasswd", "%2Fetc%2Fshadow", "%2Fetc%2Fpasswd&path=/")
        }
        assert list(files.values()) == [404, 403, 403]
        kit = f"{root}/containers/none/archive?path=%2Fopt%2Ftmpnb-kit"
        assert client.put(kit, data=b"a" * 500_000).status_code == 404
        assert client.put(f"{root}/containers/none/archive?path=%2F", data=b"").status_code == 403
    finally:
        client.close()

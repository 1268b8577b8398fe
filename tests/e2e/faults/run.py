"""One run of a fault test: services of one token, held against the engine and the proxy.

Use:
    async with run.serving("--pool-size=2") as service:
        await service.until_ready(2)
        url = await service.take("/lab")
        ...  # the fault, and its end
        await run.whole(service, url, available=1)

Leaving the block ends the service with --stop-servers-on-exit and counts the orphans.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.faults.census import Census, Count
from tests.e2e.faults.fault_proxy import FaultProxy
from tests.e2e.running_service import START, RunningProxy, Service, ask, free_ports, until_true
from tests.support.engines.contract import PAUSE, stub_command
from tests.support.engines.docker import LABEL, RealEngine
from tmpnb.errors import UnreachableError

DOCKER_SOCKET = "unix:///var/run/docker.sock"
FAST = {"reconcile-interval": "0.3", "pool-size": "2"}


class Run:
    """Starts services and proxies of one token, and ends with nothing left of them.

    Attributes:
        token: In everything the run makes; also the pool's name.
        census: Counts what there is.
        engine: The Docker engine; None for local processes.
    """

    def __init__(self, engine: RealEngine | None, token: str) -> None:
        self.engine, self.token = engine, token
        self.environment = {"TMPNB_TEST_RUN": token}
        self.directory = Path(tempfile.gettempdir()).resolve() / f"tmpnb-faults-{token}"
        (self.directory / "tmp").mkdir(parents=True)
        self.environment["TMPDIR"] = str(self.directory / "tmp")
        self.census = Census(token, self.directory, engine)
        self._proxies: dict[Service, RunningProxy] = {}

    def service(
        self,
        *flags: str,
        state: str = "state",
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Service:
        """Return a service of this run's pool that is not started.

        Args:
            flags: In place of, or besides, those every service of the suite has.
            state: Its state directory; `-a`, `-b` and so on, for more than one at once.
            env: More environment.
            options: Of `Service`.
        """
        given = {flag.partition("=")[0].removeprefix("--") for flag in flags}
        own = [f"--{n}={v}" for n, v in self._flags().items() if n not in given]
        state_dir = self.directory / state
        state_dir.mkdir(exist_ok=True)
        options.setdefault("log", self.directory / f"{state}.log")
        env = self.environment | dict(env or {})
        return Service(*own, *flags, state_dir=state_dir, env=env, **options)

    def _flags(self) -> dict[str, str]:
        if self.engine is None:
            command = stub_command(sys.executable)
            return FAST | {"spawner": "local", "pool-name": self.token, "command": command}
        labels = {LABEL: self.token}
        volume = {"Type": "volume", "Target": "/scratch", "VolumeOptions": {"Labels": labels}}
        return FAST | {
            "spawner": "docker",
            "image": "tmpnb-test/notebook",
            "pool-name": self.token,
            "command": stub_command("python3"),
            "DockerSpawner.labels": f"{LABEL}={self.token}",
            "DockerSpawner.extra_host_config": str({"mounts": [volume]}),
        }

    @asynccontextmanager
    async def faulty_engine(self) -> AsyncIterator[FaultProxy]:
        """Put a fault proxy between the engine and the services made within the block."""
        at = self.directory / "docker.sock"
        async with FaultProxy.running(_engine_address(), at) as faults:
            self.environment["DOCKER_HOST"] = f"unix://{at}"
            yield faults

    @asynccontextmanager
    async def faulty_proxy_api(self, service: Service) -> AsyncIterator[FaultProxy]:
        """Put a fault proxy between `service`, not started yet, and the API of its proxy."""
        [port] = free_ports(1)
        api = ("127.0.0.1", self._proxies[service].api_port)
        async with FaultProxy.running(api, ("127.0.0.1", port)) as faults:
            service.add_environment({"CONFIGPROXY_ENDPOINT": f"http://127.0.0.1:{port}"})
            yield faults

    @asynccontextmanager
    async def proxy(self, service: Service) -> AsyncIterator[RunningProxy]:
        """Run a proxy of its own life for `service`, which is not started yet."""
        proxy = RunningProxy(service.port, self.environment)
        service.visitors = proxy.port
        service.add_environment(proxy.env)
        self._proxies[service] = proxy
        await proxy.start()
        try:
            yield proxy
        finally:
            ours = await self.routes(service) if proxy.is_running else {}
            await proxy.kill()
            del self._proxies[service]
        assert not ours, "routes are left in the proxy"
        self.nothing_left()

    @asynccontextmanager
    async def serving(self, *flags: str, **options: Any) -> AsyncIterator[Service]:
        """Run a service; at the end stop it with all its servers and count what is left."""
        async with self.started(self.service("--stop-servers-on-exit", *flags, **options)) as it:
            yield it

    @asynccontextmanager
    async def started(self, service: Service) -> AsyncIterator[Service]:
        """Start `service`, which stops its servers at its end; count then what is left."""
        async with AsyncExitStack() as stack:
            stack.callback(service.client.close)
            stack.push_async_callback(service.stop)
            await service.start()
            yield service
        if service not in self._proxies:
            self.nothing_left()

    def nothing_left(self, *kept: str) -> None:
        """Fail with what is there although all has ended, besides what `kept` names."""
        left: Count = {}
        for kind, found in self.census.left().items():
            if unexpected := {one for one in found if not any(k in one for k in kept)}:
                left[kind] = unexpected
        assert not left, f"orphans: {json.dumps({k: sorted(v) for k, v in left.items()}, indent=1)}"

    async def routes(self, service: Service) -> dict[str, str]:
        """Return this pool's routes: server id -> target."""
        proxy = self._proxies.get(service)
        table = await (proxy.routes() if proxy else service.routes())
        return {
            data["server_id"]: data["target"]
            for data in table.values()
            if data.get("tmpnb_pool") == self.token
        }

    async def failed_passes(self, service: Service, count: int = 4) -> None:
        """Wait until so many more passes have failed; `service` logs at level debug."""

        def failed() -> int:
            return service.log.read_text().count("] pass: ")

        wanted = failed() + count
        await until_true(lambda: failed() >= wanted, f"{count} passes fail")

    async def opens(self, service: Service, url: str) -> bool:
        """Whether a visitor's server answers to its token."""
        return (await ask(service.client, url, "api/status")).code == 200

    def said_once(self, service: Service, words: str) -> None:
        """Fail unless the log has `words` exactly once, besides what it says of requests."""
        first = words.splitlines()[0]
        lines = [line for line in service.log.read_text().splitlines() if first in line]
        told = [line for line in lines if not line.startswith("[D ") and "GET /" not in line]
        assert len(told) == 1, f"told {len(told)} times: {told}"

    async def whole(self, service: Service, *urls: str, available: int) -> None:
        """Wait until pool, engine and proxy agree, with these visitors and so many ready.

        No server is lost or given twice: the visitors' servers are exactly the claimed
        ones and the routed ones, each opens with its token, and no problem is open.
        """
        ids = [url.split("/")[4] for url in urls]
        assert len(set(ids)) == len(ids), f"a server was handed out twice: {ids}"
        last: list[object] = []

        async def agree() -> bool:
            try:
                numbers, routes = await service.numbers(), await self.routes(service)
            except (UnreachableError, OSError, ValueError) as error:
                last[:] = [error]  # one of them is starting
                return False
            instances = self.census.instances()
            last[:] = [numbers, routes, instances]
            phases = [numbers[p] for p in ("starting", "stopping", "available", "claimed")]
            return (
                phases == [0, 0, available, len(ids)]
                and len(instances) == available + len(ids)
                and {i for i, claimed in instances.items() if claimed} == set(ids)
                and set(routes) == set(ids)
            )

        try:
            async with asyncio.timeout(START):
                while not await agree():
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            seen = "\n".join(map(str, last))
            raise AssertionError(f"never in step; last {seen}\n{service.tail()}") from None
        await service.until_well()
        for url in urls:
            assert await self.opens(service, url), f"{url.partition('?')[0]} does not open"

    def close(self) -> None:
        """Remove the run's files, and what a test that failed may have left."""
        self.census.clear()
        shutil.rmtree(self.directory, ignore_errors=True)


def _engine_address() -> Path | tuple[str, int]:
    """Return where the engine of the tests listens, which may be over TCP but not over TLS."""
    url = urlsplit(os.environ.get("DOCKER_HOST") or DOCKER_SOCKET)
    return (url.hostname, url.port or 2375) if url.hostname else Path(url.path)

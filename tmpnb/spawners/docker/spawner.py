"""Servers in Docker containers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from traitlets import Bool, Dict, Float, Int, List, Unicode, Union

from tmpnb.core.observation import Instance
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.spawners.command_template import render
from tmpnb.spawners.docker import options as docker_options
from tmpnb.spawners.docker import support
from tmpnb.spawners.docker.containers import Containers, EndedError, Order
from tmpnb.spawners.docker.cpu import READERS, CpuReadings
from tmpnb.spawners.docker.events import EndWatch
from tmpnb.spawners.docker.examination import DockerExamination
from tmpnb.spawners.docker.image.ahead import Ahead
from tmpnb.spawners.docker.image.copies import Copies, NotCopiedError
from tmpnb.spawners.docker.image.images import Images
from tmpnb.spawners.docker.image.look import People
from tmpnb.spawners.docker.kit_volume import KitVolume
from tmpnb.spawners.docker.limits import Bounds
from tmpnb.spawners.docker.networks import choice
from tmpnb.spawners.docker.networks.addresses import ServerAddresses
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.ports import Ports
from tmpnb.spawners.docker_api import address, connection, kind
from tmpnb.spawners.docker_api.threads import Job, ThreadLane

if TYPE_CHECKING:
    import docker

log = logging.getLogger(__name__)

QUICK_WORKERS = 4  # threads for what must never wait behind a start: listing, claiming
CONNECT_DEADLINE = 10.0  # seconds; the client itself gives up sooner, and says more
LAST_DEADLINE = 5.0  # seconds, for what is put away at the end
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container; what is published is `container_ip`

T = TypeVar("T")


class DockerSpawner(Bounds, CpuReadings, Images, ServerAddresses, Spawner):
    """Servers in containers of one Docker engine.

    DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say which engine.
    """

    image = Unicode(
        "quay.io/jupyter/minimal-notebook",
        help="Image of the notebook servers. It is pulled if it is missing.",
    ).tag(config=True)
    host_network = Bool(False, help="Put the servers on the host's network (no isolation).").tag(
        config=True
    )
    docker_network = Unicode(
        "",
        help="""Put the servers on this Docker network only, without published ports, and reach them
        at their own addresses. The network is created if it does not exist.""",
    ).tag(config=True)
    host_directories = Unicode(
        "",
        help="""Directories of the engine's machine to mount into every server, separated by commas:
        /directory[:/mount][:ro|rw]. Without a mount point they appear as /mnt/vol0, /mnt/vol1 and
        so on. Read-only unless you add rw: then what one visitor writes, all others can read and
        change.""",
    ).tag(config=True)
    extra_hosts = Union(
        [Unicode(), List(Unicode())],
        default_value="",
        help="Host names for the servers, as name:address separated by commas, or a list.",
    ).tag(config=True)
    container_ip = Unicode(
        docker_options.LOOPBACK,
        help="Address at which servers are published, or listen on with `host_network`.",
    ).tag(config=True)
    own_addresses = Bool(
        True,
        help="""With the default `container_ip` and an engine on this Linux machine, publish each
        server at its own address in 127.0.0.0/8, so that after a restart of the engine no route
        leads to the wrong server.""",
    ).tag(config=True)
    container_port = Int(
        8888,
        min=1,
        max=65535,
        help="Port the servers listen on; with `host_network` the first one tried.",
    ).tag(config=True)
    max_dock_workers = Int(
        8, min=1, max=256, help="Maximum number of concurrent starts and removals in the engine."
    ).tag(config=True)
    docker_version = Unicode("auto", help="Engine API version, like 1.41, or auto.").tag(
        config=True
    )
    assert_hostname = Bool(
        False, help="Whether the TLS certificate of a remote engine must match its host name."
    ).tag(config=True)
    docker_timeout = Float(
        30.0,
        min=1.0,
        help="Seconds the engine may take for one request, or twice that for a start or a removal.",
    ).tag(config=True)
    labels = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Extra labels for everything created in the engine.",
    ).tag(config=True)
    environment = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Extra environment variables of servers.",
    ).tag(config=True)
    extra_host_config = Dict(
        key_trait=Unicode(),
        help="""Additional container settings, as keywords of docker-py's `create_host_config`:
        read_only, tmpfs, cap_drop, ulimits, shm_size, runtime, log_config, dns and so on.""",
    ).tag(config=True)

    _client: docker.APIClient | None = None
    _containers: Containers | None = None
    _kit: KitVolume | None = None
    _people: People | None = None
    _ahead: Ahead | None = None
    _ports: Ports | None = None
    _ends: EndWatch | None = None

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._quick = ThreadLane("docker-quick", QUICK_WORKERS)
        self._slow = ThreadLane("docker-slow", self.max_dock_workers)
        self._readers = ThreadLane("docker-cpu", READERS)
        # Not all workers: many removals at once must not keep a start waiting.
        self._removals = asyncio.Semaphore(max(1, self.max_dock_workers // 2))
        self._last_words: dict[str, str] = {}  # of failed starts, by server id

    def check(self) -> None:
        """See `Spawner`."""
        connection.check_version(self.docker_version)
        options = self._options()
        self._command(ServerSpec("x", "/user/x/", "x"), options.container_port)

    async def setup(self) -> None:
        """Connect to the engine; make sure that it has the image and the network.

        Raises:
            ConfigError: A setting cannot work; the message names it.
            SpawnerError: No engine answers.
        """
        self.check()
        options = self._options()
        if options.host_network:
            self._ports = Ports(options.container_ip, options.container_port)
            self._ports.check()
        self._client = client = await self._quick.run(
            "reaching Docker", self._connect, seconds=CONNECT_DEADLINE
        )
        if other := address.unfollowed():
            log.warning("%s", other)
        about = await self._quickly("asking Docker who it is", lambda _: connection.about(client))
        self.engine_id = kind.identity(about)
        await self._ensure_image(client, self.image)
        pool = self.pool_name
        options = await self._quickly(
            "seeing what Docker enforces", lambda _: support.fit(client, pool, options, about)
        )
        self._kit = kit = KitVolume(client, pool, options.labels, **self.kit_settings)
        self._people = people = People(client, pool, options)
        networks = await self._quickly(
            "preparing the network", lambda _: choice.prepare(client, pool, options)
        )
        copies = Copies(client, pool, options.labels)
        self._ahead = Ahead(copies, people, options, lambda: self.on_news())
        self._containers = containers = Containers(
            client, pool, options, kit, people, networks, copies
        )
        containers.check()
        await self._see_who(self.image)
        self._ends = EndWatch(client, pool, lambda: self.on_news())
        self._ends.start()

    async def start(self, spec: ServerSpec) -> str:
        """Start a server; return its address.

        Raises:
            SpawnerError: The engine refused or did not answer. Nothing is left behind, or
                it will be removed by the thread that still waits for the engine.
        """
        containers = self._ready()
        port = self._ports.take(spec.server_id) if self._ports else self.container_port
        image = spec.image or self.image
        order = Order(spec.server_id, self._command(spec, port), spec.token, port, image)
        assert self._ahead is not None  # noqa: S101 - set together with what `_ready` returns
        await self._ahead.made(image)
        try:
            return await self._start(containers, order)
        except NotCopiedError:  # someone removed it, or the tag means another image by now
            await self._ahead.made(image, again=True)
            return await self._start(containers, order)

    async def _start(self, containers: Containers, order: Order) -> str:
        start = partial(containers.start, order)
        try:
            return await self._slowly("starting", order.server_id, start)
        except EndedError as error:
            self._last_words[order.server_id] = error.printed  # until `stop`
            raise

    async def stop(self, server_id: str) -> None:
        """Remove the server's container and its anonymous volumes.

        Raises:
            SpawnerError: The engine refused or did not answer.
        """
        containers = self._ready()
        async with self._removals:  # to wait for one's turn is no fault of the engine
            await self._slowly("removing", server_id, partial(containers.remove, server_id))
        self._last_words.pop(server_id, None)
        if self._ends:
            self._ends.forget(server_id)
        if self._ports:
            self._ports.give_back(server_id)

    async def list(self) -> list[Instance]:
        """Return all containers of this pool, running or not.

        Raises:
            SpawnerError: The engine refused, did not answer, or was not understood.
        """
        containers = self._ready()
        found = await self._quickly("listing servers", lambda _: containers.all())
        return self._ends.marked(found) if self._ends else found

    def barred(self) -> str:
        """See `Spawner`."""
        return self._containers.barred if self._containers else ""

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """Write the claim into the container's name, in whole seconds.

        Raises:
            SpawnerError: There is no such server, or the engine did not answer.
        """
        containers = self._ready()
        await self._quickly(
            f"claiming server {server_id}", lambda _: containers.claim(server_id, claimed_at)
        )

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """Return the last lines the server printed.

        Raises:
            SpawnerError: The engine did not answer.
        """
        containers = self._ready()
        if server_id in self._last_words:
            return "\n".join(self._last_words[server_id].splitlines()[-lines:])
        return await self._quickly(
            f"reading what server {server_id} printed", lambda _: containers.logs(server_id, lines)
        )

    async def close(self) -> None:
        """Release threads and connections; a thread that hangs is left to end by itself."""
        if self._ends is not None:
            self._ends.close()
        if self._kit is not None:
            remove = self._containers.put_away if self._containers else self._kit.remove
            with suppress(SpawnerError):
                await self._quick.run("removing the kit", lambda _: remove(), seconds=LAST_DEADLINE)
        if self._ahead is not None:
            self._ahead.close()
        self._quick.close()
        self._slow.close()
        self._readers.close()
        if self._client is not None:
            self._client.close()

    def examination(self) -> DockerExamination:
        """See `Spawner`."""
        return DockerExamination(self._options(), self.pool_name, self._quick, self._connect)

    def _options(self) -> Options:
        return Options(
            image=self.image,
            memory=docker_options.memory(self.mem_limit),
            cpu_shares=self.cpu_shares,
            cpu_quota=self.cpu_quota,
            user=self.container_user,
            host_network=self.host_network,
            network=self.docker_network,
            mounts=docker_options.mounts(self.host_directories),
            extra_hosts=docker_options.extra_hosts(self.extra_hosts),
            container_ip=self.container_ip,
            own_addresses=self.own_addresses
            and self.container_ip == docker_options.LOOPBACK
            and address.is_on_this_linux(),
            container_port=self.container_port,
            labels=dict(self.labels),
            environment=dict(self.environment),
            extra_host_config=dict(self.extra_host_config),
            egress=self.egress,
            own_networks=self.own_networks,
            own_subnets=docker_options.subnets(self.own_subnets),
            capacity=self.pool.capacity,
            fleeting=self.fleeting,
            limits=self.limits(),
        )

    def _command(self, spec: ServerSpec, port: int) -> Sequence[str]:
        values = {
            "base_path": spec.base_url,
            "port": str(port),
            "ip": self.container_ip if self.host_network else EVERYWHERE,
            "token": spec.token,
            "frame_ancestors": self.pool.frame_ancestors,
        }
        return render(self.command, values)

    def _connect(self, _given_up: object) -> docker.APIClient:
        return connection.connect(
            self.docker_version,
            timeout=self.docker_timeout,
            connections=QUICK_WORKERS + self.max_dock_workers + READERS + 2,  # events, copies
            assert_hostname=self.assert_hostname,
        )

    def _ready(self) -> Containers:
        if self._containers is None:
            raise SpawnerError("the Docker spawner is not set up")
        return self._containers

    async def _quickly(self, what: str, job: Job[T]) -> T:
        return await self._quick.run(what, job, seconds=self.docker_timeout)

    async def _slowly(self, verb: str, server_id: str, job: Job[T]) -> T:
        return await self._slow.run(
            f"{verb} server {server_id}", job, seconds=2 * self.docker_timeout, key=server_id
        )

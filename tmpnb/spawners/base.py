"""The contract between the orchestrator and an engine.

A new engine is one module with a `Spawner` subclass, one entry point in the group
`tmpnb.spawners`, and one line in the contract suite's parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from traitlets import Unicode
from traitlets.config import LoggingConfigurable

from tmpnb.core.observation import Instance, Used
from tmpnb.errors import ConfigError
from tmpnb.spawners.examination import Examination
from tmpnb.system.net.networks import Address


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What differs for each server. Everything else is a setting of the pool."""

    server_id: str
    base_url: str  # /user/<id>/, the path it must serve under
    token: str = field(repr=False)  # the secret it must ask for
    image: str = ""  # what to start it from, after `prepare`; empty: the spawner's own


@dataclass(frozen=True, slots=True)
class PoolIdentity:
    """What a spawner is told of the pool whose servers it runs.

    Attributes:
        name: Tells its servers from those of other pools in the same engine.
        capacity: Servers in all phases; 0: unknown.
        frame_ancestors: Sources allowed to frame a notebook, as in CSP.
        https: Whether visitors come by https, so that cookies work in frames.
        script_origins: Whose scripts may ask a notebook, as a regular expression.
        siblings: Whether each server has a host name of its own, below one domain.
        state_dir: Holds the service's secrets; no server is shown it.
    """

    name: str = "tmpnb"
    capacity: int = 0
    frame_ancestors: str = "'self'"
    https: bool = False
    script_origins: str = ""
    siblings: bool = False
    state_dir: Path | None = None


class KitSettings(TypedDict):
    """What decides which parts of the kit a server uses."""

    https: bool
    origins: str
    siblings: bool
    offline: bool


DEFAULT_COMMAND = (
    "jupyter lab --no-browser --ip={ip} --port={port} --ServerApp.port_retries=0"
    " --ServerApp.base_url={base_path} --ServerApp.allow_remote_access=True"
    " --ServerApp.tornado_settings=\"{'headers': {'Content-Security-Policy':"
    " \\\"frame-ancestors {frame_ancestors}\\\"}, 'page_config_data': {'appendToken': True}}\""
)


class Spawner(LoggingConfigurable):
    """Driver of one engine. Every method may be called again after a failure."""

    command = Unicode(
        DEFAULT_COMMAND,
        help="""Command that starts a notebook server. `{base_path}`, `{port}`, `{ip}`, `{token}`
        and `{frame_ancestors}` are filled in; other braces are left alone. The token is also in the
        environment as JUPYTER_TOKEN, which keeps it out of process lists.""",
    ).tag(config=True)

    image = Unicode("", help="Image of the notebook servers, for engines that have images.").tag(
        config=True
    )

    # Which engine it is, known after `setup`, so that two programs on it can tell that they
    # want the same pool; empty: nobody else can see its servers.
    engine_id: str = ""

    # Whether a server is kept from the machine it is on. If not, who takes one has the machine.
    walls: bool = True

    # Set by the application before `check` and `setup`, not by configuration.
    pool: PoolIdentity = PoolIdentity()
    fleeting: bool = False  # whether all that is made for the pool goes when it is closed
    # Called on the loop when `list` has something to tell that should not wait.
    on_news: Callable[[], None] = staticmethod(lambda: None)

    @property
    def pool_name(self) -> str:
        """What tells the servers of this pool from those of others in the same engine."""
        return self.pool.name

    @property
    def offline(self) -> bool:
        """Whether servers cannot reach anything outside, and should say so."""
        return False

    @property
    def kit_settings(self) -> KitSettings:
        """The settings for the servers' kit."""
        return {
            "https": self.pool.https,
            "origins": self.pool.script_origins,
            "siblings": self.pool.siblings,
            "offline": self.offline,
        }

    def check(self) -> None:
        """Reject impossible settings, as far as they show without the engine.

        Called before anything is opened, started or asked. `setup` may find more.

        Raises:
            ConfigError: One cannot be; the message says what to do.
        """

    async def setup(self) -> None:
        """Check the engine, and pull what a first start needs.

        Called once, before any other method but `check`.

        Raises:
            ConfigError: A setting cannot work with this engine; the message says what to do.
            SpawnerError: The engine cannot be reached or refuses.
        """
        raise NotImplementedError

    async def prepare(self, image: str) -> None:
        """Pull what servers of `image` need, so that `start` can use it.

        Raises:
            ConfigError: There is no such image, or this engine has no images.
            SpawnerError: The engine did not answer.
        """
        raise ConfigError(f"servers of this spawner have no image, so {image} cannot be used")

    async def start(self, spec: ServerSpec) -> str:
        """Start a server; return its address, `http://host:port`.

        Returns as soon as the engine has started it and knows its address, not
        when it answers. Labels (or whatever `list` goes by) go on in the call that
        creates the instance, so that nothing can be left behind unseen. Cancelled,
        the instance may exist all the same: `list` shows it, `stop` removes it.

        Called by the orchestrator's start task, at most `spawn_concurrency` at once.

        Raises:
            SpawnerError: The engine refused or did not answer.
        """
        raise NotImplementedError

    async def stop(self, server_id: str) -> None:
        """Remove the instance and everything that belongs to it.

        Idempotent: returns when the instance is gone or never was. Called by the
        stop task, which repeats it until it returns.

        Raises:
            SpawnerError: The engine refused or did not answer.
        """
        raise NotImplementedError

    async def list(self) -> list[Instance]:
        """Return all instances of this pool, running or not, never only some.

        One call to the engine, not one a server. Called once each pass.

        Raises:
            SpawnerError: The engine could not be read in full.
        """
        raise NotImplementedError

    def barred(self) -> str:
        """Return why no server may be started or given to a visitor now; empty: it may.

        In plain words with the mend, for the operator. As the last `list` or `start` found it.
        """
        return ""

    def unready(self, image: str) -> str:
        """Return why no server of `image` can be started now, and start fixing that.

        In plain words for the operator; empty: one can. Called on the loop at each pass, for
        what may take longer than a start. Servers that are there are not concerned.
        """
        del image
        return ""

    def holds(self, address: Address) -> bool | None:
        """Return whether a server has this address in the engine, from which it makes requests.

        As the last `list` and each `start` found it: a server's addresses are known before
        `start` returns. None: perhaps, as it is beside theirs; `addresses` tells.
        """
        del address
        return False

    async def addresses(self) -> Collection[Address]:
        """Return all addresses of servers in the engine, including those of other pools.

        Called in a visitor's path when `holds` cannot tell.

        Raises:
            SpawnerError: The engine did not answer.
        """
        return ()

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """Write `claimed_at` (Unix time in seconds) where the engine keeps the instance.

        It must survive this process and show in `list` as `Instance.claimed_at`, in
        whole seconds or finer. Called once for each claim, in the visitor's path:
        a few milliseconds at most. A repeat with the same time changes nothing.

        Raises:
            SpawnerError: There is no such instance, or the engine did not answer.
        """
        raise NotImplementedError

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """Return the last lines the server printed; empty if there is nothing to read.

        Called when a start has failed, for the operator's log. Never raises for a
        missing instance.

        Raises:
            SpawnerError: The engine did not answer.
        """
        raise NotImplementedError

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        """Return the CPU seconds that each server and its processes have used since its start.

        Who is missing in the answer is not known, and is asked for again. Called in a
        culling pass, with --cull-burning alone, for servers that nobody is at; the pass
        waits for it. An engine that cannot tell leaves it as it is: then none of its
        servers ends by that.

        Raises:
            SpawnerError: The engine did not answer.
        """
        return {}

    async def used(self, server_ids: Collection[str]) -> Mapping[str, Used]:
        """Return what each server has used, at the operator's request.

        Who is missing in the answer is not known. It takes seconds at most, however many are
        asked about. An engine that tells of CPU time alone leaves it as it is.

        Raises:
            SpawnerError: The engine did not answer.
        """
        return {i: Used(seconds) for i, seconds in (await self.cpu_seconds(server_ids)).items()}

    def full_cpu(self) -> float:
        """Return the maximum CPU seconds per second that one server may use; above 1 means 1."""
        return 1.0

    async def close(self) -> None:
        """Release threads and connections. Leaves servers as they are."""
        raise NotImplementedError

    def examination(self) -> Examination:
        """Return the examination of this engine for `tmpnb doctor` and `tmpnb check-image`.

        Called once, when `pool_name` is set and before `setup`. An engine that has
        nothing to tell leaves it as it is.

        Raises:
            ConfigError: A setting cannot be; the message says what to do.
        """
        return Examination()

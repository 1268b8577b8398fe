"""Put the parts of an orchestrator together: each in one line or few, in the order of use."""

from __future__ import annotations

from dataclasses import dataclass, field

from tmpnb.core.health import Health
from tmpnb.core.plan import Policy
from tmpnb.core.pool import Pool
from tmpnb.orchestrator.bars import Bars, Stage
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.orchestrator.claims.claim_writer import ClaimWriter
from tmpnb.orchestrator.claims.claims import Claims
from tmpnb.orchestrator.claims.handover import HandOver
from tmpnb.orchestrator.claims.keeps import Keeps
from tmpnb.orchestrator.claims.line import Line
from tmpnb.orchestrator.claims.quiet import Quiet
from tmpnb.orchestrator.claims.waiting import WaitingRoom
from tmpnb.orchestrator.culling.culling import Culling
from tmpnb.orchestrator.culling.usage import Usage
from tmpnb.orchestrator.guarded import GuardedProxy, GuardedSpawner
from tmpnb.orchestrator.launch.launcher import Launcher, StartSettings
from tmpnb.orchestrator.lifecycle import Lifecycle
from tmpnb.orchestrator.meters import Meters
from tmpnb.orchestrator.notebooks import Notebooks
from tmpnb.orchestrator.observer import Observer
from tmpnb.orchestrator.rollout import Rollout
from tmpnb.orchestrator.shared import Shared
from tmpnb.orchestrator.timing import Timing
from tmpnb.proxy.contract import Proxy
from tmpnb.spawners.base import Spawner
from tmpnb.system.clock import Clock
from tmpnb.system.http.client import Client
from tmpnb.system.signing import Signer
from tmpnb.system.tasks import Tasks

LONGEST_LINE = 1000  # visitors


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a pool is kept.

    Attributes:
        policy: What should be.
        timing: How the loop runs.
        starts: How servers are started.
        journal: Where claims are kept over a restart; None: nowhere.
        kept: Where it is kept that visitors asked to keep their servers; None: nowhere.
    """

    policy: Policy
    timing: Timing = field(default_factory=Timing)
    starts: StartSettings = field(default_factory=StartSettings)
    journal: Journal | None = None
    kept: Journal | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one orchestrator, which know each other and belong to one event loop."""

    shared: Shared
    settings: PoolSettings
    changes: Changes
    stage: Stage
    pool: Pool
    tasks: Tasks
    meters: Meters
    quiet: Quiet
    bars: Bars
    notebooks: Notebooks
    observer: Observer
    launcher: Launcher
    claim_writer: ClaimWriter
    keeps: Keeps
    lifecycle: Lifecycle
    rollout: Rollout
    claims: Claims
    usage: Usage
    culling: Culling


def assemble(
    spawner: Spawner,
    proxy: Proxy,
    settings: PoolSettings,
    *,
    signer: Signer,
    clock: Clock,
    health: Health | None = None,
    changes: Changes | None = None,
) -> Parts:
    """Return the parts of an orchestrator that is not running yet.

    Args:
        spawner: The engine; tells by `on_news` when servers have ended by themselves.
        proxy: How servers are reached.
        settings: How the pool is kept.
        signer: Makes the secrets of servers.
        clock: Unix time in seconds.
        health: What is wrong, where others than the parts report as well.
        changes: The signal, where others than the parts give it as well.
    """
    changes, meters = changes or Changes(), Meters()
    spawner.on_news = changes.begin_pass
    shared = Shared(
        GuardedSpawner(spawner, meters),
        GuardedProxy(proxy, meters),
        Client(),
        signer,
        clock,
        health or Health(clock),
    )
    policy, timing = settings.policy, settings.timing
    pool, tasks, quiet = Pool(policy.capacity, clock), Tasks(), Quiet()
    bars = Bars(shared)
    stage = Stage(bars)
    launcher = Launcher(
        settings.starts,
        spawner=shared.spawner,
        client=shared.client,
        tokens=signer,
        health=shared.health,
        clock=clock,
    )
    claim_writer = ClaimWriter(shared, tasks, settings.journal, quiet)
    keeps = Keeps(pool, clock, settings.kept)
    handover = HandOver(shared, claim_writer, quiet, launcher.ready_url)
    lifecycle = Lifecycle(shared, pool, launcher, tasks, changes)
    rollout = Rollout(
        spawner=shared.spawner,
        pool=pool,
        lifecycle=lifecycle,
        tasks=tasks,
        new_id=timing.new_id,
        changes=changes,
    )
    line = Line(clock, LONGEST_LINE)
    room = WaitingRoom(line, pool, stage, launcher.times.coming)
    changes.heard_by(room.look_again)
    claims = Claims(
        shared=shared,
        pool=pool,
        lifecycle=lifecycle,
        handover=handover,
        keeps=keeps,
        room=room,
        rollout=rollout,
        stage=stage,
        changes=changes,
    )
    usage = Usage(
        client=shared.client,
        tokens=signer,
        clock=clock,
        tasks=tasks,
        max_idle=policy.max_idle,
        live=claims.live,
    )
    return Parts(
        shared=shared,
        settings=settings,
        changes=changes,
        stage=stage,
        pool=pool,
        tasks=tasks,
        meters=meters,
        quiet=quiet,
        bars=bars,
        notebooks=Notebooks(shared.spawner, pool.servers.values),
        observer=Observer(shared),
        launcher=launcher,
        claim_writer=claim_writer,
        keeps=keeps,
        lifecycle=lifecycle,
        rollout=rollout,
        claims=claims,
        usage=usage,
        culling=Culling(usage, pool, tasks, shared.health, changes),
    )

"""Whatever happens in whatever order, the pool keeps its promises.

The machine plays visitors, engine, proxy and the orchestrator's tasks one step at a
time, and acts on views of the world that are late or were read in pieces. The
promises are in `pool_world`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.pool_world import PoolWorld
from tmpnb.core.observation import Route
from tmpnb.core.server import Phase, StopReason
from tmpnb.errors import PoolEmptyError


class PoolLife(RuleBasedStateMachine):
    """Pool, `plan` and `adopt` in a world that does not wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = PoolWorld()

    @initialize(warm=st.booleans())
    def begins(self, warm: bool) -> None:
        if warm:
            self.world.settle(culling=False)

    # Time and tasks

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 20.0, 35.0, 61.0, 3601.0]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    @precondition(lambda self: self.world.in_phase(Phase.STARTING))
    @rule(data=st.data(), well=st.sampled_from([True, True, True, False]))
    def start_goes_on(self, data: st.DataObject, well: bool) -> None:
        self.world.advance_start(
            data.draw(st.sampled_from(self.world.in_phase(Phase.STARTING))), well=well
        )

    @precondition(lambda self: self.world.in_phase(Phase.STOPPING))
    @rule(data=st.data())
    def stop_goes_on(self, data: st.DataObject) -> None:
        self.world.advance_stop(data.draw(st.sampled_from(self.world.in_phase(Phase.STOPPING))))

    @precondition(lambda self: self.world.to_proxy)
    @rule(data=st.data())
    def proxy_answers(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.world.to_proxy) - 1))
        self.world.proxy_does(*self.world.to_proxy.pop(index))

    # Passes

    @precondition(lambda self: self.world.view is None)
    @rule(engine=st.booleans(), proxy=st.booleans())
    def begin_to_look(self, engine: bool, proxy: bool) -> None:
        """Read both, one or none of them; the rest will be read when this view is acted on."""
        self.world.view = self.world.begin(self.world.now)
        self.world.look(self.world.view, engine=engine, proxy=proxy)

    @precondition(lambda self: self.world.view is not None)
    @rule(culling=st.booleans())
    def act_on_a_late_view(self, culling: bool) -> None:
        assert self.world.view is not None
        view, self.world.view = self.world.view, None
        self.world.look(view, engine=view.instances is None, proxy=view.routes is None)
        self.world.act(view, culling=culling)

    @rule(culling=st.booleans())
    def pass_at_once(self, culling: bool) -> None:
        self.world.act(self.world.look_at_once(self.world.now), culling=culling)

    # Visitors and operators

    @precondition(lambda self: self.world.in_phase(Phase.READY))
    @rule()
    def visitor_comes(self) -> None:
        waited = {s.id: (s.drained, s.since) for s in self.world.in_phase(Phase.READY)}
        server = self.world.pool.claim()
        assert waited[server.id] == min(waited.values()), "P3: the newest was handed out first"
        self.world.note_claim(server)

    @precondition(lambda self: not self.world.in_phase(Phase.READY))
    @rule()
    def visitor_is_turned_away(self) -> None:
        with pytest.raises(PoolEmptyError):
            self.world.pool.claim()
        self.world.refusals += 1

    @precondition(lambda self: self.world.handing)
    @rule(marked=st.booleans())
    def visitor_is_sent_there(self, marked: bool) -> None:
        self.world.hand_over(self.world.handing.pop(0), marked=marked)

    @precondition(lambda self: any(c.has_visitor for c in self.world.engine.values()))
    @rule(data=st.data(), kernel=st.booleans(), tab=st.booleans())
    def visitor_works(self, data: st.DataObject, kernel: bool, tab: bool) -> None:
        """A kernel may be busy without a tab; an open tab may show nothing new."""
        theirs = sorted(i for i, c in self.world.engine.items() if c.has_visitor)
        server_id = data.draw(st.sampled_from(theirs))
        if kernel:
            self.world.engine[server_id].used_at = self.world.now
        if tab and server_id in self.world.proxy:
            self.world.proxy[server_id] = replace(
                self.world.proxy[server_id], last_activity=self.world.now
            )

    @precondition(lambda self: self.world.past and self.world.adopted)
    @rule(data=st.data())
    def visitor_asks_for_an_old_id(self, data: st.DataObject) -> None:
        server_id = data.draw(st.sampled_from(sorted(self.world.past)))
        if server_id in self.world.pool.servers or server_id in self.world.proxy:
            return
        if not self.world.pool.has_room():
            oldest = self.world.pool.oldest_ready()
            if oldest is None:
                return
            self.world.stop(oldest, StopReason.SURPLUS)
            self.world.places_of[server_id] = oldest.id
        self.world.launch(server_id)
        self.world.awaited.add(server_id)

    @rule()
    def operator_drains(self) -> None:
        for server in self.world.in_phase(Phase.READY) + self.world.in_phase(Phase.STARTING):
            server.drained = True

    @rule(capacity=st.integers(1, 4), min_ready=st.integers(0, 4), restart=st.booleans())
    def operator_sets_other_limits(self, capacity: int, min_ready: int, restart: bool) -> None:
        self.world.policy = replace(
            self.world.policy, capacity=capacity, min_ready=min(capacity, min_ready)
        )
        self.world.pool.capacity = capacity
        if restart:
            self.world.new_process()

    # Misfortune

    @precondition(lambda self: self.world.engine)
    @rule(data=st.data(), removed=st.booleans())
    def container_dies(self, data: st.DataObject, removed: bool) -> None:
        server_id = data.draw(st.sampled_from(sorted(self.world.engine)))
        container = self.world.engine[server_id]
        container.running = container.paused = container.returning = False
        if removed:
            del self.world.engine[server_id]

    @precondition(lambda self: any(c.running for c in self.world.engine.values()))
    @rule(data=st.data(), paused=st.booleans())
    def container_falls_and_may_come_back(self, data: st.DataObject, paused: bool) -> None:
        """Somebody pauses it, or the engine ends it and will start it again by itself."""
        running = sorted(i for i, c in self.world.engine.items() if c.running)
        container = self.world.engine[data.draw(st.sampled_from(running))]
        container.running, container.paused, container.returning = False, paused, not paused

    @precondition(lambda self: any(c.paused or c.returning for c in self.world.engine.values()))
    @rule(data=st.data())
    def container_comes_back(self, data: st.DataObject) -> None:
        down = sorted(i for i, c in self.world.engine.items() if c.paused or c.returning)
        container = self.world.engine[data.draw(st.sampled_from(down))]
        if container.returning:
            self.world.start_again(container)
        container.running, container.paused = True, False

    @precondition(lambda self: self.world.engine)
    @rule(data=st.data())
    def container_gets_another_address(self, data: st.DataObject) -> None:
        self.world.hosts += 1
        container = self.world.engine[data.draw(st.sampled_from(sorted(self.world.engine)))]
        container.address = f"http://10.0.0.{self.world.hosts}:8888"

    @rule()
    def container_appears_that_nobody_waits_for(self) -> None:
        self.world.names += 1
        self.world.create(f"s{self.world.names}", ghost=True)

    @rule()
    def proxy_restarts(self) -> None:
        self.world.proxy.clear()

    @rule()
    def route_is_left_behind(self) -> None:
        self.world.proxy["nobody"] = Route("nobody", self.world.now, "http://10.0.0.99:8888")

    @rule()
    def orchestrator_restarts(self) -> None:
        self.world.new_process()

    @rule(culling=st.booleans())
    def everything_settles(self, culling: bool) -> None:
        self.world.settle(culling=culling)

    # Promises that hold at every moment; `settle` has those of a quiet one

    @invariant()
    def numbers_add_up(self) -> None:
        stats = self.world.pool.stats()
        phases = stats.available + stats.starting + stats.claimed + stats.stopping
        assert phases == len(self.world.pool.servers)
        assert (stats.claims_total, stats.claims_refused_total) == (
            self.world.claims,
            self.world.refusals,
        )

    @invariant()
    def who_has_a_visitor_is_not_available(self) -> None:
        for server in self.world.in_phase(Phase.READY):
            container = self.world.engine.get(server.id)
            assert container is None or container.given_at is None

    def teardown(self) -> None:
        self.world.settle(culling=False)


TestPoolLife = PoolLife.TestCase
TestPoolLife.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,  # the machine it runs on may be slow
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

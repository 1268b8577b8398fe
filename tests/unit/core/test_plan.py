"""Rules of `plan` and `adopt`: one test per rule, named after the rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tmpnb.core.observation import Instance, Observation, Route
from tmpnb.core.plan import Plan, Policy, adopt, plan
from tmpnb.core.server import NotebookServer, Phase, StopReason

POLICY = Policy(capacity=2, min_ready=2, max_idle=60, max_age=3600)
FULL = replace(POLICY, capacity=1)  # one server is all there may be
NOW = 100_000.0
LONG_AGO = NOW - 500
HOME = "http://10.0.0.2:8888"


def instance(
    server_id: str,
    *,
    running: bool = True,
    created_at: float = LONG_AGO,
    claimed_at: float | None = None,
    address: str | None = HOME,
) -> Instance:
    return Instance(server_id, running, created_at, claimed_at, address)


def route(server_id: str, last_activity: float = NOW - 5, target: str = HOME) -> Route:
    return Route(server_id, last_activity, target)


def server(server_id: str, phase: Phase, since: float = LONG_AGO) -> NotebookServer:
    """Return a server that entered `phase` at `since`, when it was claimed if it is."""
    claimed_at = since if phase is Phase.CLAIMED else None
    return NotebookServer(server_id, since, phase, claimed_at=claimed_at, address=HOME)


def claimed(server_id: str = "a", since: float = LONG_AGO) -> NotebookServer:
    return server(server_id, Phase.CLAIMED, since)


def ready(server_id: str = "a", since: float = LONG_AGO) -> NotebookServer:
    return server(server_id, Phase.READY, since)


def seen(
    *things: Instance | Route,
    launched: str = "",
    activity: dict[str, float] | None = None,
    culling: bool = True,
    burning: str = "",
    silent: str | None = None,
) -> Observation:
    """Return an observation taken at `NOW`, of a culling pass unless said otherwise.

    Servers whose activity is not given never tell it, unless said otherwise.
    """
    instances = {t.server_id: t for t in things if isinstance(t, Instance)}
    routes = {t.server_id: t for t in things if isinstance(t, Route)}
    return Observation(
        NOW,
        instances,
        routes,
        launched=frozenset(launched),
        activity=activity or {},
        silent=frozenset(instances.keys() if silent is None else silent),
        culling=culling,
        burning=frozenset(burning),
    )


def planned(world: Observation, *servers: NotebookServer, policy: Policy = POLICY) -> Plan:
    return plan(world, {s.id: s for s in servers}, policy)


# How many to start


def test_empty_world_launches_up_to_min_ready() -> None:
    assert planned(seen()) == Plan(launch=2)


def test_claimed_servers_are_replaced_while_there_is_room() -> None:
    """P1: the original left the pool empty until somebody was culled."""
    world = seen(instance("a"), route("a"))
    assert planned(world, claimed("a"), policy=replace(POLICY, capacity=10)) == Plan(launch=2)


def test_no_more_than_min_ready_are_kept_warm() -> None:
    """P2: the original started its whole capacity ahead."""
    policy = Policy(capacity=10, min_ready=3, max_idle=60, max_age=3600)
    world = seen(instance("a"))
    assert planned(world, ready("a"), server("b", Phase.STARTING), policy=policy).launch == 1


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.READY, Phase.CLAIMED, Phase.STOPPING])
def test_every_phase_takes_its_place_of_the_capacity(phase: Phase) -> None:
    """P17: what was leaving and what was coming filled the same hole, one too many."""
    world = seen(instance("a"), route("a"))
    assert planned(world, server("a", phase), policy=FULL).launch == 0


def test_server_that_is_gone_takes_no_place() -> None:
    assert planned(seen(), server("a", Phase.GONE), policy=FULL).launch == 1


def test_server_that_stops_now_keeps_its_place_until_it_is_gone() -> None:
    """P17, P16: a replacement started beside the one it replaces is one over capacity."""
    done = planned(seen(), ready("a"), policy=FULL)
    assert done == Plan(stop={"a": StopReason.EXITED}, launch=0)
    assert planned(seen(), server("a", Phase.STOPPING), policy=FULL).launch == 0


def test_unknown_instance_that_stops_now_takes_a_place_too() -> None:
    done = planned(seen(instance("x")), policy=FULL)
    assert done == Plan(stop={"x": StopReason.UNKNOWN}, launch=0)


def test_server_that_stops_now_does_not_count_as_warm() -> None:
    policy = Policy(capacity=3, min_ready=1, max_idle=60, max_age=3600)
    done = planned(seen(), ready("a"), policy=policy)
    assert done == Plan(stop={"a": StopReason.EXITED}, launch=1)


def test_nothing_is_launched_above_capacity_however_many_are_wanted() -> None:
    policy = replace(POLICY, capacity=2, min_ready=9)
    assert planned(seen(), server("a", Phase.STARTING), policy=policy).launch == 1


def test_launches_are_never_negative() -> None:
    policy = replace(POLICY, capacity=1, min_ready=0)
    world = seen(instance("a"), instance("b"), route("a"), route("b"))
    assert planned(world, claimed("a"), claimed("b"), policy=policy) == Plan()


# Exited


@pytest.mark.parametrize("phase", [Phase.READY, Phase.CLAIMED])
def test_server_without_instance_is_stopped(phase: Phase) -> None:
    """P4: the original handed out servers that were gone."""
    assert planned(seen(route("a")), server("a", phase)).stop == {"a": StopReason.EXITED}


@pytest.mark.parametrize("phase", [Phase.READY, Phase.CLAIMED])
def test_server_whose_instance_does_not_run_is_stopped(phase: Phase) -> None:
    world = seen(instance("a", running=False), route("a"))
    assert planned(world, server("a", phase)).stop == {"a": StopReason.EXITED}


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STOPPING])
@pytest.mark.parametrize("world", [seen(), seen(instance("a", running=False)), seen(route("a"))])
def test_starting_and_stopping_belong_to_their_task(phase: Phase, world: Observation) -> None:
    """P18: a pass of the original removed what another task was just starting."""
    assert planned(world, server("a", phase), policy=FULL) == Plan()


# Starts that are lost


@pytest.mark.parametrize(
    "world", [seen(launched="a"), seen(instance("a", running=False), launched="a")]
)
def test_start_whose_instance_ended_is_given_up(world: Observation) -> None:
    """A server that exits at once is not waited for until the deadline."""
    assert planned(world, server("a", Phase.STARTING), policy=FULL) == Plan(give_up=frozenset("a"))


def test_start_whose_instance_runs_is_waited_for() -> None:
    world = seen(instance("a"), launched="a")
    assert planned(world, server("a", Phase.STARTING), policy=FULL) == Plan()


def test_start_that_the_engine_has_not_answered_is_waited_for() -> None:
    assert planned(seen(launched="b"), server("a", Phase.STARTING), policy=FULL) == Plan()


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.STARTING])
def test_only_a_start_can_be_given_up(phase: Phase) -> None:
    assert planned(seen(launched="a"), server("a", phase)).give_up == frozenset()


def test_start_of_an_id_used_again_since_the_observation_is_not_given_up() -> None:
    assert planned(seen(launched="a"), server("a", Phase.STARTING, NOW)).give_up == frozenset()


# Rule 2: do not judge what changed after the look


@pytest.mark.parametrize("since", [NOW, NOW + 1])
@pytest.mark.parametrize("phase", Phase)
def test_server_changed_since_the_observation_is_left_alone(since: float, phase: Phase) -> None:
    """P19: lists read at different times made a server look like a stray."""
    changed = server("a", phase, since)
    changed.claimed_at = LONG_AGO  # even one that idled before
    assert planned(seen(), changed, policy=replace(FULL, min_ready=0)) == Plan()


def test_server_changed_just_before_the_observation_is_judged() -> None:
    assert planned(seen(), ready(since=NOW - 0.001)).stop == {"a": StopReason.EXITED}


def test_route_of_a_server_claimed_since_the_observation_stays() -> None:
    """P19: a fresh route was called a zombie and deleted."""
    done = planned(seen(instance("a"), route("a")), claimed(since=NOW + 1))
    assert done.delete_routes == frozenset()
    assert done.add_routes == {}


# Unknown instances


def test_unknown_instance_is_stopped() -> None:
    assert planned(seen(instance("x"))).stop == {"x": StopReason.UNKNOWN}


def test_unknown_instance_that_does_not_run_is_stopped_too() -> None:
    """P31: what failed after it was created stayed for ever."""
    assert planned(seen(instance("x", running=False))).stop == {"x": StopReason.UNKNOWN}


def test_young_unknown_instance_is_left_alone() -> None:
    young, old = instance("x", created_at=NOW - 29.9), instance("y", created_at=NOW - 30)
    assert planned(seen(young, old)).stop == {"y": StopReason.UNKNOWN}


def test_without_grace_no_unknown_instance_is_too_young() -> None:
    policy = replace(POLICY, grace=0.0)
    assert planned(seen(instance("x", created_at=NOW)), policy=policy).stop == {
        "x": StopReason.UNKNOWN
    }


def test_unknown_instance_is_stopped_whatever_mark_or_route_it_has() -> None:
    world = seen(instance("x", claimed_at=LONG_AGO), route("x"))
    done = planned(world)
    assert done.stop == {"x": StopReason.UNKNOWN}
    assert done.delete_routes == frozenset()  # its stop removes the route


# Idle


def test_idle_claimed_server_is_stopped() -> None:
    world = seen(instance("a"), route("a", NOW - 61))
    assert planned(world, claimed()).stop == {"a": StopReason.IDLE}


def test_idle_means_longer_than_max_idle() -> None:
    assert planned(seen(instance("a"), route("a", NOW - 60)), claimed()).stop == {}


def test_idleness_is_judged_in_a_culling_pass_only() -> None:
    world = seen(instance("a"), route("a", LONG_AGO), culling=False)
    assert planned(world, claimed()).stop == {}


def test_ready_server_is_never_idle() -> None:
    assert planned(seen(instance("a", created_at=NOW - 9e4)), ready(since=NOW - 9e4)).stop == {}


def test_servers_own_word_beats_the_proxys_silence() -> None:
    """A busy kernel without a tab is not idle."""
    world = seen(instance("a"), route("a", LONG_AGO), activity={"a": NOW - 1})
    assert planned(world, claimed()).stop == {}


def test_servers_own_word_beats_the_proxys_traffic() -> None:
    """An open tab in which nothing happens is idle."""
    world = seen(instance("a"), route("a", NOW - 1), activity={"a": NOW - 61})
    assert planned(world, claimed()).stop == {"a": StopReason.IDLE}


def test_server_that_has_not_told_yet_is_not_judged_by_the_proxy() -> None:
    world = seen(instance("a"), route("a", LONG_AGO), silent="")
    assert not planned(world, claimed("a")).stop


def test_word_of_one_server_says_nothing_about_another() -> None:
    world = seen(
        instance("a"),
        instance("b"),
        route("a", LONG_AGO),
        route("b", LONG_AGO),
        activity={"b": NOW},
    )
    assert planned(world, claimed("a"), claimed("b")).stop == {"a": StopReason.IDLE}


@pytest.mark.parametrize("activity", [{}, {"a": LONG_AGO}], ids=["proxy", "server"])
def test_just_claimed_server_is_never_idle(activity: dict[str, float]) -> None:
    """P10: it waited in the pool for longer than the timeout and was culled at once."""
    world = seen(instance("a", created_at=LONG_AGO), route("a", LONG_AGO), activity=activity)
    assert planned(world, claimed(since=NOW - 60)).stop == {}
    assert planned(world, claimed(since=NOW - 61)).stop == {"a": StopReason.IDLE}


def test_claimed_server_without_route_and_word_is_not_idle() -> None:
    """P8: after a restart of the proxy nothing says so; its route comes back instead."""
    done = planned(seen(instance("a")), claimed(since=LONG_AGO))
    assert done.stop == {}
    assert done.add_routes == {"a": HOME}


def test_claimed_server_that_burns_is_stopped_though_it_is_not_idle() -> None:
    world = seen(instance("a"), route("a", NOW - 50), activity={"a": NOW}, burning="a")
    assert planned(world, claimed()).stop == {"a": StopReason.BURNING}


def test_ready_server_never_burns() -> None:
    assert planned(seen(instance("a"), burning="a"), ready()).stop == {}


def test_server_that_burns_and_is_too_old_or_idle_ends_by_that() -> None:
    world = seen(instance("a"), route("a", LONG_AGO), burning="a")
    assert planned(world, claimed()).stop == {"a": StopReason.IDLE}
    assert planned(world, claimed(since=NOW - 3601)).stop == {"a": StopReason.TOO_OLD}


def test_claimed_server_without_route_may_be_idle_by_its_own_word() -> None:
    world = seen(instance("a"), activity={"a": NOW - 61})
    assert planned(world, claimed()).stop == {"a": StopReason.IDLE}


# Too old


def test_server_is_too_old_by_the_time_of_its_claim() -> None:
    world = seen(instance("a", created_at=NOW - 9e4), route("a", NOW))
    assert planned(world, claimed(since=NOW - 3600)).stop == {}
    assert planned(world, claimed(since=NOW - 3601)).stop == {"a": StopReason.TOO_OLD}


@pytest.mark.parametrize("culling", [True, False])
def test_too_old_is_judged_in_every_pass(culling: bool) -> None:
    """P6: a claimed server the original lost track of lived for ever."""
    world = seen(instance("a"), route("a", NOW), activity={"a": NOW}, culling=culling)
    assert planned(world, claimed(since=NOW - 3601)).stop == {"a": StopReason.TOO_OLD}


def test_ready_server_is_never_too_old() -> None:
    assert planned(seen(instance("a")), ready(since=NOW - 9e4)).stop == {}


def test_claim_counts_and_not_what_happened_to_the_server_since() -> None:
    old = claimed(since=NOW - 5)
    old.claimed_at = NOW - 3601
    assert planned(seen(instance("a"), route("a")), old).stop == {"a": StopReason.TOO_OLD}


def test_claimed_server_without_claim_time_ages_from_its_phase() -> None:
    lost = claimed(since=NOW - 3601)
    lost.claimed_at = None
    assert planned(seen(instance("a"), route("a")), lost).stop == {"a": StopReason.TOO_OLD}


@pytest.mark.parametrize("running", [False, True])
def test_claimed_server_that_ended_by_itself_does_not_come_back(running: bool) -> None:
    it = replace(instance("a"), running=running, returning=not running, ended=True)
    assert planned(seen(it, route("a", NOW)), claimed("a")).stop == {"a": StopReason.EXITED}


def test_exited_server_is_called_exited_even_when_too_old() -> None:
    assert planned(seen(), claimed(since=NOW - 3601)).stop == {"a": StopReason.EXITED}


# Routes


def test_lost_route_of_a_claimed_server_is_added_again() -> None:
    """P8: after a restart of the proxy the original sent visitors in a circle."""
    assert planned(seen(instance("a")), claimed()).add_routes == {"a": HOME}


def test_route_that_leads_elsewhere_is_replaced() -> None:
    moved = "http://10.0.0.9:8888"
    world = seen(instance("a", address=moved), route("a", target=HOME))
    assert planned(world, claimed()).add_routes == {"a": moved}


def test_route_that_is_right_is_not_added_again() -> None:
    """The proxy resets last_activity at each POST, so a repeat would undo idling."""
    world = seen(instance("a"), route("a"))
    assert planned(world, claimed(), policy=FULL) == Plan()


def test_own_address_serves_when_the_engine_does_not_tell_one() -> None:
    assert planned(seen(instance("a", address=None)), claimed()).add_routes == {"a": HOME}


def test_no_route_is_added_to_nowhere() -> None:
    lost = claimed()
    lost.address = None
    assert planned(seen(instance("a", address=None)), lost).add_routes == {}


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.CLAIMED])
def test_only_claimed_servers_get_routes(phase: Phase) -> None:
    """P28: servers nobody had were reachable from outside."""
    assert planned(seen(instance("a")), server("a", phase)).add_routes == {}


def test_server_that_stops_gets_no_route() -> None:
    world = seen(instance("a"), activity={"a": LONG_AGO})
    done = planned(world, claimed())
    assert done.stop == {"a": StopReason.IDLE}
    assert done.add_routes == {}


def test_route_of_nobody_is_deleted() -> None:
    assert planned(seen(route("x"))).delete_routes == {"x"}


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.GONE])
def test_route_of_a_known_server_is_not_deleted(phase: Phase) -> None:
    world = seen(instance("a"), route("a"))
    assert planned(world, server("a", phase)).delete_routes == frozenset()


# Surplus


def test_ready_servers_above_capacity_are_stopped_oldest_first() -> None:
    servers = [ready(i, NOW - age) for i, age in (("c", 10), ("a", 30), ("b", 20))]
    world = seen(*(instance(s.id) for s in servers))
    assert planned(world, *servers, policy=FULL).stop == {
        "a": StopReason.SURPLUS,
        "b": StopReason.SURPLUS,
    }


def test_server_ready_since_the_observation_is_not_judged_surplus_yet() -> None:
    fresh = [ready("a", NOW + 1), ready("b", NOW + 1)]
    assert planned(seen(), *fresh, policy=FULL) == Plan()


def test_claimed_servers_are_never_surplus() -> None:
    world = seen(*(instance(i) for i in "abc"), *(route(i) for i in "abc"))
    assert planned(world, *(claimed(i) for i in "abc"), policy=FULL) == Plan()


def test_starting_servers_count_against_capacity_and_are_left_to_their_task() -> None:
    world = seen(instance("a"))
    done = planned(world, ready("a"), server("b", Phase.STARTING), policy=FULL)
    assert done == Plan(stop={"a": StopReason.SURPLUS})


def test_ready_servers_at_capacity_are_no_surplus() -> None:
    world = seen(instance("a"), instance("b"))
    assert planned(world, ready("a"), ready("b")) == Plan()


def test_server_that_leaves_makes_no_ready_one_surplus() -> None:
    """One gives up its place for a visitor's own server: one goes and one comes."""
    world = seen(instance("a"), instance("b"))
    leaving, coming = server("a", Phase.STOPPING), server("x", Phase.STARTING)
    assert planned(world, leaving, ready("b"), coming) == Plan()


def test_server_that_stops_for_another_reason_makes_none_surplus() -> None:
    world = seen(instance("a"))
    assert planned(world, ready("a"), ready("b"), policy=FULL).stop == {"b": StopReason.EXITED}


def test_server_that_is_gone_makes_none_surplus() -> None:
    assert planned(seen(instance("a")), ready("a"), server("b", Phase.GONE), policy=FULL) == Plan()


# Rule 8


def test_settled_world_yields_an_empty_plan() -> None:
    world = seen(instance("a"), route("a"), instance("b"))
    assert planned(world, claimed("a"), ready("b"), policy=replace(POLICY, min_ready=1)) == Plan()


def test_plan_changes_nothing_itself() -> None:
    servers = {"a": claimed("a"), "b": ready("b")}
    before = {key: replace(value) for key, value in servers.items()}
    plan(seen(instance("x"), route("y")), servers, POLICY)
    assert servers == before


# Adopting


def test_running_instance_with_the_claims_mark_is_adopted() -> None:
    """P13, P29: the original killed every visitor's server when it started."""
    [adopted] = adopt(seen(instance("a", created_at=1000.0, claimed_at=2000.0)))
    assert adopted == NotebookServer(
        "a",
        since=2000.0,
        phase=Phase.CLAIMED,
        created_at=1000.0,
        claimed_at=2000.0,
        address=HOME,
    )


def test_running_instance_with_a_route_is_adopted_and_ages_from_its_start() -> None:
    [adopted] = adopt(seen(instance("a", created_at=1000.0), route("a")))
    assert (adopted.phase, adopted.since, adopted.claimed_at) == (Phase.CLAIMED, 1000.0, 1000.0)


def test_instance_of_unknown_history_is_not_adopted() -> None:
    """It may hold somebody's files and must never be handed out."""
    assert adopt(seen(instance("a"), route("b"))) == []


def test_claimed_instance_that_does_not_run_is_not_adopted() -> None:
    assert adopt(seen(instance("a", running=False, claimed_at=LONG_AGO), route("a"))) == []


@pytest.mark.parametrize("address", [None, ""])
def test_claimed_instance_without_address_is_kept_and_not_routed(address: str | None) -> None:
    world = seen(instance("a", claimed_at=NOW - 50, address=address))
    assert planned(world, *adopt(world), policy=replace(FULL, grace=0.0)) == Plan()


@pytest.mark.parametrize("state", ["paused", "returning"])
def test_claimed_instance_that_may_come_back_is_adopted(state: str) -> None:
    down = replace(instance("a", running=False, claimed_at=NOW - 50), **{state: True})
    assert [s.id for s in adopt(seen(down))] == ["a"]


def test_all_claimed_instances_are_adopted() -> None:
    marked = [instance(i, claimed_at=LONG_AGO) for i in "abc"]
    assert {s.id for s in adopt(seen(*marked, instance("d")))} == {"a", "b", "c"}


def test_adopted_server_gets_its_route_back_and_is_not_stopped() -> None:
    """Proxy and orchestrator both restarted: the mark in the engine is what is left."""
    world = seen(instance("a", claimed_at=NOW - 50))
    done = planned(world, *adopt(world), policy=replace(FULL, grace=0.0))
    assert done == Plan(add_routes={"a": HOME})


def test_adopted_server_that_is_idle_since_its_claim_is_stopped() -> None:
    world = seen(instance("a", claimed_at=LONG_AGO), route("a", LONG_AGO))
    assert planned(world, *adopt(world)).stop == {"a": StopReason.IDLE}

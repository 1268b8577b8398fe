"""Settings that are allowed and hurt are told with what they mean; others are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.access.banned import Banned
from tmpnb.access.limits import Allowance
from tmpnb.access.policy import Access
from tmpnb.commands.doctor import combinations
from tmpnb.core.plan import Policy
from tmpnb.settings.advice.combinations import cautions
from tmpnb.settings.application import Tmpnb
from tmpnb.spawners.finding import Level
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Networks

POLICY = Policy(capacity=10, min_ready=10, max_idle=3600, max_age=14400, ready_max_age=86400)
LOOPBACK = "127.0.0.0/8,::1"


def of(text: str) -> Networks:
    return Networks(networks.parse(text, "a test"))


def said(**chosen: Any) -> list[str]:
    """Return what is said of the defaults, but for what is chosen."""
    times = {"cull_period": 600.0, "start_timeout": 60.0}
    policy = {name: chosen.pop(name) for name in list(chosen) if hasattr(POLICY, name)}
    times |= {name: chosen.pop(name) for name in times if name in chosen}
    access = Access(
        Allowance(chosen.pop("servers", 2), 10),
        trusted=of(chosen.pop("trusted", "")),
        exempt=of(chosen.pop("exempt", LOOPBACK)),
        banned=Banned(chosen.pop("banned", "")),
    )
    assert not chosen
    from_policy = {name: getattr(POLICY, name) for name in POLICY.__slots__} | policy
    return ["; ".join(pair) for pair in cautions(Policy(**from_policy), access, **times)]


def test_of_the_defaults_nothing_is_said() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"cull_period": 7200.0}, "an idle server is stopped after up to 10800 s"),
        ({"cull_period": 90000.0}, "after up to 14400 s; set --cull-period to 1800 or less"),
        (
            {"max_burning": 300.0},
            "a server that computes with nobody there is stopped after up to 1500 s",
        ),
        ({"start_timeout": 2.0}, "the pool stays empty"),
        ({"ready_max_age": 30.0}, "the engine starts servers without end"),
        ({"ready_max_age": 60.0}, "--ready-max-age=60 is no longer than --start-timeout=60"),
        ({"trusted": "0.0.0.0/0"}, "--trusted-proxies has 0.0.0.0/0: visitors can claim any"),
        ({"trusted": "10.0.0.0/8,::/0"}, "--trusted-proxies has ::/0"),
        ({"trusted": "0.0.0.0/1,128.0.0.0/1"}, "limits and bans hold nobody back"),
        ({"exempt": "0.0.0.0/0"}, "--exempt-networks has 0.0.0.0/0: no limit holds"),
        ({"exempt": "::/0"}, "--exempt-networks has ::/0"),
        ({"servers": 11}, "--client-servers=11 is more than --pool-size=10"),
        ({"banned": "0.0.0.0/0"}, "hardly anybody gets a notebook"),
        ({"banned": "127.0.0.1"}, "has loopback: nobody on this machine gets a notebook"),
        ({"banned": "::1"}, "sends no X-Forwarded-For"),
        (
            {"banned": "192.0.2.7", "trusted": "192.0.2.0/24"},
            "--banned-networks has 192.0.2.0/24 or a part of it, which --trusted-proxies names",
        ),
        ({"banned": "192.0.0.0/16", "trusted": "192.0.2.7"}, "has 192.0.2.7/32 or a part of it"),
    ],
)
def test_what_hurts_is_told_in_one_line_with_what_to_do(
    chosen: Mapping[str, Any], words: str
) -> None:
    [line] = said(**chosen)
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "chosen",
    [
        {"cull_period": 3600.0},
        {"max_burning": 600.0},
        {"start_timeout": 10.0},
        {"ready_max_age": 61.0},
        {"trusted": "10.0.0.0/8,172.16.0.0/12,fc00::/7"},
        {"exempt": "10.0.0.0/8,fc00::/7"},
        {"exempt": "0.0.0.0/0", "servers": 0},  # it says what is meant
        {"servers": 10},
        {"servers": 2, "capacity": 1},  # the default of so small a pool
        {"servers": 0},
        {"banned": "203.0.113.0/24,2001:db8::/32", "trusted": "192.0.2.0/24,2001:db9::/32"},
    ],
)
def test_of_what_is_well_nothing_is_said(chosen: Mapping[str, Any]) -> None:
    assert said(**chosen) == []


@given(st.lists(st.sampled_from(["10.0.0.0/8", "10.1.2.0/24", "192.0.2.7", "fd00::/8", "::1"])))
def test_networks_come_back_as_they_were_given(words: list[str]) -> None:
    given = set(networks.parse(" ".join(words), "a test"))
    assert set(Networks(given)) == given
    for other in networks.parse("10.1.2.3 10.0.0.0/7 192.0.2.0/24 fd00::1 ::/0 9.9.9.9", "a test"):
        same = [one for one in given if one.version == other.version]
        assert Networks(given).overlaps(other) == any(one.overlaps(other) for one in same)  # type: ignore[arg-type]  # of one version


@pytest.mark.gen_test(timeout=20)
async def test_doctor_tells_them_and_that_there_is_none(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = []
    for flags in ([], ["--cull-period=9000", "--banned-networks=127.0.0.1"]):
        app = Tmpnb()
        app.initialize(["--spawner=fake", *flags])
        found.append([one async for one in combinations.findings(app.build())])
    assert [[one.level for one in each] for each in found] == [
        [Level.OK],
        [Level.WARN, Level.WARN],
    ]
    assert all(one.mend for one in found[1])

"""What a server reaches: what is tried, how an answer is judged, and how targets are read."""

from __future__ import annotations

import pytest

from tmpnb.commands import command_line
from tmpnb.commands.doctor import network
from tmpnb.commands.doctor.network import (
    Place,
    judged,
    opening_finding,
    parsed,
    ranges_finding,
    target,
    targets,
)
from tmpnb.commands.main import main
from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.networks.reach import engine_at
from tmpnb.spawners.finding import Level

PRIVATE = Place("--port=1", ("10.0.0.1:1", "10.0.0.2:1"), "mend it")
OUTSIDE = Place("there:1", ("there:1",), "mend it", never=False, outside=True)
MACHINE = Place("the machine", ("10.0.0.1:2",), "mend it", never=False)


@pytest.mark.parametrize(
    ("place", "answer", "closed", "level"),
    [
        (PRIVATE, [False, False], False, Level.OK),
        (PRIVATE, [False, True], False, Level.FAIL),
        (PRIVATE, None, False, Level.SKIP),
        (OUTSIDE, [True], False, Level.WARN),
        (OUTSIDE, [True], True, Level.FAIL),
        (OUTSIDE, [False], True, Level.OK),
        (MACHINE, [True], True, Level.WARN),
    ],
)
def test_a_place_is_judged_by_what_the_operator_asked_for(
    place: Place, answer: list[bool] | None, closed: bool, level: Level
) -> None:
    finding = judged(place, answer, closed=closed)
    assert (finding.level, finding.topic) == (level, network.TOPIC)
    assert place.what in finding.words


def test_it_is_said_where_a_place_was_reached() -> None:
    assert "at 10.0.0.2:1" in judged(PRIVATE, [False, True], closed=False).words
    assert judged(OUTSIDE, [True], closed=False).words == "there:1 is reached from a server"


@pytest.mark.parametrize(
    ("opened", "profile", "level", "words"),
    [
        ({"vsock": False, "io_uring": False}, "tmpnb", Level.OK, "no vsock and no io_uring"),
        ({"vsock": True, "io_uring": False}, "tmpnb", Level.FAIL, "can open vsock"),
        ({"vsock": True, "io_uring": True}, "engine", Level.WARN, "vsock and io_uring"),
        ({"vsock": False, "io_uring": True}, "", Level.WARN, "can open io_uring"),
        (None, "tmpnb", Level.SKIP, "could not be tried"),
        ({}, "tmpnb", Level.SKIP, "could not be tried"),
    ],
)
def test_a_way_past_the_walls_that_opens_is_named_with_the_fix(
    opened: dict[str, bool] | None, profile: str, level: Level, words: str
) -> None:
    finding = opening_finding(opened, profile)
    assert (finding.level, finding.topic) == (level, network.TOPIC)
    assert words in finding.words
    assert ("--seccomp=tmpnb" in finding.mend) == (level in (Level.WARN, Level.FAIL))


def test_targets_are_read_with_their_port() -> None:
    switches = ["--network-target=b.example:443", "--network-target=[fd00::1]:80"]
    assert targets(switches) == ("[fd00::1]:80", "b.example:443")
    assert targets([]) == ()


@pytest.mark.parametrize("text", ["", "=", "=host", "=host:", "=:80", "=host:0", "=host:http"])
def test_a_target_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write --network-target=host:port"):
        targets([f"--network-target{text}"])


def test_addresses_are_read_from_the_kernel_s_table() -> None:
    table = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 10.1.2.0
        /24 link UNICAST
     |-- 10.1.2.3
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 10.1.2.255
        /32 link BROADCAST
Local:
     |-- 10.1.2.3
        /32 host LOCAL
"""
    assert parsed(table) == ("10.1.2.3",)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("unix:///var/run/docker.sock", "unix:/var/run/docker.sock"),
        ("tcp://10.0.0.1:2376", "10.0.0.1:2376"),
        ("tcp://host", "host:2375"),
        ("", ""),
    ],
)
def test_the_engine_is_where_its_address_says(address: str, place: str) -> None:
    assert engine_at(address) == place


def test_switches_of_the_doctor_are_its_own_also_with_values() -> None:
    words = ["doctor", "--network", "--network-target=a:1", "--port=1", "--network-target=b:2"]
    order = command_line.parse(words)
    assert order.switches == {"--network", "--network-target=a:1", "--network-target=b:2"}
    assert order.flags == ("--port=1",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network-target=a:1"], "needs --network"),
        (["--network=yes"], "--network takes no value"),
        (["--skip-image", "--network"], "leave --skip-image out"),
        (["--network", "--network-target=a"], "write --network-target=host:port"),
    ],
)
def test_switches_that_cannot_be_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--spawner=fake", *words])
    shown = str(ended.value.code) + "".join(capsys.readouterr())
    assert said in shown
    assert "Traceback" not in shown


def test_with_the_internet_alone_each_range_must_be_refused() -> None:
    count = len(network.RANGES)
    assert ranges_finding([True] * count).level is Level.OK
    assert ranges_finding(None).level is Level.SKIP
    one_open = ranges_finding([False, *[True] * (count - 1)])
    assert one_open.level is Level.FAIL
    assert str(network.RANGES[0]) in one_open.words
    one_near = ranges_finding([None, *[True] * (count - 1)])
    assert one_near.level is Level.OK
    assert f"but for {network.RANGES[0]}" in one_near.words


@pytest.mark.parametrize(
    ("at", "answer", "level"),
    [
        ("10.1.2.3:80", [True], Level.FAIL),
        ("10.1.2.3:80", [False], Level.OK),
        ("192.88.99.7:80", [True], Level.OK),
        ("192.88.99.7:80", [False], Level.WARN),
        ("[fd00::1]:80", [True], Level.FAIL),
        ("files.example:443", [True], Level.OK),
    ],
)
def test_with_the_internet_alone_public_targets_are_welcome_and_private_ones_are_not(
    at: str, answer: list[bool], level: Level
) -> None:
    assert judged(target(at, filtered=True), answer, closed=False).level is level

"""Wrong tokens at the admin port are counted by who sends them; the right one always works."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.running_site import Running
from tests.support.world import FakeClock
from tmpnb.access.gate import MOST_TRIES, TRIES_SPAN
from tmpnb.access.wrong_tokens import MOST_A_SECOND, WrongTokens
from tmpnb.errors import TooManyTriesError
from tmpnb.settings.application import Tmpnb
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Networks

TOKEN = "adm1n-adm1n-adm1n"


@pytest.mark.gen_test(timeout=30)
async def test_the_api_counts_them_and_takes_the_right_one_all_the_same() -> None:
    async with AsyncExitStack() as stack:
        running = Running(1, stack)
        await running.start()
        fetch = running.admin(admin_token=TOKEN)
        for number in range(MOST_TRIES + 3):
            answer = await fetch(
                "/api/status",
                headers={
                    "Authorization": f"token {number}",
                    "X-Forwarded-For": f"192.0.2.{number}",
                },
            )
            assert answer.code == (401 if number < MOST_TRIES else 429)
        assert b"too_many_tries" in answer.body
        assert 1 <= int(answer.headers["Retry-After"]) <= TRIES_SPAN + 1
        assert (await fetch("/api/status")).code == 401, "no token is no wrong one"
        right = {"Authorization": f"token {TOKEN}"}
        assert (await fetch("/api/status", headers=right)).code == 200
        wrong = {"Authorization": "token another"}
        assert (await fetch("/health/ready", headers=wrong)).code == 200, "it asks for none"


def added(wrong: WrongTokens, peer: str, forwarded: str = "") -> bool:
    try:
        wrong.add(peer, forwarded)
    except TooManyTriesError:
        return False
    return True


def test_each_address_has_so_many_a_minute() -> None:
    clock = FakeClock()
    wrong = WrongTokens(clock=clock)
    for _ in range(MOST_TRIES):
        assert added(wrong, "192.0.2.7")
        clock.advance(1)
    assert not added(wrong, "192.0.2.7")
    assert added(wrong, "192.0.2.8")
    clock.advance(TRIES_SPAN)
    assert added(wrong, "192.0.2.7")


def test_all_together_have_so_many_a_second() -> None:
    clock = FakeClock()
    clock_of = lambda: clock.now  # noqa: E731 - a time that stands still
    wrong = WrongTokens(clock=clock_of)
    for number in range(MOST_A_SECOND):
        assert added(wrong, f"192.0.2.{number}")
    assert not added(wrong, "192.0.2.99")
    clock.advance(1)
    assert added(wrong, "192.0.2.99")


def test_what_is_forwarded_counts_only_from_proxies_that_were_named() -> None:
    clock = FakeClock()
    wrong = WrongTokens(Networks(networks.parse("10.0.0.2", "")), clock=clock)
    for peer, is_believed in (("127.0.0.1", False), ("::1", False), ("10.0.0.2", True)):
        for number in range(MOST_TRIES):
            assert added(wrong, peer, f"192.0.2.{number}")
            clock.advance(1)
        assert added(wrong, peer, "192.0.2.200") is is_believed


def test_the_flag_names_them_by_address_and_not_by_the_word_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("tmpnb.settings.access.gateway", lambda: "172.17.0.1")
    application = Tmpnb()
    application.initialize(["--spawner=fake", "--trusted-proxies=gateway,10.0.0.2"])
    access = application.access()
    assert networks.address("172.17.0.1") in access.trusted
    assert networks.address("10.0.0.2") in access.trusted
    assert [str(network) for network in access.named] == ["10.0.0.2/32"]


def test_guessing_gets_one_line_a_minute_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    wrong = WrongTokens(anonymize=True, clock=clock)
    with caplog.at_level(logging.WARNING, "tmpnb.access.policy.wrong_tokens"):
        for _ in range(2 * MOST_TRIES):
            added(wrong, "192.0.2.7")
    [said] = caplog.messages
    assert said == ("somebody guesses the token of the admin port, the latest from 192.0.2.0/24")

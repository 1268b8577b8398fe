"""What a form said, kept for the page that its answer leads to."""

from __future__ import annotations

import pytest

from tmpnb.web.asked import forms
from tmpnb.web.asked.forms import LONGEST, MOST_OF_ONE, OLDEST, UNUSED, UNUSED_WITH_SECRET, Forms


def test_it_is_found_by_its_key_and_in_its_network_alone() -> None:
    kept = Forms()
    key = kept.keep("192.0.2.1", {"ticket": "t", "fresh": ""})
    assert kept.find(key, "192.0.2.1") == {"ticket": "t"}
    assert kept.find(key, "192.0.2.2") is None
    assert kept.find("", "192.0.2.1") is None
    assert kept.find("x", "192.0.2.1") is None


def test_a_form_that_says_nothing_has_a_key_too() -> None:
    kept = Forms()
    assert kept.find(kept.keep("192.0.2.1", {}), "192.0.2.1") == {}


def test_what_is_too_long_is_not_kept() -> None:
    kept = Forms()
    assert kept.keep("192.0.2.1", {"offer": "x" * LONGEST})
    assert not kept.keep("192.0.2.1", {"offer": "x" * LONGEST, "agree": "1"})
    assert not kept.keep("192.0.2.1", {"offer": "\N{EURO SIGN}" * (LONGEST // 3 + 1)}), "bytes"


def test_the_one_that_was_not_used_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "MOST", 2)
    kept = Forms()
    first, second = (kept.keep("n", {"ticket": name}) for name in "ab")
    assert kept.find(first, "n")
    third = kept.keep("n", {"ticket": "c"})
    assert [bool(kept.find(key, "n")) for key in (first, second, third)] == [True, False, True]


def test_a_network_loses_its_own_forms_alone() -> None:
    kept = Forms()
    other = kept.keep("192.0.2.1", {"ticket": "t"})
    keys = [kept.keep("203.0.113.9", {"ticket": str(number)}) for number in range(MOST_OF_ONE)]
    assert kept.find(keys[0], "203.0.113.9"), "used, so the second is the first to go"
    for _ in range(forms.MOST):
        latest = kept.keep("203.0.113.9", {"ticket": "x"})
    assert kept.find(other, "192.0.2.1") == {"ticket": "t"}
    assert kept.find(latest, "203.0.113.9")
    assert not any(kept.find(key, "203.0.113.9") for key in keys)


def test_as_many_forms_of_a_network_are_kept_as_may_be() -> None:
    kept = Forms()
    keys = [kept.keep("n", {"ticket": str(number)}) for number in range(MOST_OF_ONE)]
    assert all(kept.find(key, "n") for key in keys)
    kept.keep("n", {})
    assert [bool(kept.find(key, "n")) for key in keys[:2]] == [False, True]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("fields", "lasts"),
    [
        ({"agree": "1"}, UNUSED),
        ({}, UNUSED),
        ({"fresh": "1", "server": "abc"}, UNUSED),
        *(({name: "x", "agree": "1"}, UNUSED_WITH_SECRET) for name in sorted(forms.SECRETS)),
    ],
)
def test_one_that_nobody_uses_expires_and_one_with_a_secret_sooner(
    fields: dict[str, str], lasts: float
) -> None:
    clock = Hand()
    kept = Forms(clock)
    used, unused = kept.keep("n", fields), kept.keep("n", fields)
    clock.now += lasts - 1
    assert kept.find(used, "n") == fields
    clock.now += 1
    assert kept.find(unused, "n") is None
    clock.now += lasts - 2
    assert kept.find(used, "n") == fields, "a page that waits uses it"
    clock.now += lasts
    assert kept.find(used, "n") is None
    clock.now = 1000.0
    assert kept.find(used, "n") is None, "it is gone"


def test_none_lasts_for_ever_however_often_it_is_used() -> None:
    clock = Hand()
    kept = Forms(clock)
    key = kept.keep("n", {"token": "t"})
    while clock.now < 1000 + OLDEST - 60:
        clock.now += 60
        assert bool(kept.find(key, "n")) is (clock.now < 1000 + OLDEST)
    clock.now += 60
    assert kept.find(key, "n") is None


def test_what_has_expired_makes_room_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST", 2)
    clock = Hand()
    kept = Forms(clock)
    lasting = kept.keep("n", {"agree": "1"})
    kept.keep("m", {"ticket": "t"})
    clock.now += UNUSED_WITH_SECRET
    kept.keep("k", {"agree": "1"})
    assert kept.find(lasting, "n")

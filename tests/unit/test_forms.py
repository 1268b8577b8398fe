"""What a form said, kept for the page that its answer leads to."""

from __future__ import annotations

import pytest

from tmpnb import forms
from tmpnb.forms import LONGEST, Forms


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


def test_the_one_that_was_not_used_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "MOST", 2)
    kept = Forms()
    first, second = (kept.keep("n", {"ticket": name}) for name in "ab")
    assert kept.find(first, "n")
    third = kept.keep("n", {"ticket": "c"})
    assert [bool(kept.find(key, "n")) for key in (first, second, third)] == [True, False, True]

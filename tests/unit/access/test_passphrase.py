"""Passphrase and signed passes: what they open, for how long, and what they do not tell."""

from __future__ import annotations

import pytest

from tests.support.world import KEY, FakeClock
from tmpnb.access.passphrase import DAY, LONGEST, Passes, given_passphrase
from tmpnb.errors import ConfigError
from tmpnb.system.signing import TokenMaker

WORDS = "four plain wörds here"


def passes(passphrase: str = WORDS, clock: FakeClock | None = None, key: bytes = KEY) -> Passes:
    return Passes(TokenMaker(key), passphrase, clock or FakeClock())


def test_the_passphrase_is_right_however_it_was_typed() -> None:
    assert passes().is_right(WORDS)
    assert passes().is_right(f" {WORDS}\n".replace("ö", "o\N{COMBINING DIAERESIS}"))
    for wrong in ("", WORDS.upper(), WORDS[:-1], f"{WORDS}x"):
        assert not passes().is_right(wrong)


def test_what_is_too_long_to_be_right_is_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, folded = passes(), []
    monkeypatch.setattr("tmpnb.access.passphrase._folded", lambda text: folded.append(text) or text)
    assert not ours.is_right("a" + "\N{COMBINING ACUTE ACCENT}\N{COMBINING CEDILLA}" * 60_000)
    assert not folded, "it would take the square of its length"


def test_an_operators_passphrase_can_be_typed() -> None:
    longest = "é" * LONGEST
    assert passes(given_passphrase(f" {longest}\n")).is_right(longest)
    with pytest.raises(ConfigError, match="longer than 256"):
        given_passphrase(f"{longest}x")


def test_without_a_passphrase_nothing_is_asked_and_nothing_is_right() -> None:
    assert not passes("").needed
    assert not passes("").is_right("")


def test_a_pass_opens_until_its_time_is_over() -> None:
    clock = FakeClock()
    ours = passes(clock=clock)
    for made, seconds in ((ours.by_passphrase(), DAY), (ours.invite(3), 3 * 3600)):
        assert seconds - 2 <= ours.seconds_left(made) <= seconds + 1
    clock.advance(3 * 3600 + 2)
    assert ours.seconds_left(ours.invite(3)) > 0
    assert ours.seconds_left(made) == 0


def test_another_passphrase_ends_its_passes_and_no_invite() -> None:
    before, after = passes(), passes("another one")
    assert after.seconds_left(before.by_passphrase()) == 0
    assert after.seconds_left(before.invite(1)) > 0


def test_another_key_ends_all_passes() -> None:
    before, after = passes(), passes(key=b"another key for tests")
    assert after.seconds_left(before.by_passphrase()) == after.seconds_left(before.invite(1)) == 0


def test_what_was_changed_or_made_up_opens_nothing() -> None:
    ours = passes()
    kind, until, signature = ours.invite(1).split(".")
    signed = TokenMaker(KEY)
    for forged in (
        "",
        "..",
        "invite",
        f"passphrase.{until}.{signature}",
        f"{kind}.{int(until) + 1}.{signature}",
        f"{kind}.0{until}.{signature}",
        f"{kind}.{until}.",
        f"{kind}.-1.{signature}",
        f"{kind}.²³.{signature}",
        f"{kind}.{'9' * 9999}.{signature}",
        f"{kind}.{until}.{signed.token_for(f'{kind}:{until}')}",
        f"{kind}.{until}.{signed.sign(f'visitor:{kind}:{until}')}",
    ):
        assert ours.seconds_left(forged) == 0, forged


def test_a_pass_does_not_show_the_passphrase() -> None:
    assert not {word for word in WORDS.split() if word in passes().by_passphrase()}
    assert WORDS not in repr(passes())


@pytest.mark.parametrize("hours", [0, -1, 9999, float("inf")])
def test_an_invite_is_for_a_time(hours: float) -> None:
    with pytest.raises(ConfigError, match="--hours="):
        passes().invite(hours)


@pytest.mark.parametrize("source", ["TMPNB_PASSPHRASE", "TMPNB_PASSPHRASE_FILE=/etc/words"])
@pytest.mark.parametrize(
    ("value", "said"), [("abc", "shorter than 6 characters"), ("\udcff" * 9, "not UTF-8")]
)
def test_a_passphrase_that_cannot_be_is_one_line_without_it(
    source: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        given_passphrase(value, source)
    assert str(refused.value).startswith(f"{source} is {said}")
    assert "\n" not in str(refused.value)
    assert "abc" not in str(refused.value)

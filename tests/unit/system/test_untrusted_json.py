"""JSON of somebody who means ill is a ValueError like any other that is none."""

from __future__ import annotations

import pytest

from tmpnb.system import untrusted_json


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b'{"a": -Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"\\ud800"',
        b'{"\\uDFFF": 1}',
        b'[{"a": ["\\udc00\\ud800"]}]',
        b"9" * 10_000,
        b'"\xed\xa0\x80"',
        b'"caf\xe9"',
        '"a"'.encode("utf-16"),
    ],
)
def test_what_cannot_be_used_is_refused(source: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        untrusted_json.loads(source)


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("one", [b"1", b"[]", b"{}", b"[[]]", b'{"a": {"b": 1}}'])
def test_a_text_may_have_so_many_values_and_no_more(one: bytes, *, lenient: bool) -> None:
    most = [b"[" + b",".join([one] * count) + b"]" for count in (6, 7)]
    values = sum(most[0].count(mark) for mark in (b"[", b"{", b","))
    assert len(untrusted_json.loads(most[0], lenient=lenient, most=values)) == 6
    for source, room in ((most[0], values - 1), (most[1], values)):
        with pytest.raises(untrusted_json.TooManyValuesError):
            untrusted_json.loads(source, lenient=lenient, most=room)


def test_no_text_may_have_as_many_values_as_it_likes() -> None:
    with pytest.raises(untrusted_json.TooManyValuesError):
        untrusted_json.loads(b"[" * 400 + b"]" * 400 + (b"," + b"[" * 400 + b"]" * 400) * 200)


def test_what_can_be_is_read() -> None:
    source = rb'{"a": ["\ud83d\ude00", "\\ud800", "\u00e9", 1.5, null, true]}'
    assert untrusted_json.loads(source) == {"a": ["\U0001f600", "\\ud800", "é", 1.5, None, True]}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (rb'["caf\udce9", "\ud83d\ude00", "\ud800"]', ["caf\udce9", "\U0001f600", "\ud800"]),
        (b'["caf\xe9", "\xc3\xa9"]', ["caf\udce9", "é"]),
        (b"[NaN, -Infinity, 1]", [None, None, 1]),
        (b'[-12, 1.5, "x"]', [-12, 1.5, "x"]),
        (b"[" + b"9" * 999 + b"]", [int("9" * 999)]),
        (b"[" + b"9" * 1000 + b", -" + b"8" * 100_000 + b", 2]", [0, 0, 2]),
    ],
)
def test_one_odd_value_does_not_cost_the_others_where_that_is_wanted(
    source: bytes, value: object
) -> None:
    assert untrusted_json.loads(source, lenient=True) == value


@pytest.mark.parametrize("source", [b"", b"{", b"[" * 100_000, b"what"])
def test_what_is_no_json_is_refused_there_too(source: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        untrusted_json.loads(source, lenient=True)


def test_fractions_are_left_out_where_nobody_wants_them() -> None:
    source = b'[1, 2.5, 1e400, "2.5", -0.1e-320]'
    assert untrusted_json.loads(source, lenient=True, fractions=False) == [1, 0, 0, "2.5", 0]
    assert untrusted_json.loads(source, lenient=True)[1] == 2.5

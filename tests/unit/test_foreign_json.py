"""JSON of somebody who means ill is a ValueError like any other that is none."""

from __future__ import annotations

import pytest

from tmpnb import foreign_json


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
    ],
)
def test_what_cannot_be_used_is_refused(source: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        foreign_json.loads(source)


def test_what_can_be_is_read() -> None:
    source = rb'{"a": ["\ud83d\ude00", "\\ud800", "\u00e9", 1.5, null, true]}'
    assert foreign_json.loads(source) == {"a": ["\U0001f600", "\\ud800", "é", 1.5, None, True]}

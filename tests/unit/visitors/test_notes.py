"""Text files of archives: whole as long as they are short, and counted from there."""

from __future__ import annotations

import pytest

from tmpnb.visitors.notes import Note


def test_nothing_to_say_is_no_text() -> None:
    assert Note("Here:", 3).text() == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (1, ["line 0"]),
        (2, ["line 0", "line 1"]),
        (5, ["line 0", "line 1", "and 3 more"]),
    ],
)
def test_lines_stand_below_the_heading_as_far_as_there_is_room(lines: int, said: list[str]) -> None:
    note = Note("Here:", 2)
    for number in range(lines):
        note.add(lambda number=number: f"line {number}")
    assert note.text() == "\r\n".join(["Here:", "", *said, ""])

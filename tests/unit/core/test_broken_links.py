"""Links that cannot be decoded: seen as such, and mended where it is plain what was meant."""

from __future__ import annotations

import pytest

from tmpnb.core.links import is_broken, mended

BROKEN = (
    "/lab/tree/100%.ipynb",
    "/user/%E0%A4%A/lab",
    "/%",
    "/%zz",
    "/%ff",  # no UTF-8
    "/%C0%80",  # longer than need be
    "/%ED%A0%80",  # half of a pair
    "/%F8%88%80%80%80",  # beyond all characters
)


@pytest.mark.parametrize("path", BROKEN)
def test_what_no_program_decodes_is_broken(path: str) -> None:
    assert is_broken(path)


@pytest.mark.parametrize("path", ["/", "/lab/tree/100%25.ipynb", "/%C3%A9", "/é", "/%00", ""])
def test_what_can_be_decoded_is_not(path: str) -> None:
    assert not is_broken(path)


def test_a_stray_percent_sign_stands_for_itself() -> None:
    assert mended("/lab/tree/100%.ipynb") == "/lab/tree/100%25.ipynb"
    assert mended("/user/abc/lab/tree/%C3%A9%") == "/user/abc/lab/tree/%C3%A9%25"


def test_the_query_is_kept_but_for_the_token() -> None:
    assert mended("/lab/5%", "x=%&token=abc") == "/lab/5%25?x=%"


@pytest.mark.parametrize(
    "path", ["/%ff", "//evil.example/%", "%", "/a/../%", '/<b>"%', "/\\%", "/%0a%", "", "/é%"]
)
def test_nothing_is_offered_that_is_no_place_of_ours(path: str) -> None:
    assert mended(path) == ""

"""Each class in a template has a rule in a stylesheet that the page loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "tmpnb" / "web"
TEMPLATES = PACKAGE / "templates"
PARTS = {"art.html", "proof.html", "text.html", "base.html"}  # of pages, and no pages themselves

_WITH = re.compile(r'\{% (?:extends|include) "([^"]+)" %\}')
_SHEET = re.compile(r"""<link rel="stylesheet" href="\{\{ static\('([^']+)'\) \}\}">""")
_CLASSES = re.compile(r'\bclass="([^"]*)"')
_MADE = re.compile(r"\S*\{\{.*?\}\}\S*")
_RULE = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
_SELECTORS = re.compile(r"([^{};]+)\{")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def source_of(template: str) -> str:
    """Return a template with those that it extends and includes."""
    text = (TEMPLATES / template).read_text()
    return text + "".join(source_of(name) for name in _WITH.findall(text))


def classes_in(source: str) -> Iterator[str]:
    """Yield each class but for those whose name is made when the page is."""
    for found in _CLASSES.findall(source):
        yield from _MADE.sub("", found).split()


def classes_with_a_rule(stylesheet: str) -> set[str]:
    selectors = _SELECTORS.findall(_COMMENT.sub("", stylesheet))
    return {name for selector in selectors for name in _RULE.findall(selector)}


def test_what_has_a_rule_is_told_from_what_is_a_value() -> None:
    sheet = "/* .no {} */ .a, p.b-c { margin: .5rem; } @media (x) { main:not(.d) { top: 0 } }"
    assert classes_with_a_rule(sheet) == {"a", "b-c", "d"}


def test_pages_are_read_with_their_parts() -> None:
    source = source_of("admin.html")
    assert set(_SHEET.findall(source)) == {"tmpnb.css", "wide.css", "admin.css"}
    assert {"brand", "cards", "headline"} <= set(classes_in(source))


@pytest.mark.parametrize(
    "page", sorted(path.name for path in TEMPLATES.glob("*.html") if path.name not in PARTS)
)
def test_each_class_of_a_page_has_a_rule_that_the_page_loads(page: str) -> None:
    source = source_of(page)
    sheets = [(PACKAGE / "static" / name).read_text() for name in _SHEET.findall(source)]
    ruled = set().union(*map(classes_with_a_rule, sheets))
    assert ruled, "it loads a stylesheet"
    assert set(classes_in(source)) - ruled == set()

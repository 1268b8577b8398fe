"""What the operator says on the pages is checked at the start, and never becomes HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmpnb.errors import ConfigError
from tmpnb.settings.branding import Branding
from tmpnb.web import brand, markup
from tmpnb.web.markup import BadMarkupError, Piece

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(17)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


def one_line(function: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Texts


def test_empty_lines_part_paragraphs_and_links_are_links() -> None:
    source = (
        "Welcome to\nthe [book](https://book.example/a?b=1#c).\r\n \r\n\r\nAsk [us](mailto:a@b.c)"
    )
    assert markup.parse(source, 1000) == (
        (Piece("Welcome to\nthe "), Piece("book", "https://book.example/a?b=1#c"), Piece(".")),
        (Piece("Ask "), Piece("us", "mailto:a@b.c")),
    )


@pytest.mark.parametrize("source", ["", " \n\n \r\n", "\n"])
def test_no_text_is_no_paragraph(source: str) -> None:
    assert markup.parse(source, 1000) == ()


@pytest.mark.parametrize(
    "source", ["<b>bold</b> &amp; *stars*", "# no heading", "a [bracket] (apart)", "- one\n- two"]
)
def test_other_markup_is_shown_as_it_stands(source: str) -> None:
    assert markup.parse(source, 1000) == ((Piece(source),),)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "//evil.example", "data:text/html,x", "book.example", "", "ftp://x"],
)
def test_link_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(BadMarkupError, match="must begin with https://") as caught:
        markup.parse(f"[x]({url.partition('(')[0]})", 1000)
    assert "\n" not in str(caught.value)


def test_text_that_is_too_long_or_has_control_characters_is_refused() -> None:
    with pytest.raises(BadMarkupError, match="11 characters are too many; 10 may be"):
        markup.parse("x" * 11, 10)
    with pytest.raises(BadMarkupError, match="control character"):
        markup.parse("a\x1b[31m", 100)


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [("https://a.example/", True), ("mailto:a@b.c", True), ("/info", False), ("", False)],
)
def test_links_out_of_the_service_are_known(url: str, elsewhere: bool) -> None:
    assert Piece("x", url).is_elsewhere is elsewhere


# Pictures


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (SVG, "image/svg+xml"),
        (
            b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a > b -->\n<!DOCTYPE svg>\n' + SVG,
            "image/svg+xml",
        ),
    ],
)
def test_picture_is_known_by_its_content(content: bytes, kind: str) -> None:
    assert brand.logo("x", content).kind == kind


def test_another_picture_has_another_version() -> None:
    assert brand.logo("x", SVG).version != brand.logo("x", SVG + b"\n").version


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"<html><svg></svg>", b"<svgx/>", PNG[:8], b"\xff\xd8\xff"]
)
def test_other_files_are_no_picture(content: bytes) -> None:
    message = one_line(lambda: brand.logo("logo.gif", content))
    assert message == "--logo=logo.gif: this is neither an SVG nor a PNG picture"


def test_large_picture_is_refused() -> None:
    message = one_line(lambda: brand.logo("big.png", PNG + bytes(100_000)))
    assert message.startswith("--logo=big.png: 100033 bytes are too many")


# Analytics


def test_without_a_script_there_are_no_analytics() -> None:
    assert brand.Brand().analytics is None
    assert brand.analytics("", "") is None


def test_script_brings_its_origin_and_attributes() -> None:
    found = brand.analytics("https://s.example:8443/a/b.js?v=1", " data-site=7  data-a-b=x=y ")
    assert found is not None
    assert found.origin == "https://s.example:8443"
    assert found.attributes == (("data-site", "7"), ("data-a-b", "x=y"))


@pytest.mark.parametrize(
    ("script", "attributes", "said"),
    [
        ("s.example/a.js", "", "write https://stats.example/script.js"),
        ("https://s.example", "", "not the address of a script"),
        ("https://s.example/a.js; script-src *", "", "not the address of a script"),
        ("https://s.example/a.js", "onload=alert(1)", "write data-site=7"),
        ("https://s.example/a.js", 'data-a="x"', "write data-site=7"),
        ("", "data-site=7", "needs --analytics-script"),
    ],
)
def test_what_is_no_script_or_attribute_is_refused(script: str, attributes: str, said: str) -> None:
    assert said in one_line(lambda: brand.analytics(script, attributes))


# Settings and files


def test_settings_become_a_value(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_bytes(SVG)
    (tmp_path / "terms.txt").write_text("\ufeffBe kind.\n\nTake turns.", encoding="utf-8")
    settings = Branding(
        brand=" The Book ",
        logo=str(tmp_path / "logo.svg"),
        welcome="Hello",
        footer="Goodbye",
        announcement="Soon",
        terms_file=str(tmp_path / "terms.txt"),
        analytics_script="https://s.example/a.js",
    )
    made = settings.checked()
    assert made.name == "The Book"
    assert made.logo is not None
    assert made.logo.content == SVG
    assert made.welcome == ((Piece("Hello"),),)
    assert made.footer == ((Piece("Goodbye"),),)
    assert made.terms is not None
    assert made.terms.text == ((Piece("Be kind."),), (Piece("Take turns."),))
    assert made.analytics is not None
    assert settings.notice().text == ((Piece("Soon"),),)


def test_without_settings_all_is_as_it_was() -> None:
    assert Branding().checked() == brand.Brand()
    assert Branding().notice().text == ()


def test_other_terms_have_another_version() -> None:
    assert brand.terms("x", b"Be kind.").version != brand.terms("x", b"Be kinder.").version


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"brand": " "}, "--brand=' ': write a name"),
        ({"brand": "x" * 61}, "1 to 60 characters"),
        ({"brand": "a\nb"}, "--brand="),
        ({"logo": "/no/such/logo.svg"}, "--logo=/no/such/logo.svg: cannot be read: No such file"),
        ({"logo": "/"}, "--logo=/: cannot be read"),
        ({"welcome": "[x](ftp://y)"}, "--welcome: the link 'ftp://y'"),
        ({"footer": "x" * 4001}, "--footer: 4001 characters are too many; 4000 may be"),
        ({"terms_file": "/no/terms"}, "--terms-file=/no/terms: cannot be read: No such file"),
        ({"analytics_script": "x"}, "--analytics-script=x"),
    ],
)
def test_wrong_setting_is_one_clear_line(settings: dict[str, Any], said: str) -> None:
    assert said in one_line(Branding(**settings).checked)


def test_wrong_announcement_is_one_clear_line() -> None:
    message = one_line(Branding(announcement="x" * 1001).notice)
    assert message == "--announcement: 1001 characters are too many; 1000 may be"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no text in it"),
        (b"\xff\xff", "no text in UTF-8"),
        ("Be kind.".encode("utf-16"), "it is in UTF-16; save it as UTF-8"),
        (b"x" * 100_001, "too many; 100000 may be"),
        (b"[a](javascript:b)", "the link 'javascript:b'"),
    ],
)
def test_terms_that_cannot_be_shown_are_refused(content: bytes, said: str) -> None:
    message = one_line(lambda: brand.terms("terms.txt", content))
    assert message.startswith("--terms-file=terms.txt: ")
    assert said in message


def test_announcement_that_cannot_be_shown_leaves_the_former() -> None:
    notice = brand.Notice("Soon")
    with pytest.raises(BadMarkupError):
        notice.put("x" * 2000)
    assert re.match("Soon", notice.source)
    assert notice.text == ((Piece("Soon"),),)

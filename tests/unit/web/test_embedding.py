"""What an author pastes is whole, safe, and made of what they typed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.support.requirements import ROOT
from tmpnb.web.embedding import BadEmbeddingError, Embedding, embedding, may_embed, origins

SITE = "https://tmp.test"
NASTY = '"><script>alert(1)</script> & more'


class Tags(HTMLParser):
    """The elements of a snippet with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    return Tags(html).found


def test_button_has_a_way_out_without_a_script() -> None:
    url = f"{SITE}/notebooks/a%20b.ipynb"
    assert tags(embedding(SITE, "notebooks/a b.ipynb", "A plot", "450").button()) == [
        ("div", {"data-tmpnb": url, "data-title": "A plot", "data-height": "450"}),
        ("a", {"href": url, "target": "_blank", "rel": "noopener"}),
        ("script", {"src": f"{SITE}/embed.js", "async": None}),
    ]


def test_frame_is_titled_lazy_responsive_and_may_use_the_clipboard() -> None:
    (_, frame), (_, _), (_, link) = tags(embedding(SITE, "lab", height="300").frame())
    assert frame == {
        "src": f"{SITE}/lab",
        "title": "Live notebook",
        "loading": "lazy",
        "allow": "clipboard-read; clipboard-write; fullscreen",
        "referrerpolicy": "strict-origin",
        "style": "width: 100%; height: min(80vh, 300px); border: 1px solid #ccc",
    }
    assert link["href"] == f"{SITE}/lab"


@pytest.mark.parametrize(
    ("site", "is_private"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("https://notebooks.localhost", True),
        ("http://192.168.1.7", True),
        ("http://10.0.0.1:80", True),
        ("http://[::1]:8000", True),
        ("http://[fd00::7]", True),
        ("https://lab.local.", True),
        ("https://intranet", True),
        ("https://nb.home.arpa:8443", True),
        ("https://notebooks.example", False),
        ("https://8.8.8.8", False),
        ("https://[2606:4700::1111]", False),
        ("https://local.example", False),
        ("http://[", False),
        ("http://", False),
    ],
)
def test_a_frame_of_a_private_service_may_reach_it_from_a_public_page(
    site: str, is_private: bool
) -> None:
    assert ("; local-network-access" in embedding(site).frame()) is is_private


def test_badges_lead_to_the_notebook_in_four_formats() -> None:
    badges = embedding(SITE, "notebooks/x.ipynb", "A plot").badges()
    url, image = f"{SITE}/notebooks/x.ipynb", f"{SITE}/badge.svg"
    assert badges["Markdown"] == f"[![launch notebook]({image})]({url})\n"
    assert tags(badges["HTML"]) == [
        ("a", {"href": url}),
        ("img", {"src": image, "alt": "launch notebook"}),
    ]
    assert badges["reStructuredText"].splitlines() == [
        f".. image:: {image}",
        f"   :target: {url}",
        "   :alt: launch notebook",
    ]
    assert f":::{{iframe}} {url}\n:width: 100%\nA plot\n:::\n" in badges["MyST"]


def test_nothing_typed_gives_the_defaults() -> None:
    assert embedding(SITE, " ", "", "  ") == Embedding(SITE, "", "Live notebook", 600)
    assert embedding(SITE, "/").url == f"{SITE}/"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("/lab", "/lab"),
        ("lab/tree/Déjà vu.ipynb", "/lab/tree/D%C3%A9j%C3%A0%20vu.ipynb"),
        ("notebooks/a%20b.ipynb", "/notebooks/a%20b.ipynb"),
        ("notebooks/a(1)'.ipynb", "/notebooks/a%281%29%27.ipynb"),  # would end a Markdown link
        ("lab?reset=1&x=y z", "/lab?reset=1&x=y%20z"),
        ("lab?token=secret&x=1", "/lab?x=1"),
        ("first.ipynb", "/notebooks/first.ipynb"),
        ("/data/a b.ipynb?x=1", "/notebooks/data/a%20b.ipynb?x=1"),
    ],
)
def test_path_is_taken_as_people_type_it(typed: str, url: str) -> None:
    assert embedding(SITE, typed).url == SITE + url


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"path": "x.md"}, "begin with one of"),
        ({"path": "user/abc/lab"}, "begin with one of"),
        ({"path": "lab/../../x"}, "leads out"),
        ({"path": "?x=1"}, "needs a path"),
        ({"path": "lab/" + "x" * 5000}, "longer than"),
        ({"title": "x" * 201}, "Title: use 200"),
        ({"height": "199"}, "Height:"),
        ({"height": "2001"}, "Height:"),
        ({"height": "tall"}, "Height:"),
        ({"height": "٣٠٠"}, "Height:"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(fields: dict[str, str], words: str) -> None:
    with pytest.raises(BadEmbeddingError) as caught:
        embedding(SITE, **fields)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_title_is_text_wherever_it_stands() -> None:
    wanted = embedding(SITE, "lab", NASTY)
    assert [tag for tag, _ in tags(wanted.button())] == ["div", "a", "script"]
    assert tags(wanted.button())[0][1]["data-title"] == NASTY
    assert [tag for tag, _ in tags(wanted.frame())] == ["iframe", "p", "a"]
    assert tags(wanted.frame())[0][1]["title"] == NASTY


# Who may


SOURCES = "'self' https://journal.example http://lan.example:8080 https://*.blog.example https://any.example:*"


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://journal.example", True),
        ("https://JOURNAL.example", True),
        ("http://journal.example", False),
        ("https://journal.example:444", False),
        ("https://sub.journal.example", False),
        ("https://journalxexample", False),
        ("https://journal.example.evil.example", False),
        ("http://lan.example:8080", True),
        ("https://lan.example:8080", True),  # a browser takes the safer scheme too
        ("https://a.blog.example", True),
        ("https://a.b.blog.example", True),
        ("https://blog.example", False),
        ("https://evil.example/.blog.example", False),
        ("https://any.example", True),
        ("https://any.example:8443", True),
        ("null", False),
        ("'self'", False),
        ("", False),
    ],
)
def test_origins_are_judged_as_a_browser_does(origin: str, may: bool) -> None:
    assert may_embed(SOURCES, origin) is may


def test_a_star_is_every_site_and_no_sandbox() -> None:
    assert may_embed("'self' *", "https://evil.example")
    assert not may_embed("'self' *", "null")


def test_ourselves_are_no_other_site() -> None:
    assert origins("'self'") == ()
    assert origins("'self' https://a.example *") == ("https://a.example", "*")


# The badge


def test_badge_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    text = (ROOT / "tmpnb" / "web" / "static" / "badge.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 - our own file
    assert root.get("aria-label") == "launch notebook"
    assert re.findall(r"href|url\(|@import|<style|<script", text) == []
    assert len(text) < 1_000

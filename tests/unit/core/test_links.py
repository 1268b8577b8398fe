"""Deep links: kept as the browser sent them, and never leading out of the server."""

from __future__ import annotations

import pytest

from tmpnb.core import links
from tmpnb.core.links import LONGEST, PAGES, BadLinkError, Link
from tmpnb.settings import checks

TOKEN = "t0k3n"

# What stands in the request line when a browser opens these, and what they are called.
UNICODE = ["tree/%C3%A9t%C3%A9/%E6%97%A5%E6%9C%AC.ipynb", "notebooks/%F0%9F%93%93.ipynb"]
NAMES = [
    "notebooks/Plain.ipynb",
    "notebooks/two%20words.ipynb",
    "notebooks/C%23%20and%20why%3F.ipynb",
    "notebooks/50%25%20off.ipynb",
    *UNICODE,
    "notebooks/a+b&c=d;e,f.ipynb",
    "notebooks/it's(1)!.ipynb",
    "notebooks/data[1].ipynb",  # browsers leave brackets, | and ^ as they are
    "notebooks/a|b^c.ipynb",
    "files/~user/@x:y$z*.csv",
    "lab/tree/%2Fetc%2Fhosts",
    "files/..hidden/...dots/a..b",
    "tree/.config/x",
    "lab/workspaces/auto-k/tree/x.ipynb",
    "doc/tree/100%.ipynb",
    "tree/%FF%FE",
]


@pytest.mark.parametrize(
    "name", NAMES, ids=lambda name: f"unicode {name}" if name in UNICODE else name
)
def test_path_is_kept_to_the_letter(name: str) -> None:
    """O3: names were decoded and put raw into Location."""
    link = links.parse(f"/{name}", "")
    assert link == Link(name, "")
    assert link.suffix == f"/{name}"
    assert links.on_server("abc", link, TOKEN) == f"/user/abc/{name}?token={TOKEN}"


@pytest.mark.parametrize(
    "query",
    [
        "a=1&b=2",
        "b=2&a=1&a=3",
        "path=a%2Fb%20c+d&x",
        "repo=https%3A%2F%2Fgithub.com%2Fa%2Fb&urlpath=lab%2Ftree%2Fb",
        "repo=https://github.com/a/b?x=[1|2]{3}",
        "q=%26token%3Dx",
        "tokens=1&mytoken=2&Token=3&token2=4",
        "q=a^b`c\\d",  # browsers leave these as they are in a query
        "q=%F0%9F%93%93%23",
        "a=b=c==",
        "a;b;c",
    ],
)
def test_query_is_kept_to_the_letter(query: str) -> None:
    """O2: the original dropped it."""
    link = links.parse("/lab", query)
    assert link.query == query
    assert links.on_server("abc", link, TOKEN) == f"/user/abc/lab?{query}&token={TOKEN}"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("token=old", ""),
        ("token", ""),
        ("token=", ""),
        ("a=1&token=old&b=2", "a=1&b=2"),
        ("token=1&a=1&token=2", "a=1"),
        ("%74oken=old&a=1", "a=1"),
        ("tok%65n=old", ""),
        ("&&a=1&", "a=1"),
    ],
)
def test_token_of_another_server_is_taken_out(query: str, kept: str) -> None:
    link = links.parse("/lab", query)
    assert link.query == kept
    assert links.on_server("abc", link, TOKEN).count("old") == 0


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_no_path_is_no_page(path: str) -> None:
    assert links.parse(path, "") == Link()
    assert links.parse(path, "").suffix == ""
    assert links.on_server("abc", Link(), TOKEN) == f"/user/abc/?token={TOKEN}"


def test_query_alone_is_kept() -> None:
    assert links.parse("/", "x=1").suffix == "?x=1"


@pytest.mark.parametrize(
    "path",
    ["//evil.example/lab", "///evil.example", "/%2Fevil.example", "/https://evil.example/"],
)
def test_other_sites_become_files_of_that_name(path: str) -> None:
    address = links.on_server("abc", links.parse(path, ""), TOKEN)
    assert address.startswith("/user/abc/")
    assert not links.parse(path, "").suffix.startswith("//")


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../",
        "/../../user/other/lab",
        "/lab/../../other",
        "/lab/..",
        "/.",
        "/./lab",
        "/lab/./x",
        "/%2e%2e/other",
        "/%2E%2E/other",
        "/.%2e/other",
        "/%2e./other",
        "/%2e",
        "/lab%2F..%2F..%2Fother",
        "/..%2fother",
        "/lab/..%5Cother",
        "/%5Cevil.example",
        "/%5c%5cevil.example",
        "/\\evil.example",
        "/lab\\..\\other",
    ],
)
def test_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(BadLinkError):
        links.parse(path, "")


@pytest.mark.parametrize(
    "path",
    ["/a\r\nSet-Cookie: x=1", "/a%0d%0aSet-Cookie:%20x", "/a%0A", "/%00", "/a%7F", "/a%09b"],
)
def test_path_with_control_characters_is_refused(path: str) -> None:
    with pytest.raises(BadLinkError):
        links.parse(path, "")


@pytest.mark.parametrize("path", ["/a b", "/é", "/a#b", "/a?b", "/a<b>", '/a"b', "/a{b}", "/a`b"])
def test_path_that_no_browser_sends_is_refused(path: str) -> None:
    with pytest.raises(BadLinkError, match="not percent-encoded"):
        links.parse(path, "")


@pytest.mark.parametrize(
    "query", ["a b", "é", "a#b", "<script>", 'a="b"', "a\r\nX: 1", "a\nb", "a\tb", "a\x00"]
)
def test_query_that_no_browser_sends_is_refused(query: str) -> None:
    with pytest.raises(BadLinkError, match="not percent-encoded"):
        links.parse("/lab", query)


def test_length_has_a_limit() -> None:
    longest = "/" + "x" * (LONGEST - 1)
    assert len(links.parse(longest, longest[1:]).path) == LONGEST - 1
    with pytest.raises(BadLinkError, match=f"longer than {LONGEST} characters"):
        links.parse(longest + "xx", "")
    with pytest.raises(BadLinkError, match=f"longer than {LONGEST} characters"):
        links.parse("/lab", "x" * (LONGEST + 1))


def test_hostile_length_is_refused_before_anything_else() -> None:
    with pytest.raises(BadLinkError, match="longer"):
        links.parse("/" + "%2e" * 1_000_000, "&" * 1_000_000)


def test_bad_link_says_what_is_wrong_in_one_line() -> None:
    for path in ("/a b", "/..", "/a%0a", "/" + "x" * 9999):
        with pytest.raises(BadLinkError) as caught:
            links.parse(path, "")
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("the link ")


# The landing page


def test_visitor_without_a_page_lands_on_the_operators() -> None:
    assert links.landing(Link(), "/lab") == Link("lab")
    assert links.landing(Link(), "/") == Link()


def test_visitor_with_a_page_lands_there() -> None:
    wanted = Link("tree/x", "a=1")
    assert links.landing(wanted, "/lab?reset") is wanted


def test_queries_of_visitor_and_operator_are_joined() -> None:
    assert links.landing(Link("", "a=1"), "/lab?reset&b=2") == Link("lab", "reset&b=2&a=1")
    assert links.landing(Link("", "a=1"), "/lab") == Link("lab", "a=1")


def test_landing_page_is_not_encoded_twice() -> None:
    default = "/doc/tree/two%20words[1].ipynb?x=%20"
    assert links.landing(Link(), default) == Link("doc/tree/two%20words[1].ipynb", "x=%20")


def test_token_in_the_operators_landing_page_is_taken_out() -> None:
    assert links.landing(Link(), "/lab?token=old&x=1") == Link("lab", "x=1")


def test_every_landing_page_that_the_settings_let_pass_can_be_landed_on() -> None:
    for name in NAMES:
        assert links.landing(Link(), checks.redirect_uri(f"/{name}?a=1")) == Link(name, "a=1")


# Notebook 7's redirects, which drop the token


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("tree/x.py", "x.py"),
        ("tree/folder/two%20words.csv", "folder/two%20words.csv"),
        ("notebooks/folder", "folder"),
        ("tree/folder", "folder"),
        ("tree/x.ipynb", None),
        ("notebooks/x.ipynb", None),
        ("tree", None),
        ("tree/", None),
        ("notebooks/", None),
        ("lab/tree/x.py", None),
        ("files/x.py", None),
        ("treehouse/x.py", None),
        ("", None),
    ],
)
def test_what_has_to_be_asked_about(path: str, file: str | None) -> None:
    assert links.contents_path(Link(path, "a=1")) == file


@pytest.mark.parametrize(
    ("path", "kind", "place"),
    [
        ("tree/x.ipynb", None, "notebooks/x.ipynb"),
        ("tree/a/x.ipynb", None, "notebooks/a/x.ipynb"),
        ("tree/x.md", "notebook", "notebooks/x.md"),  # text that opens as a notebook
        ("tree/x.py", "file", "edit/x.py"),
        ("tree/a%20b/x.py", "file", "edit/a%20b/x.py"),
        ("tree/folder", "directory", "tree/folder"),
        ("tree/missing", None, "tree/missing"),
        ("tree", None, "tree"),
        ("tree", "directory", "tree"),
        ("notebooks/folder", "directory", "tree/folder"),
        ("notebooks/x.ipynb", None, "notebooks/x.ipynb"),
        ("notebooks/x.py", "file", "notebooks/x.py"),
        ("lab/tree/x.ipynb", None, "lab/tree/x.ipynb"),
        ("files/x.ipynb", "notebook", "files/x.ipynb"),
        ("edit/x.py", "file", "edit/x.py"),
        ("", None, ""),
    ],
)
def test_visitor_is_sent_where_the_redirect_would_have_led(
    path: str, kind: str | None, place: str
) -> None:
    assert links.resolved(Link(path, "a=1"), kind) == Link(place, "a=1")


def test_pages_of_the_original_can_be_linked_to() -> None:
    """O4: only these three; /lab and the others were 404."""
    assert {"notebooks", "tree", "files"} < set(PAGES)
    assert {"lab", "edit", "doc"} < set(PAGES)

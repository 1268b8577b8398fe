"""Whatever is asked for, a link that is accepted stays on the server it was made for."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote, unquote, urljoin, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tmpnb.core import links
from tmpnb.core.links import BadLinkError, Link

patient = settings(deadline=None)  # the machine it runs on may be slow

HOME = "/user/abc/"
ORIGIN = "https://hub.example"

# Pieces that an attacker would put together; the last few no link may have.
PIECES = st.sampled_from([
    "/", "//", ".", "..", "...", "%2e", "%2E", "%2f", "%5c", "%25", "%", ";", "@", ":", "&",
    "=", "token=", "%74oken", "lab", "user", "evil.example", "http:", "%c0%ae", "%C3%A9",
    "%00", "[", "]", "|", "^", "+", "%u002e", "tree/", ".ipynb",
])  # fmt: skip
JUNK = st.sampled_from([" ", "\r\n", "\t", "\\", "?", "#", "é", '"', "<"]) | st.text(max_size=2)
MOSTLY_FINE = st.lists(PIECES, max_size=8).map("".join)
TEXT = MOSTLY_FINE | st.lists(PIECES | JUNK, max_size=8).map("".join)
NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: name.isprintable() and name.strip(".") and not set(name) & set("/\\")
)


def accepted(path: str, query: str) -> Link | None:
    try:
        return links.parse(path, query)
    except BadLinkError:
        return None


def as_browsers_read(location: str) -> str:
    """Return the path a browser asks for: tabs dropped, `\\` a slash, dots resolved."""
    cleaned = re.sub(r"[\t\r\n]", "", location.strip(" \x00\x1f"))
    path, question, rest = cleaned.partition("?")
    path = re.sub(r"%2e", ".", path.replace("\\", "/"), flags=re.IGNORECASE)
    assert not path.startswith("//"), "a browser would go to another host"
    there = urlsplit(urljoin(f"{ORIGIN}/spawn/x/y", path + question + rest))
    assert f"{there.scheme}://{there.netloc}" == ORIGIN
    return there.path


def normalised(path: str) -> str:
    """Return a path without dots and double slashes, as a file system reads it."""
    slash = "/" if path.endswith("/") else ""
    return posixpath.normpath(path.replace("\\", "/")).replace("//", "/").rstrip("/") + slash


@patient
@given(path=TEXT, query=TEXT)
@example(path="/%2e%2e/%2e%2e/evil", query="")
@example(path="/lab/..%2f..%2f", query="")
@example(path="/\\evil.example", query="")
@example(path="//evil.example", query="token=x")
def test_accepted_link_stays_below_its_server(path: str, query: str) -> None:
    link = accepted(path, query)
    if link is None:
        return  # refused, which is always safe
    location = links.on_server("abc", link, "secret")
    assert location.startswith(HOME)
    read = as_browsers_read(location)
    assert read.startswith(HOME)
    assert normalised(read).startswith(HOME)
    assert normalised(unquote(read)).startswith(HOME)  # a server that decodes, then resolves


@patient
@given(path=TEXT, query=TEXT)
def test_accepted_link_is_one_plain_header_value(path: str, query: str) -> None:
    link = accepted(path, query)
    if link is None:
        return  # refused, which is always safe
    location = links.on_server("abc", link, "secret")
    assert location.isascii()
    assert location.isprintable()
    assert not set(location) & set(' "<>#')


@patient
@given(path=TEXT, query=TEXT)
def test_servers_own_token_is_the_only_one(path: str, query: str) -> None:
    link = accepted(path, query)
    if link is None:
        return  # refused, which is always safe
    asked = links.on_server("abc", link, "secret").partition("?")[2]
    names = [unquote(part.partition("=")[0]) for part in asked.split("&")]
    assert names.count("token") == 1
    assert asked.endswith("token=secret")


@patient
@given(path=TEXT, query=TEXT)
def test_parsing_twice_changes_nothing_more(path: str, query: str) -> None:
    """The loading page hands the link on to /spawn, which reads it again."""
    link = accepted(path, query)
    if link is None:
        return  # refused, which is always safe
    again = link.suffix.partition("?")
    assert links.parse(again[0], again[2]) == link


@patient
@given(names=st.lists(NAMES, min_size=1, max_size=4))
def test_every_name_that_a_file_can_have_is_accepted(names: list[str]) -> None:
    """As a browser or `encodeURIComponent` writes it."""
    path = "notebooks/" + "/".join(quote(name, safe="!'()*~") for name in names)
    link = links.parse(f"/{path}", "")
    assert unquote(link.path) == "notebooks/" + "/".join(names)


@patient
@given(path=TEXT, kind=st.sampled_from([None, "file", "notebook", "directory"]))
def test_resolved_link_can_be_accepted_and_keeps_its_file(path: str, kind: str | None) -> None:
    link = accepted(f"/{path}", "a=1")
    if link is None:
        return  # refused, which is always safe
    place = links.resolved(link, kind)
    assert place.query == "a=1"
    assert accepted(f"/{place.path}", place.query) == place
    assert place.path.partition("/")[2] == link.path.partition("/")[2]

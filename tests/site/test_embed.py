"""What authors are served over HTTP, and how an article asks for its reader's server."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from tornado.escape import xhtml_unescape

from tests.support.running_site import HTML, SCRIPT, Running

pytestmark = pytest.mark.gen_test(timeout=30)

JOURNAL = "https://journal.example"
FRAMING = {"frame_ancestors": f"'self' {JOURNAL}"}


async def test_page_shows_what_to_paste_with_the_public_address(running: Running) -> None:
    answer = await running.public(public_url="https://tmp.test")("/embed", headers=HTML)
    text = xhtml_unescape(answer.body)
    assert answer.code == 200
    assert '<div data-tmpnb="https://tmp.test/" data-title="Live notebook">' in text
    assert '<iframe src="https://tmp.test/"' in text
    assert running.taken == 0


async def test_address_is_the_visitors_own_without_a_public_one(running: Running) -> None:
    headers = HTML | {"Host": "seen.test", "X-Forwarded-Proto": "https,http"}
    answer = await running.public()("/embed/?path=lab&height=300", headers=headers)
    text = xhtml_unescape(answer.body)
    assert '<div data-tmpnb="https://seen.test/lab" data-title="Live notebook"' in text
    assert 'data-height="300"' in text


async def test_what_was_typed_stays_and_what_is_wrong_is_said(running: Running) -> None:
    answer = await running.public()("/embed?path=%3Cb%3Ex&title=A%20B&height=9", headers=HTML)
    assert answer.code == 400
    assert b'value="&lt;b&gt;x"' in answer.body
    assert b'value="A B"' in answer.body
    assert b"Path: begin with one of" in answer.body


async def test_page_says_who_may_embed_and_warns_when_nobody_may(running: Running) -> None:
    nobody = (await running.public()("/embed", headers=HTML)).body
    assert b"No other site may show notebooks" in nobody
    assert b"--embed-origins" in nobody
    somebody = (await running.public(**FRAMING)("/embed", headers=HTML)).body
    assert JOURNAL.encode() in somebody
    assert b"No other site" not in somebody
    everybody = (await running.public(frame_ancestors="'self' *")("/embed", headers=HTML)).body
    assert b"any site" in everybody


async def test_page_warns_when_it_is_not_on_https(running: Running) -> None:
    warning = b"This service is not on https"
    assert warning in (await running.public()("/embed", headers=HTML)).body
    fetch = running.public(public_url="https://tmp.test")
    assert warning not in (await fetch("/embed", headers=HTML)).body


@pytest.mark.parametrize(
    ("path", "kind", "age"),
    [("/badge.svg", "image/svg+xml", 86_400), ("/embed.js", "text/javascript", 3600)],
)
async def test_what_other_sites_load_may_be_kept_by_anybody(
    running: Running, path: str, kind: str, age: int
) -> None:
    fetch = running.public()
    answer = await fetch(path)
    assert answer.code == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.headers["Cache-Control"] == f"public, max-age={age}"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    again = await fetch(path, headers={"If-None-Match": answer.headers["Etag"]})
    assert again.code == 304
    assert (await fetch(path, method="HEAD")).code == 200


@pytest.mark.parametrize(
    ("pages", "allowed"),
    [
        ([JOURNAL], True),
        ([f"{JOURNAL}:443"], True),
        (["https://tmp.test"], True),
        ([JOURNAL, "https://tmp.test"], True),
        (["https://evil.example"], False),
        (["http://journal.example"], False),
        ([JOURNAL, "https://evil.example"], False),  # around it
        (["null"], False),
        ([""], False),
        (["https://journal.example" + "x" * 10_000], False),
        ([JOURNAL] * 17, False),
    ],
)
async def test_a_page_is_told_whether_it_may_show_notebooks(
    running: Running, pages: list[str], allowed: bool
) -> None:
    fetch = running.public(public_url="https://tmp.test", **FRAMING)
    query = urlencode([("page", page) for page in pages])
    answer = await fetch(f"/api/embed?{query}", headers={"Origin": pages[0]})
    assert answer.code == 200
    assert json.loads(answer.body) == {"allowed": allowed, "sites": [JOURNAL]}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert running.taken == 0


async def test_where_any_site_may_show_notebooks_each_is_told_so(running: Running) -> None:
    fetch = running.public(frame_ancestors="'self' *")
    answer = await fetch("/api/embed?page=https%3A%2F%2Fany.example")
    assert json.loads(answer.body) == {"allowed": True, "sites": ["*"]}


@pytest.mark.parametrize("path", ["/embed", "/badge.svg", "/embed.js", "/api/embed"])
async def test_where_programs_alone_take_servers_there_is_nothing_to_embed(
    running: Running, path: str
) -> None:
    assert (await running.public(api_token="t")(path)).code == 404


async def test_pages_that_lead_to_a_notebook_know_who_may_frame_them(running: Running) -> None:
    answer = await running.public(**FRAMING)("/lab", headers=HTML)
    assert b'data-parents="&#x27;self&#x27; https://journal.example"' in answer.body


# The article asks whether its reader's server is still there


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(JOURNAL, JOURNAL), ("https://evil.example", None), ("null", None), ("", None)],
)
async def test_articles_that_may_embed_may_ask_for_a_server(
    running: Running, origin: str, allowed: str | None
) -> None:
    fetch = running.public(**FRAMING)
    taken = json.loads((await fetch("/api/spawn", method="POST", headers=SCRIPT)).body)
    path, headers = f"/api/servers/{taken['id']}", {"Origin": origin} if origin else {}
    preflight = await fetch(path, method="OPTIONS", headers=headers)
    assert preflight.code == 204
    assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
    asked = headers | {"Authorization": f"token {taken['token']}"}
    answer = await fetch(path, headers=asked)
    assert answer.code == 200
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    if allowed:
        assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Vary"] == "Origin"
    refused = await fetch(path, headers=headers)
    assert refused.code == 401
    assert refused.headers.get("Access-Control-Allow-Origin") == allowed

"""Origins are compared as browsers compare them, and the public URL is always ours."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import HTML, Fetch, Running
from tmpnb.core.origins import canonical, is_at, source
from tmpnb.settings import checks
from tmpnb.web import cors
from tmpnb.web.asked import intent
from tmpnb.web.embedding import may_embed

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://nb.example", "http://nb.example"),
        ("http://nb.example:80", "http://nb.example"),
        ("http://nb.example:0080", "http://nb.example"),
        ("https://nb.example:443", "https://nb.example"),
        ("https://nb.example:80", "https://nb.example:80"),
        ("HTTP://NB.example:8000", "http://nb.example:8000"),
        ("https://[2001:db8:0:0::1]:443", "https://[2001:db8::1]"),
        ("https://[1:2]", "https://[1:2]"),
        ("null", ""),
        ("", ""),
        ("nb.example", ""),
        ("https://nb.example/", ""),
        ("https://me@nb.example", ""),
        ("https://nb.example:", ""),
        ("https://nb.example\n", ""),
        ("http://[", ""),
        ("file://", ""),
        ("http://\u212aelvin.example", ""),
        ("\xa0http://nb.example", ""),
        ("http://nb.example:\u0668\u0660", ""),
    ],
)
def test_an_origin_has_one_spelling(text: str, said: str) -> None:
    assert canonical(text) == said


@pytest.mark.parametrize(
    ("origin", "host", "is_so"),
    [
        ("http://nb.example", "nb.example:80", True),
        ("http://nb.example:80", "nb.example", True),
        ("http://nb.example", "NB.Example", True),
        ("https://nb.example", "nb.example:443", True),
        ("https://nb.example", "nb.example", True),
        ("https://nb.example:8000", "nb.example:8000", True),
        ("http://[::1]", "[::1]:80", True),
        ("http://[::1]:80", "[0:0::1]", True),
        ("http://nb.example", "nb.example:443", False),
        ("https://nb.example", "nb.example:80", False),
        ("http://nb.example", "nb.example:8080", False),
        ("http://nb.example:8080", "nb.example", False),
        ("http://nb.example.evil.example", "nb.example:80", False),
        ("http://x.nb.example", "nb.example:80", False),
        ("http://nb.example", "", False),
        ("http://nb.example", "nb.example:", False),
        ("http://nb.example", "nb.example:80:80", False),
        ("http://nb.example", "me@nb.example", False),
        ("null", "null", False),
        ("http://\u212aelvin.example", "kelvin.example", False),
        ("http://nb.example", "\xa0nb.example", False),
        ("http://kelvin.example", "\u212aelvin.example", False),
        ("", "", False),
    ],
)
def test_a_page_is_at_the_host_that_is_asked(origin: str, host: str, is_so: bool) -> None:
    assert is_at(origin, host) is is_so


@pytest.mark.parametrize(
    ("origin", "public_url", "own"),
    [
        ("https://nb.example", "https://nb.example", True),
        ("https://nb.example", "https://nb.example:443", True),
        ("https://nb.example", "HTTPS://NB.example", True),
        ("https://nb.example:8443", "https://nb.example:8443", True),
        ("http://nb.example", "https://nb.example", False),
        ("https://nb.example", "https://nb.example:8443", False),
        ("https://evil.example", "https://nb.example", False),
        ("null", "https://nb.example", False),
        ("null", "", False),
        ("https://nb.example", "", False),
    ],
)
def test_the_public_url_is_ours_whatever_host_a_proxy_asks(
    origin: str, public_url: str, own: bool
) -> None:
    for host in ("127.0.0.1:8000", "backend", ""):
        headers = {"Origin": origin, "Host": host}
        assert intent.is_own_page(headers, public_url) is own
        script = headers | {"Sec-Fetch-Dest": "empty"}
        assert intent.may_take(script, public_url) is own
        told = headers | {"Sec-Fetch-Site": "cross-site"}
        assert not intent.is_own_page(told, public_url), "a browser that says it knows better"


async def everywhere(running: Running, fetch: Fetch, **headers: str) -> list[HTTPResponse]:
    """Ask all that only our own page may ask."""
    server = await running.world.orchestrator.claims.claim()
    token = running.world.orchestrator.token_for(server.id)
    form = HTML | {"Content-Type": "application/x-www-form-urlencoded"} | headers
    keep = urlencode({"token": token, "do": "keep"})
    return [
        await fetch("/spawn/lab", method="POST", headers=form, body=""),
        await fetch("/api/spawn", method="POST", headers=form, body=""),
        await fetch(f"/session/{server.id}", method="POST", headers=form, body=keep),
    ]


@pytest.mark.parametrize(
    ("host", "origin"),
    [("nb.example:80", "http://nb.example"), ("nb.example:443", "https://nb.example")],
)
async def test_a_host_with_its_own_port_is_ours(running: Running, host: str, origin: str) -> None:
    answers = await everywhere(running, running.public(), Host=host, Origin=origin)
    assert [a.code for a in answers] == [303, 200, 303]


async def test_behind_a_proxy_that_asks_another_host_pages_work(running: Running) -> None:
    fetch = running.public(public_url="https://nb.example")
    own = {"Host": "127.0.0.1:8000", "Origin": "https://nb.example"}
    assert [a.code for a in await everywhere(running, fetch, **own)] == [303, 200, 303]


async def test_a_foreign_page_gets_nothing_there(running: Running) -> None:
    fetch = running.public(public_url="https://nb.example")
    for origin in ("https://evil.example", "http://nb.example", "https://nb.example:444", "null"):
        found = await everywhere(running, fetch, Host="127.0.0.1:8000", Origin=origin)
        assert [a.code for a in found] == [403, 403, 403]
        for server in list(running.world.pool.servers.values()):
            if running.world.orchestrator.claims.live(server.id):
                running.world.orchestrator.claims.close(server)
        await running.world.until_ready(3)


@pytest.mark.parametrize("given", ["https://nb.example:443", "https://NB.example"])
def test_an_allowed_origin_is_one_in_any_spelling(given: str) -> None:
    one, several = ({"allow_origin": o} for o in (given, f"{given},https://other.example"))
    for values in (one, several):
        allowed = cors.cors(values)
        assert allowed.names("https://nb.example")
        assert not allowed.names("http://nb.example")
        told = allowed.headers("https://nb.example", preflight=False)
        assert told["Access-Control-Allow-Origin"] == "https://nb.example"


@pytest.mark.parametrize(
    ("given", "page", "may"),
    [
        ("https://nb.example:443", "https://nb.example", True),
        ("http://nb.example:80", "http://nb.example", True),
        ("http://nb.example:80", "https://nb.example", True),
        ("https://*.example:443", "https://nb.example", True),
        ("https://nb.example:80", "https://nb.example", False),
        ("http://nb.example:443", "http://nb.example", False),
        ("https://nb.example:4443", "https://nb.example", False),
    ],
)
def test_a_source_with_its_own_port_may_embed(given: str, page: str, may: bool) -> None:
    assert may_embed(f"'self' {given}", page) is may
    assert may_embed(checks.frame_ancestors(given), page) is may


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://nb.example:443", "https://nb.example"),
        ("http://NB.example:80", "http://nb.example"),
        ("https://nb.example:80", "https://nb.example:80"),
        ("https://*.nb.example:*", "https://*.nb.example:*"),
        ("http://[fe80::80]", "http://[fe80::80]"),
        ("*", "*"),
    ],
)
def test_a_source_is_written_without_its_own_port(given: str, said: str) -> None:
    assert source(given) == said
    assert checks.frame_ancestors(given) == f"'self' {said}"


def test_scripts_of_a_source_with_its_own_port_may_ask_notebooks() -> None:
    pattern = checks.script_origins("'self'", "https://nb.example:443")
    assert re.match(pattern, "https://nb.example")
    assert not re.match(pattern, "https://nb.example:444")

"""Whatever is sent to any address, the answer keeps the rules and the pool is unharmed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from tests.support.fuzz_inputs import (
    ADMIN,
    BODIES,
    BOUNDED,
    FORM,
    HEADERS,
    KINDS,
    METHODS,
    ODDITIES,
    PAGE,
    PUBLIC,
    SCRIPT,
    addresses,
    requests,
    secret_pairs,
)
from tests.support.fuzzed_site import ADMIN_TOKEN, PUBLIC_URL, SITES, FuzzedSite, Page, is_here
from tests.support.raw_http import Request
from tmpnb.system.http.listen import LARGEST_BODY

EXAMPLES = 60  # of each property and site


@pytest.fixture(params=list(SITES))
def site(request: pytest.FixtureRequest, io_loop: IOLoop) -> Iterator[FuzzedSite]:
    made = FuzzedSite(request.param, io_loop)
    yield made
    made.close()


with_pages = pytest.mark.parametrize("site", ["open", "framed", "strict"], indirect=True)
two_sites = pytest.mark.parametrize("site", ["strict", "guarded"], indirect=True)


@pytest.fixture(params=["open", "guarded"])
def admin(request: pytest.FixtureRequest, io_loop: IOLoop) -> Iterator[FuzzedSite]:
    made = FuzzedSite(request.param, io_loop, admin=True)
    yield made
    made.close()


def each_keeps_the_rules(site: FuzzedSite, drawn: st.SearchStrategy[Request]) -> None:
    @settings(BOUNDED, max_examples=EXAMPLES)
    @given(drawn)
    def holds(request: Request) -> None:
        site.ask(request)

    holds()
    site.check_unharmed()


# Everything at once


def test_any_request_to_the_site_is_answered_by_the_rules(site: FuzzedSite) -> None:
    each_keeps_the_rules(site, requests(site, PUBLIC))


def test_any_request_to_the_admin_port_is_answered_by_the_rules(admin: FuzzedSite) -> None:
    each_keeps_the_rules(admin, requests(admin, ADMIN))


# One after the other


@two_sites
def test_every_method_of_every_address_is_answered_by_the_rules(site: FuzzedSite) -> None:
    for target in addresses(site, PUBLIC):
        for method in METHODS:
            answer = site.ask(Request(method, target, PAGE))
            assert answer is not None, (method, target)
            if method in (b"TRACE", b"BREW"):
                assert answer.status == 405
            if method == b"OPTIONS":
                assert answer.status == 204
    site.check_unharmed()


@two_sites
def test_every_oddity_behind_every_address_is_answered_by_the_rules(site: FuzzedSite) -> None:
    for target in (b"", b"/lab", b"/spawn/user/x", b"/invite", b"/embed?path=", b"/session/x",
                   b"/static", b"/hub/user-redirect", b"/user/x", b"/wait",
                   b"/proxy-error/404?url=", b"/session/x?token=", b"/api/servers"):  # fmt: skip
        for odd in ODDITIES:
            site.ask(Request(b"GET", target + odd, PAGE))
    site.check_unharmed()


def test_every_odd_header_is_answered_by_the_rules(site: FuzzedSite) -> None:
    for target in (b"/", b"/embed", b"/api/servers/x", b"/session/x", b"/static/tmpnb.css"):
        for header in (*HEADERS, *secret_pairs(site)):
            site.ask(Request(b"GET", target, [*PAGE, header]))
    site.check_unharmed()


@two_sites
def test_every_odd_body_of_any_type_is_answered_by_the_rules(site: FuzzedSite) -> None:
    for number, body in enumerate(BODIES):
        for target in (b"/spawn", b"/api/spawn", b"/session/" + site.claimed.encode()):
            kind = (b"Content-Type", KINDS[number % len(KINDS)])
            for header in (kind, FORM):
                site.ask(Request(b"POST", target, [*PAGE, header], body))
    site.check_unharmed()


def test_every_odd_body_to_the_admin_port_is_answered_by_the_rules(admin: FuzzedSite) -> None:
    told = [(b"Authorization", b"token " + ADMIN_TOKEN.encode())]
    for body in BODIES:
        for method, target in ((b"POST", b"/api/pool"), (b"PUT", b"/api/announcement")):
            answer = admin.ask(Request(method, target, told, body))
            assert answer is not None
            assert answer.status in (200, 400, 409)
            page = admin.ask(Request(b"GET", b"/nothing", PAGE))  # an announcement stands on it
            assert page is not None
            assert page.status == 404
    admin.check_unharmed()


# Sizes


@two_sites
def test_a_body_is_not_kept_beyond_the_limit(site: FuzzedSite) -> None:
    large = b"a" * (LARGEST_BODY + 1)
    chunked = b"".join(b"%x\r\n%s\r\n" % (60_000, b"a" * 60_000) for _ in range(20)) + b"0\r\n\r\n"
    for target in (b"/spawn", b"/api/spawn", b"/nothing", b"/session/x"):
        whole = site.ask(Request(b"POST", target, [*PAGE, FORM], large))
        assert whole is None or (whole.status, whole.headers) == (400, [])
        pieces = [*PAGE, FORM, (b"Transfer-Encoding", b"chunked")]
        answer = site.ask(Request(b"POST", target, pieces, chunked))
        assert answer is None or (answer.status, answer.headers) == (400, [])
    site.check_unharmed()


def test_a_large_save_into_a_server_that_has_ended_is_told_so(site: FuzzedSite) -> None:
    large = b"a" * (LARGEST_BODY + 1)
    answer = site.ask(Request(b"PUT", b"/user/gone/api/contents/x.ipynb", SCRIPT, large))
    assert answer is not None
    assert answer.status == 410
    assert json.loads(answer.body)["error"]["code"] == "server_ended"


# The rules themselves


ELSEWHERE = (
    "//evil", "/\\evil", "/\t/evil", "https://evil.example/", "evil", "javascript:x",
    f"{PUBLIC_URL}.evil.example/",
)  # fmt: skip
HOSTILE = (
    "<script>1</script>", "<a onclick=x>", "<style>", "<p style=x>", "<base href=/x>",
    "<script src=//evil.example/x.js>",
)  # fmt: skip


@pytest.mark.parametrize("location", ELSEWHERE)
def test_rules_see_what_leads_elsewhere(location: str) -> None:
    assert not is_here(location)
    assert is_here("/spawn")
    assert is_here(f"{PUBLIC_URL}/spawn")


@pytest.mark.parametrize("text", HOSTILE)
def test_rules_see_what_a_page_may_not_have(text: str) -> None:
    page = Page()
    page.feed(text)
    assert page.problems

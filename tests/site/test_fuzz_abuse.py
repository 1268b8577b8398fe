"""No request leads a visitor elsewhere, opens what is another's, or speaks for the operator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support.fuzz_inputs import FORM, HEADERS, ODDITIES, PAGE
from tests.support.fuzzed_site import PUBLIC_URL, SITES, FuzzedSite, Page
from tests.support.raw_http import Pair, Request

TEMPLATES = Path(__file__).parents[2] / "tmpnb" / "web" / "templates"


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


# Redirects


def test_what_leads_elsewhere_never_gets_into_a_redirect(site: FuzzedSite) -> None:
    """All redirects that there are, with each oddity in all places that they are made from."""
    redirects = 0
    invite, token = site.invite.encode(), site.token.encode()
    for odd in ODDITIES:
        for method, target in (
            (b"GET", b"/invite" + odd + b"?token=" + invite),
            (b"GET", b"/invite/lab" + odd + b"?token=" + invite + b"&next=" + odd),
            (b"POST", b"/spawn" + odd),
            (b"GET", b"/session/" + site.claimed.encode() + b"?a=" + odd + b"&token=" + token),
        ):
            answer = site.ask(Request(method, target, site.welcome_back))
            redirects += answer is not None and answer.one("Location") != ""
    assert redirects > (20 if "api_token" in site.changes else 100)
    site.check_unharmed()


# Hosts


def test_a_forged_host_stays_with_the_one_who_forged_it(site: FuzzedSite) -> None:
    """No answer that a cache may keep has it, and with a public URL none has it at all."""
    for host in (value for name, value in HEADERS if name == b"Host"):
        check_forged(site, host)
    site.check_unharmed()


def check_forged(site: FuzzedSite, host: bytes) -> None:
    told = [*PAGE, (b"Host", host), (b"X-Forwarded-Host", host)]
    for target in (b"/", b"/embed", b"/embed.js", b"/api/openapi.json", b"/info", b"/terms",
                   b"/static/tmpnb.css", b"/nothing", b"/session/x", b"//" + host):  # fmt: skip
        answer = site.ask(Request(b"GET", target, told))
        assert answer is not None
        if "public_url" in site.changes:
            assert b"evil.example" not in answer.body or target == b"//" + host
    taken = site.ask(Request(b"POST", b"/api/spawn", [*told, *site.api]))
    assert taken is not None
    if taken.status == 200 and "public_url" in site.changes:
        assert json.loads(taken.body)["url"].startswith(f"{PUBLIC_URL}/user/")


def test_an_absolute_target_is_no_address_of_ours(site: FuzzedSite) -> None:
    for target in (b"http://evil.example/", b"//evil.example/lab", b"/\\evil.example", b"*"):
        for method in (b"GET", b"POST"):
            answer = site.ask(Request(method, target, PAGE))
            assert answer is not None
            assert answer.status == 404


# Cookies, tickets, passes, tokens


def broken(secret: str) -> Iterator[bytes]:
    """Yield what is nearly a secret."""
    yield from (secret[:-1].encode(), secret.encode() + b"0", secret[1:].encode(), b"." * 3)
    yield secret.swapcase().encode()
    flipped = "0" if secret[-1] != "0" else "1"
    yield (secret[:-1] + flipped).encode()
    yield secret.replace(".", "..").encode() if "." in secret else b"0" * len(secret)
    yield b"%s" % secret.encode().hex().encode()


@two_sites
def test_what_is_nearly_a_secret_opens_nothing(site: FuzzedSite) -> None:
    mine = site.claimed.encode()
    for near in (*broken(site.token), *ODDITIES[::4]):
        for headers in (
            [(b"Cookie", b"tmpnb-session=" + near)],
            [(b"Authorization", b"token " + near)],
        ):
            for target in (
                b"/session/" + mine,
                b"/session/" + mine + b"/files.zip",
                b"/api/servers/" + mine,
            ):
                answer = site.ask(Request(b"GET", target, headers))
                assert answer is not None
                assert answer.status in (400, 401, 403), target
        for target in (b"?token=", b"?arrival=9999999999.", b"?arrival="):
            answer = site.ask(Request(b"GET", b"/session/" + mine + target + near, PAGE))
            assert answer is not None
            assert answer.status in (400, 403) or (answer.status, near) == (405, b"")
    site.check_unharmed()


@with_pages
def test_a_cookie_that_is_not_ours_is_as_good_as_none(site: FuzzedSite) -> None:
    taken = site.running.taken
    for near in (*broken(site.visitor), *broken(site.invite), *ODDITIES[::4]):
        cookie = b"tmpnb-visitor=" + near + b"; tmpnb-pass=" + near + b"; tmpnb-terms=" + near
        headers = [*PAGE, (b"Cookie", cookie), (b"Origin", b"https://elsewhere.example"), FORM]
        answer = site.ask(Request(b"POST", b"/spawn", headers, b"ticket=" + near))
        assert answer is not None
        assert answer.status in (400, 403)
        answer = site.ask(Request(b"GET", b"/invite?token=" + near, PAGE))
        assert answer is not None
        assert answer.status in (400, 403)
        assert answer.all("Set-Cookie") == []
    for ticket in (b"x", b"1" * 64, b"-", b"_" * 22, site.claimed.encode()):
        answer = site.ask(Request(b"GET", b"/wait/" + ticket, PAGE))
        assert answer is not None
        assert answer.body == b"event: lost\ndata: {}\n\n"
    assert site.running.taken == taken
    site.check_unharmed()


# The admin port and the operator's browser


FOR_A_PAGE = (
    (b"Origin", b"https://evil.example"), (b"Origin", b"null"), (b"Sec-Fetch-Site", b"cross-site"),
    (b"Origin", b"http://site.example"), (b"Sec-Fetch-Site", b"same-site"),
)  # fmt: skip
WISHES = (
    (b"POST", b"/api/pool", b'{"image": "evil"}'), (b"DELETE", b"/api/pool", b""),
    (b"PUT", b"/api/announcement", b'{"text": "evil"}'), (b"DELETE", b"/api/announcement", b""),
    (b"PUT", b"/api/bans/192.0.2.0/24", b""), (b"DELETE", b"/api/servers/Ab12Cd34Ef56", b""),
    (b"POST", b"/admin/", b"do=drain"), (b"POST", b"/admin/login", b"token=x"),
)  # fmt: skip


@pytest.mark.parametrize("header", FOR_A_PAGE)
@pytest.mark.parametrize("admin", ["open"], indirect=True)
def test_a_page_in_the_operators_browser_changes_nothing(admin: FuzzedSite, header: Pair) -> None:
    for method, target, body in WISHES:
        headers = [header, (b"Content-Type", b"text/plain")]
        answer = admin.ask(Request(method, target, headers, body))
        assert answer is not None
        # Where the page is the operator's own, its forms lack the secret that it shows.
        is_form = target.startswith(b"/admin/") and header == (b"Origin", b"http://site.example")
        assert answer.status == (303 if is_form else 403)
    assert admin.site.notice.source == ""
    assert not any(server.drained for server in admin.running.world.pool.servers.values())
    assert not admin.site.operating.bans.since
    admin.check_unharmed()


# Pages


def test_a_file_of_a_page_is_kept_under_its_version_only(site: FuzzedSite) -> None:
    for target, kept in ((b"/static/tmpnb.css", "no-cache"), (b"/robots.txt", "no-cache"),
                         (b"/static/tmpnb.css?v=1", "max-age=")):  # fmt: skip
        answer = site.ask(Request(b"GET", target, PAGE))
        assert answer is not None
        assert answer.status == 200
        assert answer.one("Cache-Control").startswith(kept)


def test_every_link_of_an_error_page_leads_somewhere(site: FuzzedSite, admin: FuzzedSite) -> None:
    for asked in (site, admin):
        answer = asked.ask(Request(b"GET", b"/nothing", PAGE))
        assert answer is not None
        page = Page()
        page.feed(answer.body.decode())
        assert page.links
        for link in page.links:
            found = asked.ask(Request(b"GET", link.encode(), PAGE))
            assert found is not None
            assert found.status == 200, link


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_a_script_or_style_of_its_own(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"<style|<script(?![^>]* src=)|javascript:|\{% *raw|autoescape", text) == []
    assert re.findall(r"<[^>]*\s(?:style|on[a-z]+)\s*=", text) == []

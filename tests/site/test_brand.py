"""The operator's own look, texts, terms and announcement on every page, over HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.escape import xhtml_unescape
from tornado.httpclient import HTTPResponse

from tests.support.requirements import ROOT
from tests.support.running_site import HTML, PERSON, SCRIPT, Running
from tests.support.world import cookie_of, gate_of
from tmpnb.access.ties import TERMS as TERMS_KIND
from tmpnb.core.server import Phase
from tmpnb.web import brand, markup
from tmpnb.web.brand import Brand

pytestmark = pytest.mark.gen_test(timeout=20)

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TERMS = brand.terms("terms.txt", b"Be kind & <fair>.\n\nSee [us](https://us.example/).")
WITH_TERMS = Brand(terms=TERMS)
STATS = "https://stats.example"
COUNTED = Brand(analytics=brand.analytics(f"{STATS}/s.js", "data-site=7"))
PAGES = [
    "/",
    "/lab",
    "/info",
    "/embed",
    "/nothing",
    "/user/gone/lab",
    "/spawn/user/gonegonegone/lab",
]


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


def said(source: str) -> markup.Text:
    return markup.parse(source, 1000)


# Look and texts


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_name_picture_and_footer(running: Running, path: str) -> None:
    own = Brand("Book & Co", brand.logo("x", SVG), footer=said("By [us](https://us.example/)."))
    text = (await running.public(brand=own)(path, headers=HTML)).body.decode()
    assert "· Book &amp; Co</title>" in text
    assert text.count(f'"/logo?v={own.logo.version if own.logo else ""}"') == 2
    link = '<a href="https://us.example/" target="_blank" rel="noopener">us</a>'
    assert f'<p class="said">By {link}.</p>' in text
    assert "outstay" not in text


async def test_welcome_takes_the_place_of_our_words(running: Running) -> None:
    own = Brand(welcome=said("Hello <reader>.\n\nGo [on](/info)."))
    page = (await running.public(brand=own)("/", headers=HTML)).body.decode()
    assert '<p class="said">Hello &lt;reader&gt;.</p>' in page
    assert '<a href="/info">on</a>' in page
    assert "nothing to install, no account. It is" not in page


async def test_picture_is_served_as_a_picture_and_runs_nothing(running: Running) -> None:
    answer = await running.public(brand=Brand(logo=brand.logo("x", SVG)))("/logo?v=1")
    assert answer.body == SVG
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert (await running.public()("/logo")).code == 404


async def test_template_of_the_operator_gets_the_documented_variables(
    running: Running, tmp_path: Path
) -> None:
    table = (ROOT / "docs" / "branding.md").read_text().partition("Every template has")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table.partition("And these")[0], re.MULTILINE)
    names = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(names) > 8
    (tmp_path / "base.html").write_text(
        "{{ static('tmpnb.css') }}" + "".join(f"{{{{ repr({name}) }}}}" for name in names)
    )
    for path in PAGES:
        answer = await running.public(template_path=tmp_path)(path, headers=HTML)
        assert b"/static/tmpnb.css" in answer.body, path


# Announcement


async def test_announcement_is_put_and_taken_away_while_we_serve(running: Running) -> None:
    fetch, admin = running.public(), running.admin()
    assert body(await admin("/api/announcement")) == {"text": ""}
    put = await admin(
        "/api/announcement", method="PUT", body=json.dumps({"text": "Down <soon>. [Why](/info)"})
    )
    assert body(put) == body(await admin("/api/announcement"))
    for path in PAGES:
        text = (await fetch(path, headers=HTML)).body.decode()
        assert 'aria-label="Announcement"' in text, path
        assert 'Down &lt;soon&gt;. <a href="/info">Why</a>' in text, path
    assert (await admin("/api/announcement", method="DELETE")).code == 204
    assert b"Announcement" not in (await fetch("/", headers=HTML)).body


async def test_announcement_is_on_the_admin_port_only_and_needs_its_token(running: Running) -> None:
    sent = b'{"text": "x"}'
    assert (await running.public()("/api/announcement", method="PUT", body=sent)).code == 404
    admin = running.admin(admin_token="adm1n-adm1n")
    for method in ("GET", "PUT", "DELETE"):
        answer = await admin(
            "/api/announcement", method=method, body=sent if method == "PUT" else None
        )
        assert answer.code == 401
    token = {"Authorization": "token adm1n-adm1n"}
    assert (await admin("/api/announcement", method="PUT", body=sent, headers=token)).code == 200


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "the key text alone"),
        (b'{"text": 5}', "the key text alone"),
        (b'{"text": "a", "more": 1}', "the key text alone"),
        (b'{"text": "[a](javascript:b)"}', "cannot be shown: the link 'javascript:b'"),
        (json.dumps({"text": "x" * 1001}).encode(), "1001 characters are too many"),
    ],
)
async def test_announcement_refuses_what_it_cannot_show(
    running: Running, sent: bytes, words: str
) -> None:
    admin = running.admin()
    answer = await admin("/api/announcement", method="PUT", body=sent)
    assert answer.code == 400
    assert words in body(answer)["error"]["message"]
    assert body(await admin("/api/announcement")) == {"text": ""}


# Terms of use


@pytest.mark.parametrize("path", ["/", "/lab/tree/a%20b.ipynb?x=1&y=2", "/spawn/lab?x=%20"])
async def test_terms_stand_before_the_first_server(running: Running, path: str) -> None:
    fetch = running.public(brand=WITH_TERMS)
    page = await fetch(path, headers=PERSON)
    text = xhtml_unescape(page.body)
    wanted = "/spawn" + path.removeprefix("/spawn").rstrip("/")
    assert page.code == 200
    assert b"Be kind &amp; &lt;fair&gt;." in page.body
    assert f'<form method="post" action="{wanted}">' in text
    assert 'data-state="asking" data-autostart="no"' in text  # nothing agrees by itself
    assert running.taken == 0


async def test_agreement_takes_a_server_and_is_remembered(running: Running) -> None:
    fetch = running.public(brand=WITH_TERMS)
    answer = await fetch(
        "/spawn/lab?x=1", method="POST", headers=PERSON | FORM, body=f"agree={TERMS.version}"
    )
    assert answer.code == 303
    assert "/lab?x=1&token=" in answer.headers["Location"]
    cookies = answer.headers.get_list("Set-Cookie")
    mine = next(c for c in cookies if c.startswith("tmpnb-terms-test-"))
    cookie, _, attributes = mine.partition("; ")
    assert attributes == "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    agreed = PERSON | {"Cookie": cookie}
    assert b'data-autostart="yes"' in (await fetch("/lab", headers=agreed)).body
    assert (await fetch("/spawn", method="POST", headers=agreed)).code == 303


@pytest.mark.parametrize("given", ["", "agree=", "agree=yes", "agree=0123456789abcdef"])
@pytest.mark.parametrize("path", ["/spawn/lab", "/spawn/user/gonegonegone/lab"])
async def test_without_agreement_nothing_is_taken(running: Running, path: str, given: str) -> None:
    fetch = running.public(brand=WITH_TERMS)
    stale = cookie_of(running.world.orchestrator, TERMS_KIND, "0123456789abcdef")
    for headers in (PERSON | FORM, PERSON | FORM | stale):
        page = await fetch(path, method="POST", headers=headers, body=given)
        assert page.code == 200
        assert f'action="{path}"'.encode() in page.body
    told = await fetch(path, method="POST", headers=SCRIPT | FORM, body=given)
    assert told.code == 403
    assert body(told)["error"]["code"] == "terms_not_agreed"
    assert running.taken == 0


async def test_agreement_lasts_in_a_frame_that_keeps_no_cookie(running: Running) -> None:
    """The form of the waiting page carries it on."""
    fetch = running.public(brand=WITH_TERMS)
    for _ in range(3):
        await fetch("/api/spawn", method="POST")
    agreed = f"agree={TERMS.version}"
    headers = PERSON | FORM
    led = await fetch("/spawn/lab", method="POST", headers=headers, body=agreed, loads=False)
    page = await fetch(led.headers["Location"], headers=PERSON)
    assert page.code == 503
    assert f'name="agree" value="{TERMS.version}"'.encode() in page.body
    (server, *_) = running.world.servers(Phase.CLAIMED)
    running.world.orchestrator.claims.close(server)
    answer = await fetch(
        "/spawn/lab", method="POST", headers=SCRIPT | FORM, body=f"{agreed}&wait=1"
    )
    assert answer.code in (200, 503)
    assert "agreed" not in answer.body.decode()


async def test_programs_are_not_asked_to_agree(running: Running) -> None:
    assert (await running.public(brand=WITH_TERMS)("/api/spawn", method="POST")).code == 200


async def test_terms_can_be_read_again_and_exist_only_where_there_are_any(
    running: Running,
) -> None:
    fetch = running.public(brand=WITH_TERMS)
    page = (await fetch("/terms", headers=HTML)).body
    assert b"Be kind" in page
    assert b"<form" not in page
    assert b'<a href="/terms">' in (await fetch("/info", headers=HTML)).body
    assert (await running.public()("/terms", headers=HTML)).code == 404
    assert b"/terms" not in (await running.public()("/info", headers=HTML)).body


# Analytics


@pytest.mark.parametrize("path", ["/", "/lab?x=1", "/info", "/embed"])
async def test_counting_script_is_allowed_on_our_pages(running: Running, path: str) -> None:
    answer = await running.public(brand=COUNTED)(path, headers=HTML)
    assert f'<script src="{STATS}/s.js" data-site="7" defer>'.encode() in answer.body
    policy = answer.headers["Content-Security-Policy"]
    assert policy.endswith(f"; script-src 'self' {STATS}; connect-src 'self' {STATS}")


@pytest.mark.parametrize(
    "path", ["/user/gone/lab?token=s3cret", "/lab?token=s3cret", "/proxy-error/503?url=/user/x"]
)
async def test_counting_script_sees_no_address_with_a_secret(running: Running, path: str) -> None:
    answer = await running.public(brand=COUNTED)(path, headers=HTML)
    assert STATS.encode() not in answer.body
    assert STATS not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_foreign_is_allowed_by_default(running: Running, path: str) -> None:
    answer = await running.public()(path, headers=HTML)
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert b"http://" not in answer.body.replace(b"http://127.0.0.1", b"")


async def test_agreement_and_passphrase_lead_on_where_no_cookie_is_kept(running: Running) -> None:
    gate = gate_of(running.world.orchestrator, passphrase="four plain words")
    fetch = running.public(gate=gate, brand=Brand(terms=TERMS))
    form: dict[str, str] = {"fresh": "1"}
    typings: list[dict[str, str]] = [{}, {}, {"passphrase": "four plain words"}]
    for typed in typings:
        answer = await fetch(
            "/spawn/lab", method="POST", headers=PERSON | FORM, body=urlencode(form | typed)
        )
        form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.body.decode()))
        if answer.code == 403:
            assert form["fresh"] == "1"
    assert answer.code == 303

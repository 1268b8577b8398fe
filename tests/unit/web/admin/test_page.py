"""The operator's page: who gets in, what its forms do, and what no other page can make it do."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import HTML, Running
from tests.support.world import KEY, FakeClock, gate_of, wait_until
from tmpnb.access.banned import Banned
from tmpnb.access.bans import Bans
from tmpnb.access.gate import MOST_TRIES
from tmpnb.core.server import Phase
from tmpnb.orchestrator.rollout import Failure
from tmpnb.system.signing import TokenMaker
from tmpnb.web.admin.operating import Operating
from tmpnb.web.admin.sessions import LONGEST, MOST_ENDED, AdminSessions, EndedSessions
from tmpnb.web.brand import LONGEST_NOTICE
from tmpnb.web.cors import cors

pytestmark = pytest.mark.gen_test(timeout=30)

TOKEN = "adm1n-adm1n-adm1n"
OWN_FORM = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
TYPED = {**HTML, "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}


class Browser:
    """A browser without scripts, with the operator before it."""

    def __init__(self, running: Running, **changes: Any) -> None:
        self.bans = Bans()
        gate = gate_of(running.world.orchestrator, banned=self.bans)
        changes = {"gate": gate, "operating": Operating(self.bans)} | changes
        self._fetch = running.admin(**changes)
        self.cookie, self.form = "", ""

    async def open(self, path: str = "/admin/", **headers: str) -> HTTPResponse:
        answer = await self._fetch(path, headers={**TYPED, **self._own(), **headers})
        self._learn(answer)
        return answer

    async def post(
        self, path: str = "/admin/", headers: dict[str, str] | None = None, **fields: str
    ) -> HTTPResponse:
        sent = {"form": self.form} | fields
        headers = OWN_FORM if headers is None else headers
        answer = await self._fetch(
            path, method="POST", headers={**HTML, **self._own(), **headers}, body=urlencode(sent)
        )
        self._learn(answer)
        return answer

    def _own(self) -> dict[str, str]:
        return {"Cookie": self.cookie} if self.cookie else {}

    def _learn(self, answer: HTTPResponse) -> None:
        for sent in answer.headers.get_list("Set-Cookie"):
            self.cookie = sent.partition(";")[0]
        if found := re.search(rb'name="form" value="([0-9a-f]{64})"', answer.body or b""):
            self.form = found[1].decode()


async def started(stack: AsyncExitStack, capacity: int = 2) -> Running:
    running = Running(capacity, stack)
    await running.start()
    return running


def said(answer: HTTPResponse) -> str:
    """Return what the page that a POST leads to will say; it leads to nowhere else."""
    assert answer.code == 303
    return answer.headers["Location"].removeprefix("/admin/").removeprefix("?said=")


async def test_the_root_leads_to_the_page() -> None:
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack))
        for path in ("/", "/admin"):
            answer = await browser.open(path)
            assert (answer.code, answer.headers["Location"]) == (302, "/admin/")


async def test_without_a_token_the_page_does_what_its_forms_say() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        server = await running.world.orchestrator.claims.claim()
        browser = Browser(running)
        page = await browser.open()
        assert page.code == 200
        assert f"Stop {server.id}".encode() in page.body
        assert said(await browser.post(do="announce", text="Down [soon](https://a.example)\r\nyes"))
        shown = await browser.open("/admin/?said=announced")
        assert b"It is now shown above every page." in shown.body
        assert b'href="https://a.example"' in shown.body
        assert said(await browser.post(do="announce", text="")) == "silent"
        assert said(await browser.post(do="ban", network="192.0.2.0/24")) == "unkept"
        assert b"192.0.2.0/24" in (await browser.open()).body
        assert said(await browser.post(do="unban", network="192.0.2.0/24")) == "unbanned"
        assert said(await browser.post(do="unban", network="192.0.2.0/24")) == "not-banned"
        assert said(await browser.post(do="ban", network="<b>")) == "network"
        assert said(await browser.post(do="announce", text="x" * 100_000)) == "long"
        assert said(await browser.post(do="announce", text="[a](javascript:x)")) == "text"
        assert said(await browser.post(do="drain")) == "drained"
        assert said(await browser.post(do="stop", server=server.id)) == "stopped"
        await running.world.until_gone(server.id)
        assert said(await browser.post(do="stop", server=server.id)) == "gone"
        assert (await browser.post(do="nonsense")).code == 400


async def test_a_form_can_stop_what_a_banned_network_has() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        browser = Browser(running)
        taken = await running.public()(
            "/api/spawn", method="POST", headers={"X-Forwarded-For": "192.0.2.7"}
        )
        assert taken.code == 200
        await browser.open()
        await browser.post(do="ban", network="192.0.2.0/24", stop="1")
        assert running.world.servers(Phase.CLAIMED) == []


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # as a notebook at another port of this host is
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8000"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Host": "evil.example:10000", "Sec-Fetch-Site": "same-origin"},
    {
        "Host": "evil.example:10000",
        "Origin": "http://evil.example:10000",
        "Sec-Fetch-Site": "same-origin",
    },
)


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_no_other_page_gets_in_though_the_browser_has_a_session(
    headers: dict[str, str], token: str | None
) -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        browser = Browser(running, admin_token=token)
        if token:
            await browser.post("/admin/login", token=token)
        assert (await browser.open()).code == 200
        assert browser.form
        for path in ("/admin/", "/"):
            assert (await browser.open(path, **headers)).code == 403
        refused = await browser.post(headers=headers, do="announce", text="evil")
        assert refused.code == 403
        assert running.site.notice.source == ""
        assert (await browser.post("/admin/login", headers=headers, token=TOKEN)).code == 403


@pytest.mark.parametrize("form", ["", "x", "0" * 64])
async def test_a_form_that_is_not_of_the_session_does_nothing(form: str) -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        browser = Browser(running)
        await browser.open()
        assert said(await browser.post(form=form, do="announce", text="evil")) == "old"
        mine, browser.cookie = browser.form, ""
        assert said(await browser.post(form=mine, do="announce", text="evil")) == "old"
        await browser.open()
        assert said(await browser.post(form=mine, do="announce", text="evil")) == "old"
        assert running.site.notice.source == ""


async def test_nobody_frames_any_answer_of_the_port_and_no_page_reads_it() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        for token in (None, TOKEN):
            browser = Browser(
                running,
                admin_token=token,
                frame_ancestors="'self' *",
                cors=cors({"allow_origin": "*"}),
            )
            for path in ("/admin/", "/", "/admin/?said=wrong"):
                answer = await browser.open(path)
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert "Access-Control-Allow-Origin" not in answer.headers
            nothing = await browser.open("/nothing")
            assert "frame-ancestors 'none'" in nothing.headers["Content-Security-Policy"]


async def test_with_a_token_the_page_asks_for_it_and_tells_nothing_before() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        browser = Browser(running, admin_token=TOKEN)
        ready = next(iter(running.world.pool.servers))
        page = await browser.open()
        assert b"Are you the operator?" in page.body
        assert ready.encode() not in page.body
        assert said(await browser.post(do="drain")) == "old"
        assert said(await browser.post("/admin/login", token="another")) == "wrong"
        assert not browser.cookie
        answer = await browser.post("/admin/login", token=TOKEN)
        assert answer.headers["Location"] == "/admin/"
        assert ready.encode() in (await browser.open()).body
        assert said(await browser.post(do="leave")) == "out"
        assert b"Are you the operator?" in (await browser.open()).body


async def test_the_cookie_holds_no_token_and_goes_to_no_notebook_and_to_no_script() -> None:
    async with AsyncExitStack() as stack:
        visitors_at = "https://notebooks.example"
        browser = Browser(await started(stack), admin_token=TOKEN, public_url=visitors_at)
        answer = await browser.post("/admin/login", token=TOKEN)
        [cookie] = answer.headers.get_list("Set-Cookie")
        assert TOKEN not in cookie
        attributes = {part.strip() for part in cookie.split(";")[1:]}
        assert attributes == {
            "Path=/admin/",
            f"Max-Age={LONGEST}",
            "HttpOnly",
            "SameSite=Strict",
        }
        over_https = await browser.post(
            "/admin/login", headers={**OWN_FORM, "X-Forwarded-Proto": "https"}, token=TOKEN
        )
        assert "; Secure" in over_https.headers["Set-Cookie"]


async def test_wrong_tokens_are_counted_and_the_right_one_works_however_many_have_come() -> None:
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack), admin_token=TOKEN)
        for number in range(MOST_TRIES + 3):
            told = {**OWN_FORM, "X-Forwarded-For": f"192.0.2.{number}"}  # whatever it says
            answer = await browser.post("/admin/login", headers=told, token="another")
            assert said(answer) == ("wrong" if number < MOST_TRIES else "tries")
        answer = await browser.post("/admin/login", token=TOKEN)
        assert answer.headers["Location"] == "/admin/"
        assert b"Who is here" in (await browser.open()).body


async def test_a_session_is_over_in_all_browsers_when_one_logs_out() -> None:
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack), admin_token=TOKEN)
        await browser.post("/admin/login", token=TOKEN)
        await browser.open()
        mine, form = browser.cookie, browser.form
        await browser.post("/admin/login", token=TOKEN)
        other, browser.cookie = browser.cookie, mine
        assert said(await browser.post(do="leave")) == "out"
        browser.cookie = mine
        assert b"Are you the operator?" in (await browser.open()).body
        assert said(await browser.post(form=form, do="drain")) == "old"
        browser.cookie = other
        assert b"Who is here" in (await browser.open()).body


async def test_an_announcement_can_be_no_longer_in_the_page_than_it_may_be() -> None:
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack))
        page = await browser.open()
        assert f'maxlength="{LONGEST_NOTICE}"'.encode() in page.body
        assert said(await browser.post(do="announce", text="x\r\n" * (LONGEST_NOTICE // 2)))
        assert b"is longer than 1000" in (await browser.open("/admin/?said=long")).body
        assert b"has a link" in (await browser.open("/admin/?said=text")).body


async def test_the_page_says_nothing_of_what_there_is_not() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        browser = Browser(running)
        page = (await browser.open()).body
        assert b"--banned-networks" not in page
        assert page.count(b"<dt>Up for</dt>") == 2
        assert b"<dt>Image</dt>" not in page
        await running.world.orchestrator.claims.claim()
        page = (await browser.open()).body
        assert page.count(b"<dt>With visitor for</dt>") == 1
        bans = Bans(Banned("192.0.2.0/24"))
        browser = Browser(running, operating=Operating(bans))
        assert b"1 in <code>--banned-networks</code>" in (await browser.open()).body


async def test_another_image_is_asked_for_in_the_page_which_says_what_became_of_it() -> None:
    async with AsyncExitStack() as stack:
        running = await started(stack)
        rollout, browser = running.world.orchestrator.rollout, Browser(running)
        assert b"Another image" not in (await browser.open()).body, "this engine has none"
        rollout.image = "good:1"
        assert b"started from <code>good:1</code>" in (await browser.open()).body
        assert said(await browser.post(do="roll", image="good:2")) == "trying"
        await wait_until(lambda: rollout.image == "good:2")
        rollout.trying = "good:3"
        assert b"One of <code>good:3</code> is being tried" in (await browser.open()).body
        assert said(await browser.post(do="roll", image="good:4")) == "busy"
        rollout.trying, rollout.failure = "", Failure("bad:1", "<it> ended")
        page = (await browser.open("/admin/?said=busy")).body
        assert b"<code>bad:1</code> cannot be used: &lt;it&gt; ended" in page
        for name in ("", "-x", "a b", "x" * 300):
            assert said(await browser.post(do="roll", image=name)) == "image"
        assert rollout.image == "good:2"


async def test_a_planted_cookie_hides_none_and_opens_nothing() -> None:
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack), admin_token=TOKEN)
        await browser.post("/admin/login", token=TOKEN)
        name, _, value = browser.cookie.partition("=")
        browser.cookie = f"{name}=planted; {name}={value}"
        assert b"Who is here" in (await browser.open()).body
        browser.cookie = f"{name}=planted"
        assert b"Are you the operator?" in (await browser.open()).body


async def test_many_servers_make_a_page_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmpnb.web.admin.page.SHOWN", 1)
    async with AsyncExitStack() as stack:
        browser = Browser(await started(stack, capacity=3))
        assert b"There are 2 more" in (await browser.open()).body


def test_a_session_ends_with_time_and_with_the_token() -> None:
    clock = FakeClock()
    sessions = AdminSessions(TokenMaker(KEY), TOKEN, clock)
    session = sessions.begin()
    assert sessions.is_ours(session)
    assert sessions.is_form_of(session, sessions.form_of(session))
    assert not sessions.is_form_of(sessions.begin(), sessions.form_of(session))
    for other in (
        AdminSessions(TokenMaker(KEY), "another", clock),
        AdminSessions(TokenMaker(KEY), None, clock),
        AdminSessions(TokenMaker(b"another key"), TOKEN, clock),
    ):
        assert not other.is_ours(session)
    for changed in ("", "x", session[:-1], f"9{session}", f"{session}0", session.upper()):
        assert not sessions.is_ours(changed)
    clock.advance(LONGEST)
    assert not sessions.is_ours(session)


def test_ended_sessions_are_remembered_until_their_time_is_over() -> None:
    clock, ended = FakeClock(), EndedSessions()
    sessions = AdminSessions(TokenMaker(KEY), TOKEN, clock, ended)
    session = sessions.begin()
    sessions.end("x")
    sessions.end(AdminSessions(TokenMaker(b"another key"), TOKEN, clock).begin())
    assert len(ended) == 0
    sessions.end(session)
    again = AdminSessions(TokenMaker(KEY), TOKEN, clock, ended)
    assert not again.is_ours(session)
    clock.advance(LONGEST)
    again.end(again.begin())
    assert len(ended) == 1, "the first would be over by itself"


def test_more_than_can_be_remembered_are_over_all_the_same() -> None:
    clock, ended = FakeClock(), EndedSessions()
    sessions = AdminSessions(TokenMaker(KEY), TOKEN, clock, ended)
    made = []
    for _ in range(MOST_ENDED + 1):
        made.append(sessions.begin())
        clock.advance(1)
        sessions.end(made[-1])
    assert len(ended) == MOST_ENDED
    assert not any(sessions.is_ours(session) for session in made)
    assert sessions.is_ours(sessions.begin())

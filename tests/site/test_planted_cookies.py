"""A cookie that another network was given leads nobody to its planter: the person is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse
from tornado.ioloop import IOLoop

from tests.support.running_site import HTML, PERSON, SCRIPT, Fetch, Running
from tests.support.world import KEY, cookie_of, gate_of, wait_until
from tmpnb.access.passphrase import Passes
from tmpnb.access.ties import MOST, VISITOR, Sealed, Ties
from tmpnb.core.subdomains import Subdomains
from tmpnb.system.signing import TokenMaker
from tmpnb.web import brand
from tmpnb.web.brand import Brand
from tmpnb.web.pages.question import ASK, CODE, LASTS, SANDBOX

pytestmark = pytest.mark.gen_test(timeout=30)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOME, MOBILE = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "203.0.113.9"}
FROM_QUESTION = PERSON | FORM | {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
WORDS = "four plain words"
TERMS = brand.terms("terms.txt", b"Be kind.")
NAMES = ["tmpnb-visitor", "tmpnb-visitor-x-1", "tmpnb-visitor-test-80"]


def body(answer: HTTPResponse) -> dict[str, Any]:
    return dict(json.loads(answer.body))


def cookie(answer: HTTPResponse, kind: str = "tmpnb-visitor") -> str:
    """Return the value of a cookie that an answer sets."""
    found = [c for c in answer.headers.get_list("Set-Cookie") if kind in c.partition("=")[0]]
    return found[0].partition("=")[2].partition(";")[0]


async def planted(fetch: Fetch, where: dict[str, str] = MOBILE) -> tuple[str, str]:
    """Take a server as its planter does; return its path and the cookie for it."""
    answer = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | where, body="")
    assert answer.code == 200
    return str(body(answer)["url"]).partition("/lab")[0], cookie(answer)


def fields(page: HTTPResponse) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode())
    return {name: unescape(value) for name, value in found}


async def choose(fetch: Fetch, page: HTTPResponse, choice: str, **more: str) -> HTTPResponse:
    """Press a button of the page that asks, from home, without any cookie."""
    form = urlencode(fields(page) | {"choice": choice} | more)
    return await fetch("/spawn", method="POST", headers=FROM_QUESTION | HOME, body=form)


def asks(answer: HTTPResponse) -> bool:
    return answer.code == 200 and b"Is this notebook yours?" in answer.body


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["/spawn", "/spawn/", "/spawn/lab", "/spawn/user/abcdefghijkl/"])
async def test_a_page_asks_and_takes_nothing(running: Running, path: str, name: str) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    sent = PERSON | HOME | {"Cookie": f"{name}={value}"}
    page = await fetch(path, headers=sent)
    assert asks(page)
    assert SANDBOX in page.headers.get_list("Content-Security-Policy")
    assert "Set-Cookie" not in page.headers
    assert server.rpartition("/")[2] in page.body.decode()
    assert running.taken == 1
    assert asks(await fetch(path, method="POST", headers=sent | FORM, body=""))
    assert running.taken == 1


@pytest.mark.parametrize("path", ["/", "/lab", "/tree/spawn/a.ipynb", "/hub/user-redirect/spawn"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_where_the_visitors_own_cookie_does_not_come_nobody_is_asked(
    running: Running, path: str, scheme: str
) -> None:
    """Planted ones alone would be offered, and an answer would take the place of the own one."""
    fetch = running.public()
    _, value = await planted(fetch)
    sent = {"Cookie": f"tmpnb-visitor={value}", "X-Forwarded-Proto": scheme}
    page = await fetch(path, headers=PERSON | HOME | sent)
    assert page.code == 200
    assert not asks(page)
    assert b'name="offer"' not in page.body
    [action] = re.findall('action="([^"]*)"', page.body.decode())
    assert action.startswith("/spawn"), "there all of them come"
    assert asks(await fetch(action, method="POST", headers=PERSON | FORM | HOME | sent, body=""))


async def test_going_on_asks_again_where_the_browser_has_a_notebook_that_was_not_shown(
    running: Running,
) -> None:
    fetch = running.public()
    theirs, planted_one = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={planted_one}"})
    form = urlencode(fields(page) | {"choice": "go-on"})
    mine, own = await planted(fetch, HOME)
    both = {"Cookie": f"tmpnb-visitor={planted_one}; tmpnb-visitor={own}"}
    alone = {"Cookie": f"tmpnb-visitor-test-80={own}"}
    for sent in (both, alone):
        headers = FROM_QUESTION | HOME | sent
        again = await fetch("/spawn", method="POST", headers=headers, body=form)
        said = again.body.decode()
        assert "Set-Cookie" not in again.headers
        shown = re.findall("Address: <code>([^<]*)</code>", said)
        assert shown == [server.rpartition("/")[2] for server in (mine, theirs)], "own first"
        [here, elsewhere] = re.findall("</time> from ([a-z]+) network", said)
        assert (here, elsewhere) == ("this", "another")
        afresh, go_on, other = re.findall('name="offer" value="([^"]*)"', said)
        assert afresh == go_on
        for offer, server in ((go_on, mine), (other, theirs)):
            chosen = urlencode({"choice": "go-on", "offer": offer})
            gone_on = await fetch("/spawn", method="POST", headers=headers, body=chosen)
            assert gone_on.headers["Location"].startswith(server), "it was asked about both"
    fetched = SCRIPT | FORM | HOME | both | {"Sec-Fetch-Mode": "cors"}
    told = await fetch("/spawn", method="POST", headers=fetched, body=form)
    assert (told.code, body(told)["error"]["code"]) == (409, CODE)
    assert running.taken == 2


async def test_going_on_asks_nothing_where_the_browsers_own_notebook_has_ended(
    running: Running,
) -> None:
    fetch = running.public()
    theirs, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    mine, own = await planted(fetch, HOME)
    live = running.world.orchestrator.claims.live(mine.rpartition("/")[2])
    assert live is not None
    running.world.orchestrator.claims.close(live)
    form = urlencode(fields(page) | {"choice": "go-on"})
    headers = FROM_QUESTION | HOME | {"Cookie": f"tmpnb-visitor={own}"}
    gone_on = await fetch("/spawn", method="POST", headers=headers, body=form)
    assert gone_on.headers["Location"].startswith(theirs)


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ("'self'", "frame-ancestors 'none'"),
        ("'self' https://journal.example", "frame-ancestors https://journal.example"),
        (
            "https://a.example 'self' http://b.example:8000",
            "https://a.example http://b.example:8000",
        ),
    ],
)
async def test_no_page_of_our_own_host_may_frame_the_question(
    running: Running, sites: str, said: str
) -> None:
    """A notebook's page could lay it under a button of its own."""
    fetch = running.public(frame_ancestors=sites)
    _, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    policies = page.headers.get_list("Content-Security-Policy")
    assert SANDBOX in policies
    [framed] = [p for p in policies if p.startswith("frame-ancestors")]
    assert framed.endswith(said)
    assert "'self'" not in framed
    loading = await fetch("/", headers=PERSON | HOME)
    assert f"frame-ancestors {sites}" in loading.headers["Content-Security-Policy"]


@pytest.mark.parametrize("number", [1, 2])
async def test_to_start_afresh_is_the_first_button(running: Running, number: int) -> None:
    fetch = running.public()
    values = [(await planted(fetch))[1] for _ in range(number)]
    sent = {"Cookie": "; ".join(f"tmpnb-visitor={value}" for value in values)}
    page = await fetch("/spawn", headers=PERSON | HOME | sent)
    buttons = re.findall('<button[^>]*value="([a-z-]+)"', page.body.decode())
    assert buttons == ["afresh", *["go-on"] * number]


async def test_all_notebooks_are_shown_wherever_their_cookies_stand(running: Running) -> None:
    """Browsers send the cookie of the longest path first, and a planter chooses the path."""
    fetch = running.public()
    theirs, planted_one = await planted(fetch)
    mine, own = await planted(fetch, {"X-Forwarded-For": "192.0.2.8"})
    pair = [f"tmpnb-visitor={planted_one}", f"tmpnb-visitor={own}"]
    for cookies in (pair, pair[::-1], [*pair, *pair]):
        page = await fetch("/spawn/lab", headers=PERSON | HOME | {"Cookie": "; ".join(cookies)})
        said = page.body.decode()
        assert "may have been put here by a page" in said
        shown = dict(re.findall(r'name="offer" value="([^"]*)".*?<code>(\w+)<', said, re.DOTALL))
        assert sorted(shown.values()) == sorted(s.rpartition("/")[2] for s in (theirs, mine))
        for offer, server_id in shown.items():
            form = urlencode({"choice": "go-on", "offer": offer})
            gone_on = await fetch("/spawn", method="POST", headers=FROM_QUESTION | HOME, body=form)
            assert gone_on.headers["Location"].startswith(f"/user/{server_id}/")
    afresh = await choose(fetch, page, "afresh")
    assert not afresh.headers["Location"].startswith((theirs, mine))


@pytest.fixture
def seven(io_loop: IOLoop) -> Iterator[Running]:
    """Return a site with seven ready servers."""
    stack = AsyncExitStack()
    made = Running(7, stack)
    io_loop.run_sync(made.start)
    yield made
    io_loop.run_sync(stack.aclose)


@pytest.mark.parametrize("place", range(6))
async def test_however_many_are_planted_the_visitors_own_is_offered(
    seven: Running, place: int
) -> None:
    fetch = seven.public()
    planters = [await planted(fetch) for _ in range(3)]
    mine, value = await planted(fetch, {"X-Forwarded-For": "192.0.2.4"})
    planters += [await planted(fetch) for _ in range(2)]
    values = [planted_value for _, planted_value in planters]
    values.insert(place, value)  # browsers send those of longer paths first
    sent = {"Cookie": "; ".join(f"tmpnb-visitor={one}" for one in values)}
    page = await fetch("/spawn/lab", headers=PERSON | HOME | sent)
    text = page.body.decode()
    shown = re.findall("Address: <code>([^<]*)</code>", text)
    newest_first = [*planters[:3], (mine, value), *planters[3:]][::-1]
    assert shown == [address.rpartition("/")[2] for address, _ in newest_first]
    forms = text.split("<form")[1:]
    assert len(forms) == 7, "the first is to start fresh"
    [offer] = re.findall('name="offer" value="([^"]*)"', forms[3])
    form = urlencode({"offer": offer, "choice": "go-on"})
    gone_on = await fetch("/spawn/lab", method="POST", headers=FROM_QUESTION | HOME, body=form)
    assert gone_on.headers["Location"].startswith(mine)


async def test_who_has_another_address_in_each_request_can_start_afresh(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    sent = {"Cookie": f"tmpnb-visitor={value}"}
    page = await fetch("/spawn/lab", headers=PERSON | HOME | sent)
    form = urlencode(fields(page) | {"choice": "afresh"})
    moved = [{"X-Forwarded-For": f"192.0.2.{last}"} for last in (4, 4, 5)]
    given = [
        await fetch("/spawn/lab", method="POST", headers=FROM_QUESTION | ip | sent, body=form)
        for ip in moved
    ]
    mine, again, other = (answer.headers["Location"] for answer in given)
    assert mine.startswith("/user/")
    assert not mine.startswith(server)
    assert again == mine, "who presses twice is one"
    assert other.rpartition("?")[0] != mine.rpartition("?")[0], "an offer is nobody's key"


async def test_an_offer_of_another_network_takes_no_more_than_a_link_does(
    running: Running,
) -> None:
    """A site that has an offer posts it from a sandbox of its own, unseen."""
    fetch = running.public()
    _, value = await planted(fetch)
    page = await fetch(
        "/spawn",
        headers=PERSON | {"X-Forwarded-For": "192.0.2.4", "Cookie": f"tmpnb-visitor={value}"},
    )
    form = urlencode(fields(page) | {"choice": "afresh"})
    unseen = FROM_QUESTION | HOME
    del unseen["Sec-Fetch-User"]
    for destination in ("iframe", "empty", "image"):
        headers = unseen | {"Sec-Fetch-Dest": destination}
        answer = await fetch("/spawn", method="POST", headers=headers, body=form)
        assert answer.headers.get("Location", "") == "/spawn"
    for late in ("go-on", "afresh"):
        old = urlencode({"choice": late, "offer": "x"})
        answer = await fetch("/spawn", method="POST", headers=FROM_QUESTION | HOME, body=old)
        assert answer.headers["Location"] == "/spawn"
    assert running.taken == 1


async def test_an_invitation_is_good_in_every_network_and_a_passphrase_is_not(
    running: Running,
) -> None:
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate)
    token = gate.passes.invite(1)
    let_in = await fetch(f"/invite?token={token}", headers=PERSON | MOBILE)
    held = {"Cookie": f"tmpnb-pass={cookie(let_in, 'pass')}"}
    body = {"method": "POST", "body": "fresh=1"}
    for where in (MOBILE, HOME):
        answer = await fetch("/spawn", headers=HTML | FORM | where | held, **body)
        assert answer.headers["Location"].startswith("/user/")
    by_words = gate.passes.by_passphrase()
    tied = cookie_of(running.world.orchestrator, "pass", by_words, "203.0.113.9")
    for bad in (tied, {"Cookie": f"tmpnb-pass={token}"}):  # the second is not sealed
        assert (await fetch("/spawn", headers=HTML | FORM | HOME | bad, **body)).code == 403
    over = Passes(running.world.orchestrator.tokens, WORDS, now=lambda: 0.0).invite(1)
    ended = cookie_of(running.world.orchestrator, "pass", over, "198.51.100.7")
    assert (await fetch("/spawn", headers=HTML | FORM | HOME | ended, **body)).code == 403


async def test_the_pass_of_an_invitation_comes_with_the_answer(running: Running) -> None:
    """From a sandbox, over plain http, no cookie comes; and the address may be another."""
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate)
    let_in = await fetch(f"/invite?token={gate.passes.invite(1)}", headers=PERSON | MOBILE)
    held = f"tmpnb-pass={cookie(let_in, 'pass')}"
    form = urlencode({"passphrase": WORDS})
    taken = await fetch("/spawn", method="POST", headers=HTML | FORM | MOBILE, body=form)
    sent = {"Cookie": f"{held}; tmpnb-visitor={cookie(taken)}"}
    page = await fetch("/spawn", headers=PERSON | {"X-Forwarded-For": "192.0.2.4"} | sent)
    assert asks(page)
    assert (await choose(fetch, page, "afresh")).headers["Location"].startswith("/user/")


async def test_one_notebook_is_not_said_to_be_the_visitors_own(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    assert b"it is yours" not in page.body
    assert b"compare the address with the one you had" in page.body
    assert f"<code>{server.rpartition('/')[2]}</code>" in page.body.decode()


async def test_where_the_cookie_was_given_nobody_is_asked(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    sent = PERSON | MOBILE | {"Cookie": f"tmpnb-visitor={value}"}
    assert (await fetch("/spawn", headers=sent)).headers["Location"].startswith(server)


async def test_one_of_before_the_update_asks(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch, HOME)
    key, server_id, _ = value.split(".")
    old = f"{key}.{server_id}.{TokenMaker(KEY).sign(f'visitor:{key}:{server_id}')}"
    sent = PERSON | HOME | {"Cookie": f"tmpnb-visitor={old}"}
    page = await fetch("/spawn", headers=sent)
    assert asks(page)
    assert (await choose(fetch, page, "go-on")).headers["Location"].startswith(server)


async def test_go_on_leads_back_and_is_asked_once_in_each_network(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    gone_on = await choose(fetch, page, "go-on")
    assert gone_on.code == 303
    assert gone_on.headers["Location"].startswith(server)
    sent = PERSON | {"Cookie": f"tmpnb-visitor={cookie(gone_on)}"}
    for where in (HOME, MOBILE):
        again = await fetch("/spawn", headers=sent | where)
        assert again.headers["Location"].startswith(server)
    assert running.taken == 1


async def test_start_afresh_gives_another_and_leaves_the_first_alone(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    afresh = [await choose(fetch, page, "afresh") for _ in range(2)]  # pressed twice
    assert [a.code for a in afresh] == [303, 303]
    mine = afresh[0].headers["Location"]
    assert not mine.startswith(server)
    assert afresh[1].headers["Location"] == mine
    assert running.taken == 2
    assert running.world.orchestrator.claims.live(server.rpartition("/")[2]) is not None
    assert cookie(afresh[0]).partition(".")[0] != value.partition(".")[0]
    sent = {"Cookie": f"tmpnb-visitor={cookie(afresh[0])}; tmpnb-visitor={value}"}
    for order in (sent, {"Cookie": "; ".join(reversed(sent["Cookie"].split("; ")))}):
        again = await fetch("/spawn", headers=PERSON | HOME | order)
        assert again.headers["Location"] == mine, "one that is planted beside ours hides it not"


async def test_fresh_ends_nothing_of_another_network(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    for accepted in (HTML, SCRIPT):
        headers = accepted | FORM | HOME | {"Cookie": f"tmpnb-visitor={value}"}
        fresh = await fetch("/spawn", method="POST", headers=headers, body="fresh=1")
        assert fresh.code in (200, 303)
        assert server not in (fresh.headers.get("Location") or fresh.body.decode())
    assert running.world.orchestrator.claims.live(server.rpartition("/")[2]) is not None


async def test_a_program_is_somebody_new_and_our_own_script_is_told(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    headers = SCRIPT | FORM | HOME | {"Cookie": f"tmpnb-visitor={value}"}
    told = await fetch("/spawn", method="POST", headers=headers | {ASK: "1"}, body="")
    assert (told.code, body(told)["error"]["code"]) == (409, CODE)
    assert running.taken == 1
    given = await fetch("/spawn", method="POST", headers=headers, body="")
    assert given.code == 200
    assert not body(given)["url"].startswith(server)
    spied = HTML | HOME | {"Cookie": f"tmpnb-visitor={value}", "Sec-Fetch-Mode": "cors"}
    for path in ("/", "/spawn"):
        assert not asks(await fetch(path, headers=spied | {"Sec-Fetch-Dest": "empty"}))


async def test_what_a_script_makes_up_is_no_answer(running: Running) -> None:
    fetch = running.public()
    _, value = await planted(fetch)
    cookies = {"Cookie": f"tmpnb-visitor={value}"}
    theirs = fields(
        await fetch("/spawn", headers=PERSON | cookies | {"X-Forwarded-For": "8.8.8.8"})
    )
    for offer in ("", "x", value, theirs["offer"]):
        form = urlencode({"choice": "go-on", "offer": offer})
        same = PERSON | FORM | HOME | cookies | {"Sec-Fetch-Site": "same-origin"}
        assert asks(await fetch("/spawn", method="POST", headers=same, body=form))
        vain = FROM_QUESTION | HOME | cookies
        again = await fetch("/spawn", method="POST", headers=vain, body=form)
        assert (again.code, again.headers["Location"]) == (303, "/spawn")
    foreign = FROM_QUESTION | HOME | {"Origin": "https://evil.example"}
    page = await fetch("/spawn", headers=PERSON | HOME | cookies)
    form = urlencode(fields(page) | {"choice": "go-on"})
    assert (await fetch("/spawn", method="POST", headers=foreign, body=form)).code == 403
    assert running.taken == 1


async def test_an_old_question_is_asked_again(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = running.public()
    _, value = await planted(fetch)
    page = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    monkeypatch.setattr("tmpnb.web.pages.question.LASTS", -LASTS)
    late = await fetch("/spawn", headers=PERSON | HOME | {"Cookie": f"tmpnb-visitor={value}"})
    assert (await choose(fetch, late, "go-on")).headers["Location"] == "/spawn"
    assert (await choose(fetch, page, "go-on")).headers["Location"] != "/spawn"


async def test_a_place_in_line_is_no_way_to_its_planter_either(running: Running) -> None:
    fetch = running.public()
    for _ in range(3):
        await running.world.orchestrator.claims.claim()
    waits = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | MOBILE, body="")
    ticket, sent = body(waits)["ticket"], {"Cookie": f"tmpnb-visitor={cookie(waits)}"}
    assert asks(await fetch("/spawn", headers=PERSON | HOME | sent))
    mine = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | HOME | sent, body="")
    assert body(mine)["ticket"] != ticket


async def test_who_is_known_by_a_token_or_a_ticket_alone_is_asked_later(running: Running) -> None:
    fetch = running.public()
    server, _ = await planted(fetch)
    server_id = server.rpartition("/")[2]
    token = running.world.orchestrator.token_for(server_id)
    shown = await fetch(
        f"/spawn/user/{server_id}/",
        method="POST",
        headers=HTML | FORM | HOME,
        body=f"token={token}",
    )
    assert shown.headers["Location"].startswith(server)
    sent = PERSON | HOME | {"Cookie": f"tmpnb-visitor={cookie(shown)}"}
    assert asks(await fetch("/spawn", headers=sent))


async def test_a_ticket_of_ones_own_makes_no_token_ones_own(running: Running) -> None:
    """A script of the planter has both: a place that it took here, and its server's token."""
    fetch = running.public()
    server, _ = await planted(fetch)
    taken = [await running.world.orchestrator.claims.claim() for _ in range(2)]
    mine = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | HOME, body="")
    assert mine.code == 503
    server_id = server.rpartition("/")[2]
    form = urlencode(
        {
            "token": running.world.orchestrator.token_for(server_id),
            "ticket": body(mine)["ticket"],
        }
    )
    path = f"/spawn/user/{server_id}/"
    shown = await fetch(path, method="POST", headers=HTML | FORM | HOME, body=form)
    assert shown.headers["Location"].startswith(server)
    sent = PERSON | HOME | {"Cookie": f"tmpnb-visitor={cookie(shown)}"}
    assert asks(await fetch("/spawn", headers=sent))
    assert len(taken) == 2


@pytest.mark.parametrize(("where", "is_asked"), [(HOME, True), (MOBILE, False)])
async def test_a_ticket_of_another_network_makes_no_visitor(
    running: Running, where: dict[str, str], is_asked: bool
) -> None:
    fetch = running.public()
    taken = [await running.world.orchestrator.claims.claim() for _ in range(3)]
    waits = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | MOBILE, body="")
    form = urlencode({"ticket": body(waits)["ticket"], "wait": "20"})
    running.world.orchestrator.claims.close(taken[0])
    given = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | where, body=form)
    assert given.code == 200
    sent = PERSON | where | {"Cookie": f"tmpnb-visitor={cookie(given)}"}
    assert asks(await fetch("/spawn", headers=sent)) is is_asked


async def test_another_address_is_not_reopened_by_a_planted_cookie(running: Running) -> None:
    fetch = running.public()
    server, value = await planted(fetch)
    server_id = server.rpartition("/")[2]
    live = running.world.orchestrator.claims.live(server_id)
    assert live is not None
    running.world.orchestrator.claims.close(live)
    await wait_until(lambda: running.world.orchestrator.claims.live(server_id) is None)
    cookies = {"Cookie": f"tmpnb-visitor={value}"}
    path = f"/spawn/user/{server_id}/"
    assert asks(await fetch(path, headers=PERSON | HOME | cookies))
    headers = SCRIPT | FORM | HOME | cookies
    given = await fetch(path, method="POST", headers=headers, body="")
    assert server_id not in str(body(given).get("url", ""))


async def test_passes_terms_and_sessions_of_another_network_are_as_absent(
    running: Running,
) -> None:
    orchestrator = running.world.orchestrator
    gate = gate_of(orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate, brand=Brand(terms=TERMS))
    form = urlencode({"agree": TERMS.version, "passphrase": WORDS})
    taken = await fetch("/spawn", method="POST", headers=HTML | FORM | MOBILE, body=form)
    agreed = {"Cookie": f"tmpnb-terms={cookie(taken, 'terms')}"}
    held = {"Cookie": f"tmpnb-pass={cookie(taken, 'pass')}"}
    for where, asked in ((MOBILE, False), (HOME, True)):
        page = await fetch("/spawn", method="POST", headers=HTML | FORM | where | agreed, body="")
        assert (b"Before you start" in page.body) is asked
        sent = HTML | FORM | where | held
        page = await fetch(
            "/spawn", method="POST", headers=sent, body=f"agree={TERMS.version}&fresh=1"
        )
        assert (page.code == 403) is asked
    for old in (f"tmpnb-terms={TERMS.version}", f"tmpnb-pass={gate.passes.by_passphrase()}"):
        sent = HTML | FORM | HOME | {"Cookie": old}
        page = await fetch("/spawn", method="POST", headers=sent, body="")
        assert b"Before you start" in page.body
    server = await orchestrator.claims.claim()
    path, token = f"/session/{server.id}", orchestrator.token_for(server.id)
    let_in = await fetch(f"{path}?token={token}", headers=PERSON | MOBILE)
    kept = {"Cookie": f"tmpnb-session={cookie(let_in, 'session')}"}
    for tail in ("", "/files.zip"):
        assert (await fetch(path + tail, headers=PERSON | MOBILE | kept)).code == 200
        assert (await fetch(path + tail, headers=PERSON | HOME | kept)).code in (401, 403)
        old_one = {"Cookie": f"tmpnb-session={token}"}
        assert (await fetch(path + tail, headers=PERSON | HOME | old_one)).code in (401, 403)


async def test_the_question_comes_with_agreement_and_pass_and_loses_neither(
    running: Running,
) -> None:
    """A form of a sandbox comes without the cookies of plain http."""
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate, brand=Brand(terms=TERMS))
    form = urlencode({"agree": TERMS.version, "passphrase": WORDS})
    taken = await fetch("/spawn", method="POST", headers=HTML | FORM | MOBILE, body=form)
    orchestrator = running.world.orchestrator
    mine = [
        cookie_of(orchestrator, "terms", TERMS.version, "198.51.100.7"),
        cookie_of(orchestrator, "pass", gate.passes.by_passphrase(), "198.51.100.7"),
        {"Cookie": f"tmpnb-visitor={cookie(taken)}"},
    ]
    sent = {"Cookie": "; ".join(c["Cookie"] for c in mine)}
    page = await fetch("/spawn", headers=PERSON | HOME | sent)
    assert asks(page)
    assert (await choose(fetch, page, "afresh")).code == 303
    without = await choose(fetch, page, "afresh", **{"pass": ""})
    assert without.code == 303, "it is the one who pressed before"


async def test_the_passphrase_may_come_after_the_question(running: Running) -> None:
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate)
    form = urlencode({"passphrase": WORDS})
    taken = await fetch("/spawn", method="POST", headers=HTML | FORM | MOBILE, body=form)
    sent = {"Cookie": f"tmpnb-visitor={cookie(taken)}"}
    page = await fetch("/spawn", headers=PERSON | HOME | sent)
    door = await choose(fetch, page, "afresh")
    assert door.code == 403
    form = urlencode(fields(door) | {"passphrase": WORDS})
    mine = await fetch("/spawn", method="POST", headers=HTML | FORM | HOME | sent, body=form)
    assert mine.code == 303
    assert mine.headers["Location"] != taken.headers["Location"]


async def test_a_guarded_cookie_is_tied_too(running: Running) -> None:
    fetch = running.public(subdomains=Subdomains("notebooks.test"))
    secure = {"X-Forwarded-Proto": "https", "Host": "notebooks.test"}
    taken = await fetch("/spawn", method="POST", headers=HTML | FORM | MOBILE | secure, body="")
    sent = {"Cookie": f"__Host-tmpnb-visitor-test-443={cookie(taken)}"}
    led = await fetch("/lab", headers=PERSON | HOME | secure | sent)
    assert (led.code, led.headers["Location"]) == (302, "/spawn/lab"), "the fragment stays"
    assert asks(await fetch("/spawn/lab", headers=PERSON | HOME | secure | sent))


async def test_notebooks_cannot_tell_who_shares_a_network(running: Running) -> None:
    """Servers see the cookie of the terms, whose path is all of the host."""
    fetch = running.public(brand=Brand(terms=TERMS))
    form = urlencode({"agree": TERMS.version, "fresh": "1"})
    parts: list[set[str]] = []
    for where in (HOME, HOME, MOBILE):
        taken = await fetch("/spawn", method="POST", headers=HTML | FORM | where, body=form)
        parts.append(set(cookie(taken, "terms").rpartition(".")[2].split("-")))
    assert all(len(part) == 2 for part in parts), "a signature and a tie"
    assert len(set.union(*parts)) == 6
    ties = [sorted(part, key=len)[0] for part in parts]
    pieces = {tie[i : i + 8] for tie in ties for i in range(0, len(tie), 8)}
    assert len(pieces) == 12, "no piece of one is in another"


def test_a_network_that_a_cookie_has_is_not_added_again() -> None:
    ties = Ties(TokenMaker(KEY))
    tied = ties.added(VISITOR, ties.added(VISITOR, (), "192.0.2.1"), "192.0.2.2")
    again = ties.added(VISITOR, tied, "192.0.2.1")
    assert again == tied[::-1]
    assert all(ties.counts(VISITOR, again, f"192.0.2.{last}") for last in (1, 2))
    assert not ties.counts(VISITOR, ("", "x", again[0][:16]), "192.0.2.1")


def test_a_cookie_counts_in_the_latest_networks_and_tells_none_of_them() -> None:
    ties, tied = Ties(TokenMaker(KEY)), ()
    for number in range(MOST + 2):
        tied = ties.added(VISITOR, tied, f"192.0.2.{number}")
    assert len(tied) == MOST
    assert not ties.counts(VISITOR, tied, "192.0.2.1")
    assert ties.counts(VISITOR, tied, "192.0.2.2")
    assert not ties.counts("pass", tied, "192.0.2.2")
    assert not Ties(TokenMaker(b"another key")).counts(VISITOR, tied, "192.0.2.2")
    text = ties.seal(VISITOR, Sealed("k.s", tied))
    assert "192.0.2" not in text
    assert ties.open(VISITOR, text) == Sealed("k.s", tied)
    assert ties.open("pass", text) is None
    assert ties.open(VISITOR, text + "-0123456789abcdef") is None
    assert ties.open(VISITOR, text.rpartition("-")[0]) is None

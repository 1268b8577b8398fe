"""The gate over HTTP: limits, bans, the passphrase and invites, at every address that takes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.project.test_docs import documented, sections
from tests.support.running_site import HTML, PERSON, SCRIPT, Fetch, Running
from tests.support.world import gate_of, wait_until
from tmpnb.access import limits
from tmpnb.access.banned import Banned
from tmpnb.access.gate import MOST_TRIES, Gate, Knock
from tmpnb.access.trusted_proxies import TrustedProxies
from tmpnb.core.server import Phase
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Networks
from tmpnb.web.cors import cors

pytestmark = pytest.mark.gen_test(timeout=30)

WORDS = "four plain wörds"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TAKING = [
    ("POST", "/spawn"),
    ("POST", "/spawn/a/b.ipynb"),
    ("GET", "/spawn"),
    ("GET", "/spawn/a/b.ipynb"),
    ("POST", "/spawn/user/Ab12Cd34Ef56/a/b.ipynb"),
    ("POST", "/api/spawn"),
]


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


def cookies_of(answer: HTTPResponse) -> dict[str, str]:
    """Return the cookies of an answer as a browser sends them again."""
    set_ = [c.partition(";")[0] for c in answer.headers.get_list("Set-Cookie")]
    return {"Cookie": "; ".join(set_)}


def at(address: str) -> dict[str, str]:
    """Return what our proxy adds for a visitor with this address."""
    return {"X-Forwarded-For": f"10.9.8.7,{address}"}  # the first was forged


def site(running: Running, **options: Any) -> tuple[Fetch, Gate]:
    gate = gate_of(running.world.orchestrator, clock=running.world.clock, **options)
    return running.public(gate=gate), gate


async def take(fetch: Fetch, method: str, path: str, **headers: str) -> HTTPResponse:
    kind = PERSON if method == "GET" else SCRIPT
    return await fetch(path, method=method, headers=kind | headers)


# Nobody goes round it


async def test_every_address_that_takes_a_server_is_tried_here(running: Running) -> None:
    """Of all addresses, as the documents list them; a test of those sees that they list all."""
    public, _ = sections()
    fetch, taking = running.public(), set()
    for method, path in sorted(documented(public)):
        if path.startswith("/wait/"):
            continue  # it streams, and takes nothing: see test_visitor_handlers
        before = running.taken
        await take(fetch, method, path)
        if running.taken > before:
            taking.add((method, path))
        for server in running.world.servers(Phase.CLAIMED):
            running.world.orchestrator.claims.close(server)
        await running.world.until_ready(3)
    assert taking == set(TAKING)


@pytest.mark.parametrize(("method", "path"), TAKING)
async def test_none_of_them_gives_a_server_to_the_banned(
    running: Running, method: str, path: str
) -> None:
    fetch, _ = site(running, banned=Banned("203.0.113.0/24"))
    answer = await take(fetch, method, path, **at("203.0.113.9"))
    assert answer.code == 403
    if method == "GET":
        assert b"Your network may not take notebooks here." in answer.body
    else:
        assert body(answer)["error"]["code"] == "banned"
    assert running.taken == 0


@pytest.mark.parametrize(("method", "path"), TAKING)
async def test_each_of_them_counts_and_refuses(running: Running, method: str, path: str) -> None:
    fetch, _ = site(running, servers=1)
    assert (await take(fetch, method, path, **at("203.0.113.9"))).code in (200, 302, 303)
    refused = await take(fetch, method, path, **at("203.0.113.9"))
    assert refused.code == 429
    assert int(refused.headers["Retry-After"]) > 0
    if method == "GET":
        assert b"<h1>Too Many Requests</h1>" in refused.body
    else:
        assert body(refused)["error"]["code"] == "client_limit"
        assert "status" not in body(refused)
    assert running.taken == 1
    assert body(await fetch("/stats"))["claims_refused_by_limit_total"] == 1


@pytest.mark.parametrize(("method", "path"), TAKING)
async def test_each_of_them_wants_the_passphrase(running: Running, method: str, path: str) -> None:
    fetch, _ = site(running, passphrase=WORDS)
    answer = await take(fetch, method, path)
    assert answer.code == 403
    if method == "GET":
        assert b'name="passphrase"' in answer.body
    else:
        assert body(answer)["error"]["code"] == "passphrase_needed"
    assert running.taken == 0
    # Bytes of a header are letters of Latin-1 to the client that the tests use.
    said = {"X-Tmpnb-Passphrase": WORDS.encode().decode("latin-1")}
    assert (await take(fetch, method, path, **said)).code in (200, 302, 303)


# Limits


async def test_one_address_cannot_take_all_and_another_is_served(running: Running) -> None:
    fetch, _ = site(running, servers=2)
    codes = [(await take(fetch, "POST", "/api/spawn", **at("203.0.113.9"))).code for _ in range(9)]
    assert codes == [200] * 2 + [429] * 7
    assert (await take(fetch, "POST", "/api/spawn", **at("198.51.100.1"))).code == 200


async def test_one_address_cannot_fill_the_line(running: Running) -> None:
    fetch, _ = site(running, servers=2)
    for _ in range(3):
        await running.world.orchestrator.claims.claim()
    answers = [await take(fetch, "POST", "/spawn", **at("203.0.113.9")) for _ in range(9)]
    assert [a.code for a in answers] == [503] * 2 + [429] * 7
    assert running.world.orchestrator.claims.waiting == 2
    ticket = body(answers[0])["ticket"]
    again = await fetch(
        "/spawn",
        method="POST",
        headers=SCRIPT | FORM | at("203.0.113.9"),
        body=urlencode({"ticket": ticket}),
    )
    assert (again.code, body(again)["position"]) == (503, 1), "who has a place keeps it"


async def test_who_comes_back_to_their_server_is_never_refused(running: Running) -> None:
    fetch, _ = site(running, servers=1, a_minute=1)
    first = await take(fetch, "POST", "/spawn", **at("203.0.113.9"))
    for _ in range(3):
        again = await take(fetch, "POST", "/spawn/lab", **at("203.0.113.9"), **cookies_of(first))
        assert again.code == 200
    assert running.taken == 1


async def test_who_comes_back_after_a_restart_is_counted_again(running: Running) -> None:
    fetch, _ = site(running, servers=1)
    first = await take(fetch, "POST", "/spawn", **at("203.0.113.9"))
    after, _ = site(running, servers=1)  # a gate that knows nothing
    again = await take(after, "POST", "/spawn", **at("203.0.113.9"), **cookies_of(first))
    assert body(again)["url"] == body(first)["url"]
    assert (await take(after, "POST", "/spawn", **at("203.0.113.9"))).code == 429


async def test_who_may_not_take_another_keeps_the_one_they_have(running: Running) -> None:
    fetch, _ = site(running, servers=1, a_minute=1)
    first = await take(fetch, "POST", "/spawn", **at("203.0.113.9"))
    headers = SCRIPT | FORM | at("203.0.113.9") | cookies_of(first)
    refused = await fetch("/spawn", method="POST", headers=headers, body="fresh=1")
    assert refused.code == 429
    assert len(running.world.servers(Phase.CLAIMED)) == 1
    running.world.clock.advance(61)
    fresh = await fetch("/spawn", method="POST", headers=headers, body="fresh=1")
    assert fresh.code == 200
    assert body(fresh)["url"] != body(first)["url"]


async def test_exempt_networks_are_not_limited(running: Running) -> None:
    exempt = Networks(networks.parse("203.0.113.0/24", "test"))
    fetch, _ = site(running, servers=1, exempt=exempt)
    for _ in range(3):
        assert (await take(fetch, "POST", "/api/spawn", **at("203.0.113.9"))).code == 200


async def test_a_program_with_the_apis_token_is_not_limited(running: Running) -> None:
    gate = gate_of(running.world.orchestrator, servers=1, passphrase=WORDS)
    fetch = running.public(gate=gate, api_token="secret-of-the-api")
    token = {"Authorization": "token secret-of-the-api"}
    for _ in range(3):
        assert (await take(fetch, "POST", "/api/spawn", **at("203.0.113.9"), **token)).code == 200


@pytest.mark.parametrize(("method", "path"), TAKING)
async def test_a_notebook_takes_no_notebooks(running: Running, method: str, path: str) -> None:
    own = networks.address("172.18.0.7")

    async def is_notebook(address: networks.Address | None) -> bool:
        return address == own

    gate = gate_of(running.world.orchestrator, is_notebook=is_notebook)
    fetch = running.public(gate=gate)
    trusted = TrustedProxies(Networks(networks.parse("172.18.0.0/16", "test")))
    forger = gate_of(running.world.orchestrator, is_notebook=is_notebook, trusted=trusted)
    answer = await take(running.public(gate=forger), method, path, **at("203.0.113.9,172.18.0.7"))
    assert answer.code == 403, "a notebook is no proxy, whoever is trusted"
    for seen in ("172.18.0.7", "::ffff:172.18.0.7"):
        answer = await take(fetch, method, path, **at(seen))
        assert answer.code == 403
        assert b"A notebook takes no other notebooks." in answer.body
    assert running.taken == 0
    assert running.world.orchestrator.claims.waiting == 0
    assert (await take(fetch, method, path, **at("172.18.0.8"))).code in (200, 302, 303)


async def test_a_visitor_with_a_link_local_address_is_told_apart_by_its_zone(
    running: Running,
) -> None:
    asked: list[str] = []

    async def is_notebook(address: networks.Address | None) -> bool:
        asked.append(str(address))
        return str(address).endswith("%docker0")

    gate = gate_of(running.world.orchestrator, is_notebook=is_notebook)
    fetch = running.public(gate=gate)
    for zone, code in (("docker0", 403), ("eth0", 200)):
        assert (await take(fetch, "POST", "/spawn", **at(f"fe80::1%{zone}"))).code == code
    assert [address for address in asked if "%" in address] == ["fe80::1%docker0", "fe80::1%eth0"]
    client = await gate.client(Knock("127.0.0.1", "fe80::1%eth0"))
    assert (str(client.address), client.key) == ("fe80::1", "fe80::/64")


async def test_requests_of_one_address_under_way_are_bounded_and_others_are_not_held(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With streams of the line, which are as long as anything here."""
    monkeypatch.setattr(limits, "LEAST_AT_ONCE", 3)
    own = Networks(networks.parse("192.0.2.0/24", "test"))
    gate = gate_of(running.world.orchestrator, clock=running.world.clock, servers=100, exempt=own)
    monkeypatch.setattr(limits, "TIMES_SERVERS", 0)
    base, programs = (running.serve_public(gate=gate, **more) for more in ({}, {"api_token": "t"}))
    claims = running.world.orchestrator.claims
    for _ in range(3):
        await claims.claim()

    async def ask(address: str, path: str = "/wait/nobody") -> HTTPResponse:
        return await running.fetch(base + path, headers=SCRIPT | at(address))

    tickets = [claims.queue() for _ in range(4)]
    open_ = [
        asyncio.create_task(ask("203.0.113.9", f"/wait/{ticket.id}")) for ticket in tickets[:3]
    ]
    await wait_until(lambda: gate.limits._asking["203.0.113.9"] == 3, "three streams")
    for path in (f"/wait/{tickets[3].id}", "/wait/nobody", "/spawn"):
        refused = await ask("203.0.113.9", path)
        assert (refused.code, body(refused)["error"]["code"]) == (429, "client_limit")
        assert int(refused.headers["Retry-After"]) > 0
    for address in ("203.0.113.10", "192.0.2.7"):
        assert (await ask(address)).code == 200
    assert (await ask("203.0.113.9", "/info")).code == 200, "it takes no time"
    fetched = SCRIPT | at("203.0.113.9") | {"Authorization": "token t"}
    assert (await running.fetch(f"{programs}/stats", headers=fetched)).code == 200
    for server in running.world.servers(Phase.CLAIMED):
        claims.close(server)  # whose turn it is then is told so, and the stream ends
    assert [(await task).code for task in open_] == [200] * 3
    await wait_until(lambda: not gate.limits._asking, "nothing is under way")


async def test_a_proxy_that_nobody_knows_yet_is_not_bounded_as_one_client(
    running: Running,
) -> None:
    async def resolve(_: str) -> list[str]:
        return ["10.0.0.5"]

    trusted = TrustedProxies(names=["proxy-api"], resolve=resolve)
    gate = gate_of(running.world.orchestrator, trusted=trusted)
    assert gate.bounded_key("10.0.0.5", "203.0.113.9") is None, "it may speak for many"
    await wait_until(lambda: trusted.knows("10.0.0.5"))
    assert gate.bounded_key("10.0.0.5", "203.0.113.9") == "203.0.113.9"
    assert gate.bounded_key("10.0.0.5", "") is None, "it speaks for nobody"
    assert gate.bounded_key("203.0.113.9", "198.51.100.1") == "203.0.113.9"


async def test_an_unknown_proxy_is_told_of_once(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    gate = gate_of(running.world.orchestrator)
    for _ in range(3):
        client = await gate.client(Knock("10.0.0.5", "203.0.113.9"))
        assert str(client.address) == "10.0.0.5"
    assert [("--trusted-proxies" in r.message) for r in caplog.records] == [True]


# The passphrase


async def test_a_form_says_it_and_need_not_again(running: Running) -> None:
    fetch, _ = site(running, passphrase=WORDS)
    page = await fetch("/spawn/lab", method="POST", headers=HTML | FORM, body="")
    assert page.code == 403
    assert b'<form method="post" action="/spawn/lab">' in page.body
    said = urlencode({"passphrase": WORDS})
    taken = await fetch("/spawn/lab", method="POST", headers=HTML | FORM, body=said)
    assert taken.code == 303
    kept = [c for c in taken.headers.get_list("Set-Cookie") if c.startswith("tmpnb-pass-test-")]
    assert len(kept) == 1
    assert "; Path=/spawn; Max-Age=86400; HttpOnly; SameSite=Lax" in kept[0]
    only = {"Cookie": kept[0].partition(";")[0]}
    assert (await take(fetch, "POST", "/spawn", **only)).code == 200
    assert running.taken == 2


async def test_a_wrong_one_is_said_and_asked_again(running: Running) -> None:
    fetch, _ = site(running, passphrase=WORDS)
    wrong = urlencode({"passphrase": "<b>guess", "fresh": "1"})
    page = await fetch("/spawn", method="POST", headers=HTML | FORM, body=wrong)
    assert page.code == 403
    assert b"That is not the passphrase. Please try again." in page.body
    assert b"guess" not in page.body
    assert b'name="fresh" value="1"' in page.body


async def test_wrong_tries_are_few_and_the_right_one_is_not_told_then(running: Running) -> None:
    fetch, _ = site(running, passphrase=WORDS)

    async def say(words: str, address: str) -> int:
        headers = SCRIPT | at(address) | {"X-Tmpnb-Passphrase": words.encode().decode("latin-1")}
        return (await fetch("/api/spawn", method="POST", headers=headers)).code

    for _ in range(MOST_TRIES):
        assert await say("a guess", "203.0.113.9") == 403
    assert await say(WORDS, "203.0.113.9") == 429
    assert await say(WORDS, "198.51.100.1") == 200
    running.world.clock.advance(61)
    assert await say(WORDS, "203.0.113.9") == 200


async def test_who_was_let_in_is_not_asked_again(running: Running) -> None:
    fetch, _ = site(running, passphrase=WORDS)
    others = [await running.world.orchestrator.claims.claim() for _ in range(3)]
    said = {"X-Tmpnb-Passphrase": WORDS.encode().decode("latin-1")}
    waiting = await take(fetch, "POST", "/spawn", **said)
    assert waiting.code == 503
    ticket = urlencode({"ticket": body(waiting)["ticket"], "wait": "20"})
    running.world.orchestrator.claims.close(others[0])
    taken = await fetch("/spawn", method="POST", headers=SCRIPT | FORM, body=ticket)
    assert taken.code == 200, "the ticket stands for it"
    seen = cookies_of(taken)
    assert "tmpnb-pass" not in seen["Cookie"]
    assert (await take(fetch, "POST", "/spawn", **seen)).code == 200, "their own server does"
    fresh = await fetch("/spawn", method="POST", headers=SCRIPT | FORM | seen, body="fresh=1")
    assert fresh.code == 403, "a new one does not"


# Invites


async def test_an_invite_opens_and_leaves_the_address_bar(running: Running) -> None:
    fetch, gate = site(running, passphrase=WORDS)
    token = gate.passes.invite(3)
    for path, to in (
        ("/invite", "/"),
        ("/invite/", "/"),
        ("/invite/lab/tree/a%20b.ipynb", "/lab/tree/a%20b.ipynb"),
        ("/invite//evil.example/x", "/spawn/evil.example/x"),
        ("/invite/rstudio", "/spawn/rstudio"),
    ):
        arrived = await fetch(f"{path}?token={token}")
        assert (arrived.code, arrived.headers["Location"]) == (302, to)
        [kept] = arrived.headers.get_list("Set-Cookie")
        assert re.search(r"; Path=/spawn; Max-Age=1080\d; HttpOnly; SameSite=Lax$", kept)
    assert running.taken == 0
    assert (await take(fetch, "POST", "/spawn", **cookies_of(arrived))).code == 200


@pytest.mark.parametrize("token", ["", "nonsense", "invite.9999999999.abc"])
async def test_an_invite_that_is_none_or_over_is_said(running: Running, token: str) -> None:
    fetch, _ = site(running, passphrase=WORDS)
    answer = await fetch(f"/invite?token={token}", headers=HTML)
    assert answer.code == 403
    assert b"This invitation has ended" in answer.body
    assert "Set-Cookie" not in answer.headers


async def test_neither_passphrase_nor_invite_gets_into_a_log(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    fetch, gate = site(running, passphrase=WORDS)
    token = gate.passes.invite(3)
    with caplog.at_level(0):
        await fetch(f"/invite/lab?token={token}")
        await fetch("/invite?token=invite.1.wr0ng-token-1")
        for words in (WORDS, "a wrong guess"):
            said = urlencode({"passphrase": words})
            await fetch("/spawn", method="POST", headers=HTML | FORM, body=said)
    assert "/invite/lab" in caplog.text
    for secret in (token, "wr0ng-token-1", WORDS, "wrong guess", "four"):
        assert secret not in caplog.text


# Pages of other sites


OURS, FOREIGN = "https://notebooks.example", "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": OURS}, 200),
        ({"Origin": OURS, "Host": "notebooks.example"}, 200),
        ({"Origin": FOREIGN}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://docs.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_page_of_another_site_takes_no_server_for_its_readers(
    running: Running, headers: dict[str, str], code: int
) -> None:
    answer = await running.public()("/api/spawn", method="POST", headers=headers)
    assert answer.code == code
    assert running.taken == (code == 200)


@pytest.mark.parametrize("allowed", [FOREIGN, "*", f"https://blog.example,{FOREIGN}"])
async def test_a_page_of_an_allowed_site_takes_one(running: Running, allowed: str) -> None:
    fetch = running.public(cors=cors({"allow_origin": allowed}))
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}
    assert (await fetch("/api/spawn", method="POST", headers=headers)).code == 200


async def test_who_sends_the_api_token_takes_one_from_wherever(running: Running) -> None:
    fetch = running.public(api_token="of-the-api")
    headers = {"Origin": FOREIGN, "Authorization": "token of-the-api"}
    assert (await fetch("/api/spawn", method="POST", headers=headers)).code == 200


@pytest.mark.parametrize(
    ("path", "who"),
    [("/", "same-origin"), ("/stats", "same-origin"), ("/session/x", "same-origin")]
    + [(p, "cross-origin") for p in ("/embed.js", "/badge.svg", "/logo", "/static/favicon.svg")],
)
async def test_only_what_is_meant_for_them_is_a_part_of_other_sites_pages(
    running: Running, path: str, who: str
) -> None:
    answer = await running.public()(path)
    assert answer.headers["Cross-Origin-Resource-Policy"] == who


async def test_over_https_no_other_sites_window_holds_a_page_of_ours(running: Running) -> None:
    fetch = running.public()
    secure = await fetch("/", headers=HTML | {"X-Forwarded-Proto": "https"})
    assert secure.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Cross-Origin-Opener-Policy" not in (await fetch("/", headers=HTML)).headers

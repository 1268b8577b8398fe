"""The address behind a form, handed on: it leads nobody to its maker's notebook."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import PERSON, Fetch, Running
from tests.support.world import gate_of
from tmpnb.web.brand import Analytics, Brand
from tmpnb.web.pages.question import SANDBOX

pytestmark = pytest.mark.gen_test(timeout=30)

HOME, MOBILE = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "203.0.113.9"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OWN = PERSON | HOME | {"Sec-Fetch-Site": "same-origin"}
FOREIGN = PERSON | HOME | {"Sec-Fetch-Site": "cross-site"}
FROM_QUESTION = FOREIGN | FORM | {"Origin": "null"}
WORDS = "four plain words"


async def post(fetch: Fetch, path: str = "/spawn", cookie: str = "", **said: str) -> HTTPResponse:
    headers = OWN | FORM | ({"Cookie": cookie} if cookie else {})
    return await fetch(path, method="POST", headers=headers, body=urlencode(said), loads=False)


def ticket_on(page: HTTPResponse) -> str:
    return re.findall('name="ticket" value="([^"]+)"', page.body.decode())[0]


async def waits(running: Running, fetch: Fetch) -> tuple[str, str]:
    """Fill the pool and wait in line without cookies; return the address and the ticket."""
    for _ in range(3):
        await running.world.orchestrator.claims.claim()
    address = (await post(fetch)).headers["Location"]
    return address, ticket_on(await fetch(address, headers=OWN))


async def frees_one(running: Running) -> None:
    claims = running.world.orchestrator.claims
    server = next(s for s in running.world.pool.servers.values() if claims.live(s.id))
    claims.close(server)
    await running.world.until_gone(server.id)
    await running.world.until_ready(1)


async def is_led(running: Running, fetch: Fetch, sent: dict[str, str]) -> HTTPResponse:
    """Let somebody without cookies open the address of one who has got a server meanwhile."""
    address, ticket = await waits(running, fetch)
    await frees_one(running)
    assert (await post(fetch, ticket=ticket)).headers["Location"].startswith("/user/")
    return await fetch(address, headers=sent)


@pytest.mark.parametrize("destination", ["document", "iframe", "image", "empty"])
async def test_another_site_leads_nobody_to_a_notebook_by_it(
    running: Running, destination: str
) -> None:
    led = await is_led(running, running.public(), FOREIGN | {"Sec-Fetch-Dest": destination})
    assert led.code == 200
    assert b'data-autostart="no"' in led.body
    assert "Set-Cookie" not in led.headers
    assert b'name="ticket"' not in led.body


@pytest.mark.parametrize("destination", ["image", "script", "style"])
async def test_nothing_but_a_page_takes_by_it(running: Running, destination: str) -> None:
    led = await is_led(running, running.public(), OWN | {"Sec-Fetch-Dest": destination})
    assert led.code == 200
    assert "Set-Cookie" not in led.headers


async def test_the_cookie_of_an_address_that_was_typed_counts_nowhere_yet(
    running: Running,
) -> None:
    fetch = running.public()
    led = await is_led(running, fetch, PERSON | HOME)
    assert led.headers["Location"].startswith("/user/")
    cookie = led.headers["Set-Cookie"].partition(";")[0]
    asked = await fetch("/spawn", headers=OWN | {"Cookie": cookie})
    assert SANDBOX in asked.headers.get_list("Content-Security-Policy")


@pytest.mark.parametrize("destination", ["document", "iframe", "frame"])
async def test_who_waits_without_cookies_is_led_on_and_known_again(
    running: Running, destination: str
) -> None:
    fetch, sent = running.public(), OWN | {"Sec-Fetch-Dest": destination}
    del sent["Sec-Fetch-User"]  # a page that loads itself again
    address, ticket = await waits(running, fetch)
    for _ in "ab":
        page = await fetch(address, headers=sent)
        assert (page.code, ticket_on(page)) == (503, ticket)
    await frees_one(running)
    led = await fetch(address, headers=sent)
    path = led.headers["Location"].partition("?")[0]
    cookie = led.headers["Set-Cookie"].partition(";")[0]
    again = await post(fetch, cookie=cookie)
    assert again.headers["Location"].startswith(path)


async def test_its_token_opens_a_server_for_nobody_who_only_has_the_address(
    running: Running,
) -> None:
    fetch = running.public()
    server = await running.world.orchestrator.claims.claim()
    token = running.world.orchestrator.token_for(server.id)
    fields = {"token": token, "server": server.id, "fresh": "1"}
    for sent in (FOREIGN, OWN):
        address = f"/spawn?tmpnb-form={running.site.forms.keep('192.0.2.1', fields)}"
        led = await fetch(address, headers=sent)
        assert token not in led.headers.get("Location", "")
    assert running.world.orchestrator.claims.live(server.id) is not None


async def test_who_has_chosen_on_the_page_without_an_origin_is_asked_for_the_passphrase(
    running: Running,
) -> None:
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    fetch = running.public(gate=gate)
    body = urlencode({"passphrase": WORDS})
    theirs = await fetch("/spawn", method="POST", headers=PERSON | FORM | MOBILE, body=body)
    [value] = [c for c in theirs.headers.get_list("Set-Cookie") if "tmpnb-visitor" in c]
    cookie = {"Cookie": value.partition(";")[0]}
    page = await fetch("/spawn", headers=OWN | cookie)
    offer = re.findall('name="offer" value="([^"]*)"', page.body.decode())[0]
    form = urlencode({"choice": "afresh", "offer": offer})
    sent_on = await fetch(
        "/spawn", method="POST", headers=FROM_QUESTION | cookie, body=form, loads=False
    )
    asks = await fetch(sent_on.headers["Location"], headers=FOREIGN | cookie)
    assert asks.code == 403
    assert f'name="offer" value="{offer}"' in asks.body.decode()
    answer = await post(
        fetch, cookie=cookie["Cookie"], choice="afresh", offer=offer, passphrase=WORDS
    )
    assert answer.headers["Location"].startswith("/user/")


async def test_who_has_chosen_waits_in_line_as_all_do(running: Running) -> None:
    fetch = running.public()
    theirs = await fetch("/spawn", method="POST", headers=PERSON | FORM | MOBILE, body="")
    cookie = {"Cookie": theirs.headers["Set-Cookie"].partition(";")[0]}
    for _ in range(2):
        await running.world.orchestrator.claims.claim()
    page = await fetch("/spawn", headers=OWN | cookie)
    offer = re.findall('name="offer" value="([^"]*)"', page.body.decode())[0]
    form = urlencode({"choice": "afresh", "offer": offer})
    line = await fetch("/spawn", method="POST", headers=FROM_QUESTION | cookie, body=form)
    assert (line.code, bool(ticket_on(line))) == (503, True)
    assert running.world.orchestrator.claims.waiting == 1


async def test_no_analytics_see_it(running: Running) -> None:
    analytics = Analytics("https://stats.example/s.js", "https://stats.example")
    fetch = running.public(brand=Brand(analytics=analytics))
    key = running.site.forms.keep("192.0.2.1", {"ticket": "t"})
    for address, seen in (("/", True), (f"/?tmpnb-form={key}", False)):
        page = await fetch(address, headers=OWN)
        assert (b"stats.example" in page.body) is seen


async def test_another_site_leads_to_the_button_before_any_question(running: Running) -> None:
    fetch = running.public(gate=gate_of(running.world.orchestrator, passphrase=WORDS))
    key = running.site.forms.keep("192.0.2.1", {"ticket": "t"})
    codes = [(await fetch(f"/spawn?tmpnb-form={key}", headers=h)).code for h in (FOREIGN, OWN)]
    assert codes == [200, 403]


async def test_the_choice_of_somebody_else_takes_nothing(running: Running) -> None:
    fetch = running.public()
    theirs = await fetch("/spawn", method="POST", headers=PERSON | FORM | MOBILE, body="")
    cookie = {"Cookie": theirs.headers["Set-Cookie"].partition(";")[0]}
    page = await fetch("/spawn", headers=OWN | cookie)
    offer = re.findall('name="offer" value="([^"]*)"', page.body.decode())[0]
    for choice in ("afresh", "go-on"):
        key = running.site.forms.keep("192.0.2.1", {"choice": choice, "offer": offer})
        led = await fetch(f"/spawn?tmpnb-form={key}", headers=FOREIGN)
        assert (led.code, "Location" in led.headers) == (200, False)
        assert not [c for c in led.headers.get_list("Set-Cookie") if "tmpnb-visitor" in c]
    assert running.taken == 1

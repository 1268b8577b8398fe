"""The way back to an address of the past: for the browser that had it, and for nobody else."""

from __future__ import annotations

import asyncio
import json
import random
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import PERSON, SCRIPT, Fetch, Running
from tests.support.world import World, gate_of, wait_until
from tmpnb.core.server import Phase, StopReason
from tmpnb.core.subdomains import Subdomains
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.visitors.identity import Visitor
from tmpnb.web import brand
from tmpnb.web.brand import Brand

pytestmark = pytest.mark.gen_test(timeout=30)

FORM = PERSON | {"Content-Type": "application/x-www-form-urlencoded"}
NEVER = "neverexisted"  # twelve letters, as the ids of a service are long


class Browser:
    """One browser: its cookie, and what it was led to last."""

    def __init__(self, fetch: Fetch, *, cookies: bool = True) -> None:
        self._fetch, self._keeps = fetch, cookies
        self.cookie: dict[str, str] = {}
        self.id = self.token = self.path = ""

    async def post(self, path: str, **form: str) -> HTTPResponse:
        headers = FORM | self.cookie
        answer = await self._fetch(path, method="POST", headers=headers, body=urlencode(form))
        if self._keeps and "Set-Cookie" in answer.headers:
            self.cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        if answer.code == 303:
            place = urlsplit(answer.headers["Location"])
            self.id, self.path = place.path.split("/")[2], place.path
            self.token = parse_qs(place.query)["token"][0]
        return answer


async def end(running: Running, server_id: str) -> None:
    server = running.world.orchestrator.claims.live(server_id)
    assert server is not None
    running.world.orchestrator.claims.close(server)
    await running.world.until_gone(server_id)


async def ended(running: Running, fetch: Fetch, *, cookies: bool = True) -> Browser:
    """Return a browser whose server has ended."""
    browser = Browser(fetch, cookies=cookies)
    await browser.post("/spawn/lab")
    await end(running, browser.id)
    return browser


class TestWhoHadIt:
    async def test_the_cookie_opens_the_same_address_with_the_same_secret(
        self, running: Running
    ) -> None:
        browser = await ended(running, running.public())
        had = browser.id, browser.token
        answer = await browser.post(f"/spawn/user/{had[0]}/lab")
        assert answer.code == 303
        assert (browser.id, browser.token) == had
        assert browser.path == f"/user/{had[0]}/lab"

    async def test_the_token_in_the_form_does_where_no_cookie_is_kept(
        self, running: Running
    ) -> None:
        browser = await ended(running, running.public(), cookies=False)
        had = browser.id, browser.token
        assert (await browser.post(f"/spawn/user/{had[0]}/lab", token=had[1])).code == 303
        assert (browser.id, browser.token) == had

    async def test_pressing_again_leads_to_the_server_and_starts_none(
        self, running: Running
    ) -> None:
        browser = await ended(running, running.public())
        had = browser.id
        for _ in "ab":
            assert (await browser.post(f"/spawn/user/{had}/lab")).code == 303
            assert browser.id == had
        assert running.taken == 2

    async def test_a_double_press_starts_one_server_though_the_first_is_dropped(
        self, running: Running
    ) -> None:
        url = running.serve_public()
        browser = await ended(running, lambda path, **options: running.fetch(url + path, **options))
        had, may_start, start = browser.id, asyncio.Event(), running.world.spawner.start

        async def start_later(spec: ServerSpec) -> str:
            if spec.server_id == had:
                await may_start.wait()
            return await start(spec)

        running.world.spawner.start = start_later  # type: ignore[method-assign]  # a slow engine
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        said = f"Host: x\r\nCookie: {browser.cookie['Cookie']}\r\nContent-Length: 0\r\n\r\n"
        writer.write(f"POST /spawn/user/{had}/lab HTTP/1.1\r\n{said}".encode())
        await wait_until(lambda: had in running.world.pool.servers)
        writer.transport.abort()
        del reader
        async with asyncio.TaskGroup() as group:
            path = f"/spawn/user/{had}/lab"
            pressed = [group.create_task(browser.post(path)) for _ in "ab"]
            assert (await running.fetch(f"{url}/health/ready")).code in (200, 503), "they wait"
            may_start.set()
        assert [task.result().code for task in pressed] == [303, 303]
        assert browser.id == had
        assert running.taken == 2
        server = running.world.orchestrator.claims.live(had)
        await running.world.passes(2)
        assert server is not None
        assert running.world.orchestrator.claims.live(had) is server

    async def test_a_get_takes_nothing(self, running: Running) -> None:
        fetch = running.public()
        browser = await ended(running, fetch)
        answer = await fetch(f"/spawn/user/{browser.id}/lab", headers=PERSON | browser.cookie)
        assert answer.code == 200
        assert running.taken == 1


class TestAnybodyElse:
    @pytest.mark.parametrize("token", ["", "0" * 64, "é", "undefined"])
    async def test_they_get_a_server_of_their_own_at_the_same_place(
        self, running: Running, token: str
    ) -> None:
        fetch = running.public()
        first, second = await ended(running, fetch), Browser(fetch)
        link = f"/spawn/user/{first.id}/doc/tree/a%20b.ipynb?x=1"
        assert (await second.post(link, token=token)).code == 303
        assert second.id != first.id
        assert second.token != first.token
        assert second.path == f"/user/{second.id}/doc/tree/a%20b.ipynb"
        assert running.world.orchestrator.token_for(second.id) != first.token

    async def test_an_id_that_never_was_is_not_made_true(self, running: Running) -> None:
        browser = Browser(running.public())
        assert (await browser.post(f"/spawn/user/{NEVER}/lab")).code == 303
        assert browser.id != NEVER
        assert running.world.orchestrator.claims.live(NEVER) is None

    async def test_the_cookie_of_another_server_is_no_proof(self, running: Running) -> None:
        fetch = running.public()
        first, second = await ended(running, fetch), Browser(fetch)
        await second.post("/spawn/lab")
        own = second.id
        await second.post(f"/spawn/user/{first.id}/lab", token=second.token)
        assert second.id == own
        assert running.taken == 2

    async def test_they_wait_in_line_as_anywhere(self, running: Running) -> None:
        fetch = running.public()
        first = await ended(running, fetch)
        await running.world.until_ready(3)
        for _ in range(3):
            await running.world.orchestrator.claims.claim()
        answer = await fetch(f"/spawn/user/{first.id}/lab", method="POST", headers=SCRIPT)
        assert answer.code == 503
        assert b'"position": 1' in answer.body

    async def test_a_live_server_of_somebody_else_is_not_betrayed(self, running: Running) -> None:
        fetch = running.public()
        first, second = Browser(fetch), Browser(fetch)
        await first.post("/spawn/lab")
        ready = running.world.servers(Phase.READY)[0].id
        for server_id in (first.id, ready):
            assert (await second.post(f"/spawn/user/{server_id}/lab")).code == 303
            assert second.id not in (first.id, "")

    async def test_no_id_ever_has_a_second_holder(self, running: Running) -> None:
        """Browsers that open, end, reopen, start fresh, and follow each other's links."""
        fetch, chance = running.public(), random.Random(12)  # noqa: S311 - a test, no secret
        browsers = [Browser(fetch) for _ in range(3)]
        holders: dict[str, Browser] = {}
        links = [NEVER]
        for _ in range(120):
            browser = chance.choice(browsers)
            other = chance.choice(links)
            token = chance.choice(["", browser.token, browser.token[::-1]])
            act = chance.choice(["/spawn/lab", f"/spawn/user/{other}/lab", "end", "fresh"])
            if act == "end" and running.world.orchestrator.claims.live(browser.id):
                await end(running, browser.id)
            elif act == "fresh":
                await browser.post("/spawn/lab", fresh="1")
            elif act != "end":
                await browser.post(act, token=token)
            if browser.id:
                assert holders.setdefault(browser.id, browser) is browser
                assert running.world.orchestrator.token_for(browser.id) == browser.token
                links.append(browser.id)
        assert len(holders) > 10


class TestForm:
    """Ids that a visitor sends have the form of ours, or there is nothing at the address."""

    @pytest.mark.parametrize(
        "form",
        ["{}-claimed-1", "{}x", "x{}", "{}-", "_{}", "tmpnb-test-{}", "-", "a", "a" * 64, "{}_"],
    )
    async def test_another_form_reaches_neither_engine_nor_proxy(
        self, running: Running, form: str
    ) -> None:
        fetch = running.public()
        browser = Browser(fetch)
        await browser.post("/spawn/lab")
        await running.world.until_ready(2)
        server_id = form.format(browser.id)
        forged = running.site.visitors.write(Visitor("key", server_id))  # of an older service
        name = browser.cookie["Cookie"].partition("=")[0]
        before = set(running.world.pool.servers), dict(running.world.proxy.table)
        for cookie in (browser.cookie, {"Cookie": f"{name}={forged}"}):
            token = running.world.orchestrator.token_for(server_id)
            answer = await fetch(
                f"/spawn/user/{server_id}/lab",
                method="POST",
                headers=FORM | cookie,
                body=urlencode({"token": token}),
            )
            assert answer.code == 404
        assert (set(running.world.pool.servers), running.world.proxy.table) == before
        page = await fetch(f"/user/{server_id}/lab", headers=PERSON)
        assert page.code == 404
        assert b"Start a new notebook" in page.body
        assert b"/spawn/user/" not in page.body

    @pytest.mark.parametrize("server_id", ["oldOldoldold", "OLDOLDOLDOLD"])
    async def test_with_a_host_for_each_server_ids_are_in_lower_case(self, server_id: str) -> None:
        timing = World().orchestrator._timing
        assert timing.is_id(server_id)
        lower = type(timing)(user_length=12, lower_case=True)
        assert not lower.is_id(server_id)
        assert lower.is_id(server_id.lower())

    @pytest.mark.parametrize("text", ["", "é" * 12, "\u0661" * 12, "oldoldoldol\n", "old old old "])
    async def test_only_letters_and_digits_of_ours_count(self, text: str) -> None:
        assert not World().orchestrator.is_id(text)

    async def test_what_is_made_has_that_form(self) -> None:
        timing = World().orchestrator._timing
        for lower in (False, True):
            made = type(timing)(user_length=9, lower_case=lower)
            assert all(made.is_id(made.new_id()) for _ in range(200))


class TestPages:
    """The proof goes on from page to page where no cookie can."""

    async def test_ended_page_carries_the_token_that_its_address_shows(
        self, running: Running
    ) -> None:
        fetch = running.public()
        browser = await ended(running, fetch)
        for token, is_carried in ((browser.token, True), ("0" * 64, False), ("", False)):
            page = await fetch(f"/user/{browser.id}/lab?token={token}", headers=PERSON)
            assert page.code == 404
            hidden = f'<input type="hidden" name="token" value="{browser.token}">'
            assert (hidden in page.body.decode()) is is_carried
            assert (b'name="token"' in page.body) is is_carried

    async def test_page_beside_the_notebook_leads_back_as_well(self, running: Running) -> None:
        fetch = running.public()
        browser = await ended(running, fetch)
        path = f"/session/{browser.id}"
        arrived = await fetch(f"{path}?token={browser.token}", headers=PERSON)
        cookie = {"Cookie": arrived.headers["Set-Cookie"].partition(";")[0]}
        form = urlencode({"token": browser.token, "do": "keep"})
        by_form = await fetch(path, method="POST", headers=FORM, body=form)
        for page in (
            await fetch(path, headers=PERSON | cookie),
            await fetch(arrived.headers["Location"], headers=PERSON),
            await fetch(by_form.headers["Location"], headers=PERSON),
        ):
            assert page.code == 404
            assert f'name="token" value="{browser.token}"'.encode() in page.body
        assert (await fetch(path, headers=PERSON)).code == 403

    async def test_terms_and_passphrase_pass_it_on(self, running: Running) -> None:
        browser = await ended(running, running.public(), cookies=False)
        terms = Brand(terms=brand.terms("terms.txt", b"Be kind."))
        gate = gate_of(running.world.orchestrator, passphrase="four plain words")
        hidden = f'<input type="hidden" name="token" value="{browser.token}">'.encode()
        for changes in ({"brand": terms}, {"gate": gate}):
            fetch = running.public(**changes)
            for token, is_carried in ((browser.token, True), ("0" * 64, False)):
                page = await fetch(
                    f"/spawn/user/{browser.id}/lab",
                    method="POST",
                    headers=FORM,
                    body=urlencode({"token": token}),
                )
                assert page.code == (200 if "brand" in changes else 403)
                assert (hidden in page.body) is is_carried
                assert (b'name="token"' in page.body) is is_carried

    async def test_a_server_host_sends_on_with_the_right_token_alone(
        self, running: Running
    ) -> None:
        browser = await ended(running, running.public())
        fetch = running.public(subdomains=Subdomains("notebooks.test"))
        headers = PERSON | {"Host": f"{browser.id.lower()}.notebooks.test:8000"}
        path = f"/user/{browser.id}/lab"
        for token, query in ((browser.token, f"?token={browser.token}"), ("no", "")):
            answer = await fetch(f"{path}?token={token}", headers=headers)
            assert answer.headers["Location"] == f"http://notebooks.test:8000{path}{query}"


class Picky(FakeSpawner):
    """An engine that refuses one id, as it does when a container's name is taken."""

    refused = ""

    async def start(self, spec: ServerSpec) -> str:
        if spec.server_id == self.refused:
            raise SpawnerError("409: the name is in use")
        return await super().start(spec)


async def test_a_start_for_one_visitor_that_fails_slows_nobody() -> None:
    spawner = Picky()
    async with World(2, spawner=spawner).running() as world:
        await world.until_ready(2)
        spawner.refused = "oldoldoldold"
        for _ in range(5):
            with pytest.raises(SpawnerError):
                await world.orchestrator.claims.claim_as("oldoldoldold")
            await world.until_gone("oldoldoldold")
            assert world.orchestrator.parts.starter.backoff.failures == 0
            assert "start" not in world.orchestrator.health.problems
        await world.until_ready(2)


async def test_attempts_that_fail_count_against_the_rate(running: Running) -> None:
    world, gate = running.world, gate_of(running.world.orchestrator, a_minute=3)
    browser = await ended(running, running.public(gate=gate))
    starts: list[str] = []

    async def refuse(spec: ServerSpec) -> str:
        starts.append(spec.server_id)
        raise SpawnerError("no")

    await world.until_ready(3)
    world.spawner.start = refuse  # type: ignore[method-assign]  # the engine is broken from now on
    path = f"/spawn/user/{browser.id}/lab"
    codes = []
    for _ in range(6):
        codes.append((await browser.post(path)).code)
        await wait_until(lambda: browser.id not in world.pool.servers)
    assert codes == [503, 503, 429, 429, 429, 429]
    assert starts.count(browser.id) == 2


async def test_while_nothing_starts_no_ready_server_makes_place(running: Running) -> None:
    world, browser = running.world, await ended(running, running.public())
    await world.until_ready(3)
    for topic in ("engine", "start"):
        world.orchestrator.health.report(topic, "away")
        answer = await browser.post(f"/spawn/user/{browser.id}/lab")
        assert answer.code == 503
        assert len(world.servers(Phase.READY)) == 3
        world.orchestrator.health.solved(topic)
    assert (await browser.post(f"/spawn/user/{browser.id}/lab")).code == 303


async def test_while_starts_fail_one_is_tried_where_there_is_room(running: Running) -> None:
    world, browser = running.world, await ended(running, running.public())
    world.orchestrator.health.report("start", "no such image")
    world.pool.capacity += 1
    assert (await browser.post(f"/spawn/user/{browser.id}/lab")).code == 303


async def test_who_fails_at_their_turn_goes_behind_the_others_and_is_counted(
    running: Running,
) -> None:
    world = running.world
    gate = gate_of(world.orchestrator, a_minute=2, clock=world.clock)
    fetch = running.public(gate=gate)
    browser, start, starts = await ended(running, fetch), world.spawner.start, 0
    await world.until_ready(3)
    others = [await world.orchestrator.claims.claim() for _ in range(3)]
    path = f"/spawn/user/{browser.id}/lab"
    waits = json.loads((await fetch(path, method="POST", headers=SCRIPT | browser.cookie)).body)
    other = Browser(running.public())
    await other.post("/spawn/lab")
    refused_id = browser.id

    async def refuse(spec: ServerSpec) -> str:
        nonlocal starts
        if spec.server_id == refused_id:
            starts += 1
            raise SpawnerError("409: the name is in use")
        return await start(spec)

    world.spawner.start = refuse  # type: ignore[method-assign]  # an engine that refuses one id
    world.orchestrator.claims.close(others[0])
    failed = await browser.post(path, ticket=waits["ticket"], wait="20")
    assert failed.code == 503
    assert starts == 1
    assert b"server_exists" not in failed.body
    assert (await other.post("/spawn/lab", wait="20")).code == 303
    codes = [(await browser.post(path, ticket=waits["ticket"])).code for _ in range(3)]
    assert codes == [429, 429, 429]
    assert starts == 1


class TestLine:
    """A full pool: who reopens waits as everybody does."""

    async def test_a_form_leads_to_a_page_that_keeps_the_place(self, running: Running) -> None:
        fetch = running.public()
        browser = await ended(running, fetch)
        await running.world.until_ready(3)
        others = [await running.world.orchestrator.claims.claim() for _ in range(3)]
        had, link = browser.id, f"/spawn/user/{browser.id}/lab/tree/a%20b.ipynb?x=1"
        form = FORM | browser.cookie
        sent_on = await fetch(link, method="POST", headers=form, body="", loads=False)
        assert (sent_on.code, "Retry-After" in sent_on.headers) == (303, False)
        assert sent_on.headers["Location"].startswith(f"{link}&tmpnb-form=")
        clean = await fetch(sent_on.headers["Location"], headers=PERSON | browser.cookie)
        assert (clean.code, clean.headers["Location"]) == (302, link)
        tickets = set()
        for _ in range(3):  # reloads, also those of a page without scripts
            page = await fetch(link, headers=PERSON | browser.cookie)
            assert page.code == 503
            assert page.headers["Retry-After"]
            assert b'http-equiv="refresh"' in page.body
            tickets.add(re.findall(b'name="ticket" value="([^"]+)"', page.body)[0])
        assert len(tickets) == 1
        assert running.world.orchestrator.claims.waiting == 1
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        led = await fetch(link, headers=PERSON | browser.cookie)
        assert led.code == 302
        assert led.headers["Location"].startswith(f"/user/{had}/lab/tree/a%20b.ipynb?x=1&token=")

    async def test_without_cookies_the_address_keeps_it_where_it_was_given(
        self, running: Running
    ) -> None:
        fetch = running.public()
        browser = await ended(running, fetch, cookies=False)
        await running.world.until_ready(3)
        others = [await running.world.orchestrator.claims.claim() for _ in range(3)]
        body = urlencode({"token": browser.token})
        path = f"/spawn/user/{browser.id}/lab"
        sent_on = await fetch(path, method="POST", headers=FORM, body=body, loads=False)
        address = sent_on.headers["Location"]
        assert browser.token not in address
        for _ in "ab":
            page = await fetch(address, headers=PERSON)
            assert page.code == 503
            assert f'name="token" value="{browser.token}"' in page.body.decode()
        assert running.world.orchestrator.claims.waiting == 1
        elsewhere = PERSON | {"X-Forwarded-For": "203.0.113.9"}
        foreign = await fetch(address, headers=elsewhere)
        assert foreign.code == 200
        assert browser.token.encode() not in foreign.body
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        led = await fetch(address, headers=PERSON)
        assert led.headers["Location"].startswith(f"/user/{browser.id}/lab?token=")

    async def test_a_script_keeps_place_and_link(self, running: Running) -> None:
        fetch = running.public()
        browser = await ended(running, fetch)
        await running.world.until_ready(3)
        others = [await running.world.orchestrator.claims.claim() for _ in range(3)]
        path = f"/spawn/user/{browser.id}/lab/tree/a.ipynb"
        headers = SCRIPT | browser.cookie
        waits = json.loads((await fetch(path, method="POST", headers=headers)).body)
        assert waits["position"] == 1
        running.world.orchestrator.claims.close(others[0])
        form = {"Content-Type": FORM["Content-Type"]}
        body = urlencode({"ticket": waits["ticket"], "wait": "20"})
        led = await fetch(path, method="POST", headers=headers | form, body=body)
        assert json.loads(led.body)["url"].startswith(f"/user/{browser.id}/lab/tree/a.ipynb?token=")


class TestFresh:
    """A fresh start from the page beside a notebook ends that one, whatever the browser keeps."""

    @pytest.mark.parametrize("cookies", [True, False])
    async def test_it_ends_the_notebook_of_the_page(self, running: Running, cookies: bool) -> None:
        browser = Browser(running.public(), cookies=cookies)
        await browser.post("/spawn/lab")
        had, token = browser.id, browser.token
        await running.world.until_ready(2)
        answer = await browser.post("/spawn", fresh="1", server=had, token=token)
        assert answer.code == 303
        assert browser.id != had
        farewell = running.world.lifetimes.farewell(had)
        assert farewell.reason is StopReason.CLOSED
        assert running.taken == 2

    async def test_another_notebook_of_the_browser_goes_on(self, running: Running) -> None:
        fetch = running.public()
        mine, theirs = Browser(fetch), Browser(fetch)
        await mine.post("/spawn/lab")
        await theirs.post("/spawn/lab")
        own = mine.id
        await mine.post("/spawn", fresh="1", server=theirs.id, token=theirs.token)
        assert running.world.orchestrator.claims.live(own) is not None
        assert running.world.orchestrator.claims.live(theirs.id) is None

    @pytest.mark.parametrize("token", ["", "0" * 64])
    async def test_without_its_token_no_other_notebook_ends(
        self, running: Running, token: str
    ) -> None:
        fetch = running.public()
        mine, theirs = Browser(fetch), Browser(fetch)
        await mine.post("/spawn/lab")
        await theirs.post("/spawn/lab")
        own = mine.id
        await mine.post("/spawn", fresh="1", server=theirs.id, token=token)
        assert running.world.orchestrator.claims.live(theirs.id) is not None
        assert running.world.orchestrator.claims.live(own) is None, "their own, as ever"

    async def test_a_page_that_asks_first_loses_neither_wish_nor_proof(
        self, running: Running
    ) -> None:
        browser = Browser(running.public(), cookies=False)
        await browser.post("/spawn/lab")
        had, token = browser.id, browser.token
        terms = Brand(terms=brand.terms("terms.txt", b"Be kind."))
        fetch = running.public(brand=terms)
        body = urlencode({"fresh": "1", "server": had, "token": token})
        page = await fetch("/spawn", method="POST", headers=FORM, body=body)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.body.decode()))
        assert running.world.orchestrator.claims.live(had) is not None, "nothing has ended yet"
        assert terms.terms is not None
        expected = {"agree": terms.terms.version, "token": token, "server": had, "fresh": "1"}
        assert hidden == expected
        led = await fetch("/spawn", method="POST", headers=FORM, body=urlencode(hidden))
        assert led.headers["Location"].startswith("/user/")
        assert running.world.orchestrator.claims.live(had) is None

    async def test_no_link_ends_anything(self, running: Running) -> None:
        fetch = running.public()
        browser = Browser(fetch)
        await browser.post("/spawn/lab")
        query = urlencode({"fresh": "1", "server": browser.id, "token": browser.token})
        await fetch(f"/spawn?{query}", headers=PERSON | browser.cookie)
        assert running.world.orchestrator.claims.live(browser.id) is not None

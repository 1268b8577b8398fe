"""What a started server must do, on one that can be told to do otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tornado.web import Application, RequestHandler

from tmpnb.commands.doctor import verify
from tmpnb.commands.doctor.verify import Visited
from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Finding, Level
from tmpnb.system.http.client import Client
from tmpnb.system.net.proc_net import Listener

pytestmark = pytest.mark.gen_test(timeout=20)

TOKEN = "a-token-of-this-test"
BASE = "/user/abc/"
MOVED = "moved to "  # and where: a redirect

# What is at a path, without and with the token: a status, or MOVED and a place.
Table = dict[str, tuple[int | str, int | str]]


class Page(RequestHandler):
    def initialize(self, table: Table) -> None:
        self.table = table

    def get(self) -> None:
        knows = self.request.headers.get("Authorization") == f"token {TOKEN}"
        answer = self.table.get(self.request.uri or "", (404, 404))[knows]
        if isinstance(answer, str):
            self.redirect(answer.removeprefix(MOVED))
        else:
            self.set_status(answer)


@pytest.fixture
def table() -> Table:
    return {
        f"{BASE}api": (200, 200),
        f"{BASE}api/status": (403, 200),
        f"{BASE}lab": (f"{MOVED}{BASE}login", 200),
        "/": (f"{MOVED}{BASE}", f"{MOVED}{BASE}"),
    }


@pytest.fixture
def app(table: Table) -> Application:
    return Application([("/.*", Page, {"table": table})])


@pytest.fixture
def server(client: Client, http_server: object, base_url: str) -> Visited:
    del http_server
    return Visited(client, base_url, BASE, TOKEN)


async def found(server: Visited, page: str = "/lab") -> dict[str, Finding]:
    return {f.topic: f async for f in verify.findings(server, page, ServerFacts())}


async def test_a_sound_server_is_found_sound(server: Visited) -> None:
    findings = await found(server)
    assert tuple(findings) == verify.TOPICS
    levels = {topic: f.level for topic, f in findings.items()}
    unknown = dict.fromkeys(("user", "port", "idle"), Level.SKIP)
    assert levels == dict.fromkeys(("path", "access", "page"), Level.OK) | unknown


@pytest.mark.parametrize("path", ["/", "/api"])
async def test_one_that_serves_outside_its_path_too_fails(
    server: Visited, table: Table, path: str
) -> None:
    table[path] = (200, 200)
    finding = (await found(server))["path"]
    assert finding.level is Level.FAIL
    assert f"200 at {path} too" in finding.words


async def test_one_without_jupyters_api_is_warned_of(server: Visited, table: Table) -> None:
    del table[f"{BASE}api"], table[f"{BASE}api/status"]
    findings = await found(server)
    assert [findings[t].level for t in ("path", "access", "page")] == (
        [Level.WARN, Level.WARN, Level.OK]
    )


@pytest.mark.parametrize("answers", [(200, 200), (403, 403), (500, 200), (404, 200), (200, 404)])
async def test_one_that_lets_in_others_or_keeps_out_its_visitor_fails(
    server: Visited, table: Table, answers: tuple[int, int]
) -> None:
    table[f"{BASE}api/status"] = answers
    findings = await found(server)
    assert findings["access"].level is Level.FAIL
    assert "JUPYTER_TOKEN" in findings["access"].mend
    assert findings["page"].level is Level.SKIP


@pytest.mark.parametrize("answer", [302, 401, 403])
async def test_each_way_to_ask_for_the_token_is_one(
    server: Visited, table: Table, answer: int
) -> None:
    table[f"{BASE}api/status"] = (answer, 200)
    assert (await found(server))["access"].level is Level.OK


@pytest.mark.parametrize("page", ["/lab", "/old?reset", "/older"])
async def test_a_page_may_be_some_steps_away(server: Visited, table: Table, page: str) -> None:
    table[f"{BASE}older"] = (403, f"{MOVED}old?reset")
    table[f"{BASE}old?reset"] = (403, f"{MOVED}{BASE}lab")
    finding = (await found(server, page))["page"]
    assert finding.level is Level.OK
    assert f"{BASE}lab" in finding.words


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (404, "HTTP 404"),
        (f"{MOVED}lab", "in a circle"),
        (f"{MOVED}/login", "leads away from /user/abc/"),
        (f"{MOVED}http://127.0.0.1:1/user/abc/lab", "leads away"),
        (f"{MOVED}//127.0.0.1:1/user/abc/lab", "leads away"),
    ],
)
async def test_a_page_that_is_not_there_fails(
    server: Visited, table: Table, place: int | str, words: str
) -> None:
    table[f"{BASE}lab"] = (403, place)
    finding = (await found(server))["page"]
    assert finding.level is Level.FAIL
    assert words in finding.words
    assert "--redirect-uri" in finding.mend


async def test_one_that_ended_meanwhile_fails(client: Client) -> None:
    gone = Visited(client, "http://127.0.0.1:1", BASE, TOKEN)
    findings = await found(gone)
    assert "no answer" in findings["path"].words
    assert findings["access"].level is Level.FAIL


def facts(*users: int) -> ServerFacts:
    at_port = tuple(Listener("::", 8888, user) for user in users)
    return ServerFacts(8888, (*at_port, Listener("127.0.0.1", 9, 0)), 80 * 1024**2)


def test_a_server_of_root_fails_and_other_sockets_do_not_count() -> None:
    assert verify.user_finding(facts(1000)).level is Level.OK
    for users in ((0,), (1000, 0)):
        finding = verify.user_finding(facts(*users))
        assert finding.level is Level.FAIL
        assert "--container-user" in finding.mend


def test_a_server_of_root_is_a_warning_where_that_is_allowed() -> None:
    finding = verify.user_finding(replace(facts(0), root_allowed=True))
    assert finding.level is Level.WARN


def test_port_and_memory_are_told() -> None:
    assert verify.port_finding(facts(1000)).words == "it listens at [::]:8888"
    assert "80 MB" in verify.idle_finding(facts(1000)).words


def test_what_the_engine_does_not_tell_is_skipped() -> None:
    nothing = ServerFacts()
    for judge in (verify.user_finding, verify.port_finding, verify.idle_finding):
        assert judge(nothing).level is Level.SKIP


def test_a_network_that_leads_nowhere_is_told_with_what_helps() -> None:
    assert verify.route_finding(ServerFacts()) is None
    found = verify.route_finding(ServerFacts(routeless="tmpnb-closed"))
    assert found is not None
    assert found.line() == (
        "warn tables   a server that names its network card, as no route leads out of tmpnb-closed,"
        " can fill the machine's table of neighbours for seconds; fix: --runtime=runsc"
    )

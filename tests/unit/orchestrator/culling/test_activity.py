"""Activity: what a server says of itself, and what counts as not knowing."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from tests.support.watchdog import nobody_holds_the_loop
from tests.support.world import wait_until
from tmpnb.orchestrator.culling import activity
from tmpnb.orchestrator.culling.activity import Word, ask_for_use, ask_whether_it_lives
from tmpnb.system.http.client import SMALL, Client

pytestmark = pytest.mark.gen_test(timeout=20)

TOKEN = "secret-of-the-server"
NOW = 1795363200.0  # 2026-11-22T16:00:00Z
MAX_IDLE = 600.0
RECENT, OLD = "2026-11-22T15:55:00.000000Z", "2026-11-22T15:00:00.500000Z"


class Server:
    """What a notebook server answers, as text, and the paths it was asked for."""

    def __init__(self) -> None:
        self.status = json.dumps({"last_activity": RECENT, "connections": 1})
        self.kernels = "[]"
        self.others: dict[str, str] = {}  # by path below api/
        self.kit = ""  # what it says of use elsewhere; empty: it has no kit
        self.kit_code = 404  # if it has none
        self.code = 200
        self.codes: dict[str, int] = {}  # of single paths
        self.hangs: set[str] = set()  # paths; "" is all
        self.asked: list[str] = []


class Api(RequestHandler):
    def initialize(self, server: Server) -> None:
        self.server = server

    async def get(self, what: str) -> None:
        self.server.asked.append(self.request.uri or "")
        if self.server.hangs & {"", what}:
            await asyncio.Event().wait()
        if self.request.headers.get("Authorization") != f"token {TOKEN}":
            self.set_status(403)
            return
        self.set_status(self.server.code)
        known = {"status": self.server.status, "kernels": self.server.kernels}
        answer = (known | self.server.others).get(what)
        code = self.server.codes.get(what, self.server.code)
        self.set_status(code if answer is not None or code >= 400 else 404)
        self.finish(answer or "{}")


class Kit(RequestHandler):
    def initialize(self, server: Server) -> None:
        self.server = server

    async def get(self) -> None:
        self.server.asked.append(self.request.uri or "")
        if "kit" in self.server.hangs:
            await asyncio.Event().wait()
        self.set_status(200 if self.server.kit else self.server.kit_code)
        self.finish(self.server.kit)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def app(server: Server) -> Application:
    args = {"server": server}
    return Application([("/user/a/api/(.*)", Api, args), ("/user/a/tmpnb/use", Kit, args)])


@pytest.fixture
def url(http_server: HTTPServer, base_url: str) -> str:
    return f"{base_url}/user/a/"


async def asked(client: Client, url: str, token: str = TOKEN) -> float | None:
    return (await word_of(client, url, token)).last_use


async def word_of(client: Client, url: str, token: str = TOKEN) -> Word:
    return await ask_for_use(client, url, token, now=NOW, max_idle=MAX_IDLE)


async def test_a_server_in_use_says_when(client: Client, url: str) -> None:
    assert await asked(client, url) == NOW - 300


async def test_an_idle_server_says_since_when(client: Client, url: str, server: Server) -> None:
    server.status = json.dumps({"last_activity": OLD})
    assert await asked(client, url) == NOW - 3600 + 0.5


async def test_a_busy_kernel_is_activity_of_now(client: Client, url: str, server: Server) -> None:
    server.status = json.dumps({"last_activity": OLD})
    server.kernels = json.dumps([{"execution_state": "idle"}, {"execution_state": "busy"}])
    assert await asked(client, url) == NOW


async def test_asking_for_kernels_is_no_activity_itself(
    client: Client, url: str, server: Server
) -> None:
    server.status = json.dumps({"last_activity": OLD})
    await asked(client, url)
    assert server.asked[1:] == [
        "/user/a/api/kernels?no_track_activity=1",
        "/user/a/tmpnb/use?no_track_activity=1",
    ]


@pytest.mark.parametrize(
    "kernels",
    [
        "[]",
        '[{"execution_state": "idle"}]',
        '[{"execution_state": "starting"}, {"execution_state": ""}]',
    ],
)
async def test_kernels_that_are_not_busy_do_not_keep_a_server(
    client: Client, url: str, server: Server, kernels: str
) -> None:
    server.status, server.kernels = json.dumps({"last_activity": OLD}), kernels
    assert await asked(client, url) == NOW - 3600 + 0.5


KERNELS = (
    "null",
    "{}",
    "not json",
    "[" * 100_000,
    '"busy"',
    "[]" * 600_000,
    "[null]",
    "[{}]",
    '[{"execution_state": null}]',
    '[{"execution_state": ["busy"]}]',
    '[{"execution_state": "idle"}, 3]',
    json.dumps([{"execution_state": "idle"}] * 3000),
)


@pytest.mark.parametrize("kernels", KERNELS, ids=lambda kernels: kernels[:40])
async def test_kernels_that_it_does_not_tell_may_be_computing(
    client: Client, url: str, server: Server, kernels: str
) -> None:
    server.status, server.kernels = json.dumps({"last_activity": OLD}), kernels
    assert await asked(client, url) == NOW


@pytest.mark.parametrize("code", [204, 302, 401, 403, 404, 429, 500, 503])
async def test_a_question_about_kernels_that_fails_ends_nobody(
    client: Client, url: str, server: Server, code: int
) -> None:
    server.status, server.codes = json.dumps({"last_activity": OLD}), {"kernels": code}
    assert await asked(client, url) == NOW


@pytest.mark.parametrize(
    "status",
    [
        "not json",
        '{"a":' * 100_000,
        "[]",
        "{}",
        '{"last_activity": null}',
        '{"last_activity": "soon"}',
        '{"last_activity": 1795363200}',
        '{"last_activity": "2026-11-22T15:55:00"}',
    ],
)
async def test_an_answer_without_a_time_is_not_knowing(
    client: Client, url: str, server: Server, status: str
) -> None:
    server.status = status
    assert await asked(client, url) is None


@pytest.mark.parametrize("code", [302, 404, 500])
async def test_an_error_is_not_knowing(client: Client, url: str, server: Server, code: int) -> None:
    server.code = code
    assert await word_of(client, url) == Word(None, answered=True)


async def test_a_wrong_token_is_not_knowing(client: Client, url: str) -> None:
    assert await asked(client, url, token="another") is None


async def test_a_silent_server_is_not_knowing_after_the_deadline(
    client: Client, url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "TIMEOUT", 0.1)
    server.hangs = {""}
    assert await word_of(client, url) == Word(None, answered=False)


@pytest.mark.parametrize("path", ["kernels", "terminals", "contents/", "kit"])
async def test_one_question_without_an_answer_ends_nobody(
    client: Client, url: str, server: Server, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(activity, "TIMEOUT", 1.0)  # in which the others answer, also under load
    page_is_open(server)
    server.hangs = {path}
    assert await word_of(client, url) == Word(NOW - 300)


async def test_all_questions_together_have_a_deadline(
    client: Client, url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "LOOK_TIMEOUT", 1.0)
    page_is_open(server)
    server.hangs = {"contents/"}  # for `TIMEOUT`, which is longer
    assert await word_of(client, url) == Word(NOW - 300)


async def test_a_status_is_small(client: Client, url: str, server: Server) -> None:
    server.status = json.dumps({"last_activity": RECENT, "pad": "x" * SMALL})
    assert await word_of(client, url) == Word(None, answered=True)


async def test_another_application_lives_whatever_the_size_of_its_page(
    client: Client, url: str, server: Server
) -> None:
    server.status = "x" * 20_000_000
    assert await ask_whether_it_lives(client, url, TOKEN)


async def test_a_server_that_is_gone_is_not_knowing(
    client: Client, url: str, http_server: HTTPServer
) -> None:
    http_server.stop()
    assert await asked(client, url) is None


def entry(kind: str, path: str, changed: str) -> dict[str, str]:
    return {"type": kind, "path": path, "last_modified": changed}


def page_is_open(server: Server, *files: dict[str, str]) -> None:
    """Let the server look used, as an open page makes it, with these files in it."""
    server.status = json.dumps({"last_activity": RECENT, "started": OLD})
    server.others["contents/"] = json.dumps({"content": list(files)})
    server.others["terminals"] = "[]"


async def test_an_open_page_alone_is_no_use(client: Client, url: str, server: Server) -> None:
    page_is_open(server, entry("notebook", "x.ipynb", "2026-11-01T00:00:00Z"))
    server.kernels = json.dumps([{"execution_state": "idle", "last_activity": OLD}])
    assert await asked(client, url) == NOW - 3600 + 0.5


async def test_a_kernel_message_is_use(client: Client, url: str, server: Server) -> None:
    page_is_open(server)
    message = "2026-11-22T15:52:00Z"
    server.kernels = json.dumps([{"execution_state": "idle", "last_activity": message}])
    assert await asked(client, url) == NOW - 480


async def test_a_terminal_is_use(client: Client, url: str, server: Server) -> None:
    page_is_open(server)
    server.others["terminals"] = json.dumps(
        [{"name": "1", "last_activity": "2026-11-22T15:53:00Z"}]
    )
    assert await asked(client, url) == NOW - 420


async def test_a_saved_file_is_use_however_deep(client: Client, url: str, server: Server) -> None:
    page_is_open(server, entry("directory", "a b", OLD))
    nested = [entry("directory", "a b/c", OLD)]
    server.others["contents/a b"] = json.dumps({"content": nested})
    saved = [entry("file", "a b/c/d.txt", "2026-11-22T15:54:00Z")]
    server.others["contents/a b/c"] = json.dumps({"content": saved})
    assert await asked(client, url) == NOW - 360


async def test_use_is_never_later_than_the_server_says(
    client: Client, url: str, server: Server
) -> None:
    page_is_open(server, entry("file", "from-the-future", "2030-01-01T00:00:00Z"))
    assert await asked(client, url) == NOW - 300


LISTINGS = (
    "not json",
    "[]",
    "{}",
    '{"content": null}',
)


@pytest.mark.parametrize("listing", LISTINGS)
async def test_what_cannot_be_looked_into_counts_as_used(
    client: Client, url: str, server: Server, listing: str
) -> None:
    page_is_open(server)
    server.others["contents/"] = listing
    assert await asked(client, url) == NOW - 300


async def test_endless_folders_are_looked_at_only_so_far(
    client: Client, url: str, server: Server
) -> None:
    page_is_open(server, entry("directory", "loop", OLD))
    server.others["contents/loop"] = server.others["contents/"]
    assert await asked(client, url) == NOW - 300, "what was not seen counts as used"
    assert sum("contents" in path for path in server.asked) == activity.MOST_FOLDERS


async def test_many_folders_are_looked_at_one_and_all(
    client: Client, url: str, server: Server
) -> None:
    names = [f"d{n}" for n in range(45)]
    page_is_open(server, *(entry("directory", name, OLD) for name in names))
    for name in names:
        server.others[f"contents/{name}"] = json.dumps({"content": []})
    last = json.dumps({"content": [entry("file", "d44/x", "2026-11-22T15:54:00Z")]})
    server.others["contents/d44"] = last
    assert await asked(client, url) == NOW - 360


ODD_ENTRIES = [
    entry("file", "caf\udce9.txt", OLD),
    entry("directory", "half \ud800", OLD),
    entry("directory", "caf\udce9", OLD),  # nobody can ask for it: 404
    {"type": "directory"},
    {"type": "directory", "path": 7, "last_modified": 7},
    {"last_modified": "9" * 400},
    {"last_modified": "-0001-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("odd", ODD_ENTRIES)
async def test_one_odd_entry_costs_no_more_than_itself(
    client: Client, url: str, server: Server, odd: dict[str, object]
) -> None:
    page_is_open(server)
    saved = entry("file", "x", "2026-11-22T15:54:00Z")
    server.others["contents/"] = json.dumps({"content": [odd, None, "x", saved]})
    assert await asked(client, url) == NOW - 360


@pytest.mark.parametrize("code", [403, 404])
async def test_a_folder_that_it_does_not_show_costs_only_itself(
    client: Client, url: str, server: Server, code: int
) -> None:
    page_is_open(server, entry("directory", "closed", OLD))
    server.codes["contents/closed"] = code
    assert await asked(client, url) == NOW - 3600 + 0.5


@pytest.mark.parametrize("code", [204, 302, 400, 401, 408, 425, 429, 500])
async def test_a_folder_that_it_does_not_tell_of_may_have_been_saved_in(
    client: Client, url: str, server: Server, code: int
) -> None:
    page_is_open(server, entry("directory", "work", OLD))
    server.codes["contents/work"] = code
    server.others["contents/work"] = "{}"
    assert await asked(client, url) == NOW - 300


@pytest.mark.parametrize("listing", ["null", *LISTINGS])
async def test_a_folder_whose_list_is_none_may_have_been_saved_in(
    client: Client, url: str, server: Server, listing: str
) -> None:
    page_is_open(server, entry("directory", "work", OLD))
    server.others["contents/work"] = listing
    assert await asked(client, url) == NOW - 300


async def test_a_folder_whose_name_nobody_can_ask_for_costs_only_itself(
    client: Client, url: str, server: Server
) -> None:
    """Real notebook servers answer 400, and their pages cannot show it either."""
    odd = [entry("directory", name, OLD) for name in ("caf\udce9", "half \ud800")]
    page_is_open(server, *odd)
    assert await asked(client, url) == NOW - 3600 + 0.5


UNREAD = [
    {"type": "file", "path": "x"},
    {"type": "file", "path": "x", "last_modified": None},
    entry("file", "x", "10000-01-01T00:00:00Z"),
    entry("file", "x", "2026-11-22T15:55:00"),
    {"type": "directory", "path": 7, "last_modified": OLD},
    None,
    "x",
]


@pytest.mark.parametrize("unread", UNREAD, ids=repr)
async def test_a_time_that_cannot_be_read_may_be_of_now(
    client: Client, url: str, server: Server, unread: object
) -> None:
    page_is_open(server)
    server.others["contents/"] = json.dumps({"content": [entry("file", "y", OLD), unread]})
    assert await asked(client, url) == NOW - 300


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("terminals", '[{"name": "1", "last_activity": "soon"}]'),
        ("terminals", '[{"name": "1"}]'),
        ("terminals", "[null]"),
        ("terminals", "null"),
        ("terminals", "{}"),
        ("kernels", '[{"execution_state": "idle", "last_activity": null}]'),
    ],
)
async def test_so_may_that_of_a_terminal_or_a_kernel(
    client: Client, url: str, server: Server, path: str, said: str
) -> None:
    page_is_open(server)
    server.others[path] = said
    assert await asked(client, url) == NOW - 300


@pytest.mark.parametrize("code", [401, 403, 429, 500])
async def test_terminals_that_it_does_not_tell_may_be_in_use(
    client: Client, url: str, server: Server, code: int
) -> None:
    page_is_open(server)
    server.codes["terminals"] = code
    assert await asked(client, url) == NOW - 300


async def test_a_server_without_terminals_does_not_know_the_address(
    client: Client, url: str, server: Server
) -> None:
    page_is_open(server, entry("file", "x", OLD))
    server.codes["terminals"] = 404
    assert await asked(client, url) == NOW - 3600 + 0.5


async def test_a_path_that_no_folder_can_have_is_not_asked_for(
    client: Client, url: str, server: Server
) -> None:
    page_is_open(server, entry("directory", "é" * (activity.LONGEST_PATH + 1), OLD))
    assert await asked(client, url) == NOW - 300
    assert sum("contents" in path for path in server.asked) == 1


async def test_more_folders_than_are_looked_at_are_not_asked_for(
    client: Client, url: str, server: Server
) -> None:
    many = [entry("directory", f"d{n}", OLD) for n in range(activity.MOST_FOLDERS)]
    page_is_open(server, *many)
    assert await asked(client, url) == NOW - 300
    assert sum("contents" in path for path in server.asked) == 1


@pytest.mark.parametrize("asked_next", ["terminals", "contents/", "contents/work"])
async def test_no_list_is_kept_while_the_next_is_asked_for(
    client: Client, url: str, server: Server, asked_next: str
) -> None:
    """Fifty servers are asked at once, and each may send lists of a million objects."""
    kept = {"mark": ["kept"], "last_activity": OLD, "execution_state": "idle"}
    page_is_open(server)
    server.others["contents/"] = json.dumps({"content": [kept | entry("directory", "work", OLD)]})
    server.kernels = server.others["terminals"] = json.dumps([kept])
    server.hangs = {asked_next}
    asking = asyncio.ensure_future(asked(client, url))
    await wait_until(lambda: any(f"api/{asked_next}?" in path for path in server.asked))
    gc.collect()
    found = [o for o in gc.get_objects() if isinstance(o, dict) and o.get("mark") == ["kept"]]
    assert [o for o in found if o is not kept] == []
    asking.cancel()


async def test_all_answers_together_are_bounded(
    client: Client, url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [entry("directory", f"d{n}", OLD) for n in range(8)]
    page_is_open(server, *folders)
    for folder in folders:
        listing = {"pad": "x" * 10_000, "content": []}
        server.others[f"contents/{folder['path']}"] = json.dumps(listing)
    idle = NOW - 3600 + 0.5
    monkeypatch.setattr(activity, "LOOK_SIZE", 90_000)
    assert await asked(client, url) == idle
    monkeypatch.setattr(activity, "LOOK_SIZE", 50_000)
    assert await asked(client, url) == NOW - 300
    assert sum("contents" in path for path in server.asked) < 9 + 7


@pytest.mark.parametrize("form", ["[" * 400 + "]" * 400, "{}", "1"])
async def test_a_list_of_too_many_values_is_not_read(
    client: Client, url: str, server: Server, form: str
) -> None:
    values = ",".join([form] * (900_000 // len(form)))
    page_is_open(server)
    server.others["contents/"] = '{"content": [' + values + "]}"
    with nobody_holds_the_loop():
        assert await asked(client, url) == NOW - 300


async def test_a_start_is_no_use(client: Client, url: str, server: Server) -> None:
    page_is_open(server, entry("file", "x", OLD))
    server.status = json.dumps({"last_activity": RECENT, "started": RECENT})
    assert await asked(client, url) == NOW - 3600 + 0.5


async def test_use_of_pages_that_are_not_jupyters_is_told_by_the_kit(
    client: Client, url: str, server: Server
) -> None:
    page_is_open(server, entry("file", "x", OLD))
    server.kit = json.dumps({"last_use": NOW - 100})
    assert await asked(client, url) == NOW - 300, "never later than the server itself says"
    server.status = json.dumps({"last_activity": OLD})
    assert await asked(client, url) == NOW - 100


@pytest.mark.parametrize(
    "said", ["", "not json", "<!doctype html>" + " " * SMALL, "[" * 9999, '{"last_use": null}']
)
async def test_without_a_word_of_the_kit_the_others_count(
    client: Client, url: str, server: Server, said: str
) -> None:
    page_is_open(server, entry("file", "x", OLD))
    server.kit = said
    assert await asked(client, url) == NOW - 3600 + 0.5


@pytest.mark.parametrize(
    "said",
    [
        "[]",
        "{}",
        "null",
        '{"last_use": "now"}',
        '{"last_use": -1e400}',
        '{"last_use": true}',
        '{"last_use": 0}',
        '{"last_use": 1e300}',
    ],
)
@pytest.mark.parametrize("status", [RECENT, OLD])
async def test_a_word_of_the_kit_that_cannot_be_read_may_be_of_now(
    client: Client, url: str, server: Server, said: str, status: str
) -> None:
    page_is_open(server, entry("file", "x", OLD))
    server.status, server.kit = json.dumps({"last_activity": status}), said
    assert await asked(client, url) == (NOW if status == OLD else NOW - 300)


@pytest.mark.parametrize("code", [302, 408, 425, 429, 500, 503])
async def test_a_kit_that_fails_once_ends_nobody(
    client: Client, url: str, server: Server, code: int
) -> None:
    server.status, server.kit_code = json.dumps({"last_activity": OLD}), code
    assert await asked(client, url) == NOW


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405])
async def test_a_server_without_the_kit_is_judged_by_the_rest(
    client: Client, url: str, server: Server, code: int
) -> None:
    server.status, server.kit_code = json.dumps({"last_activity": OLD}), code
    assert await asked(client, url) == NOW - 3600 + 0.5


async def test_the_kits_word_is_never_of_the_future(
    client: Client, url: str, server: Server
) -> None:
    server.status, server.kit = json.dumps({"last_activity": OLD}), '{"last_use": 9e10}'
    assert await asked(client, url) == NOW


async def test_no_question_is_activity_itself(client: Client, url: str, server: Server) -> None:
    page_is_open(server)
    await asked(client, url)
    others = [path for path in server.asked if not path.endswith("/status")]
    assert others
    assert all("no_track_activity=1" in path for path in others)

"""No list of files, however it is made, holds the loop while it is packed."""

from __future__ import annotations

import json

import pytest

from tests.support.contents_site import BASE, ContentsSite
from tests.support.watchdog import nobody_holds_the_loop
from tests.support.world import KEY
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker
from tmpnb.visitors.downloads import LONGEST_LIST, Downloads

pytestmark = pytest.mark.gen_test(timeout=60)

ID = BASE.split("/")[2]
TOKENS = TokenMaker(KEY)
SMILE, CONTROL, MARK = "\N{GRINNING FACE}", "\u0081", "\N{COMBINING ACUTE ACCENT}"


def repeated(one: str) -> str:
    return ",".join([one] * ((LONGEST_LIST - 100) // (len(one.encode()) + 1)))


def many(count: int, **entry: object) -> str:
    """Return entries that differ by a number where a text has `%d`."""
    texts = [
        {k: v.replace("%d", str(n)) if isinstance(v, str) else v for k, v in entry.items()}
        for n in range(count)
    ]
    return json.dumps(texts, ensure_ascii=False)[1:-1]


LISTS = {
    "nested lists": repeated("[" * 400 + "]" * 400),
    "nested objects": repeated('{"a":' * 300 + "1" + "}" * 300),
    "empty lists": repeated("[]"),
    "numbers": repeated("1"),
    "long numbers": repeated("9" * 998),
    "numbers next to nothing": repeated("123456789012345678e-320"),
    "names of control characters": many(7800, name=CONTROL * 226 + "%d", size=10**10),
    "paths of control characters": many(7500, name="/" + CONTROL * 240),
    "names of accents": many(6000, name="e%d" + MARK * 300, size=10**10),
    "folders of long names": many(2000, type="directory", name=SMILE * 250 + "%d"),
    "folders of one long name": many(2000, type="directory", name=SMILE * 250),
    "folders that are too many": many(12_000, type="directory", name=CONTROL * 140 + "%d"),
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS.keys())
async def test_no_list_holds_the_loop(client: Client, listed: str) -> None:
    site = ContentsSite(TOKENS.token_for(ID))
    running = site.start()
    site.lists[""] = '{"content":[' + listed + "]}"
    assert len(site.lists[""].encode()) <= LONGEST_LIST
    server = NotebookServer(ID, 0.0, Phase.CLAIMED, address=site.address)
    taken = bytearray()

    async def take(piece: bytes) -> None:
        taken.extend(piece)

    with nobody_holds_the_loop():
        await Downloads(client, TOKENS, lambda _: server).pack(server, take)
    assert taken.startswith(b"PK")
    running.stop()
    await running.close_all_connections()

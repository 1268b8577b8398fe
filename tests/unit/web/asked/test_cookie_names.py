"""Two services on one host keep their visitors apart, and an update or a move loses nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import PERSON, Running
from tests.support.world import KEY, gate_of
from tmpnb.core.subdomains import Subdomains
from tmpnb.system.signing import TokenMaker
from tmpnb.visitors.identity import Visitor, Visitors
from tmpnb.web import brand
from tmpnb.web.asked.cookie_names import as_sent, own, values
from tmpnb.web.brand import Brand

pytestmark = pytest.mark.gen_test(timeout=30)

WORDS = "four plain words"
TERMS = brand.terms("terms.txt", b"Be kind.")
FORM = PERSON | {"Content-Type": "application/x-www-form-urlencoded"}
KINDS = ("tmpnb-visitor", "tmpnb-pass", "tmpnb-terms", "tmpnb-session")


class Jar:
    """A browser's cookies of one host, which it keeps by name and path, whatever the port."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def keep(self, answer: HTTPResponse) -> HTTPResponse:
        for line in answer.headers.get_list("Set-Cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            path = next(a for a in attributes if a.startswith("Path="))
            self.kept[name, path] = value
        return answer

    @property
    def header(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for (name, _), value in self.kept.items())}

    def rename(self, of: str, to: str) -> None:
        """Call all cookies whose names begin with `of` by another name."""
        kept = {(to if n.startswith(of) else n, p): v for (n, p), v in self.kept.items()}
        self.kept = kept


@asynccontextmanager
async def second_service() -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        other = Running(3, stack)
        await other.start()
        yield other


def address(running: Running, key: bytes = KEY) -> str:
    """Serve with everything that sets a cookie; return the address."""
    tokens = TokenMaker(key)
    visitors = Visitors(tokens, running.world.orchestrator.claims.live)
    site = running.site
    site.arrivals._visitors = visitors
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    return running.serve_public(gate=gate, brand=Brand(terms=TERMS), visitors=visitors)


async def visit(running: Running, url: str, jar: Jar, **form: str) -> HTTPResponse:
    headers = FORM | jar.header
    body = urlencode(form)
    return jar.keep(await running.fetch(f"{url}/spawn/lab", "POST", headers=headers, body=body))


@pytest.mark.parametrize("key", [KEY, b"the other service has its own key"])
async def test_visits_to_two_services_in_turns_take_one_server_of_each(
    running: Running, key: bytes
) -> None:
    async with second_service() as other:
        jar, visits = Jar(), [(running, address(running)), (other, address(other, key))]
        for service, url in visits:
            await visit(service, url, jar, agree=TERMS.version, passphrase=WORDS)
        first = [(await visit(service, url, jar)).headers["Location"] for service, url in visits]
        for _ in range(3):
            for (service, url), where in zip(visits, first, strict=True):
                assert (await visit(service, url, jar)).headers["Location"] == where
        assert (running.taken, other.taken) == (1, 1)


async def test_every_cookie_says_whose_it_is(running: Running) -> None:
    jar, url = Jar(), address(running)
    where = await visit(running, url, jar, agree=TERMS.version, passphrase=WORDS)
    _, _, path = where.headers["Location"].partition("/user/")
    server_id, _, token = path.partition("/lab?token=")
    jar.keep(await running.fetch(f"{url}/session/{server_id}?token={token}", headers=PERSON))
    port = url.rpartition(":")[2]
    assert {name for name, _ in jar.kept} == {f"{kind}-test-{port}" for kind in KINDS}


@pytest.mark.parametrize("suffix", ["", "-older.pool-8080"])
async def test_who_came_before_an_update_or_a_move_is_known(running: Running, suffix: str) -> None:
    jar, url = Jar(), address(running)
    where = await visit(running, url, jar, agree=TERMS.version, passphrase=WORDS)
    _, _, path = where.headers["Location"].partition("/user/")
    server_id, _, token = path.partition("/lab?token=")
    jar.keep(await running.fetch(f"{url}/session/{server_id}?token={token}", headers=PERSON))
    for kind in KINDS:
        jar.rename(kind, f"{kind}{suffix}")
    page = await running.fetch(f"{url}/session/{server_id}", headers=PERSON | jar.header)
    assert page.code == 200
    again = await visit(running, url, jar)
    assert again.headers["Location"] == where.headers["Location"]
    fresh = await visit(running, url, jar, fresh="1")
    assert fresh.code == 303, "the passphrase and the terms are not asked for again"
    latest = await visit(running, url, jar)
    assert latest.headers["Location"] == fresh.headers["Location"], "the own name comes first"


async def test_a_cookie_of_old_that_is_not_ours_is_nobody(running: Running) -> None:
    url = address(running)
    forged = Visitors(TokenMaker(b"of another service"), {}.get).write(Visitor("key", "mine"))
    jar = Jar()
    jar.kept["tmpnb-visitor", "Path=/spawn"] = forged
    first = await visit(running, url, jar, agree=TERMS.version, passphrase=WORDS)
    again = await visit(running, url, jar)
    assert again.headers["Location"] == first.headers["Location"]


async def test_over_https_a_guarded_name_is_read_alone(running: Running) -> None:
    own_site = replace(running.site, subdomains=Subdomains("notebooks.test"))
    assert own_site.subdomains is not None
    fetch = running.public(subdomains=own_site.subdomains)
    headers = FORM | {"X-Forwarded-Proto": "https", "Host": "notebooks.test"}
    first = await fetch("/spawn", method="POST", headers=headers, body="")
    name, _, value = first.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert name == "__Host-tmpnb-visitor-test-443"
    for sent, is_same in (
        (name, True),
        ("__Host-tmpnb-visitor", True),
        ("tmpnb-visitor", False),
        ("tmpnb-visitor-test-443", False),
    ):
        cookie = {"Cookie": f"{sent}={value}"}
        again = await fetch("/spawn", method="POST", headers=headers | cookie, body="")
        assert (again.headers["Location"] == first.headers["Location"]) is is_same


@pytest.mark.parametrize(
    ("site", "port"),
    [
        ("http://nb.example", "80"),
        ("https://nb.example", "443"),
        ("http://nb.example:80", "80"),
        ("http://nb.example:8000", "8000"),
        ("http://nb.example:0080", "80"),
        ("http://[::1]:8000", "8000"),
        ("http://[2001:db8::8000]", "80"),
        ("http://nb.example:x", "80"),
        ("http://nb.example:; Path=/", "80"),
        ("http://", "80"),
    ],
)
def test_the_port_is_the_one_that_visitors_see(site: str, port: str) -> None:
    assert own("tmpnb-visitor", "a.b_c-d", site) == f"tmpnb-visitor-a.b_c-d-{port}"


def test_other_names_are_looked_at_and_none_of_another_kind() -> None:
    sent = ["other", "tmpnb-visitors", "x-tmpnb-visitor", "__Host-tmpnb-visitor", "tmpnb-visitor"]
    assert as_sent("tmpnb-visitor", "tmpnb-visitor-p-1", sent) == [
        "tmpnb-visitor-p-1",
        "tmpnb-visitor",
    ]


# What Python takes for a blank, or for a letter of ASCII in another case, and no browser does.
NO_BLANKS = [chr(n) for n in range(0x110000) if chr(n).isspace() and chr(n) not in " \t"]
NO_LETTERS = "\0\x7f\xad\u200b\ufeff"


@pytest.mark.parametrize("odd", [*NO_BLANKS, *NO_LETTERS], ids=ascii)
def test_no_blank_but_those_of_browsers_stands_around_a_name(odd: str) -> None:
    kind, name = "__Host-tmpnb-visitor", "__Host-tmpnb-visitor-p-443"
    for sent in (f"{odd}{name}", f" {odd} {name}", f"{odd}\t{kind}", f"{kind}{odd}"):
        assert list(values(kind, name, f"a=b; {sent}=planted")) == []
    assert list(values(kind, name, f"a=b; \t{name} = mine{odd};{kind}=old")) == [
        f"mine{odd}",
        "old",
    ]


@pytest.mark.parametrize("odd", [b"\xa0", b"\x85", b"\x1c", b"\x1d", b"\x1e", b"\x1f"], ids=ascii)
async def test_a_byte_before_a_guarded_name_makes_it_another(running: Running, odd: bytes) -> None:
    """A browser lets a page of a host below ours set such a cookie for ours."""
    base = running.serve_public(subdomains=Subdomains("notebooks.test"))
    headers = FORM | {"X-Forwarded-Proto": "https", "Host": "notebooks.test"}
    first = await running.fetch(f"{base}/spawn", "POST", headers=headers, body="")
    pair = first.headers["Set-Cookie"].partition(";")[0].encode()
    for sent, taken in ((pair, 1), (odd + pair, 2)):
        head = (
            b"POST /spawn HTTP/1.1\r\nHost: notebooks.test\r\nX-Forwarded-Proto: https\r\n"
            b"Connection: close\r\nContent-Length: 0\r\nCookie: " + sent + b"\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
        writer.write(head)
        answer = await reader.read()
        writer.close()
        assert answer.startswith((b"HTTP/1.1 303", b"HTTP/1.1 400"))
        if answer.startswith(b"HTTP/1.1 303"):
            assert running.taken == taken


def test_however_many_of_other_names_are_planted_the_visitors_own_is_read() -> None:
    planted = [f"tmpnb-visitor-{number}=planted" for number in range(99)]
    header = "; ".join([*planted, "tmpnb-visitor-p-8000=mine"])
    assert "mine" in list(values("tmpnb-visitor", "tmpnb-visitor-p-1", header))

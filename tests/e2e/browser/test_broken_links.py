"""Whatever is in an address or a header, it is never an error on our side."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.running_service import serving
from tests.support.raw_http import Request, exchange, parsed

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=120)]

BROKEN = (
    "/lab/tree/100%.ipynb",
    "/user/%E0%A4%A/lab",
    "/%ff",
    "/%C0%80",
    "/lab/tree/%ED%A0%80",
    "/spawn/%",
    "/user/abc/%zz",
    "/static/%ff",
    "//%",
    "/" + "%ff" * 3000,
)
STRANGE = (
    *(
        "/%00",
        "/lab/%00",
        "/static/%00",
        "/static/%2e%2e%2f",
        "/user/%2f",
        "/lab/..%2f",
        "/lab/%5c",
    ),
    *(
        "/lab?x=%",
        "/lab?x=%ff",
        "/?%ED%A0%80",
        "/invite?token=%ff",
        "/embed?path=%00",
        "/%0d%0aX:y",
    ),
    *(
        "//[",
        "*",
        "x",
        "http://",
        "http://[/x",
        "javascript:alert(1)",
        "/\xff",
        "/\xc3\xa9",
        "/lab\\x",
    ),
)
HEADERS = (
    *("Host: [", "Host: \xff", "Host: a b", "Host: x:99999", "Host: %ff", "Host: [::1"),
    *(
        "Cookie: \xff=%ff; a",
        'Cookie: a="\\777',
        "Cookie: =;;;=\x80",
        "Accept: \xff",
        "Referer: %ff",
    ),
    *("X-Forwarded-For: %ff,,[", "X-Forwarded-Host: [", "Origin: [", "Authorization: \xff"),
    *("If-None-Match: \xff", "If-Modified-Since: Fri, 31 Dec 99999 00:00:00 GMT", "Expect: foo"),
)
PERSON = ((b"Accept", b"text/html"), (b"Connection", b"close"))


async def test_no_address_and_no_header_is_an_error_on_our_side() -> None:
    async with serving("--spawner=fake") as service:
        await service.until_ready(10)
        host = (b"Host", f"127.0.0.1:{service.visitors}".encode())
        for target in (*BROKEN, *STRANGE):
            asked = Request(b"GET", target.encode("latin1"), (host, *PERSON))
            answer = parsed(await exchange(service.visitors, asked))
            assert answer is not None, target
            assert answer.status < 500, target
            if target in BROKEN:
                assert answer.status == 400
        for line in HEADERS:
            name, _, value = line.encode("latin1").partition(b": ")
            for path in (b"/", b"/static/tmpnb.css", b"/user/abc/lab"):
                own = (host,) if name != b"Host" else ()
                asked = Request(b"GET", path, (*own, (name, value), *PERSON[1:]))
                answer = parsed(await exchange(service.visitors, asked))
                assert answer is not None, line
                assert answer.status < 500, line


async def test_a_person_and_a_program_are_told_what_is_wrong_with_a_link() -> None:
    async with serving("--spawner=fake") as service:
        await service.until_ready(10)
        page = await service.fetch("/lab/tree/100%25.ipynb", headers={"Accept": "text/html"})
        assert page.code == 200
        port = service.visitors

        async def told(accept: bytes, method: bytes = b"GET", path: bytes = b"/lab/100%") -> bytes:
            headers = ((b"Accept", accept), (b"Connection", b"close"))
            body = b"x" * 1000 if method == b"PUT" else b""
            answer = parsed(await exchange(port, Request(method, path, headers, body)))
            assert answer is not None
            assert answer.status == 400
            return answer.body

        person, program, save = await asyncio.gather(
            told(b"text/html"),
            told(b"application/json"),
            told(b"*/*", b"PUT", b"/user/abc/api/contents/5%"),
        )
        assert b"This link is broken" in person
        assert b'href="/lab/100%25"' in person
        assert b'"bad_link"' in program
        assert b'"bad_link"' in save

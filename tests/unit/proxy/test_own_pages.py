"""Pages that the real proxy shows by itself have a policy, as all others of ours."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.real_proxy import HOME, saying, world

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=60)]

POLICY = "default-src 'self'; frame-ancestors https://articles.example"
RENDERED = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 4\r\n"
    f"Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\n"
    "Origin-Agent-Cluster: ?1\r\nCache-Control: no-store\r\nPermissions-Policy: hid=()\r\n"
    "Referrer-Policy: strict-origin\r\nRetry-After: 2\r\nX-Other: goes\r\n"
    "Set-Cookie: goes=1\r\n"
)
ALWAYS = {
    "cache-control: no-store",
    "origin-agent-cluster: ?1",
    "x-content-type-options: nosniff",
}


async def broken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def value(head: list[str], name: str) -> str:
    [found] = [line for line in head if line.lower().startswith(f"{name}:")]
    return found.partition(": ")[2]


@pytest.mark.parametrize("path", ["/%ff", "/spawn/%zz", "//[", "/user/abc/%e4?x"])
async def test_an_address_without_sense_is_refused_with_a_policy(path: str) -> None:
    async with world(saying("HTTP/1.1 200 OK\r\n")) as served:
        head = await served.head(path)
        assert head[0] == "HTTP/1.1 400 Bad Request"
        assert "frame-ancestors 'none'" in value(head, "content-security-policy")
        assert {line.lower() for line in head} >= ALWAYS


async def test_a_page_for_a_server_that_failed_has_the_policy_of_who_rendered_it() -> None:
    async with world(broken, saying(RENDERED, "page")) as served:
        head = await served.head(HOME)
        assert head[0] == "HTTP/1.1 503 Service Unavailable"
        assert value(head, "content-security-policy") == POLICY
        assert value(head, "permissions-policy") == "hid=()"
        assert value(head, "retry-after") == "2"
        assert {line.lower() for line in head} >= ALWAYS
        assert not any("goes" in line for line in head)


async def test_the_proxy_s_last_words_have_a_policy() -> None:
    """Nobody renders a page for it."""
    async with world(broken, broken) as served:
        for path in (HOME, "/spawn"):
            head = await served.head(path)
            assert head[0] == "HTTP/1.1 503 Service Unavailable"
            assert "frame-ancestors 'none'" in value(head, "content-security-policy")
            assert {line.lower() for line in head} >= ALWAYS


async def test_nothing_is_added_to_what_a_server_says() -> None:
    async with world(saying("HTTP/1.1 200 OK\r\nX-Frame-Options: DENY\r\n")) as served:
        head = await served.head(HOME)
        assert "x-frame-options: DENY" in head
        assert not {line.lower() for line in head} & ALWAYS


async def test_a_link_that_cannot_be_decoded_gets_the_page_of_who_renders_pages() -> None:
    asked: list[str] = []

    async def rendering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode("latin1").lower())
        writer.write(f"{RENDERED}\r\npage".encode())
        writer.close()

    async with world(broken, rendering) as served:
        reader = await served.send("/lab/100%?a=b", "Accept: text/x-mine\r\nConnection: close\r\n")
        answer = (await reader.read()).decode("latin1")
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    assert head[0] == "HTTP/1.1 400 Bad Request"
    assert value(head, "content-type") == "text/html"
    assert value(head, "content-security-policy") == POLICY
    assert "page" in answer.partition("\r\n\r\n")[2]
    assert "goes" not in answer
    assert asked[0].startswith("get /proxy-error/400?url=%2flab%2f100%25%3fa%3db http/1.1\r\n")
    assert "accept: text/x-mine\r\n" in asked[0]


async def test_a_link_that_cannot_be_decoded_is_refused_without_a_page_too() -> None:
    async with world(broken, broken) as served:
        reader = await served.send("/100%", "Connection: close\r\n")
        answer = (await reader.read()).decode("latin1")
    assert answer.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert answer.partition("\r\n\r\n")[2].count("Bad Request") == 1

"""One address against the pool: real program, real proxy, real addresses of connections."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.running_service import Service, serving
from tests.e2e.service.played_visitors import Host, visited

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=300)]

CROWD = 500  # requests
AT_ONCE = 25
ANSWER = 60.0  # seconds for one
SHARE = 2  # of the default pool of 10
SLOW_CONNECTIONS = 300
WORDS = "four plain words"
SCRIPT = {"Accept": "application/json"}


async def ask(
    service: Service, path: str, *, source: str | Host = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Post through the proxy from one address of this machine, or as another one.

    Returns:
        Status, headers, JSON.
    """
    where = urlsplit(service.url)
    lines = [f"POST {path} HTTP/1.1", f"Host: {where.netloc}", "Content-Length: 0"]
    lines += [f"{n}: {v}" for n, v in {**SCRIPT, "Connection": "close", **headers}.items()]
    async with asyncio.timeout(ANSWER):
        if isinstance(source, Host):
            sock = await source.connect(service.visitors)
            reader, writer = await asyncio.open_connection(sock=sock)
        else:
            reader, writer = await asyncio.open_connection(
                where.hostname, where.port, local_addr=(source, 0)
            )
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    status, *fields = head.decode().split("\r\n")
    found = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
    if found.get("transfer-encoding") == "chunked":
        body = b"".join(part for part in body.split(b"\r\n")[1::2])
    return int(status.split()[1]), found, json.loads(body)


async def crowd(
    service: Service, path: str, source: str | Host, headers: Mapping[str, str] | None = None
) -> Counter[tuple[int, str]]:
    """Ask `CROWD` times, each time with another forged address; count the answers."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> tuple[int, str]:
        forged = f"198.51.{number // 250}.{number % 250 + 1}"
        appended = {n: f"{forged}, {v}" for n, v in (headers or {}).items()}
        async with gate:
            status, _, told = await ask(service, path, source=source, **appended)
        return status, told.get("error", {}).get("code", "")

    return Counter(await asyncio.gather(*(one(number) for number in range(CROWD))))


@asynccontextmanager
async def pool_of_ten(*flags: str, **options: Any) -> AsyncIterator[Service]:
    """Serve pretended servers with the limits as they are by default."""
    async with serving("--spawner=fake", *flags, **options) as service:
        await service.until_ready(10)
        yield service


async def test_500_requests_of_one_address_leave_the_pool_to_others() -> None:
    async with pool_of_ten("--exempt-networks=") as service:
        told = await crowd(service, "/api/spawn", "127.0.0.2")
        assert told == {(200, ""): SHARE, (429, "client_limit"): CROWD - SHARE}
        status, _, body = await ask(service, "/api/spawn", source="127.0.0.3")
        assert (status, body["base_url"].startswith(service.url)) == (200, True)
        status, headers, body = await ask(service, "/api/spawn", source="127.0.0.2")
        assert (status, "status" in body) == (429, False)
        assert int(headers["retry-after"]) > 0
        numbers = await service.stats()
        assert numbers["claimed"] == SHARE + 1
        assert numbers["claims_refused_by_limit_total"] == CROWD - SHARE + 1


async def test_500_requests_of_another_machine_leave_the_pool_to_a_third() -> None:
    """Pretended servers, the real proxy, and limits by default: no flag says whom to believe."""
    with visited() as (machine, (greedy, other)), machine.inside():
        async with pool_of_ten("--proxy-ip=0.0.0.0") as service:
            forged = {"X-Forwarded-For": "192.0.2.7"}
            told = await crowd(service, "/api/spawn", greedy, forged)
            assert told == {(200, ""): SHARE, (429, "client_limit"): CROWD - SHARE}
            told = await crowd(service, "/spawn", greedy)
            assert told == {(429, "client_limit"): CROWD}, "neither does another way help"
            assert [(await ask(service, "/api/spawn", source=other))[0] for _ in range(3)] == [
                200,
                200,
                429,
            ]
            numbers = await service.stats()
            assert (numbers["claimed"], numbers["waiting"]) == (2 * SHARE, 0)


async def test_300_connections_that_never_say_all_leave_the_service_to_others() -> None:
    """Half of them in their headers, which the proxy keeps, half in a body, which it passes on."""
    begun = (
        b"POST /spawn HTTP/1.1\r\nHost: x",
        b"POST /spawn HTTP/1.1\r\nHost: x.example\r\nContent-Length: 9\r\n\r\nfre",
    )
    async with pool_of_ten() as service:
        hanging = [
            await asyncio.open_connection("127.0.0.1", service.visitors)
            for _ in range(SLOW_CONNECTIONS)
        ]
        try:
            for number, (_, writer) in enumerate(hanging):
                writer.write(begun[number % 2])
            for _ in range(5):
                for _, writer in hanging:
                    writer.write(b"x")
                assert (await ask(service, "/api/spawn"))[0] == 200
            assert (await service.fetch("/")).code == 200
            open_now = [reader for reader, _ in hanging if not reader.at_eof()]
            assert len(open_now) == SLOW_CONNECTIONS, "they hung all the while"
            numbers = await service.stats()
            assert numbers["claimed"] == 5, "none of them has taken anything"
        finally:
            for _, writer in hanging:
                writer.close()


async def test_an_address_that_a_trusted_front_appends_counts_whatever_was_forged() -> None:
    """The front is this machine; our proxy appends its address, which is passed over."""
    async with pool_of_ten() as service:
        visitor = {"X-Forwarded-For": "203.0.113.9"}
        told = await crowd(service, "/spawn/lab", "127.0.0.1", visitor)
        assert told == {(200, ""): SHARE, (429, "client_limit"): CROWD - SHARE}
        neighbours = {"X-Forwarded-For": "2001:db8:1:2::7"}
        other = {"X-Forwarded-For": "2001:db8:1:2:ffff::1"}
        site = {"X-Forwarded-For": "2001:db8:1:3::1"}
        codes = [(await ask(service, "/spawn", **h))[0] for h in (neighbours, other, other, site)]
        assert codes == [200, 200, 429, 200], "a /64 is one"


async def test_500_requests_of_one_address_leave_the_line_to_others() -> None:
    async with pool_of_ten() as service:
        for _ in range(10):
            assert (await ask(service, "/api/spawn"))[0] == 200, "this machine is exempt"
        told = await crowd(service, "/spawn", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"})
        assert told == {(503, ""): SHARE, (429, "client_limit"): CROWD - SHARE}
        status, _, place = await ask(service, "/spawn", **{"X-Forwarded-For": "203.0.113.10"})
        assert (status, place["position"]) == (503, SHARE + 1)


async def invitation(service: Service, *options: str) -> str:
    """Return what `tmpnb invite` prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tmpnb",
        "invite",
        f"--url={service.url}/lab",
        f"--state-dir={service.state_dir}",
        *options,
        env={"PATH": "", "TMPNB_PASSPHRASE": WORDS},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), ANSWER)
    assert process.returncode == 0
    return printed.decode().strip()


async def test_an_invite_opens_the_service_and_is_in_no_log() -> None:
    async with pool_of_ten("--logging=debug", env={"TMPNB_PASSPHRASE": WORDS}) as service:
        assert (await ask(service, "/spawn"))[0] == 403
        link = await invitation(service, "--hours=1", "--spawner=fake")
        arrived = await service.fetch(link.removeprefix(service.url))
        assert (arrived.code, arrived.headers["Location"]) == (302, "/lab")
        cookie = {"Cookie": arrived.headers["Set-Cookie"].partition(";")[0]}
        assert (await ask(service, "/spawn", **cookie))[0] == 200
        assert (await ask(service, "/api/spawn", **{"X-Tmpnb-Passphrase": WORDS}))[0] == 200
        written = service.log.read_text()
    assert "GET /invite/lab" in written
    for secret in (link.rpartition(".")[2], WORDS):
        assert secret not in written


@pytest.mark.browser
async def test_the_passphrase_is_asked_by_the_launch_page_and_once_a_day(browser: Browser) -> None:
    async with pool_of_ten(env={"TMPNB_PASSPHRASE": WORDS}) as service:
        page = await browser.new_page()
        await page.goto(f"{service.url}/lab")
        field = page.get_by_label("The people who invited you can tell you")
        await field.fill("a guess")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("That is not the passphrase.")
        await field.fill(WORDS)
        await page.get_by_role("button", name="Start notebook").click()
        await page.wait_for_url("**/user/**")
        cookies = {c.get("name"): c.get("path") for c in await page.context.cookies()}
        assert [p for n, p in cookies.items() if n and n.startswith("tmpnb-pass")] == ["/spawn"]
        assert (await service.stats())["claimed"] == 1
        await page.context.clear_cookies(name=re.compile("^tmpnb-visitor"))
        await page.goto(f"{service.url}/lab")
        await page.wait_for_url("**/user/**")
        assert (await service.stats())["claimed"] == 2


@pytest.mark.browser
async def test_the_passphrase_is_asked_without_javascript(browser: Browser) -> None:
    async with pool_of_ten(env={"TMPNB_PASSPHRASE": WORDS}) as service:
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{service.url}/lab")
        await page.get_by_role("button", name="Start notebook").click()
        await page.get_by_label("The people who invited you can tell you").fill(WORDS)
        await page.get_by_role("button", name="Start notebook").click()
        await page.wait_for_url("**/user/**")
        assert (await service.stats())["claimed"] == 1

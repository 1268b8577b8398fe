"""What a server says passes the real proxy if it concerns that answer, and not all of the host."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.real_proxy import DOMAIN, HOME, ID, UPGRADE, saying, world

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=60)]

FOR_ALL = {
    "Accept-CH": "Sec-CH-UA-Model",
    "Alt-Svc": 'h3="elsewhere:443"',
    "CLEAR-site-DATA": '"*"',
    "Critical-CH": "Sec-CH-UA-Model",
    "Expect-CT": "max-age=1",
    "nel": '{"report_to":"g","max_age":9}',
    "Origin-Agent-Cluster": "?0",
    "Origin-Trial": "x",
    "Public-Key-Pins": "max-age=1",
    "Report-To": "{}",
    "Reporting-Endpoints": 'a="https://elsewhere"',
    "SERVICE-worker-allowed": "/",
    "Set-Login": "logged-in",
    "Strict-Transport-Security": "max-age=1",
    "Use-As-Dictionary": 'match="/*"',
    "X-Accel-Redirect": "/etc/",
    "X-Accel-Expires": "9",
    "X-Lighttpd-Send-File": "/etc/passwd",
    "X-Sendfile": "/etc/passwd",
}
FOR_ONE = {
    "Content-Security-Policy": "sandbox",
    "Link": "</x>; rel=preload",
    "X-Accel-Buffering": "no",
    "X-Other": "stays",
}
ALL = "".join(f"{name}: {value}\r\n" * 2 for name, value in FOR_ALL.items())
ONE = "".join(f"{name}: {value}\r\n" for name, value in FOR_ONE.items())
PLAIN = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
SWITCHED = f"HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}"

COOKIES = {  # as a server says them: as they pass
    "a=b; Path=/user/abc/; HttpOnly": "a=b; HttpOnly; Path=/user/abc/",
    "a=b; Path=/user/abc/files": "a=b; Path=/user/abc/files",
    "a=b; Path=/user/abc": "a=b; Path=/user/abc",
    "a=b; Path=/": "a=b; Path=/user/abc/",
    "a=b; pAtH = /spawn ;SameSite=Lax": "a=b;SameSite=Lax; Path=/user/abc/",
    "a=b; Path=/user/abc/; Path=/": "a=b; Path=/user/abc/",
    "a=b; Path=/; Path=/user/abc/x": "a=b; Path=/user/abc/x",
    "a=b; Path=/spawn; Path=": "a=b",
    'a=b; Path="/"': "a=b",
    "a=b; Path": "a=b",
    "a=b; Path=/user/abcd/": "a=b; Path=/user/abc/",
    "a=b; Path=/user/ABC/": "a=b; Path=/user/abc/",
    "a=b; Path=/user/other/": "a=b; Path=/user/abc/",
    "a=b; Domain=notebooks.example; DOMAIN =x; Secure": "a=b; Secure",
    "Path=/; Path=/": "Path=/; Path=/user/abc/",
    "a=b": "a=b",
    "": "",
}

SCRIPTS = {  # as a page asks for one: where it is led
    "/user/abc": "/user/abc/",
    "/user/abc?w": "/user/abc/?w",
    "/user/abc?w=/a/b/c": "/user/abc/?w=/a/b/c",
    "/%75ser/a%62c": "/user/abc/",
    "/user/abc%2f": "/user/abc/",
    "/user/abc%2fsw.js?w": "/user/abc/sw.js?w",
    "/user%2fabc%2fsw.js": "/user/abc/sw.js",
    "/user%2Fabc/sw.js": "/user/abc/sw.js",
    "/user/./abc": "/user/abc/",
    "/user/abc/%2e%2e/abc?w": "/user/abc/?w",
    "/x/../user/abc": "/user/abc/",
    "//x/user/abc": "/user/abc/",
    "//x//user/abc": "/user/abc/",
    "http://x/user/abc": "/user/abc/",
}


def names(head: list[str]) -> set[str]:
    return {line.partition(":")[0].lower() for line in head[1:]}


@pytest.mark.parametrize(("asked", "said"), [("", PLAIN), (UPGRADE, PLAIN), (UPGRADE, SWITCHED)])
async def test_no_server_widens_what_its_workers_stand_before(asked: str, said: str) -> None:
    """Nor does it say anything else for all of the host."""
    async with world(saying(said + ALL + ONE)) as served:
        head = await served.head(f"{HOME}x", asked)
        assert head[0].split()[1] == said.split()[1]
        assert not names(head) & {name.lower() for name in FOR_ALL}
        assert names(head) >= {name.lower() for name in FOR_ONE}


async def test_an_address_that_is_spelt_otherwise_is_still_that_of_a_server() -> None:
    async with world(saying(PLAIN + ALL + ONE)) as served:
        for path in ("/%75ser/abc/x", "/user/%61bc/", "//x/user/abc/x", "/user/./abc/x"):
            head = await served.head(path)
            assert "x-other" in names(head), path
            assert not names(head) & {name.lower() for name in FOR_ALL}, path


async def test_our_own_answers_say_what_they_like() -> None:
    async with world(saying(PLAIN), saying(PLAIN + ALL + "Set-Cookie: a=b; Path=/\r\n")) as served:
        for path in ("/spawn", "/user/other/x"):
            head = await served.head(path)
            assert names(head) >= {name.lower() for name in FOR_ALL}
            assert "set-cookie: a=b; Path=/" in head


async def test_nothing_of_it_passes_before_or_after_an_answer() -> None:
    early = f"HTTP/1.1 103 Early Hints\r\n{ALL}\r\n"
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: NEL\r\n"
    async with world(saying(early + head, f"2\r\nhi\r\n0\r\n{ALL}\r\n")) as served:
        answer = await (
            await served.send(f"{HOME}x", "Connection: close\r\nTE: trailers\r\n")
        ).read()
        assert b"hi" in answer
        assert b"report_to" not in answer
        assert b" 103 " not in answer


@pytest.mark.parametrize("asked", ["", UPGRADE])
async def test_a_cookie_of_a_server_is_for_that_server_alone(asked: str) -> None:
    async def notebook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = (await reader.readuntil(b"\r\n\r\n")).split()[1].rpartition(b"/")[2]
        cookies = f"Set-Cookie: {list(COOKIES)[int(number)]}\r\nset-COOKIE: z=z; Path=/\r\n"
        writer.write(f"{PLAIN}{cookies}\r\n".encode())
        writer.close()

    async with world(notebook) as served:
        for number, passed in enumerate(COOKIES.values()):
            head = await served.head(f"{HOME}{number}", asked)
            found = [line for line in head if line.lower().startswith("set-cookie")]
            assert [line.partition(": ")[2] for line in found] == [passed, "z=z; Path=/user/abc/"]


async def test_what_browsers_take_for_no_path_is_none() -> None:
    said = "a=b; \xa0Path=/; \x85Domain=x"
    async with world(saying(f"{PLAIN}Set-Cookie: {said}\r\n")) as served:
        assert f"set-cookie: {said}" in await served.head(f"{HOME}x")


async def test_a_cookie_has_a_path_where_that_of_the_request_is_too_wide() -> None:
    async with world(saying(f"{PLAIN}Set-Cookie: a=b\r\n")) as served:
        for path in (f"/user/{ID}", "/%75ser/abc/x"):
            head = await served.head(path, "Content-Length: 0\r\n", "POST")
            assert "set-cookie: a=b; Path=/user/abc/" in head


async def test_with_hosts_of_their_own_cookies_have_no_domain_and_any_path() -> None:
    said = "Set-Cookie: a=b; Domain=notebooks.example; Path=/\r\nSet-Cookie: c=d; Path=/x\r\n"
    async with world(saying(PLAIN + said + ALL), has_hosts=True) as served:
        head = await served.head(f"{HOME}x", host=f"{ID}.{DOMAIN}")
        assert "set-cookie: a=b; Path=/" in head
        assert "set-cookie: c=d; Path=/x" in head
        assert not names(head) & {name.lower() for name in FOR_ALL}


async def test_a_cookie_of_many_spaces_holds_nobody_up() -> None:
    spaces = " " * 7000
    said = f"Set-Cookie: a=b;{spaces}x{spaces}\r\n"
    async with world(saying(PLAIN + said)) as served:
        head = await served.head(f"{HOME}x")
        assert head[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("has_hosts", [False, True])
async def test_no_script_of_a_server_stands_above_it(has_hosts: bool) -> None:
    """A worker stands before the folder of its script, unless that comes by a redirect."""
    async with world(saying(PLAIN), has_hosts=has_hosts) as served:
        host = f"{ID}.{DOMAIN}" if has_hosts else "x"
        for path, leads_to in SCRIPTS.items():
            for method in ("GET", "HEAD"):
                head = await served.head(path, "Service-Worker: script\r\n", method, host=host)
                assert head[0] == "HTTP/1.1 302 Found"
                assert f"Location: {leads_to}" in head
                assert "cache-control: no-store" in head
        for path in (HOME, f"{HOME}sw.js", f"{HOME}..%2fsw.js", f"{HOME}/x/sw.js"):
            head = await served.head(path, "Service-Worker: script\r\n", host=host)
            assert head[0] == "HTTP/1.1 200 OK"


async def test_what_else_is_asked_of_that_address_reaches_the_server() -> None:
    async with world(saying(f"{PLAIN}X-From: notebook\r\n")) as served:
        for method in ("POST", "OPTIONS", "DELETE"):
            head = await served.head(f"/user/{ID}", "Content-Length: 0\r\n", method)
            assert "x-from: notebook" in head

"""Pages of other origins may read our answers as the original's six flags say, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.running_site import SCRIPT, Running
from tmpnb.errors import ConfigError
from tmpnb.settings import flags
from tmpnb.web import cors

BOOK, BLOG = "https://book.example", "http://blog.example:8080"
ALLOW = "Access-Control-Allow-Origin"
ALL_SIX = {
    "allow_origin": BOOK,
    "expose_headers": "X-One, X-Two",
    "max_age": "600",
    "allow_credentials": "true",
    "allow_methods": "GET, POST",
    "allow_headers": "Authorization",
}


def told(values: dict[str, str], origin: str = BOOK, *, preflight: bool = False) -> dict[str, str]:
    return cors.cors(values).headers(origin, preflight=preflight)


def one_line(values: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        cors.cors(values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Values


def test_without_the_flags_there_is_no_header() -> None:
    for preflight in (False, True):
        assert told(dict.fromkeys(flags.CORS, ""), preflight=preflight) == {}


def test_every_flag_is_a_header_of_every_answer() -> None:
    """O20: max_age is a header's, not a server's."""
    expected = {
        ALLOW: BOOK,
        "Access-Control-Expose-Headers": "X-One, X-Two",
        "Access-Control-Max-Age": "600",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization",
    }
    assert set(ALL_SIX) == set(flags.CORS)
    assert told(ALL_SIX) == told(ALL_SIX, preflight=True) == expected


@pytest.mark.parametrize("origin", ["*", BOOK])
def test_one_origin_is_said_to_everybody(origin: str) -> None:
    for asks in ("", BOOK, BLOG):
        assert told({"allow_origin": f" {origin} "}, asks)[ALLOW] == origin


@pytest.mark.parametrize(
    ("asks", "answer"),
    [(BOOK, BOOK), (BLOG, BLOG), ("", None), ("null", None), ("https://evil.example", None)],
)
def test_of_several_origins_each_is_told_of_itself(asks: str, answer: str | None) -> None:
    headers = told({"allow_origin": f"{BOOK}, {BLOG}"}, asks)
    assert headers.get(ALLOW) == answer
    assert headers["Vary"] == "Origin"


def test_preflight_allows_what_programs_need_unless_the_operator_says_otherwise() -> None:
    headers = told({"allow_origin": "*"}, preflight=True)
    assert "DELETE" in headers["Access-Control-Allow-Methods"]
    assert "Authorization, Content-Type" in headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Methods" not in told({"allow_origin": "*"})
    own = told({"allow_origin": "*", "allow_headers": "X-Own"}, preflight=True)
    assert own["Access-Control-Allow-Headers"] == "X-Own"
    assert "POST" in own["Access-Control-Allow-Methods"]


def test_scripts_may_read_when_to_come_again() -> None:
    assert told({"allow_origin": "*"})["Access-Control-Expose-Headers"] == "Retry-After"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("allow_origin", "book.example", "'book.example' is not an origin"),
        ("allow_origin", "https://book.example/", "without a path"),
        ("allow_origin", f"{BOOK},*", "* alone"),
        ("allow_origin", f"{BOOK} {BLOG}", "with commas between them"),
        ("allow_origin", "https://*.example", "is not an origin"),
        ("max_age", "ten", "--max-age=ten: write a number of seconds"),
        ("max_age", "1.5", "number of seconds"),
        ("allow_credentials", "yes", "--allow-credentials=yes: write true"),
        ("allow_methods", "GET; POST", "GET, POST"),
        ("allow_headers", "Authorization Content-Type", "with commas between them"),
        ("expose_headers", "X:Y", "--expose-headers=X:Y"),
    ],
)
def test_what_no_browser_understands_is_refused(name: str, value: str, said: str) -> None:
    message = one_line({name: value})
    assert message.startswith(f"--{name.replace('_', '-')}")
    assert said in message


@pytest.mark.parametrize("value", ["*\r\nX-Header: 1", "a\x00b", "\x7f", "é", "*\n"])
@pytest.mark.parametrize("name", flags.CORS)
def test_header_value_that_is_not_one_line_of_text_is_refused(name: str, value: str) -> None:
    assert "on one line" in one_line({name: value})


@pytest.mark.parametrize("value", ["false", "False"])
def test_credentials_that_are_not_allowed_are_no_header(value: str) -> None:
    assert told({"allow_origin": BOOK, "allow_credentials": value}).keys() == {
        ALLOW,
        "Access-Control-Expose-Headers",
    }


def test_operator_is_told_that_credentials_want_origins_by_name() -> None:
    anybody = cors.cors({"allow_origin": "*", "allow_credentials": "True"})
    assert "no effect" in (cors.advice(anybody) or "")
    assert cors.advice(cors.cors(ALL_SIX)) is None


# Answers


ADDRESSES = [
    ("POST", "/api/spawn", 200),
    ("GET", "/stats", 200),
    ("GET", "/api/stats", 200),
    ("GET", "/health", 200),
    ("GET", "/api/servers/gone", 401),
    ("POST", "/api/servers/gone/extend", 401),
    ("GET", "/user/gone/api/kernels", 404),
    ("PUT", "/user/gone/api/contents/x.ipynb", 410),
    ("GET", "/user/gone/lab", 410),
    ("GET", "/nothing", 404),
    ("DELETE", "/stats", 405),
]


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(("method", "path", "code"), ADDRESSES)
async def test_every_answer_and_its_preflight_can_be_read_elsewhere(
    running: Running, method: str, path: str, code: int
) -> None:
    fetch = running.public(cors=cors.cors({"allow_origin": f"{BOOK},{BLOG}"}))
    headers: dict[str, Any] = {
        "Origin": BOOK,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = await fetch(path, method="OPTIONS", headers=headers)
    assert preflight.code == 204
    assert preflight.headers[ALLOW] == BOOK
    assert method in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = await fetch(path, method=method, headers=SCRIPT | {"Origin": BOOK})
    assert answer.code == code
    assert answer.headers[ALLOW] == BOOK
    assert "Origin" in answer.headers["Vary"]
    stranger = await fetch(path, method=method, headers=SCRIPT | {"Origin": "https://evil.example"})
    assert ALLOW not in stranger.headers


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(("method", "path", "code"), ADDRESSES)
async def test_nothing_can_be_read_elsewhere_without_the_flags(
    running: Running, method: str, path: str, code: int
) -> None:
    fetch = running.public()
    preflight = await fetch(path, method="OPTIONS", headers={"Origin": BOOK})
    assert preflight.code == 204
    answer = await fetch(path, method=method, headers=SCRIPT | {"Origin": BOOK})
    assert answer.code == (403 if path == "/api/spawn" else code)
    for headers in (preflight.headers, answer.headers):
        assert [name for name in headers if name.startswith("Access-Control")] == []


@pytest.mark.gen_test(timeout=20)
async def test_pages_of_several_origins_vary_by_origin_and_by_visit(running: Running) -> None:
    fetch = running.public(cors=cors.cors({"allow_origin": f"{BOOK},{BLOG}"}))
    vary = ",".join((await fetch("/lab")).headers.get_list("Vary"))
    assert {"Origin", "User-Agent"} <= {name.strip() for name in vary.split(",")}

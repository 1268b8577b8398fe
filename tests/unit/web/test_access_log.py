"""Each request has its line, and a flood has one, which names the client as the gate knows it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.log import access_log
from tornado.web import Application, RequestHandler

from tests.support.world import wait_until
from tmpnb.access.client_address import anonymized
from tmpnb.system.logs.lines import FIELDS
from tmpnb.system.logs.repeats import MOST, SPAN
from tmpnb.web.access_log import LONGEST_PATH, AccessLog

pytestmark = pytest.mark.gen_test(timeout=20)

CLIENT = "203.0.113.9"


class Connection:
    """As much of a connection as a handler asks for."""

    class context:  # noqa: N801 - as Tornado names it
        remote_ip = "127.0.0.1"

    def set_close_callback(self, callback: object) -> None:
        """See `HTTPConnection`."""


class Other(RequestHandler):
    """Another kind of page."""


class Refusing(RequestHandler):
    refused = "All notebooks are taken."


def handler_of(
    uri: str = "/",
    status: int = 404,
    client: str = CLIENT,
    method: str = "GET",
    kind: type[RequestHandler] = RequestHandler,
) -> RequestHandler:
    headers = HTTPHeaders({"Host": "localhost", "X-Forwarded-For": client})
    connection: Any = Connection()
    line = RequestStartLine(method, uri, "HTTP/1.1")
    request = HTTPServerRequest(start_line=line, headers=headers, connection=connection)
    handler = kind(Application(), request)
    handler.set_status(status)
    return handler


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written:
    """An access log under a clock that the test holds."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog, self.clock = caplog, Clock()
        self.log = AccessLog(clock=self.clock)

    def comes(self, handler: RequestHandler, times: int = 1) -> None:
        for _ in range(times):
            self.log.write(handler)

    def time_goes_on(self, seconds: float = SPAN) -> None:
        self.clock.now += seconds
        self.log._told_in_time()

    @property
    def lines(self) -> list[str]:
        return self._caplog.messages

    @property
    def fields(self) -> list[dict[str, object]]:
        return [getattr(record, FIELDS) for record in self._caplog.records]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Iterator[Written]:
    with caplog.at_level(logging.INFO, logger=access_log.name):
        yield Written(caplog)


async def test_a_line_has_status_method_path_time_and_client_and_no_query(
    written: Written,
) -> None:
    written.comes(handler_of("/spawn/lab?token=abc&x=hush", 302))
    [line] = written.lines
    assert line.startswith("302 GET /spawn/lab ")
    assert line.endswith(f"ms {CLIENT}")
    assert "hush" not in line
    [fields] = written.fields
    assert isinstance(fields.pop("ms"), float)
    told = {"status": 302, "method": "GET", "path": "/spawn/lab", "client": CLIENT}
    assert fields == told


async def test_a_line_names_the_network_alone_with_anonymize(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger=access_log.name):
        AccessLog(anonymize=True).write(handler_of("/", 200))
    [record] = caplog.records
    network = str(anonymized(ip_address(CLIENT)))
    assert record.getMessage().endswith(f"ms {network}")
    assert getattr(record, FIELDS)["client"] == network
    assert CLIENT not in record.getMessage()


async def test_a_line_says_why_a_request_was_refused(written: Written) -> None:
    written.comes(handler_of("/spawn", 503, kind=Refusing), 3)
    written.time_goes_on()
    assert written.lines[0].endswith(f" {CLIENT}: All notebooks are taken.")
    assert written.lines[1].endswith(": All notebooks are taken. … 2 more like it within 60 s")
    assert {fields["error"] for fields in written.fields} == {"All notebooks are taken."}


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, logging.INFO),
        (302, logging.INFO),
        (400, logging.WARNING),
        (404, logging.WARNING),
        (503, logging.WARNING),  # a full pool is nothing to mend
        (500, logging.ERROR),
        (502, logging.ERROR),
    ],
)
async def test_level_follows_the_status(
    status: int, level: int, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    written.comes(handler_of("/", status), 2)
    written.time_goes_on()
    assert [record.levelno for record in caplog.records] == [level, level]


async def test_a_flood_of_one_page_is_one_line_and_a_number(written: Written) -> None:
    for number in range(313):
        written.comes(handler_of(f"/user/abc/api/contents/{number}"))
    [first] = written.lines
    assert first.startswith("404 GET /user/abc/api/contents/0 ")
    written.time_goes_on()
    assert written.lines[1:] == [
        f"404 GET /user/abc/api/contents/0 {CLIENT} … 312 more like it within 60 s"
    ]
    assert written.fields[1] == {
        "status": 404,
        "method": "GET",
        "path": "/user/abc/api/contents/0",
        "client": CLIENT,
        "more": 312,
        "seconds": 60.0,
    }


async def test_each_kind_has_its_first_line_at_once(written: Written) -> None:
    kinds = [
        handler_of("/a"),
        handler_of("/a", status=410),
        handler_of("/a", client="203.0.113.10"),
        handler_of("/a", method="POST"),
        handler_of("/a", kind=Other),
    ]
    for one in kinds:
        written.comes(one, 2)
    assert len(written.lines) == len(kinds)
    written.time_goes_on()
    assert len(written.lines) == 2 * len(kinds)


async def test_a_network_of_one_customer_in_ipv6_is_one_client(written: Written) -> None:
    for number in range(1, 100):
        written.comes(handler_of(client=f"2001:db8::{number}"))
    assert len(written.lines) == 1


async def test_a_flood_of_many_clients_has_so_many_lines_at_most(written: Written) -> None:
    for number in range(3 * MOST):
        written.comes(handler_of(client=f"10.0.{number // 256}.{number % 256}"))
    assert len(written.lines) == MOST + 1
    written.time_goes_on()
    assert written.fields[-1]["more"] == 2 * MOST - 1


async def test_methods_that_nobody_has_heard_of_are_one_kind(written: Written) -> None:
    for number in range(100):
        written.comes(handler_of(method=f"X{number}", status=405))
    assert len(written.lines) == 1


async def test_a_path_has_a_length(written: Written) -> None:
    written.comes(handler_of("/" + "x" * 60_000))
    assert len(written.lines[0]) < LONGEST_PATH + 100


async def test_debugging_tells_each_request(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger=access_log.name):
        written.comes(handler_of(), 20)
    assert len(written.lines) == 20


async def test_what_is_not_logged_is_not_counted(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger=access_log.name):
        written.comes(handler_of(), 20)
        written.log.close()
    assert written.lines == []


async def test_at_the_end_what_was_counted_is_told(written: Written) -> None:
    written.comes(handler_of(), 20)
    written.log.close()
    assert written.lines[-1].endswith("… 19 more like it within 60 s")


async def test_it_is_told_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    hurried = count(step=SPAN)  # each look at the clock is one span later
    with caplog.at_level(logging.INFO, logger=access_log.name):
        log = AccessLog(clock=lambda: next(hurried))
        log.write(handler_of())
        log.write(handler_of())
        await wait_until(lambda: "1 more like it" in caplog.text)

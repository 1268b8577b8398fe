"""A request that cannot be read is logged without the address it came from, with --anonymize."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from tornado.web import Application

from tests.support.raw_http import Request, exchange
from tests.support.running_site import Running
from tmpnb.web.anonymous_peers import anonymous_peers

pytestmark = pytest.mark.gen_test(timeout=30)


@pytest.mark.parametrize(("anonymize", "named"), [(True, "127.0.0.0/24"), (False, "127.0.0.1")])
async def test_a_malformed_request_is_logged_by_network(
    anonymize: bool, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with AsyncExitStack() as stack:
        port = urlsplit(Running(1, stack).serve(Application([]))).port or 0
        with anonymous_peers(anonymize=anonymize):
            await exchange(port, Request(b"GET", b"/", [(b"Content-Length", b"x")]))
    [line] = (r.getMessage() for r in caplog.records if "Malformed" in r.getMessage())
    assert f"from {named}:" in line

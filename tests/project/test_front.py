"""The configuration of nginx has what the documents promise of it."""

from __future__ import annotations

import re

import pytest
from requirements import ROOT

CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def value(directive: str) -> str:
    """Return what a directive is set to, the only time it is."""
    [found] = re.findall(rf"^ *{directive} ([^;]+);", CONFIGURATION, re.MULTILINE)
    return str(found)


def row(directive: str) -> str:
    """Return the row of the documents that names a directive."""
    [found] = re.findall(rf"^\|.*`{directive}[ `].*\|$", OPERATIONS, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize(
    ("directive", "number"),
    [
        ("limit_conn", r"tmpnb_address (\d+)"),
        ("limit_req", r"zone=tmpnb_taking burst=(\d+) nodelay"),
        ("client_header_timeout", r"(\d+)s"),
        ("client_body_timeout", r"(\d+)s"),
        ("worker_connections", r"(\d+)"),
        ("proxy_request_buffering", "(on)"),
    ],
)
def test_the_documents_have_its_figures(directive: str, number: str) -> None:
    found = re.fullmatch(number, value(directive))
    assert found is not None, value(directive)
    assert re.search(rf"\b{found[1]}\b", row(directive))


def test_it_passes_on_what_the_service_goes_by() -> None:
    headers = dict(re.findall(r"proxy_set_header (\S+) (\S+);", CONFIGURATION))
    assert headers == {
        "Host": "$http_host",
        "X-Forwarded-Proto": "$scheme",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "Upgrade": "$http_upgrade",
        "Connection": "$connection_upgrade",
    }
    inside = CONFIGURATION.partition("location ")[2]
    assert "proxy_set_header" not in inside, "one there would undo all of those above"


def test_each_connection_of_a_worker_may_have_the_two_files_that_it_takes() -> None:
    assert int(value("worker_rlimit_nofile")) >= 2 * int(value("worker_connections"))


def test_an_idle_websocket_and_a_page_in_line_are_not_ended() -> None:
    """Ten minutes is the longest of what tmpnb says nothing in; Jupyter's websockets have pings."""
    hours = re.fullmatch(r"(\d+)h", value("proxy_read_timeout"))
    assert hours is not None
    assert int(hours[1]) >= 1


def test_no_download_is_kept_on_the_disk_of_the_front() -> None:
    assert value("proxy_buffering") == "off"


def test_no_notebook_widens_what_its_workers_stand_before() -> None:
    assert value("proxy_hide_header") == "Service-Worker-Allowed"


def test_it_logs_no_query() -> None:
    logged = re.search(r"log_format no_query '([^']+)'", CONFIGURATION)
    assert logged is not None
    assert not re.search(r"\$(request|request_uri|args|query_string|arg_\w+|http_\w+)\b", logged[1])
    assert value("access_log").endswith(" no_query")

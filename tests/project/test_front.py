"""The configuration of nginx has what the documents promise of it."""

from __future__ import annotations

import re

import pytest

from tests.support.requirements import ROOT
from tmpnb.system.http.listen import LARGEST_BODY
from tmpnb.web.pages.gone import LARGEST_SAVE

CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
UNCOUNTED = 99_999  # bytes of a body that is not among the large ones


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
        ("limit_conn tmpnb_address", r"(\d+)"),
        ("limit_conn tmpnb_bodies", r"(\d+)"),
        ("limit_req", r"zone=tmpnb_taking burst=(\d+) nodelay"),
        ("client_header_timeout", r"(\d+)s"),
        ("client_body_timeout", r"(\d+)s"),
        ("worker_connections", r"(\d+)"),
        ("proxy_max_temp_file_size", r"(\d+)"),
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


def test_a_notebook_gives_nginx_no_orders() -> None:
    """All that nginx takes; what its cache goes by is for those who have one."""
    assert set(value("proxy_ignore_headers").split()) == {
        "X-Accel-Buffering",
        "X-Accel-Charset",
        "X-Accel-Expires",
        "X-Accel-Limit-Rate",
        "X-Accel-Redirect",
    }


def test_bodies_are_as_large_as_the_service_takes_them() -> None:
    of_all, of_notebooks = re.findall(r"client_max_body_size (\w+);", CONFIGURATION)
    assert of_all == f"{LARGEST_BODY // 1024}k"
    assert of_notebooks == f"{LARGEST_SAVE // 1024**2}m"
    assert re.search(rf"\b{of_all}\b.*\b{of_notebooks}\b", row("client_max_body_size"))


def test_the_documents_have_what_one_client_fills_and_where() -> None:
    clients, bodies = int(value("limit_conn tmpnb_address")), int(value("limit_conn tmpnb_bodies"))
    most = bodies * LARGEST_SAVE + (clients - bodies) * UNCOUNTED
    assert f"{most / 10**9:.1f} GB for one client" in OPERATIONS
    assert f"`{value('client_body_temp_path')}`" in OPERATIONS


@pytest.mark.parametrize("directive", ["add_header", "proxy_hide_header", "limit_conn"])
def test_nothing_in_a_location_undoes_what_is_for_all(directive: str) -> None:
    """Nginx drops all of a kind that are further out."""
    inside = CONFIGURATION[CONFIGURATION.index("location ") :]
    assert f" {directive} " in CONFIGURATION
    assert f" {directive} " not in inside


def test_each_bound_counts_the_same_clients() -> None:
    zones = re.findall(r"limit_(?:conn|req)_zone (\S+) ", CONFIGURATION)
    assert zones == ["$tmpnb_client", "$tmpnb_sender", "$tmpnb_client"]


def test_it_logs_no_error_of_a_request() -> None:
    """The lines of all other levels have the request in them, with its query."""
    main, http = re.findall(r"^ *error_log ([^;]+);", CONFIGURATION, re.MULTILINE)
    assert main == "/var/log/nginx/error.log"
    assert http == f"{main} emerg"


def test_it_logs_no_query() -> None:
    logged = re.search(r"log_format no_query ([^;]+);", CONFIGURATION)
    asked = re.search(r'map "([^"]+)" \$tmpnb_asked', CONFIGURATION)
    assert logged is not None
    assert asked is not None
    told = logged[1] + asked[1]
    assert not re.search(r"\$(request|request_uri|args|query_string|arg_\w+|http_\w+)\b", told)
    assert value("access_log").endswith(" no_query")

"""The names of servers' hosts, and what cannot be a domain for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tmpnb.core import subdomains
from tmpnb.core.subdomains import Subdomains, is_label
from tmpnb.errors import ConfigError
from tmpnb.orchestrator.timing import Timing
from tmpnb.proxy.managed import ManagedProxySettings
from tmpnb.settings.application import Tmpnb

HERE = Subdomains("notebooks.example")


@pytest.mark.parametrize(
    "given", ["notebooks.example", "a-b.c0.example", "localhost", "a.localhost"]
)
def test_a_domain_is_taken_as_it_is(given: str) -> None:
    assert subdomains.subdomains(given) == Subdomains(given)


def test_without_a_domain_there_are_no_subdomains() -> None:
    assert subdomains.subdomains("") is None


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("https://notebooks.example", "has a scheme"),
        ("notebooks.example/", "has a path"),
        ("*.notebooks.example", "has a star"),
        ("notebooks.example:8000", "has a port"),
        ("192.0.2.7", "IP address"),
        ("192.0.2.7:80", "IP address"),
        ("127.1", "IP address"),
        ("::1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("Notebooks.example", "capital letters"),
        ("notebooks.example.", "ends with a dot"),
        ("notebooks", "has no dot"),
        (".example", "not a domain name"),
        ("note_books.example", "not a domain name"),
        ("-notebooks.example", "not a domain name"),
        ("note books.example", "not a domain name"),
        ("notebooks.example\n", "not a domain name"),
        (f"{'a' * 64}.example", "not a domain name"),
        ("nötebooks.example", "not a domain name"),
        (".".join(["a" * 50] * 4), "too long"),
    ],
)
def test_what_is_no_domain_is_refused_with_its_fault(given: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as refused:
        subdomains.subdomains(given)
    assert str(refused.value).startswith(f"--subdomains={given}: ")
    assert "--subdomains=notebooks.example" in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--public-url=https://other.example"], "is not at --subdomains"),
        (["--public-url=https://a.notebooks.example"], "is not at --subdomains"),
        (["--user-length=64"], "63 characters"),
        (["--embed-origins=https://*.notebooks.example"], "covers the servers"),
        (["--embed-origins=https://a.example,https://*.example:*"], "covers the servers"),
        (["--embed-origins=https://k3v.notebooks.example"], "covers the servers"),
        (["--allow-origin=https://k3v.NOTEBOOKS.example:8000"], "covers the servers"),
    ],
)
def test_what_would_not_go_with_the_domain_is_refused(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        built("--subdomains=notebooks.example", *flags)


@pytest.mark.parametrize(
    "flag",
    [
        "--public-url=https://notebooks.example",
        "--public-url=http://notebooks.example:8000",
        "--embed-origins=https://notebooks.example,https://*.journal.example,*",
        "--allow-origin=https://mynotebooks.example",
    ],
)
def test_what_goes_with_the_domain_is_taken(flag: str) -> None:
    assert built("--subdomains=notebooks.example", flag).subdomains == HERE


def test_the_flag_reaches_proxy_ids_and_servers() -> None:
    service = built("--subdomains=notebooks.example")
    assert service.proxy.domain == "notebooks.example"
    assert service.timing.lower_case
    assert service.spawner.kit_settings["siblings"]


def test_without_the_flag_nothing_is_different() -> None:
    service = built()
    assert service.subdomains is None
    assert service.proxy.domain == ""
    assert not service.timing.lower_case
    assert not service.spawner.kit_settings["siblings"]


def built(*flags: str):  # type: ignore[no-untyped-def]  # the program's own value
    application = Tmpnb()
    application.initialize(["--spawner=fake", *flags])
    return application.build()


def test_ids_are_names_of_hosts() -> None:
    timing = Timing(user_length=63, lower_case=True)
    ids = {timing.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(map(is_label, ids))
    assert all(len(server_id) == 63 for server_id in ids)


@pytest.mark.parametrize("server_id", ["Ab", "a_b", "a-", "-a", "", "a.b", "a" * 64, "a\n"])
def test_other_ids_are_not(server_id: str) -> None:
    assert not is_label(server_id)


def test_a_server_has_an_origin_below_ours_at_the_same_scheme_and_port() -> None:
    assert HERE.host_of("Ab3") == "ab3.notebooks.example"
    assert HERE.origin_of("ab3", "http://notebooks.example:8000") == (
        "http://ab3.notebooks.example:8000"
    )
    assert HERE.all_origins("https://notebooks.example") == "https://*.notebooks.example"


@pytest.mark.parametrize(
    ("asked", "host"),
    [
        ("notebooks.example", "notebooks.example"),
        ("ab3.notebooks.example:8000", "notebooks.example:8000"),
        ("[::1]:8000", "notebooks.example:8000"),
        ("[::1]", "notebooks.example"),
        ("evil.example:80@x", "notebooks.example"),
        ("", "notebooks.example"),
    ],
)
def test_our_own_host_is_at_the_port_that_was_asked(asked: str, host: str) -> None:
    assert HERE.main_host(asked) == host


@pytest.mark.parametrize(
    ("host", "is_below"),
    [
        ("ab3.notebooks.example", True),
        ("ab3.notebooks.example.", True),
        ("a.b.notebooks.example", True),
        ("notebooks.example", False),
        ("mynotebooks.example", False),
        ("ab3.notebooks.example.evil.example", False),
        ("127.0.0.1", False),
    ],
)
def test_hosts_below_the_domain_are_known(host: str, is_below: bool) -> None:
    assert bool(re.match(HERE.pattern, host)) is is_below


def test_the_proxy_is_started_to_go_by_hosts() -> None:
    given = {"command": ["chp"], "ip": "", "port": 1, "api_port": 2, "token": "t"}
    for by_hosts in (True, False):
        settings = ManagedProxySettings(**given, state_dir=Path(), host_routing=by_hosts)  # type: ignore[arg-type]  # as typed above
        assert ("--host-routing" in settings.arguments) is by_hosts

"""Settings that cannot work are refused in one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tmpnb.core.plan import Policy
from tmpnb.errors import ConfigError
from tmpnb.settings import checks
from tmpnb.settings.checks import Listening
from tmpnb.system.net import networks


def one_line(function: Callable[[], object]) -> str:
    """Return the message of the ConfigError that `function` raises."""
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Limits against each other


def policy(**limits: float) -> Policy:
    whole = {"capacity": 10, "min_ready": 10, "max_idle": 3600.0, "max_age": 14400.0, **limits}
    return Policy(**whole)  # type: ignore[arg-type]  # one dictionary for counts and seconds


@pytest.mark.parametrize("limits", [{}, {"max_idle": 14400.0}, {"min_ready": 0}])
def test_limits_that_go_together_pass(limits: dict[str, float]) -> None:
    given = policy(**limits)
    checks.check_policy(given)
    assert given.min_ready <= given.capacity


def test_more_ready_than_capacity_is_refused() -> None:
    message = one_line(lambda: checks.check_policy(policy(min_ready=11)))
    assert message.startswith("--min-ready=11 is more than --pool-size=10; ")


def test_idle_time_longer_than_life_is_refused() -> None:
    message = one_line(lambda: checks.check_policy(policy(max_idle=14401.0)))
    assert message.startswith("--cull-timeout=14401 is longer than --cull-max=14400: ")


@pytest.mark.parametrize(("limit", "flag"), [("max_idle", "cull-timeout"), ("max_age", "cull-max")])
def test_time_that_is_no_number_is_refused(limit: str, flag: str) -> None:
    """No comparison with it is ever true: nothing would be culled."""
    message = one_line(lambda: checks.check_policy(policy(**{limit: float("nan")})))
    assert message == f"--{flag}=nan is not a number of seconds"


# Ports


def listening(**where: str | int) -> Listening:
    whole = {"ip": "0.0.0.0", "port": 9999, "admin_ip": "127.0.0.1", "admin_port": 10000, **where}  # noqa: S104 - a setting
    return Listening(**whole)  # type: ignore[arg-type]  # one dictionary for names and numbers


@pytest.mark.parametrize(
    ("where", "token"),
    [
        ({}, None),
        ({"admin_ip": "::1"}, None),
        ({"admin_ip": "localhost"}, None),
        ({"admin_ip": "127.8.9.10"}, None),
        ({"admin_ip": "0.0.0.0"}, "secret"),  # noqa: S104 - a setting
        ({"port": 0, "admin_port": 0}, None),  # both chosen by the system
    ],
)
def test_admin_port_on_loopback_or_with_token_passes(
    where: dict[str, str | int], token: str | None
) -> None:
    given = listening(**where)
    checks.check_listening(given, token)
    assert token or networks.is_loopback(given.admin_ip)


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.evil"])  # noqa: S104 - a setting
def test_open_admin_port_without_token_is_refused(ip: str) -> None:
    """O12: anybody who reached the port could empty the pool."""
    message = one_line(lambda: checks.check_listening(listening(admin_ip=ip), None))
    assert message.startswith(f"--admin-ip={ip} opens the admin port to others; ")
    assert "ADMIN_AUTH_TOKEN" in message


def test_one_port_for_both_is_refused() -> None:
    message = one_line(lambda: checks.check_listening(listening(admin_port=9999), None))
    assert message == "--port and --admin-port are both 9999; choose two"


# The pool's name


@pytest.mark.parametrize(
    ("given", "image", "name"),
    [
        ("", "jupyter/minimal-notebook", "jupyter-minimal-notebook"),
        ("", "py3-nb2", "py3-nb2"),  # O16: lost its digits
        ("", "localhost:5000/x", "localhost-5000-x"),  # O16: was cut to `localhost`
        ("", "quay.io/a/b@sha256:1234", "quay.io-a-b-sha256-1234"),
        ("", "a..b//c", "a..b-c"),
        ("", "", "tmpnb"),
        ("", "///", "tmpnb"),
        ("my.Pool_1-x", "image", "my.Pool_1-x"),
        ("x" * 63, "image", "x" * 63),
        ("", "x" * 99, "x" * 63),
    ],
)
def test_pool_name_is_given_or_made_from_the_image(given: str, image: str, name: str) -> None:
    assert checks.pool_name(given, image) == name


@pytest.mark.parametrize("given", ["a/b", "-a", ".a", "a b", "é", "x" * 64, "a\n", "$(id)"])
def test_pool_name_that_no_container_can_have_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^--pool-name="):
        checks.pool_name(given, "image")


# Who may frame us


@pytest.mark.parametrize(
    ("origins", "sources"),
    [
        ("", "'self'"),
        (" , ", "'self'"),
        ("https://journal.example", "'self' https://journal.example"),
        (" https://a.b , http://c:8080 ", "'self' https://a.b http://c:8080"),
        ("https://*.blog.example", "'self' https://*.blog.example"),
        ("http://localhost:*", "'self' http://localhost:*"),
        ("http://[::1]:8000", "'self' http://[::1]:8000"),
        ("*", "'self' *"),
    ],
)
def test_origins_become_sources_of_the_policy(origins: str, sources: str) -> None:
    assert checks.frame_ancestors(origins) == sources


@pytest.mark.parametrize(
    "origin",
    [
        "journal.example",
        "https://journal.example/",
        "https://journal.example/path",
        "https://a.b;script-src *",
        "https://a.b\nX-Header: 1",
        "https://a.b https://c.d",
        "https://a.b:123456",
        "https://*",
        "https://a*.b",
        "javascript:alert(1)",
        "'none'",
        "https://user@a.b",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """It would end in a header, where it could say anything."""
    with pytest.raises(ConfigError, match=r"^--embed-origins: .* is not an origin"):
        checks.frame_ancestors(f"https://fine.example,{origin}")


# Whose scripts may ask a notebook server


@pytest.mark.parametrize(
    ("embed", "allow", "asking", "answered"),
    [
        ("", "", "https://journal.example", False),
        ("https://journal.example", "", "https://journal.example", True),
        ("https://journal.example", "", "http://journal.example", False),
        ("http://journal.example", "", "https://journal.example", False),
        ("https://journal.example", "", "https://journal.example:8443", False),
        ("https://journal.example", "", "https://journal.example.evil.test", False),
        ("https://journal.example", "", "https://journalxexample", False),
        ("https://journal.example", "", "https://evil.test/https://journal.example", False),
        ("https://Journal.Example,http://b:81", "", "https://journal.example", True),
        ("https://journal.example,http://b:81", "", "http://b:81", True),
        ("https://*.blog.example", "", "https://a.blog.example", True),
        ("https://*.blog.example", "", "https://a.b.blog.example", True),
        ("https://*.blog.example", "", "https://blog.example", False),
        ("https://*.blog.example", "", "https://evil.test:1.blog.example", False),
        ("http://localhost:*", "", "http://localhost:8888", True),
        ("http://localhost:*", "", "http://localhost:x", False),
        ("http://[::1]:8000", "", "http://[::1]:8000", True),
        ("*", "*", "https://journal.example", False),
        ("", "https://journal.example", "https://journal.example", True),
        ("https://a.b", " https://journal.example ", "https://a.b", True),
        ("", "https://a.b,https://journal.example", "https://journal.example", True),
        ("", "https://a.b https://c.d", "https://a.b", False),
        ("", "null", "null", False),
    ],
)
def test_scripts_of_exactly_the_named_sites_may_ask_a_notebook(
    embed: str, allow: str, asking: str, answered: bool
) -> None:
    pattern = checks.script_origins(checks.frame_ancestors(embed), allow)
    assert bool(pattern and re.match(pattern, asking)) is answered  # as old servers match


# The landing page


@pytest.mark.parametrize("given", ["/lab", "/", "/tree?x=1", "/doc/tree/a%20b.ipynb", "/lab/a[1]"])
def test_landing_page_passes_as_it_is(given: str) -> None:
    assert checks.redirect_uri(given) == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "lab",
        "//evil.example/lab",
        "https://evil.example/",
        "/../x",
        "/%2e%2e/x",
        "/\\evil.example",
        "/lab#part",
        "/a b",
        "/lab\r\nX-Header: 1",
        "/" + "x" * 5000,
    ],
)
def test_landing_page_elsewhere_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^--redirect-uri="):
        checks.redirect_uri(given)


# Where visitors find the service


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", ""),
        ("https://notebooks.example", "https://notebooks.example"),
        (" https://notebooks.example/ ", "https://notebooks.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_public_url_is_taken_without_its_last_slash(given: str, url: str) -> None:
    assert checks.public_url(given) == url


@pytest.mark.parametrize(
    "given",
    [
        "notebooks.example",
        "https://notebooks.example/path",
        "https://*.example",
        "https://notebooks.example:*",
        "ftp://notebooks.example",
        "https://user@notebooks.example",
    ],
)
def test_public_url_that_is_no_address_is_refused(given: str) -> None:
    message = one_line(lambda: checks.public_url(given))
    assert f"--public-url={given}" in message
    assert "https://notebooks.example" in message

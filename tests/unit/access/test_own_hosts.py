"""The admin port tells nothing to a page, also to one whose own name leads to this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.running_site import Running
from tmpnb.access.own_hosts import is_own, names
from tmpnb.commands import serve
from tmpnb.errors import ConfigError
from tmpnb.settings.application import Tmpnb
from tmpnb.system.net.machine_names import MOST, machine_names

pytestmark = pytest.mark.gen_test(timeout=20)

ADDRESSES = ["/health", "/health/ready", "/api/announcement", "/api/pool"]
OWN = [
    "",
    "127.0.0.1:10000",
    "192.0.2.7",
    "[::1]:10000",
    "[2001:db8::7]",
    "localhost:10000",
    "LOCALHOST.",
    "a.localhost",
    "orchestrator-web:9999",
    "my_service",
    "tmpnb.default.svc",
    "tmpnb.default.svc.cluster.local:10000",
    "host.docker.internal",
    "Machine.Example",
    "machine.example.",
    "short",
    "orchestrator.tmpnb_control:10000",
    "tasks.tmpnb_orchestrator",
    "orchestrator.tmpnb-control",
    "orchestrator.net1:10000",
    "orchestrator.dns.podman:10000",
    "nas.lan",
    "nas.home.arpa:10000",
]
FOREIGN = [
    "evil.example",
    "evil.example:10000",
    "evil.example.:10000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost@evil.example",
    "internal.evil.example",
    "127.0.0.1 evil.example",
    "[::1].evil.example",
    "machine.example.evil",
    "evil.local",
    "evil.local.",
    "a_b.evil.example",
    "tasks.web",
    "evil.podman",
    "evil.arpa",
    "lan.example",
    "evil.xn--p1ai",
    "..",
    "evil..a_b",
    "xn--evl-zma.example",
    "évil.example",
    ".",
    # Blanks and letters for Python alone.
    *(f"{odd}localhost" for odd in ("\xa0", "\x85", "\x1c", "\u3000")),
    "127.0.0.1\xa0",
    "\xa0",
    "machine.e\u0445ample",
    "\u212aelvin",
    "[x]",
]


@pytest.mark.parametrize("host", OWN)
def test_an_address_and_a_name_that_nobody_can_register_is_own(host: str) -> None:
    assert is_own(host, {"short", "machine.example"})


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_somebody_may_have_registered_is_not(host: str) -> None:
    assert not is_own(host, {"", "machine.example"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        (" A.Example. ,,b_c.example", {"a.example", "b_c.example"}),
        ("Bücher.example", {"xn--bcher-kva.example"}),
        ("nas.local,short", {"nas.local"}),
        ("192.0.2.7,[2001:db8::7],localhost:10000", set()),  # which it goes by anyway
    ],
)
def test_further_names_are_a_list(text: str, expected: set[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a.example:10000",
        "http://a.example",
        "a.example/health",
        "*.example",
        "*",
        "a b",
        "a..example",
        "ü..example",
        "a\nb",
        "[::1",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^--admin-hosts: .* is not the name of a host"
    ) as refused:
        names(f"b.example,{text}")
    assert "\n" not in str(refused.value)


def test_the_machine_goes_by_what_stands_beside_its_name_in_its_list_of_hosts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1 localhost\n"
        "127.0.1.1\tMachine.Example machine # not.example\n"
        "#127.0.1.1 old.example machine\n"
        "192.0.2.7 other.example other\n"
        "192.0.2.8 machine2.example machine2"
    )
    monkeypatch.setattr(socket, "gethostname", lambda: "Machine")
    assert machine_names(hosts) == {"machine", "machine.example"}


@pytest.mark.parametrize(
    "content", [None, b"\xff\n", b"\n" * MOST + b"192.0.2.7 machine a.example"]
)
def test_without_such_a_list_it_goes_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "hosts").write_bytes(content)
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")
    assert machine_names(tmp_path / "hosts") == {"machine"}


def test_no_name_server_says_what_the_machine_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    for name in ("getfqdn", "gethostbyaddr", "getaddrinfo", "getnameinfo", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, lambda *a, **k: asked.append(a) or "localhost.attacker")
    assert "localhost.attacker" not in machine_names(tmp_path / "hosts")
    assert not asked


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "sent",
    [
        {"Host": "evil.example:10000"},
        {"Host": "evil.example:10000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
    ],
)
async def test_a_page_gets_nothing(running: Running, path: str, sent: dict[str, str]) -> None:
    for method in ("DELETE",) if path == "/api/pool" else ("GET", "HEAD"):
        answer = await running.admin()(path, method=method, headers=sent)
        assert answer.code == 403
        assert b"last_error" not in answer.body


@pytest.mark.parametrize("host", ["localhost:10000", "orchestrator:10000", "10.0.0.7:10000"])
@pytest.mark.parametrize("path", ADDRESSES[:3])
async def test_programs_and_probes_go_on(running: Running, path: str, host: str) -> None:
    agents = ("curl/8", "Prometheus/3", "kube-probe/1.30")
    for agent in agents:
        sent = {"Host": host, "User-Agent": agent}
        assert (await running.admin()(path, headers=sent)).code == 200


@pytest.mark.parametrize("path", ADDRESSES[:3])
async def test_the_token_opens_under_every_name(running: Running, path: str) -> None:
    admin = running.admin(admin_token="adm1n")
    sent = {"Host": "ops.example", "Authorization": "token adm1n"}
    assert (await admin(path, headers=sent)).code == 200
    wrong = await admin(path, headers=sent | {"Authorization": "token another"})
    assert wrong.code == (403 if path == "/health/ready" else 401)


async def test_the_names_that_the_operator_gives_open_it_for_programs(running: Running) -> None:
    admin = running.admin(own_names=frozenset({"ops.example"}))
    for host, code in (("ops.example:10000", 200), ("evil.example", 403)):
        assert (await admin("/health", headers={"Host": host})).code == code
        deleted = await admin("/api/announcement", method="DELETE", headers={"Host": host})
        assert (deleted.code == 403) is (code == 403)
        preflight = await admin("/api/pool", method="OPTIONS", headers={"Host": host})
        assert preflight.code == 204


async def test_a_service_goes_by_its_machine_s_names_and_those_that_the_operator_gives(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "machine_names", lambda: frozenset({"machine.example"}))
    application = Tmpnb()
    application.initialize(["--spawner=fake", "--admin_hosts=Ops.example"])
    site = serve.site_of(application.build(), running.world.orchestrator, 100, "")
    assert site.own_names == {"machine.example", "ops.example"}


async def test_with_a_token_probes_need_none(running: Running) -> None:
    assert (await running.admin(admin_token="adm1n")("/health/ready")).code == 200

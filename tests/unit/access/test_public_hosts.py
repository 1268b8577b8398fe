"""No notebook is given out under a name that a page may have made to lead here (DNS rebinding)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.running_site import HTML, PERSON, Fetch, Running
from tmpnb.access.public_hosts import PublicHosts, public_hosts
from tmpnb.commands import serve
from tmpnb.core.subdomains import Subdomains
from tmpnb.errors import ConfigError
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.service import Service
from tmpnb.web.asked import named

pytestmark = pytest.mark.gen_test(timeout=20)

URL = "https://nb.example"
EVIL = "evil.example:8000"
OWN = ["127.0.0.1:8000", "localhost:8000", "[::1]", "192.0.2.7", "nas.lan", "proxy:8000"]
FOREIGN = ["evil.example", "EVIL.example.", "127.0.0.1.nip.io:8000", "évil.example", "a b", "[x]"]
FOREIGN += ["evil.example@127.0.0.1", "evil.local", "localhost.evil.example"]
SERVER = "k3vq8mzt41xa"
GETS = ["/", "/lab/tree/a.ipynb?x=%2F", "/hub/user-redirect/lab", "/spawn", "/spawn/lab?a=1"]
GETS += [f"/spawn/user/{SERVER}/lab", "/embed?path=lab", "/invite/lab?token=invite.1.x"]
POSTS = ["/api/spawn", "/spawn", "/spawn/notebooks/a.ipynb", f"/spawn/user/{SERVER}/"]
# What a page sends that leads its own name here: by a browser, with and without Fetch Metadata.
PAGES = [
    {"Origin": f"http://{EVIL}"},
    {"Origin": f"http://{EVIL}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"},
    {},
]


@pytest.fixture(params=["public-url", "subdomains", "both", "no-walls", "public-hosts"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return how the operator has said what the names are."""
    return str(request.param)


def site(running: Running, kind: str, **more: Any) -> Fetch:
    """Serve a site whose names are known."""
    subdomains = Subdomains("nb.example") if kind in ("subdomains", "both") else None
    url = URL if kind in ("public-url", "both") else ""
    hosts = public_hosts(
        url.removeprefix("https://") or (subdomains.domain if subdomains else ""),
        "alias.example" if kind != "no-walls" else "",
        domain=subdomains.domain if subdomains else "",
        walls=kind != "no-walls",
    )
    return running.public(public_url=url, subdomains=subdomains, hosts=hosts, **more)


@pytest.mark.parametrize("path", POSTS)
async def test_a_page_of_a_name_that_leads_here_takes_nothing(
    running: Running, kind: str, path: str
) -> None:
    public = site(running, kind)
    for sent in PAGES:
        for body in ("", urlencode({"choice": "afresh", "token": 64 * "a"})):
            answer = await public(path, method="POST", headers={"Host": EVIL, **sent}, body=body)
            has_address = kind not in ("no-walls", "public-hosts")
            assert answer.code == (421 if has_address else 403)
            error = json.loads(answer.body)["error"]
            assert error["code"] == ("misdirected_request" if has_address else "forbidden")
            words = {"subdomains": "http://nb.example:8000"}.get(kind, URL)
            assert (words if has_address else "--public-url") in error["message"]
            assert "Set-Cookie" not in answer.headers
    assert running.taken == 0


@pytest.mark.parametrize("path", GETS)
async def test_a_person_under_another_name_is_sent_to_the_same_page(
    running: Running, kind: str, path: str
) -> None:
    public = site(running, kind)
    for method in ("GET", "HEAD"):
        answer = await public(path, method=method, headers=PERSON | {"Host": EVIL})
        assert "Set-Cookie" not in answer.headers
        if kind in ("no-walls", "public-hosts"):
            assert answer.code == 403
            assert method == "HEAD" or b"--public-url" in answer.body
        else:
            main = "http://nb.example:8000" if kind == "subdomains" else URL
            assert answer.code == 307
            assert answer.headers["Location"] == main + path
            assert answer.headers["Cache-Control"] == "no-store"
    assert running.taken == 0


async def test_a_form_under_another_name_gets_a_page(running: Running) -> None:
    public = site(running, "public-url")
    sent = HTML | {"Host": EVIL, "Origin": f"http://{EVIL}"}
    answer = await public("/spawn", method="POST", headers=sent, body="")
    assert answer.code == 421
    assert answer.headers["Content-Type"].startswith("text/html")
    assert URL.encode() in answer.body


@pytest.mark.parametrize("host", FOREIGN)
async def test_no_foreign_name_takes_one(running: Running, host: str) -> None:
    public = site(running, "no-walls")
    sent = {"Host": host.encode().decode("latin-1")}
    answer = await public("/api/spawn", method="POST", headers=sent, body="")
    assert answer.code in (400, 403)
    assert running.taken == 0


@pytest.mark.parametrize("host", ["nb.example", "NB.example.:8000", "alias.example:1", *OWN])
async def test_the_names_of_the_service_take_them(running: Running, host: str) -> None:
    public = site(running, "public-url")
    answer = await public("/api/spawn", method="POST", headers={"Host": host}, body="")
    assert answer.code == 200
    assert (await public("/", headers=PERSON | {"Host": host})).code == 200
    assert (await public("/embed", headers=PERSON | {"Host": host})).code == 200
    assert running.taken == 1


async def test_where_nobody_has_said_the_names_each_will_do(running: Running) -> None:
    sent = {"Host": "front.example"}
    assert (await running.public()("/api/spawn", method="POST", headers=sent, body="")).code == 200


async def test_a_program_with_the_token_takes_one_under_each_name(running: Running) -> None:
    public = site(running, "public-url", api_token="ap1")
    for token, code in (("ap1", 200), ("another", 421)):
        sent = {"Host": EVIL, "Authorization": f"token {token}"}
        assert (await public("/api/spawn", method="POST", headers=sent, body="")).code == code


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/api/stats", "/badge.svg", "/info"])
async def test_what_gives_out_nothing_goes_by_each_name(running: Running, path: str) -> None:
    assert (await site(running, "public-url")(path, headers={"Host": EVIL})).code == 200


async def test_a_preflight_goes_by_each_name(running: Running) -> None:
    public = site(running, "public-url")
    answer = await public("/api/spawn", method="OPTIONS", headers={"Host": EVIL})
    assert answer.code == 204


async def test_who_has_the_token_of_a_server_reaches_its_page_by_each_name(
    running: Running,
) -> None:
    public = site(running, "public-url")
    taken = json.loads((await public("/api/spawn", method="POST", body="")).body)
    path = f"/session/{taken['id']}?token={taken['token']}"
    assert (await public(path, headers=PERSON | {"Host": EVIL})).code == 303
    assert (await public(path[:-1], headers=PERSON | {"Host": EVIL})).code == 403


async def test_the_log_tells_of_a_few_names_once(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    public = site(running, "public-url")
    with caplog.at_level(logging.WARNING, logger=named.__name__):
        for number in [0, *range(named.MOST_TOLD + 5)]:
            await public("/", headers={"Host": f"front{number}.example"})
    assert len(caplog.records) == named.MOST_TOLD
    assert "under the name front0.example" in caplog.records[0].getMessage()
    assert "--public-hosts" in caplog.records[0].getMessage()


# Which names a service has


def built(directory: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> Service:
    monkeypatch.chdir(directory)
    application = Tmpnb()
    application.initialize(list(flags))
    return application.build()


@pytest.mark.parametrize(
    ("flags", "evil", "ours"),
    [
        (["--spawner=fake"], True, []),
        (["--spawner=docker"], True, []),
        (["--spawner=local"], False, ["127.0.0.1:8000", "localhost", "[::1]:8000", "nas.lan"]),
        (["--spawner=local", "--proxy-ip=0.0.0.0"], False, ["192.0.2.7:8000"]),
        (["--spawner=local", "--public-url=https://NB.example:8443"], False, ["nb.example"]),
        (["--spawner=fake", "--public_url=http://[2001:db8::1]"], False, ["[2001:db8::1]"]),
        (["--spawner=fake", "--public-hosts=Alias.example"], False, ["alias.example:80"]),
        (["--spawner=fake", "--public-hosts=127.0.0.1"], False, ["127.0.0.1"]),
        (
            ["--spawner=fake", "--subdomains=nb.example", "--public-hosts=bücher.example"],
            False,
            ["nb.example", "a.nb.example:8000", "a.NB.example.", "xn--bcher-kva.example"],
        ),
    ],
)
def test_a_service_goes_by_the_names_that_its_operator_gives(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    evil: bool,
    ours: list[str],
) -> None:
    hosts = built(tmp_path, monkeypatch, *flags).hosts
    for host in (EVIL, "evilnb.example", "nb.example.evil", "127.0.0.1.nip.io"):
        assert hosts.have(host) is evil
    assert all(map(hosts.have, ours))


async def test_a_service_goes_by_its_machine_s_names(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "machine_names", lambda: frozenset({"machine.example"}))
    made = built(tmp_path, monkeypatch, "--spawner=local")
    hosts = serve.site_of(made, running.world.orchestrator, 100, "").hosts
    assert hosts.have("Machine.example:8000")
    assert not hosts.have(EVIL)


def test_what_is_no_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^--public-hosts: '\*\.example' is not the name of a"):
        built(tmp_path, monkeypatch, "--public-hosts=a.example,*.example")


def test_the_names_are_open_until_somebody_says_them() -> None:
    assert PublicHosts().have(EVIL)
    assert not PublicHosts(any_name=False).have(EVIL)

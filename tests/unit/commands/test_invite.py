"""`tmpnb invite`: the link, its options, and what the program says when one cannot be."""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmpnb.access.limits import Allowance
from tmpnb.access.passphrase import Passes
from tmpnb.commands import command_line
from tmpnb.commands.main import main
from tmpnb.errors import ConfigError
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.service import Service
from tmpnb.system.signing import TokenMaker

# As in test_commands: the loop that `asyncio.run` leaves is collected later.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KEY = "a-key-of-the-tests-alone"


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    """Put the root logger back as it was: a run of the program sets it up."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    gc.collect()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPNB_SECRET_KEY", KEY)
    monkeypatch.setenv("TMPNB_PASSPHRASE", "four plain words")


def program(*arguments: str) -> Tmpnb:
    application = Tmpnb()
    application.initialize(["--spawner=fake", *arguments])
    return application


def service(*arguments: str) -> Service:
    return program(*arguments).build()


def link(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    order = command_line.parse(["invite", *arguments])
    assert command_line.perform(order, program(*order.flags)) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.strip()


def seconds_left(url: str) -> int:
    token = url.partition("?token=")[2]
    return Passes(TokenMaker(KEY.encode())).seconds_left(token)


@pytest.mark.parametrize(
    ("arguments", "begin", "hours"),
    [
        ((), "http://127.0.0.1:8000/invite?token=invite.", 24),
        (("--hours", "3", "--proxy-port=81"), "http://127.0.0.1:81/invite?token=invite.", 3),
        (("--public-url=https://a.test", "--hours=0.5"), "https://a.test/invite?token=", 0.5),
        (("--url", "https://b.test/", "--public-url=https://a.test"), "https://b.test/invite?", 24),
        (("--url=https://b.test/lab/tree/a%20b.ipynb",), "https://b.test/invite/lab/tree/a%20", 24),
    ],
)
def test_the_link_lets_in_for_the_time_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], begin: str, hours: float
) -> None:
    url = link(capsys, *arguments)
    assert url.startswith(begin)
    assert 0 <= hours * 3600 - seconds_left(url) + 1 < 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hours=0"], "--hours=0: an invite lasts up to"),
        (["--hours=three"], "--hours=three is not a number of hours"),
        (["--hours=nan"], "--hours=nan is not a number of hours"),
        (["--hours"], "--hours needs a value"),
        (["--hours", "--url=https://a.test"], "--hours needs a value"),
        (["--hours=1", "--hours=2"], "--hours is given twice"),
        (["--url=notebooks.example"], "--url=notebooks.example is not an address"),
        (["--url=https://a.test/../b"], "is not an address"),
        (["--url=https://[/"], "is not an address"),
        (["--url=https://a.test/?x=1"], "leave out what stands behind the path"),
        (["--hour=1"], "unknown flag --hour"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["invite", "--spawner=fake", *arguments])
    assert said in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


def test_without_the_services_key_there_is_no_link_and_none_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TMPNB_SECRET_KEY")
    order = command_line.parse(["invite"])
    with pytest.raises(ConfigError, match="there is no secret key in"):
        command_line.perform(order, program())
    assert not list(tmp_path.rglob("secret_key"))


def test_where_nobody_is_kept_out_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TMPNB_PASSPHRASE")
    assert command_line.perform(command_line.parse(["invite"]), program()) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"http://\S+\n", said.out)
    assert "TMPNB_PASSPHRASE is not set here" in said.err


# The settings of the gate


@pytest.mark.parametrize(
    ("arguments", "allowance"),
    [
        ((), Allowance(2, 10)),
        (("--pool-size=3",), Allowance(2, 10)),
        (("--pool-size=100",), Allowance(25, 25)),
        (("--pool-size=100", "--client-servers=40"), Allowance(40, 40)),
        (("--client-servers=0",), Allowance(0, 0)),
        (("--client-servers=0", "--client-rate=5"), Allowance(0, 5)),
    ],
)
def test_the_limits_follow_the_pool_unless_they_are_given(
    arguments: tuple[str, ...], allowance: Allowance
) -> None:
    assert service(*arguments).access.allowance == allowance


def test_this_machine_is_exempt_unless_told_otherwise() -> None:
    assert len(service().access.exempt) == 2
    assert len(service("--exempt-networks=").access.exempt) == 0


@pytest.mark.parametrize("flag", ["trusted-proxies", "exempt-networks", "banned-networks"])
def test_a_network_that_is_none_is_one_line(flag: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--spawner=fake", f"--{flag}=somewhere"])
    assert f"--{flag}: 'somewhere' is no network" in str(ended.value.code)


def test_show_config_shows_them_and_not_the_passphrase(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--spawner=fake", "--show-config"])
    shown = capsys.readouterr().out
    assert "c.Tmpnb.client_servers = 2" in shown
    assert "# TMPNB_PASSPHRASE is set" in shown
    assert "four plain words" not in shown

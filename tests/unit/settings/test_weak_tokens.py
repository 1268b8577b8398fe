"""Tokens that nobody could send are refused at the start; those that can be guessed are told of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tmpnb.access.passphrase import given_passphrase
from tmpnb.commands.doctor import state
from tmpnb.core.secret_names import TOKENS, VARIABLES
from tmpnb.errors import ConfigError
from tmpnb.proxy.token import SHORTEST
from tmpnb.settings.advice.weak_tokens import weak_tokens
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Level
from tmpnb.system.files.secret_file import BY_FILE

SECRET = "hush1-hush2-hush3"
ADMIN, API, PROXY = "ADMIN_AUTH_TOKEN", "API_AUTH_TOKEN", "CONFIGPROXY_AUTH_TOKEN"
OPEN_ADMIN = ["--admin-ip=0.0.0.0"]
PUBLIC = ["--public-url=https://nb.example"]

Make = Callable[..., Tmpnb]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return what makes the application, with variables of the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in (*VARIABLES, *(f"{n}{BY_FILE}" for n in VARIABLES), "CONFIGPROXY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    def made(*flags: str, **variables: str) -> Tmpnb:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        application = Tmpnb()
        application.initialize(["--spawner=fake", *flags])
        return application

    return made


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize(
    ("token", "words"),
    [
        (f" {SECRET}", "begins or ends with a blank"),
        (f"{SECRET}\n", "begins or ends with a blank"),
        (f"{SECRET}\u00a0", "begins or ends with a blank"),
        ("   ", "begins or ends with a blank"),
        (f"{SECRET}ü", "characters that a header cannot carry"),
        (f"{SECRET}\udcfc", "characters that a header cannot carry"),
        (f"{SECRET}\t{SECRET}", "characters that a header cannot carry"),
        (f"{SECRET}\x7f{SECRET}", "characters that a header cannot carry"),
        (f"{SECRET}\n{SECRET}", "characters that a header cannot carry"),
    ],
)
def test_a_token_that_nobody_could_send_is_refused(name: str, token: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Secrets.from_environment({name: token})
    said = str(caught.value)
    assert said.startswith(f"{name} ")
    assert words in said
    assert "hush" not in said
    assert "\n" not in said


@pytest.mark.parametrize("name", TOKENS)
def test_so_is_one_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "token"
    file.write_text(f" {SECRET}ü \n")
    with pytest.raises(ConfigError, match=rf"^{name}_FILE has .* that a header cannot carry"):
        Secrets.from_environment({f"{name}_FILE": str(file)})


def test_blanks_inside_are_for_those_that_we_compare() -> None:
    given = Secrets.from_environment({API: "two words", ADMIN: "three more words ~!"})
    assert (given.api_token, given.admin_token) == ("two words", "three more words ~!")
    with pytest.raises(ConfigError, match=rf"^{PROXY} has a blank"):
        Secrets.from_environment({PROXY: "two words"})


def said_of(service: Service) -> list[str]:
    return [words for words, mend in weak_tokens(service) if "openssl rand" in mend]


@pytest.mark.parametrize(
    ("name", "flags", "more"),
    [
        (ADMIN, OPEN_ADMIN, {}),
        (ADMIN, ["--admin-ip=::"], {}),
        (ADMIN, ["--admin-ip=192.0.2.7"], {}),
        (API, PUBLIC, {}),
        (API, ["--proxy-ip=0.0.0.0"], {}),
        (API, [], {PROXY: SECRET}),
        (PROXY, [], {"CONFIGPROXY_ENDPOINT": "http://10.0.0.2:8001"}),
        (PROXY, [], {"CONFIGPROXY_ENDPOINT": "http://proxy-api:8001"}),
    ],
)
def test_a_short_token_that_guards_what_others_reach_is_told_of(
    make: Make, name: str, flags: list[str], more: dict[str, str]
) -> None:
    short = (SHORTEST - 1) * "7"
    [said] = said_of(make(*flags, **{name: short}, **more).build())
    assert said.startswith(f"{name} is shorter than {SHORTEST} characters")
    assert short not in said
    assert said_of(make(*flags, **{name: short + "7"}).build()) == []


@pytest.mark.parametrize("name", [ADMIN, API, PROXY])
def test_on_loopback_none_is(make: Make, name: str) -> None:
    local = ["--public-url=http://localhost:8000"]
    assert said_of(make(*local, **{name: "a"}).build()) == []


SCRIPT = """
import sys
from tmpnb.commands import main
from tmpnb.system import leaving
leaving.run = lambda work: work.close()
main.main(sys.argv[1:])
"""


def test_what_is_to_be_said_at_the_start_gets_into_the_log(make: Make, tmp_path: Path) -> None:
    make(ADMIN_AUTH_TOKEN="a")  # leaves the environment as it is to be
    flags = ["--spawner=fake", *OPEN_ADMIN, *PUBLIC, "--use-tokens=False"]
    flags += ["--allow-origin=*", "--allow-credentials=true"]
    program = [sys.executable, "-c", SCRIPT, *flags]
    ended = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, timeout=60)  # noqa: S603 - our own words
    assert ended.returncode == 0, ended.stderr
    for words in (f"{ADMIN} is shorter", "--subdomains=", "--use-tokens=False has no effect"):
        assert len([line for line in ended.stderr.splitlines() if words in line]) == 1, words


@pytest.mark.gen_test
async def test_doctor_and_the_log_tell_of_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    application = make(*OPEN_ADMIN, ADMIN_AUTH_TOKEN="a")
    found = [f async for f in state.findings(application.build()) if f.topic == "secrets"]
    assert [f.level for f in found] == [Level.WARN]
    logged: list[str] = []
    monkeypatch.setattr(
        application.log, "warning", lambda said, *words: logged.append(said % words)
    )
    monkeypatch.setattr(application, "configure_logs", lambda: None)
    application.start()
    assert [f"{found[0].words}; {found[0].mend}"] == logged


def test_an_empty_token_opens_no_admin_port(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"^--admin-ip=0\.0\.0\.0 opens the admin port"):
        make(*OPEN_ADMIN, ADMIN_AUTH_TOKEN="").build()


@pytest.mark.parametrize("text", ["two\nlines", "a\rb-long-enough", "nul\0nul", "bell\x07bell"])
def test_a_passphrase_that_no_form_sends_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^TMPNB_PASSPHRASE has a line break") as caught:
        given_passphrase(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["drei grüne wörter", "a\u00a0b\u3000c d e", "\U0001f468\u200d\U0001f469 xyz"]
)
def test_one_that_can_be_typed_is_taken(text: str) -> None:
    assert given_passphrase(f" {text} ") == text

"""Files that somebody names are read at once and within bounds, whatever is in their place."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tornado.template import Template

from tests.support.fed_pipe import SECRET, fed_pipe
from tmpnb.access import banned
from tmpnb.access.banned import Banned
from tmpnb.commands.doctor import proxy as doctor_proxy
from tmpnb.commands.load import notebook
from tmpnb.errors import ConfigError
from tmpnb.orchestrator.claims import claim_journal
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.proxy import managed as proxy_process
from tmpnb.proxy.choice import ProxyChoice, open_proxy
from tmpnb.settings import config_file
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.branding import Branding
from tmpnb.settings.env_vars import Secrets
from tmpnb.spawners.docker.hardening import seccomp
from tmpnb.spawners.finding import Level
from tmpnb.system import signing
from tmpnb.system.files import plain_file
from tmpnb.system.files.secret_file import LARGEST
from tmpnb.system.http.client import Client
from tmpnb.system.lock import state_held
from tmpnb.web import assets, brand

pytestmark = pytest.mark.gen_test(timeout=20)


def one_line(function: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "file"
    (tmp_path / "link").symlink_to(file)
    file.write_bytes(b"12345678")
    assert plain_file.read(tmp_path / "link", 8) == b"12345678"
    with pytest.raises(plain_file.FileTooLargeError) as caught:
        plain_file.read(file, 7)
    assert caught.value.strerror == "larger than 7 bytes"


@pytest.mark.parametrize(
    ("user", "said"), [(0, plain_file.DENIED), (1000, os.strerror(errno.EACCES))]
)
def test_root_that_may_not_read_a_file_is_told_what_it_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, said: str
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    file = tmp_path / "tmpnb_config.py"
    file.touch()
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with monkeypatch.context() as refusing:
        refusing.setattr(os, "open", refuse)
        with pytest.raises(PermissionError) as caught:
            plain_file.read(file, 1)
        assert caught.value.strerror == said
        whole = one_line(lambda: config_file.load(Tmpnb(), file))
        assert whole == f"{file}: cannot be read: {said}"
    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "stat", refuse)
        assert one_line(lambda: config_file.is_there(file)) == f"{file}: cannot be read: {said}"


def test_a_file_of_settings_is_there_or_not(tmp_path: Path) -> None:
    file = tmp_path / "tmpnb_config.py"
    assert not config_file.is_there(file)
    file.touch()
    assert config_file.is_there(file)
    assert not config_file.is_there(tmp_path)
    assert not config_file.is_there(file / "below")


@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "socket"])
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    before = len(os.listdir("/proc/self/fd"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o600 | 0o140000)
    with pytest.raises(OSError, match=r"not a plain file|No such device"):
        plain_file.read(path, 100)
    assert len(os.listdir("/proc/self/fd")) == before


def choice_of(file: Path) -> Callable[[], object]:
    return lambda: Secrets.from_environment({"CONFIGPROXY_AUTH_TOKEN_FILE": str(file)})


def banned_in(file: Path) -> Callable[[], object]:
    return lambda: Banned(f"@{file}")


def key_in(file: Path) -> Callable[[], object]:
    return lambda: signing.load_key(file.parent, None)


def lock_in(file: Path) -> Callable[[], object]:
    return lambda: state_held(file.parent, file.stem).__enter__()


def brand_of(flag: str) -> Callable[[Path], Callable[[], object]]:
    return lambda file: lambda: Branding(**{flag: str(file)}).checked()


def profile_in(file: Path) -> Callable[[], object]:
    return lambda: seccomp.chosen(str(file))


def notebook_in(file: Path) -> Callable[[], object]:
    return lambda: notebook.read(file)


READERS = {
    "token": choice_of,
    "secret_key": key_in,
    "banned": banned_in,
    "logo": brand_of("logo"),
    "terms": brand_of("terms_file"),
    "profile": profile_in,
    "notebook": notebook_in,
    "pool.lock": lock_in,
}
CONTENT = {"banned": "192.0.2.0/24", "terms": "Be nice.", "logo": "<svg></svg>"}


@pytest.mark.parametrize("name", READERS)
def test_no_pipe_is_waited_for(tmp_path: Path, name: str) -> None:
    with fed_pipe(tmp_path / name, CONTENT.get(name, SECRET)) as pipe:
        said = one_line(READERS[name](pipe))
    assert str(pipe) in said
    assert any(words in said for words in ("not a plain file", "no file with", "not a file"))


@pytest.mark.parametrize("name", [*READERS][:-1])
def test_a_file_that_is_too_large_is_not_read_to_its_end(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (banned, signing, notebook, seccomp):
        monkeypatch.setattr(module, "LARGEST", 4096)
    file = tmp_path / name
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)  # bytes, of which none is on the disk
    said = one_line(READERS[name](file))
    assert any(words in said for words in ("larger than 4096", "at most", "too many", "too long"))


# The proxy's token


def test_a_token_file_is_checked_as_any_other_secret(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content, words in (
        (5000 * "a", f"is larger than {LARGEST} bytes"),
        (f"{SECRET}\0", "cannot be typed"),
        (f"{SECRET}\n{SECRET}\n", "more than one line"),
        ("", "is empty"),
        ("fifteen-letters", "is shorter than 16 characters"),
        ("sixteen letters!", "CONFIGPROXY_AUTH_TOKEN_FILE has a blank"),
    ):
        file.write_text(content)
        said = one_line(choice_of(file))
        assert words in said
        assert said.startswith("CONFIGPROXY_AUTH_TOKEN_FILE")
    assert "is no file with a secret" in one_line(choice_of(tmp_path))
    assert "is no file with a secret" in one_line(choice_of(Path("/dev/zero")))
    assert "cannot be read: Not a directory" in one_line(choice_of(file / "x"))


async def opened(file: Path) -> Secrets:
    """Use the proxy by a token file, as the service does."""
    given = Secrets.from_environment({"CONFIGPROXY_AUTH_TOKEN_FILE": str(file)})
    choice = ProxyChoice("http://127.0.0.1:9", (), "", 0, 0, file.parent)
    async with open_proxy(choice, given, "pool", "", lambda: None, lambda _: None) as proxy:
        await proxy.close()
    return given


async def test_a_token_file_is_made_once_and_read_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "token"
    assert (await opened(file)).proxy_token is None
    made = file.read_text().strip()
    assert (len(made), file.stat().st_mode & 0o777) == (64, 0o444)
    again = await opened(file)
    assert (again.proxy_token, file.read_text().strip()) == (made, made)
    assert again.source("CONFIGPROXY_AUTH_TOKEN") == f"CONFIGPROXY_AUTH_TOKEN_FILE={file}"
    assert doctor_proxy._token(again).level is Level.OK
    assert made not in doctor_proxy._token(again).words


async def test_a_token_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    link = tmp_path / "token"
    link.symlink_to(tmp_path / "nothing")
    assert "No such file" in one_line(choice_of(link))
    (tmp_path / "full").write_text("")
    later = Secrets(proxy_token_file=tmp_path / "full" / "token")
    choice = ProxyChoice("http://127.0.0.1:9", (), "", 0, 0, tmp_path)
    with pytest.raises(ConfigError, match=r"^CONFIGPROXY_AUTH_TOKEN_FILE=\S+: cannot be made: "):
        async with open_proxy(choice, later, "pool", "", lambda: None, lambda _: None):
            pass


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o444, 0), (0o644, 1), (0o640, 1)])
def test_a_token_file_that_others_can_read_is_told_of_unless_tmpnb_made_it_so(
    tmp_path: Path, mode: int, told: int
) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-this-test")
    file.chmod(mode)
    given = Secrets.from_environment({"CONFIGPROXY_AUTH_TOKEN_FILE": str(file)})
    assert list(given.open_to_others()) == told * [file]


# What tmpnb keeps itself


def test_claims_in_a_pipe_are_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fed_pipe(tmp_path / "a.claims", "abc 5\n") as pipe, caplog.at_level(logging.WARNING):
        assert Journal(pipe).read() == {}
    assert "not a plain file" in caplog.text


def test_claims_without_end_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.claims"
    file.write_text("abc 5\n")
    assert Journal(file).read() == {"abc": 5.0}
    monkeypatch.setattr(claim_journal, "LARGEST", 5)
    assert Journal(file).read() == {}


async def test_a_proxy_s_record_in_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    settings = proxy_process.ManagedProxySettings(
        command=("true",), ip="", port=0, api_port=0, token=SECRET, state_dir=tmp_path
    )
    managed = proxy_process.ManagedProxy(settings, Client(1), lambda: None, lambda _: None)
    refused = pytest.raises(ConfigError, match="not a plain file")
    with fed_pipe(tmp_path / "proxy.json", "{}"), refused:
        await asyncio.wait_for(managed._end_left_over(), 10)


def test_a_template_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "info.html").write_text("12345678")
    monkeypatch.setattr(assets, "LARGEST", 8)
    loader = assets.OverridingLoader(tmp_path, tmp_path)
    assert isinstance(loader.load("info.html"), Template)
    monkeypatch.setattr(assets, "LARGEST", 7)
    loader.reset()
    with pytest.raises(plain_file.FileTooLargeError):
        loader.load("info.html")


def test_a_file_of_settings_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.py"
    file.write_text("c.Tmpnb.pool_size = 3")
    monkeypatch.setattr(config_file, "LARGEST", 10)
    assert "larger than 10 bytes" in one_line(lambda: Tmpnb().initialize([f"--config={file}"]))


def test_terms_of_the_largest_size_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "terms"
    file.write_text(brand.LONGEST_TERMS * "é")
    assert Branding(terms_file=str(file)).checked().terms is not None

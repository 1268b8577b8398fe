"""What the program says to an operator who got something wrong: one line, exit code 1."""

from __future__ import annotations

import gc
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmpnb import __version__
from tmpnb.commands.main import main
from tmpnb.settings.application import Tmpnb
from tmpnb.spawners.docker.spawner import DockerSpawner

SECRETS = ("CONFIGPROXY_AUTH_TOKEN", "CONFIGPROXY_ENDPOINT", "API_AUTH_TOKEN", "ADMIN_AUTH_TOKEN")


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    """Put the root logger back as it was: a run of the program sets it up."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)


def fails(*arguments: str) -> str:
    """Run the program, which must end with exit code 1; return the line it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    line = ended.value.code
    assert isinstance(line, str), f"exit code {line!r}"
    assert line.startswith("tmpnb: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--pool-size=0", "--pool-size should not be less than 1"),
        ("--pool_size=-5", "--pool-size should not be less than 1"),
        ("--pool-size=abc", "--pool-size expected an int"),
        ("--port=70000", "--port should not be greater than 65535"),
        ("--container-port=70000", "--container-port should not be greater than 65535"),
        ("--cull-period=nan", "--cull-period"),
        ("--cull-timeout=-1", "--cull-timeout should not be less than"),
        ("--cull-timeout=99999", "--cull-max"),
        ("--cull-burning=-1", "--cull-burning should not be less than"),
        ("--cull-burning=20", "--cull-burning=20 is too short"),
        ("--cull-burning=99999", "--cull-max"),
        ("--min-ready=11", "--pool-size=10"),
        ("--pol-size=3", "did you mean --pool-size"),
        ("--Tmpnb.pool_sise=3", "did you mean --Tmpnb.pool_size"),
        ("extra", "unexpected argument 'extra'"),
        ("--spawner=nomad", "choose from"),
        ("--pool-name=a/b", "--pool-name=a/b"),
        ("--admin-ip=0.0.0.0", "ADMIN_AUTH_TOKEN"),
        ("--admin-hosts=a.example,*.b.example", "--admin-hosts: '*.b.example' is not a host name"),
        ("--admin-port=9999", "--port and --admin-port are both 9999"),
        ("--embed-origins=journal.example", "not an origin"),
        ("--embed-origins=https://a.example;script-src *", "not an origin"),
        ("--subdomains=https://notebooks.example", "--subdomains"),
        ("--redirect-uri=//evil.example", "--redirect-uri"),
        ("--template-path=/no/such/place", "--template-path"),
        ("--config=/no/such/file.py", "no such file"),
        ("--allow-origin=a\nb", "--allow-origin"),
        ("--allow-origin=book.example", "--allow-origin"),
        ("--max-age=soon", "--max-age=soon"),
        ("--brand=", "--brand"),
        ("--logo=/no/such.svg", "--logo=/no/such.svg"),
        ("--welcome=[a](b)", "--welcome"),
        ("--announcement=[a](b)", "--announcement"),
        ("--terms-file=/no/such.txt", "--terms-file=/no/such.txt"),
        ("--analytics-script=stats.example", "--analytics-script"),
        ("--analytics-attributes=data-x=1", "--analytics-script"),
        ("--logging=loud", "--logging"),
        ("--proxy-command='unclosed", "--proxy-command"),
    ],
)
def test_wrong_flag_is_one_clear_line(argument: str, said: str) -> None:
    assert said in fails(argument)


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_port_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = fails("--spawner=fake", f"--port={port}")
    gc.collect()
    assert f"--port={port}" in line
    assert "in use" in line


def test_both_spellings_mean_the_same() -> None:
    for flag in ("--pool-size=7", "--pool_size=7"):
        app = Tmpnb()
        app.initialize([flag, "--use_tokens=False", "--mem_limit=1g"])
        assert app.pool_size == 7
        assert app.use_tokens is False


def test_config_file_is_read_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "tmpnb_config.py").write_text("c.Tmpnb.pool_size = 4\nc.Tmpnb.cull_max = 5000\n")
    app = Tmpnb()
    app.initialize(["--pool-size=5"])
    assert (app.pool_size, app.cull_max) == (5, 5000)


def test_flag_for_any_spawner_wins_over_the_file_s_word_for_one(tmp_path: Path) -> None:
    text = "c.DockerSpawner.image = 'from-file'\nc.DockerSpawner.mem_limit = '1g'\n"
    (tmp_path / "tmpnb_config.py").write_text(text)
    for arguments, image in ((["--image=from-flag"], "from-flag"), ([], "from-file")):
        app = Tmpnb()
        app.initialize(arguments)
        spawner = DockerSpawner(parent=app)
        assert (spawner.image, spawner.mem_limit) == (image, "1g")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c.Tmpnb.pol_size = 4", "did you mean pool_size"),
        ("c.DockerSpawnr.image = 'x'", "did you mean c.DockerSpawner"),
        ("c.Tmpnb.pool_size = 0", "--pool-size should not be less than 1"),
        ("1/0", "ZeroDivisionError"),
        ("c.Tmpnb.pool_size =", "SyntaxError"),
    ],
)
def test_wrong_config_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tmpnb_config.py").write_text(text)
    assert said in fails()


def test_generated_config_file_is_accepted_and_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--generate-config"])
    assert "tmpnb_config.py" in capsys.readouterr().out
    text = (tmp_path / "tmpnb_config.py").read_text()
    assert "# c.Tmpnb.pool_size = 10" in text
    assert "# c.DockerSpawner.mem_limit" in text
    Tmpnb().initialize([])
    assert "exists" in fails("--generate-config")


def test_shown_config_has_all_settings_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADMIN_AUTH_TOKEN", "very-secret-indeed")
    main(["--show-config", "--pool-size=6"])
    shown = capsys.readouterr().out
    assert "c.Tmpnb.pool_size = 6" in shown
    assert "c.DockerSpawner.mem_limit = '512m'" in shown
    assert "# ADMIN_AUTH_TOKEN is set" in shown
    assert "# API_AUTH_TOKEN is not set" in shown
    assert "very-secret" not in shown


def test_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert __version__ in capsys.readouterr().out


def test_running_proxy_without_its_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGPROXY_ENDPOINT", "http://127.0.0.1:8001")
    assert "CONFIGPROXY_AUTH_TOKEN" in fails("--spawner=fake", "--port=0", "--admin-port=0")


def test_short_secret_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPNB_SECRET_KEY", "short")
    line = fails("--spawner=fake", "--port=0", "--admin-port=0")
    assert "TMPNB_SECRET_KEY" in line
    assert "short " not in line.partition("TMPNB_SECRET_KEY")[0]


def test_missing_proxy_program_says_how_to_get_it() -> None:
    line = fails("--spawner=fake", "--port=0", "--admin-port=0", "--proxy-command=no-such-proxy")
    assert "npm install -g configurable-http-proxy" in line
    assert "CONFIGPROXY_ENDPOINT" in line


@pytest.mark.parametrize("flag", ["--embed-origins", "--allow-origin"])
def test_scripts_of_a_site_that_a_flag_names_may_ask_the_notebooks(flag: str) -> None:
    application = Tmpnb()
    application.initialize(["--spawner=fake", f"{flag}=https://journal.example"])
    allowed = application.build().spawner.pool.script_origins
    assert re.match(allowed, "https://journal.example")
    assert not re.match(allowed, "https://evil.test")


# Found before anything is opened or asked


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--mem-limit=banana", "--mem-limit=banana: not a size"),
        ("--mem-limit=512", "did you mean 512m"),
        ("--disk-limit=x", "--disk-limit=x: not a size"),
        ("--image=", "--image is empty"),
        ("--image=my notebook", "--image=my notebook: not a valid image name"),
        ("--docker-network=my net", "--docker-network=my net: not a valid network name"),
        ("--docker-network=container:abc", "not a valid network name"),
        ("--docker-network=host", "use --host-network instead"),
        ("--docker-version=one", "--docker-version=one: write auto"),
        ("--own-subnets=x", "--own-subnets=x"),
        ("--capabilities=NO SUCH", "--capabilities"),
        ("--seccomp=/no/such/file", "--seccomp=/no/such/file"),
        ("--container-ip=x", "--container-ip"),
        ("--extra-hosts=x", "--extra-hosts"),
        ("--host-directories=x", "--host-directories"),
        ("--container-log-size=x", "--container-log-size=x: not a size"),
        ("--command='", "--command"),
    ],
)
def test_what_an_engine_cannot_have_is_found_before_anything_is_opened(
    argument: str, said: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said in fails(argument)
    printed = capfd.readouterr()
    assert printed.out == printed.err == "", "the line is all there is"
    assert not (tmp_path / "state").exists()


def test_the_local_engine_misses_its_program_before_anything_is_opened(tmp_path: Path) -> None:
    assert "no-such-program" in fails("--spawner=local", "--command=no-such-program")
    assert not (tmp_path / "state").exists()

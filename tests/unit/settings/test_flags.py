"""Every flag of the original works in both spellings; what is wrong is named in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from traitlets.config import Application, Config, Configurable

from tmpnb.errors import ConfigError
from tmpnb.settings import flags
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.branding import Branding
from tmpnb.spawners.base import Spawner
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.local.spawner import LocalProcessSpawner

CLASSES: list[type[Configurable]] = [Tmpnb, Branding, Spawner, DockerSpawner, LocalProcessSpawner]
ORIGINAL = [
    "cull_period",
    "cull_timeout",
    "cull_max",
    "container_ip",
    "container_port",
    "use_tokens",
    "command",
    "port",
    "ip",
    "admin_port",
    "admin_ip",
    "max_dock_workers",
    "mem_limit",
    "cpu_shares",
    "cpu_quota",
    "image",
    "docker_version",
    "redirect_uri",
    "pool_size",
    "pool_name",
    "static_files",
    "allow_origin",
    "expose_headers",
    "max_age",
    "allow_credentials",
    "allow_methods",
    "allow_headers",
    "assert_hostname",
    "container_user",
    "host_network",
    "docker_network",
    "host_directories",
    "user_length",
    "extra_hosts",
    "logging",
    "log_to_stderr",
    "log_file_prefix",
    "log_file_max_size",
    "log_file_num_backups",
    "log_rotate_mode",
    "log_rotate_when",
    "log_rotate_interval",
]


@pytest.fixture(autouse=True)
def _nobodys_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one_line(function: Callable[[], object]) -> str:
    """Return the message of the ConfigError that `function` raises."""
    with pytest.raises(ConfigError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check(*arguments: str) -> None:
    flags.check_arguments(arguments, CLASSES)


def read(*arguments: str) -> Tmpnb:
    """Return the application as the command line made it."""
    application = Tmpnb()
    application.initialize(arguments)
    return application


@pytest.mark.parametrize("name", ORIGINAL)
@pytest.mark.parametrize("spelling", ["dashes", "underscores"])
def test_flag_of_the_original_is_known_in_both_spellings(name: str, spelling: str) -> None:
    flag = name.replace("_", "-") if spelling == "dashes" else name
    check(f"--{flag}=x")
    assert flag in flags.spellings(name)
    assert any(flag in names for names in flags.aliases() if isinstance(names, tuple))


def test_flags_set_what_they_name() -> None:
    application = read("--pool-size=7", "--cull_timeout", "90", "--mem-limit=1g", "--image=x")
    assert (application.pool_size, application.cull_timeout) == (7, 90.0)
    spawner = DockerSpawner(parent=application)
    assert (spawner.mem_limit, spawner.image) == ("1g", "x")


@pytest.mark.parametrize("trait", sorted(flags.owners().values()))
def test_every_flag_has_a_setting_behind_it(trait: str) -> None:
    owner, _, name = trait.partition(".")
    [found] = [c for c in CLASSES if c.__name__ == owner]
    assert name in found.class_trait_names(config=True)


def test_every_setting_of_the_program_has_a_flag() -> None:
    traits = Tmpnb.class_traits(config=True).items()
    own = {name for name, trait in traits if not issubclass(Application, trait.this_class)}
    assert own - {"config_file", "generate_config"} == set(flags.APPLICATION)


def test_spellings_put_dashes_first() -> None:
    assert flags.spellings("pool_size") == ("pool-size", "pool_size")
    assert flags.spellings("port") == ("port",)


@pytest.mark.parametrize("name", sorted(flags.SWITCHES))
def test_switch_stands_alone_or_has_a_value(name: str) -> None:
    for flag in flags.spellings(name):
        check(f"--{flag}")
        check(f"--{flag}=False")
        with pytest.raises(ConfigError, match="unexpected argument 'False'"):
            check(f"--{flag}", "False")


def test_switch_is_on_alone_and_off_by_its_value() -> None:
    assert read("--stop-servers-on-exit").stop_servers_on_exit is True
    assert read("--stop_servers_on_exit=False").stop_servers_on_exit is False
    assert read("--use-tokens=False").use_tokens is False


@pytest.mark.parametrize("flag", ["--help", "--help-all", "-h", "--version"])
def test_what_only_prints_ends_the_program_well(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read(flag)
    assert caught.value.code == 0
    assert capsys.readouterr().out


def test_shortcuts_set_what_they_stand_for() -> None:
    assert read("--debug").logging == "debug"
    assert read("--show-config").show_config is True
    assert read().show_config is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pool-szie=3"], "unknown flag --pool-szie; did you mean --pool-size?"),
        (["--mem-limt=1g"], "unknown flag --mem-limt; did you mean --mem-limit?"),
        (["--DockerSpawner.imag=x"], "unknown flag --DockerSpawner.imag; did you mean"),
        (["--xyzzy"], "unknown flag --xyzzy; see tmpnb --help-all"),
        (["--"], "unknown flag --; see tmpnb --help-all"),
        (["--Port=1"], "unknown flag --Port; did you mean --port?"),
        (["serve"], "unexpected argument 'serve'; flags begin with --"),
        (["-p", "80"], "unexpected argument '-p'; flags begin with --"),
        (["--port", "80", "81"], "unexpected argument '81'; flags begin with --"),
        (["--port=80", "81"], "unexpected argument '81'; flags begin with --"),
        (["--port"], "--port needs a value; write --port=…"),
        (["--port", "--ip=::1"], "--port needs a value; write --port=…"),
        (["--port=80", "--port=81"], "--port is given twice; leave one out"),
        (
            ["--pool-size=1", "--pool_size=1"],
            "--pool_size is given twice; leave one out (with Compose, set TMPNB_POOL_SIZE)",
        ),
        (
            ["--disk-limit=1g", "--DockerSpawner.disk_limit=2g"],
            "--DockerSpawner.disk_limit is given twice; leave one out "
            "(with Compose, set TMPNB_DISK_LIMIT)",
        ),
        (
            ["--own-networks", "--own-networks=False"],
            "--own-networks is given twice; leave one out "
            "(with Compose, docker-compose.yml has it)",
        ),
        (["--Tmpnb.port=1", "--port=2"], "--port is given twice; leave one out"),
        (["--debug=1"], "--debug takes no value"),
        (["--help=all"], "--help takes no value"),
    ],
)
def test_wrong_argument_is_named_in_one_line(arguments: list[str], message: str) -> None:
    assert one_line(lambda: check(*arguments)).startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--port=80", "--ip=::1"],
        ["--port", "80", "--use-tokens", "--debug", "--ip", "::1"],
        ["--command=jupyter lab --port={port} --x='--y'"],
        ["--command", "jupyter lab"],
        ["--cpu-quota", "-1"],
        ["--DockerSpawner.image=x", "--Spawner.command=y", "--Tmpnb.port=1"],
        ["--pool-name="],
        ["--config=other.py"],
    ],
)
def test_right_arguments_pass(arguments: list[str]) -> None:
    flags.check_arguments(arguments, CLASSES)
    assert one_line(lambda: check(*arguments, "--nope")).startswith("unknown flag --nope")


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        ("Tmpnb", "pool_szie", "unknown setting c.Tmpnb.pool_szie; did you mean pool_size?"),
        ("Tmpbn", "port", "unknown section c.Tmpbn; did you mean c.Tmpnb?"),
        ("DockerSpawner", "xyzzy", "unknown setting c.DockerSpawner.xyzzy; see tmpnb --help-all"),
    ],
)
def test_misspelt_setting_of_a_config_file_is_named(section: str, name: str, message: str) -> None:
    config = Config({section: {name: 1}})
    assert one_line(lambda: flags.check_config(config, CLASSES)) == message


def test_settings_of_all_classes_and_their_parents_pass() -> None:
    config = Config({"Tmpnb": {"port": 1}, "Spawner": {"image": "x"}, "Application": {}})
    flags.check_config(config, CLASSES)
    config.DockerSpawner.nope = 1
    with pytest.raises(ConfigError, match=r"c\.DockerSpawner\.nope"):
        flags.check_config(config, CLASSES)

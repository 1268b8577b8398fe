"""The command line's names: every flag in both spellings, and unknown ones refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from traitlets.config import Config, Configurable

from tmpnb.errors import ConfigError

CORS = (
    "allow_origin",
    "expose_headers",
    "max_age",
    "allow_credentials",
    "allow_methods",
    "allow_headers",
)
APPLICATION = (
    "spawner",
    "pool_size",
    "min_ready",
    "pool_name",
    "cull_period",
    "cull_timeout",
    "cull_max",
    "cull_burning",
    "ready_max_age",
    "port",
    "ip",
    "admin_port",
    "admin_ip",
    "admin_hosts",
    "public_metrics",
    "redirect_uri",
    "user_length",
    "use_tokens",
    *CORS,
    "static_files",
    "template_path",
    "embed_origins",
    "public_url",
    "public_hosts",
    "subdomains",
    "client_servers",
    "client_rate",
    "exempt_networks",
    "banned_networks",
    "anonymize",
    "trusted_proxies",
    "state_dir",
    "stop_servers_on_exit",
    "reconcile_interval",
    "start_timeout",
    "spawn_concurrency",
    "ready_path",
    "proxy_command",
    "proxy_ip",
    "proxy_port",
    "proxy_api_port",
    "logging",
    "log_format",
    "log_to_stderr",
    "log_file_prefix",
    "log_file_max_size",
    "log_file_num_backups",
    "log_rotate_mode",
    "log_rotate_when",
    "log_rotate_interval",
)
BRANDING = (
    "brand",
    "logo",
    "welcome",
    "footer",
    "announcement",
    "terms_file",
    "analytics_script",
    "analytics_attributes",
)
ANY_SPAWNER = (
    "command",
    "image",
)
DOCKER = (
    "container_ip",
    "container_port",
    "max_dock_workers",
    "mem_limit",
    "cpu_shares",
    "cpu_quota",
    "docker_version",
    "assert_hostname",
    "container_user",
    "host_network",
    "docker_network",
    "host_directories",
    "extra_hosts",
    "capabilities",
    "new_privileges",
    "seccomp",
    "pids_limit",
    "nofile_limit",
    "container_log_size",
    "container_init",
    "allow_root",
    "read_only",
    "egress",
    "own_networks",
    "own_subnets",
    "runtime",
    "disk_limit",
)
LOCAL = ("notebook_dir",)
SWITCHES = frozenset(
    {
        "allow_root",
        "anonymize",
        "assert_hostname",
        "container_init",
        "host_network",
        "new_privileges",
        "own_networks",
        "public_metrics",
        "read_only",
        "log_to_stderr",
        "stop_servers_on_exit",
        "use_tokens",
    }
)
# Those that docker-compose.yml gives, and the variables they come from; empty: from none.
COMPOSE: Mapping[str, str] = {
    "spawner": "",
    "image": "TMPNB_IMAGE",
    "pool_size": "TMPNB_POOL_SIZE",
    "docker_network": "TMPNB_NETWORK",
    "egress": "TMPNB_EGRESS",
    "own_networks": "",
    "disk_limit": "TMPNB_DISK_LIMIT",
    "pool_name": "TMPNB_NETWORK",
    "ip": "",
    "state_dir": "",
    "trusted_proxies": "TMPNB_TRUSTED_PROXIES",
    "exempt_networks": "TMPNB_EXEMPT_NETWORKS",
    "stop_servers_on_exit": "TMPNB_STOP_SERVERS_ON_EXIT",
}
# Those below take no value.
BUILT_IN = frozenset({"help", "help-all", "version"})  # known to traitlets
SHORTCUTS: Mapping[str, tuple[dict[str, dict[str, Any]], str]] = {
    "show-config": ({"Tmpnb": {"show_config": True}}, "Print the settings in force, and end."),
    "generate-config": (
        {"Tmpnb": {"generate_config": True}},
        "Write a config file with every setting in comments, and end.",
    ),
    "debug": ({"Tmpnb": {"logging": "debug"}}, "Same as --logging=debug"),
}


def owners() -> dict[str, str]:
    """Return the trait behind each flag: `pool_size` -> `Tmpnb.pool_size`."""
    by_class = {
        "Tmpnb": APPLICATION,
        "Branding": BRANDING,
        "Spawner": ANY_SPAWNER,
        "DockerSpawner": DOCKER,
        "LocalProcessSpawner": LOCAL,
    }
    return {name: f"{owner}.{name}" for owner, names in by_class.items() for name in names}


def spellings(name: str) -> tuple[str, ...]:
    """Return a flag's names, the dashed one first: the original took both."""
    dashed = name.replace("_", "-")
    return (dashed,) if dashed == name else (dashed, name)


def aliases() -> dict[Any, str]:
    """Return the flags that take a value, in traitlets' form."""
    return {spellings(name): trait for name, trait in owners().items()} | {
        "config": "Tmpnb.config_file"
    }


def switches() -> dict[Any, tuple[dict[str, dict[str, Any]], str]]:
    """Return the flags that may stand alone, in traitlets' form."""
    found: dict[Any, tuple[dict[str, dict[str, Any]], str]] = dict(SHORTCUTS)
    for name in sorted(SWITCHES):
        owner = owners()[name].partition(".")[0]
        found[spellings(name)] = ({owner: {name: True}}, f"Same as --{spellings(name)[0]}=True")
    return found


def check_arguments(arguments: Sequence[str], classes: Iterable[type[Configurable]]) -> None:
    """Refuse a flag that does not exist, is given twice, or lacks its value.

    Raises:
        ConfigError: In one line, with the nearest flag that does exist.
    """
    known = {s for name in owners() for s in spellings(name)} | {"config"} | _alone()
    known |= {f"{c.__name__}.{t}" for c in classes for t in c.class_trait_names(config=True)}
    given: set[str] = set()
    waiting = ""  # the flag whose value is still to come
    for argument in (a for a in arguments if a != "-h"):
        if argument.startswith("--"):
            _check_waiting(waiting)
            name, has_value, _ = argument.removeprefix("--").partition("=")
            _check_name(name, known, given)
            if has_value and name in _alone():
                raise ConfigError(f"--{name} takes no value")
            bare = name.replace("-", "_") in SWITCHES or name in _alone()
            waiting = "" if has_value or bare else name
        elif waiting:
            waiting = ""
        else:
            raise ConfigError(f"unexpected argument {argument!r}; flags begin with --")
    _check_waiting(waiting)


def _check_name(name: str, known: Collection[str], given: set[str]) -> None:
    if name not in known:
        raise ConfigError(f"unknown flag --{name}{_nearest(name, known, before='--')}")
    plain = name.replace("-", "_")
    trait = owners().get(plain, plain)
    if trait in given:
        raise ConfigError(f"--{name} is given twice; leave one out{_by_compose(trait)}")
    if "." not in name or trait in owners().values():  # others may be lists
        given.add(trait)


def _by_compose(trait: str) -> str:
    variable = COMPOSE.get(trait.rpartition(".")[2])
    if variable is None:
        return ""
    return f" (with Compose, {f'set {variable}' if variable else 'docker-compose.yml has it'})"


def _check_waiting(name: str) -> None:
    if name:
        raise ConfigError(f"--{name} needs a value; write --{name}=…")


def _alone() -> frozenset[str]:
    return BUILT_IN | frozenset(SHORTCUTS)


def let_flags_win(config: Config, given: Config, classes: Iterable[type[Configurable]]) -> None:
    """Take out of `config` what a flag says otherwise, under the name of a more special class.

    `--image` sets it for any spawner; traitlets would let `c.DockerSpawner.image` of a
    config file win over that.
    """
    for section, values in given.items():
        for special in classes:
            general = {parent.__name__ for parent in special.__mro__[1:]}
            if section in general and special.__name__ in config:
                for name in values:
                    config[special.__name__].pop(name, None)


def check_config(config: Config, classes: Iterable[type[Configurable]]) -> None:
    """Refuse a setting that nothing reads, as a misspelt one in a config file.

    Raises:
        ConfigError: In one line.
    """
    traits: Mapping[str, set[str]] = {
        parent.__name__: set(parent.class_trait_names(config=True))
        for c in classes
        for parent in c.__mro__
        if issubclass(parent, Configurable)
    }
    for section, values in config.items():
        if section not in traits:
            raise ConfigError(
                f"unknown section c.{section}{_nearest(section, traits, before='c.')}"
            )
        for name in values:
            if name not in traits[section]:
                near = _nearest(name, traits[section])
                raise ConfigError(f"unknown setting c.{section}.{name}{near}")


def in_words(message: str) -> str:
    """Return what traitlets says of a wrong value with the flag in place of the trait."""
    trait = r"(?:The value of the|The) '(\w+)' trait of an? \w+ instance"
    return re.sub(trait, lambda found: f"--{spellings(found.group(1))[0]}", message)


def _nearest(name: str, known: Collection[str], before: str = "") -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {before}{found[0]}?" if found else "; see tmpnb --help-all"

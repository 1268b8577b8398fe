"""The profile of system calls: which is chosen, what it is made of, and what is said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import docker
import pytest
from traitlets import TraitError

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker import support
from tmpnb.spawners.docker.hardening import limits as docker_hardening
from tmpnb.spawners.docker.hardening import seccomp_calls, seccomp_rules
from tmpnb.spawners.docker.hardening.filtering import finding
from tmpnb.spawners.docker.hardening.merge import merged, weakened
from tmpnb.spawners.docker.hardening.seccomp import LARGEST, SHIPPED, Seccomp, chosen
from tmpnb.spawners.docker.image.user import NOBODY
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.docker_api.kind import Kind, kind_of
from tmpnb.spawners.finding import Level

PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
PODMAN = Kind("Podman")
BARE = Kind(unfiltered=True)
NNP = "no-new-privileges"


def options(wish: str = "tmpnb", kind: Kind | None = None, **extra: Any) -> Options:
    limits = docker_hardening.Limits(seccomp=chosen(wish))
    made = Options("image", limits=limits, extra_host_config=extra)
    return support.adapted(made, kind or Kind())


def security_opt(made: Options) -> list[str]:
    ours = docker_hardening.settings(made.limits, NOBODY)
    found: list[str] = merged(ours, made.extra_host_config)["security_opt"]
    return found


def test_what_is_shipped_is_what_the_groups_say() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == seccomp_rules.text()


def test_each_call_is_in_one_place_and_the_dangerous_ones_in_none() -> None:
    groups = (*seccomp_calls.ALLOWED, seccomp_calls.DEBUGGERS, seccomp_calls.ABSENT)
    plain = [call for group in groups for call in group.calls]
    assert len(plain) == len(set(plain))
    refused = """socketcall ipc bpf perf_event_open userfaultfd keyctl add_key request_key mount
        umount2 unshare setns pivot_root chroot fsopen fsmount move_mount open_tree mount_setattr
        kexec_load init_module finit_module delete_module reboot swapon quotactl open_by_handle_at
        fanotify_init lookup_dcookie memfd_secret iopl ioperm modify_ldt syslog acct vm86 uselib
        clock_settime settimeofday sethostname socket socketpair clone personality
        setsockopt sendto sendmsg sendmmsg"""
    assert set(plain) & set(refused.split()) == set()


def test_what_is_counted_for_the_one_user_of_all_servers_or_the_machine_is_as_if_absent() -> None:
    told_off = set(seccomp_calls.ABSENT.calls)
    assert {"io_setup", "mq_open"} <= told_off, "io_setup: fs.aio-max-nr; mq_open: ulimit -q"
    [absent] = [
        rule for rule in json.loads(SHIPPED.read_text())["syscalls"] if rule.get("errnoRet") == 38
    ]
    assert "mq_open" in absent["names"]


def test_what_depends_on_arguments_is_never_let_through_without_them() -> None:
    rules = seccomp_rules.profile()["syscalls"]
    with_conditions = ("socket", "socketpair", "clone", "personality", "setsockopt")
    for name in (*with_conditions, "sendto", "sendmsg", "sendmmsg"):
        mine = [rule for rule in rules if name in rule["names"]]
        assert mine
        assert all(rule.get("args") for rule in mine), name
    families = {
        argument["valueTwo"]
        for rule in rules
        if rule["names"] == ["socket"] and rule["action"] == seccomp_rules.ALLOW
        for argument in rule["args"]
        if argument["index"] == 0
    }
    assert families == {1, 2, 10, 16}  # within the machine, IPv4, IPv6, netlink


def lets(call: str, *arguments: int) -> bool:
    """Return whether the profile lets a call through, as libseccomp compares."""
    return any(
        rule["action"] == seccomp_rules.ALLOW
        and call in rule["names"]
        and all(arguments[a["index"]] & a["value"] == a["valueTwo"] for a in rule.get("args", ()))
        for rule in seccomp_rules.profile()["syscalls"]
    )


DONTROUTE, BY_SOCKET, BY_OPTION = 0x4, 1, 5  # of Linux
GARBAGE = (0, 1 << 32, 0xDEADBEEF << 32)  # above the 32 bits that the kernel looks at


@pytest.mark.parametrize("above", GARBAGE)
def test_nothing_is_sent_past_the_routing_table(above: int) -> None:
    for call, place in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        for flags in range(0x8000):
            arguments = [7] * 6
            arguments[place] = flags | above
            assert lets(call, *arguments) is not bool(flags & DONTROUTE), (call, flags)
    assert not lets("setsockopt", 3, BY_SOCKET | above, BY_OPTION | above, 0, 4)


def test_all_other_options_of_sockets_are_set() -> None:
    # IP, sockets, TCP, UDP, IPv6, ICMPv6, RAW, UDP-Lite, netlink, ALG, TLS, MPTCP, XDP
    for level in (0, 1, 6, 17, 41, 58, 255, 136, 270, 279, 282, 284, 283):
        for option in range(128):
            refused = (level, option) == (BY_SOCKET, BY_OPTION)
            assert lets("setsockopt", 3, level, option, 0, 4) is not refused, (level, option)


def test_the_three_ways_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tmpnb", "engine"):
        (tmp_path / name).write_text(json.dumps(PROFILE, indent=4))
    assert json.loads(chosen("tmpnb").text) == seccomp_rules.profile()
    assert chosen("engine") == Seccomp()
    own = chosen("./tmpnb")
    assert (own.name, json.loads(own.text)) == ("./tmpnb", PROFILE)
    assert "\n" not in own.text
    (tmp_path / "tmpnb").unlink()
    assert own.options == [f"seccomp={json.dumps(PROFILE, separators=(',', ':'))}"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xff\x00", "no text in UTF-8"),
        ("{}".encode("utf-16"), "it is in UTF-16; save it as UTF-8"),
        (b"[" * 30_000, "not JSON"),
        (b'{"defaultAction": NaN}', "not JSON"),
        (b"[]", "no profile"),
        (b'"SCMP_ACT_ALLOW"', "no profile"),
        (b"null", "no profile"),
        (b"{}", "no profile"),
        (b'{"defaultAction": 1}', "no profile"),
        (b'{"defaultAction": "' + b"x" * LARGEST + b'"}', "64 KiB at most"),
    ],
)
def test_a_file_that_is_no_profile_is_one_clear_line(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        DockerSpawner(seccomp=str(path)).limits()
    text = str(refused.value)
    assert text.startswith(f"--seccomp={path}: ")
    assert said in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(path))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # whose opening would wait for ever
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="not a file"):
            chosen(str(path))
    with pytest.raises(ConfigError, match="null byte"):
        chosen("a\0b")
    with pytest.raises(ConfigError, match="File name too long"):
        chosen("a" * 5000)
    for empty in ("", "  "):
        with pytest.raises(ConfigError, match="write tmpnb, engine, or the name of a file"):
            chosen(empty)
    with pytest.raises(TraitError):
        DockerSpawner(seccomp=None)


def test_it_is_on_by_default_and_no_log_shows_it_whole() -> None:
    made = options()
    assert DockerSpawner().limits().seccomp == chosen("tmpnb")
    assert security_opt(made) == [NNP, *chosen("tmpnb").options]
    assert len(repr(made)) < 2000
    assert security_opt(options("engine")) == [NNP]


def test_the_operator_s_own_profile_takes_its_place_and_is_said() -> None:
    own = "seccomp={" + "x" * 5000
    made = options(security_opt=[own])
    assert security_opt(made) == [NNP, own]
    (said,) = weakened(docker_hardening.settings(made.limits, NOBODY), made.extra_host_config)
    assert said.startswith("security_opt: seccomp={x")
    assert len(said) < 100
    with pytest.raises(ConfigError) as refused:
        security_opt(options(security_opt=own))
    assert len(str(refused.value)) < 150


def test_with_new_privileges_nothing_is_weakened_by_another_option() -> None:
    limits = docker_hardening.Limits(new_privileges=True, seccomp=chosen("tmpnb"))
    ours = docker_hardening.settings(limits, NOBODY)
    assert weakened(ours, {"security_opt": []}) == []


@pytest.mark.parametrize("kind", [PODMAN, Kind("Podman", rootless=True), BARE])
def test_an_engine_that_takes_no_profile_is_given_none(kind: Kind) -> None:
    assert security_opt(options(kind=kind)) == [NNP]
    assert options(kind=kind).limits.seccomp.name == "tmpnb"
    assert security_opt(options(kind=Kind(rootless=True)))[1:] == chosen("tmpnb").options


@pytest.mark.parametrize(
    ("wish", "kind", "extra", "level", "words", "mend"),
    [
        ("tmpnb", Kind(), {}, Level.OK, "tmpnb's profile", ""),
        ("engine", Kind(), {}, Level.WARN, "Docker's own profile", "--seccomp=tmpnb"),
        ("tmpnb", PODMAN, {}, Level.WARN, "--seccomp=tmpnb has no effect", "seccomp_profile.json"),
        ("engine", PODMAN, {}, Level.WARN, "Podman's own profile", "seccomp_profile.json"),
        ("tmpnb", BARE, {}, Level.WARN, "this engine has no seccomp", "kernel"),
        ("tmpnb", Kind(), {"privileged": True}, Level.WARN, "not filtered", "leave privileged"),
        (
            "tmpnb",
            Kind(),
            {"security_opt": ["seccomp=unconfined"]},
            Level.WARN,
            "not filtered",
            "leave",
        ),
        (
            "tmpnb",
            PODMAN,
            {"security_opt": ["seccomp:unconfined"]},
            Level.WARN,
            "not filtered",
            "leave",
        ),
        (
            "tmpnb",
            Kind(),
            {"security_opt": ["seccomp=builtin"]},
            Level.WARN,
            "own profile",
            "leave seccomp out",
        ),
        ("tmpnb", PODMAN, {"security_opt": ["seccomp=/etc/x"]}, Level.OK, "extra_host_config", ""),
        ("tmpnb", Kind(), {"security_opt": ["label=disable"]}, Level.OK, "tmpnb's profile", ""),
    ],
)
def test_which_profile_is_in_force_is_one_line_with_what_would_be_better(
    wish: str, kind: Kind, extra: dict[str, Any], level: Level, words: str, mend: str
) -> None:
    found = finding(options(wish, kind, **extra))
    assert (found.level, found.topic) == (level, "seccomp")
    assert words in found.words
    assert ("own profile" in found.words) is ("table of neighbours" in found.words)
    assert mend in found.mend
    assert bool(found.mend) == (level is Level.WARN)


def test_a_profile_of_a_file_is_named_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(PROFILE))
    assert finding(options(str(path))).words == f"servers have the profile in {path}"


def test_a_runtime_that_may_take_no_notice_is_named() -> None:
    limits = docker_hardening.Limits(seccomp=chosen("tmpnb"), runtime="runsc")
    words = finding(Options("image", limits=limits)).words
    assert words == "servers have tmpnb's profile, unless --runtime=runsc has calls of its own"


@pytest.mark.parametrize(
    ("about", "own", "said"),
    [
        ({"BuildahVersion": "1.28"}, [], "Podman takes no profile from here"),
        ({"BuildahVersion": "1.28"}, ["seccomp=/on/its/machine.json"], ""),
        ({"SecurityOptions": ["name=apparmor"]}, [], "this engine has no seccomp"),
        ({"SecurityOptions": ["name=seccomp,profile=default"]}, [], ""),
    ],
)
def test_what_an_engine_cannot_have_is_said_once_at_the_start(
    about: dict[str, Any], own: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = docker_hardening.Limits(seccomp=chosen("tmpnb"))
    made = Options("image", limits=limits, extra_host_config={"security_opt": own})
    fitted = support.fit(cast("docker.APIClient", None), "pool", made, about)
    others = ("weakens", "after a restart of the machine", "neither disk nor inodes")
    about_calls = [text for text in caplog.messages if not any(other in text for other in others)]
    assert len(about_calls) == bool(said)
    assert said in "".join(about_calls)
    assert bool(fitted.limits.seccomp.text) == (not said and not fitted.kind.podman)


@pytest.mark.parametrize(
    ("about", "unfiltered"),
    [
        ({}, False),  # it does not say
        ({"SecurityOptions": ["name=seccomp,profile=default"]}, False),
        ({"SecurityOptions": ["name=apparmor"]}, True),
        ({"SecurityOptions": []}, True),
        ({"SecurityOptions": None}, True),  # as Go writes an empty list
    ],
)
def test_an_engine_without_seccomp_is_known_by_what_it_says(
    about: dict[str, Any], unfiltered: bool
) -> None:
    assert kind_of(about).unfiltered is unfiltered

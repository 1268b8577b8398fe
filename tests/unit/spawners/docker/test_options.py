"""The operator's Docker settings: what they mean, and how a wrong one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.options import Mount, Options, extra_hosts, memory, mounts


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * 1024**2),
        ("2g", 2 * 1024**3),
        ("2G", 2 * 1024**3),
        ("1.5g", 3 * 1024**3 // 2),
        ("512mb", 512 * 1024**2),
        ("1GiB", 1024**3),
        ("10000000", 10_000_000),
        ("10000000b", 10_000_000),
        ("16384k", 16 * 1024**2),
        ("", 0),
        ("0", 0),
    ],
)
def test_memory_is_read_in_bytes(text: str, size: int) -> None:
    assert memory(text) == size


@pytest.mark.parametrize("text", ["lots", "512q", "-1g", "1,5g", "512 megs", "m", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--mem-limit=.*not a size"):
        memory(text)


def test_a_forgotten_unit_is_pointed_out() -> None:
    with pytest.raises(ConfigError, match="did you mean 512m"):
        memory("512")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("/data", [Mount("/data", "/mnt/vol0", read_only=True)]),
        (
            "/data,/more",
            [
                Mount("/data", "/mnt/vol0", read_only=True),
                Mount("/more", "/mnt/vol1", read_only=True),
            ],
        ),
        (
            "/a:/x:rw, /b",
            [Mount("/a", "/x", read_only=False), Mount("/b", "/mnt/vol1", read_only=True)],
        ),
        ("/a:rw", [Mount("/a", "/mnt/vol0", read_only=False)]),
        ("/a:ro", [Mount("/a", "/mnt/vol0", read_only=True)]),
        ("/a:/x/", [Mount("/a", "/x", read_only=True)]),
    ],
)
def test_directories_are_read_only_unless_they_say_rw(text: str, found: list[Mount]) -> None:
    assert list(mounts(text)) == found


@pytest.mark.parametrize(
    "entry",
    [
        "data",
        "./data",
        "/a:b",
        "/a:/b:rwx",
        "/a:/b:/c",
        "/a:/b:ro:rw",
        "/a:",
        ":/b",
        "/a:/",
        "C:\\",
    ],
)
def test_a_wrong_directory_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"^--host-directories: cannot read") as refused:
        mounts(f"/fine,{entry}")
    assert repr(entry) in str(refused.value)


def test_two_directories_in_one_place_are_refused() -> None:
    with pytest.raises(ConfigError, match="two directories at /x"):
        mounts("/a:/x,/b:/x/")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", []),
        ("db:10.0.0.1", ["db:10.0.0.1"]),
        ("db:10.0.0.1, api:10.0.0.2", ["db:10.0.0.1", "api:10.0.0.2"]),
        (["db:10.0.0.1"], ["db:10.0.0.1"]),
        ("six:2001:db8::1", ["six:2001:db8::1"]),
        ("six:[2001:db8::1]", ["six:2001:db8::1"]),
        ("six:::1", ["six:::1"]),
        ("engine:host-gateway", ["engine:host-gateway"]),
    ],
)
def test_extra_hosts_may_have_addresses_of_both_kinds(
    given: str | list[str], found: list[str]
) -> None:
    assert list(extra_hosts(given)) == found


@pytest.mark.parametrize("entry", ["db", "db:", ":10.0.0.1", "db:10.0.0", "db:name", "d b:::1"])
def test_a_wrong_host_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"^--extra-hosts: ") as refused:
        extra_hosts(["fine:::1", entry])
    assert repr(entry) in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"image": ""}, "--image"),
        ({"host_network": True, "network": "n"}, "--host-network and --docker-network=n"),
        ({"network": "host"}, "--docker-network=host"),
        ({"network": "none"}, "--docker-network=none"),
        ({"container_ip": "localhost"}, "--container-ip: 'localhost'"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_flag(settings: dict[str, Any], flag: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Options(**{"image": "some/image"} | settings)
    assert str(refused.value).startswith(flag)


@pytest.mark.parametrize(
    "refuse",
    [lambda: memory("5 5"), lambda: mounts("a\nb"), lambda: extra_hosts("a\nb:::1")],
)
def test_a_refusal_is_one_line(refuse: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as refused:
        refuse()
    assert "\n" not in str(refused.value)

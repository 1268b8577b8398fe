"""Who the servers of an image run as, and that none of them is root unless that is allowed."""

from __future__ import annotations

import io
import tarfile

import docker
import pytest

from tests.support.docker_stand_in import StandIn
from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.image.look import People, bounds_disk
from tmpnb.spawners.docker.image.user import SOMEWHERE, Person, entries, person
from tmpnb.spawners.docker.options import Options

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
jovyan:x:1000:100::/home/jovyan:/bin/bash
broken line
odd:x:many:1::/:/bin/sh
"""


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("", 0),
        ("root", 0),
        ("root:root", 0),
        ("0", 0),
        ("0:0", 0),
        ("00", 0),
        ("0:1000", 0),
        (":1000", 0),
        ("toor", 0),
        ("jovyan", 1000),
        ("jovyan:root", 1000),
        ("1000:0", 1000),
        ("65534", 65534),
        ("odd", 0),  # as the engine has it: what is no number is 0
        ("broken line", 0),
        ("stranger", None),
    ],
)
def test_a_user_means_what_the_image_says(user: str, number: int | None) -> None:
    assert person(user, (), entries(PASSWD)).user_id == number


ROOT = "{name}:x:0:0::/:/bin/sh\n"


@pytest.mark.parametrize(
    ("user", "passwd"),
    [
        *((name, ROOT.format(name=name)) for name in ("1_0", "\uff11", "\u0661", "\xb2")),
        *(("me", f"me:x:{number}:1::/:/bin/sh") for number in ("\uff11", "1_0", "", " 5", "0x1")),
        *(
            ("me", f"you{end}me:x:5:5::/:/bin/sh\n" + ROOT.format(name="me"))
            for end in ("\x0b", "\x0c", "\r", "\x1c", "\x1e", "\x85", "\u2028")
        ),
        ("me", "\x1cme:x:5:5::/:/bin/sh\n" + ROOT.format(name="me")),
        ("\x1cme", "me:x:5:5::/:/bin/sh\n" + ROOT.format(name="\x1cme")),
        ("me", "\xa0" + ROOT.format(name="me")),
        ("me\ufffd", "me\udcff:x:5:5::/:/bin/sh\n" + ROOT.format(name="me\ufffd")),
        ("me", "me:x"),
    ],
    ids=ascii,
)
def test_no_passwd_hides_root_from_us_that_the_engine_sees(user: str, passwd: str) -> None:
    assert person(user, (), entries(passwd)).user_id == 0


def test_without_the_image_s_passwd_only_root_is_known_by_name() -> None:
    assert person("root:root", (), ()).user_id == 0
    assert person("toor", (), ()).user_id is None


@pytest.mark.parametrize(
    ("user", "environment", "expected"),
    [
        ("jovyan", [], Person(1000, 100, "/home/jovyan")),
        ("1000", [], Person(1000, 100, "/home/jovyan")),
        ("1000:5", [], Person(1000, 5, "/home/jovyan")),
        ("1000", ["A=b", "HOME=/srv/me"], Person(1000, 100, "/srv/me")),
        ("7", [], Person(7, None, SOMEWHERE)),
        ("7", ["HOME=/"], Person(7, None, SOMEWHERE)),
        ("7", ["HOME=//srv/./me//"], Person(7, None, "/srv/me")),  # as the engine mounts it
        ("7", ["HOME=/a/.."], Person(7, None, SOMEWHERE)),
        ("7", ["HOME=/a:/b"], Person(7, None, SOMEWHERE)),
        ("7", ["HOME=/a\udcff"], Person(7, None, SOMEWHERE)),
    ],
)
def test_the_home_is_the_environment_s_else_the_passwd_s(
    user: str, environment: list[str], expected: Person
) -> None:
    assert person(user, environment, entries(PASSWD)) == expected


@pytest.fixture
def engine(stand_in: StandIn) -> StandIn:
    return stand_in


@pytest.fixture
def client(docker_client: docker.APIClient) -> docker.APIClient:
    return docker_client


def packed(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("passwd")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def people(client: docker.APIClient, user: str = "", limits: Limits | None = None) -> People:
    return People(client, "pool", Options("image", user=user, limits=limits or Limits()))


@pytest.mark.parametrize("user", ["", "root", "root:root", "0:0"])
def test_an_image_that_runs_as_root_is_refused_in_one_line(
    client: docker.APIClient, engine: StandIn, user: str
) -> None:
    engine.image_user = user
    with pytest.raises(ConfigError) as refused:
        people(client).of("image")
    text = str(refused.value)
    assert text.startswith("--image=image: it would run as root")
    assert "--container-user=1000" in text
    assert "--allow-root" in text
    assert "\n" not in text
    assert engine.bodies == [], "nothing is made to see that"


def test_a_name_that_is_root_in_the_image_is_refused(
    client: docker.APIClient, engine: StandIn
) -> None:
    engine.image_user = "toor"
    engine.rule("GET /containers/[^/]*/archive", lambda: (200, packed(PASSWD)))
    with pytest.raises(ConfigError, match="toor"):
        people(client).of("image")
    assert engine.containers == {}, "what looked into it is gone"


def test_root_may_run_if_it_is_allowed(client: docker.APIClient, engine: StandIn) -> None:
    engine.image_user = "root"
    assert people(client, limits=Limits(root_allowed=True)).of("image").user_id == 0


def test_the_operator_s_user_goes_before_the_image_s(
    client: docker.APIClient, engine: StandIn
) -> None:
    engine.image_user = "root"
    assert people(client, "1000:1000").of("image").user_id == 1000
    engine.image_user = "1000"
    with pytest.raises(ConfigError, match="--container-user: 0"):
        people(client, "0").of("image")


def test_each_image_is_looked_into_once_and_a_tag_that_moved_again(
    client: docker.APIClient, engine: StandIn
) -> None:
    engine.rule("GET /containers/[^/]*/archive", lambda: (200, packed(PASSWD)))
    found: dict[str, object] = {"Id": "sha256:a", "Config": {"User": "jovyan"}}
    engine.rule("GET /images/.*", lambda: (200, found))
    seen = people(client)
    assert [seen.of("image").user_id for _ in range(3)] == [1000] * 3
    assert len(engine.requests("archive")) == 1
    found |= {"Id": "sha256:b", "Config": {"User": "root"}}
    with pytest.raises(ConfigError, match="as root"):
        seen.of("image")


def test_a_user_that_cannot_be_looked_up_is_told_of_and_taken(
    client: docker.APIClient, engine: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    engine.image_user = "jovyan"
    engine.refuse("POST /containers/create", 403, "forbidden by the filter")
    assert people(client).of("image").user_id is None
    assert "who jovyan is cannot be seen" in caplog.text


def test_a_home_is_looked_up_where_it_matters(client: docker.APIClient, engine: StandIn) -> None:
    engine.rule("GET /containers/[^/]*/archive", lambda: (200, packed(PASSWD)))
    assert people(client).of("image").home == SOMEWHERE
    assert people(client, limits=Limits(read_only=True)).of("image").home == "/home/jovyan"


def test_whether_the_engine_bounds_a_disk_is_tried(
    client: docker.APIClient, engine: StandIn
) -> None:
    options = Options("image", limits=Limits(disk=4096))
    assert bounds_disk(client, "pool", options) is True
    assert engine.bodies[-1]["HostConfig"]["StorageOpt"] == {"size": "4096"}
    engine.refuse("POST /containers/create", 500, "--storage-opt is supported only for xfs")
    assert bounds_disk(client, "pool", options) is False
    assert engine.containers == {}

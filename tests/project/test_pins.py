"""What is downloaded for the images is named exactly: locked packages, digests, whole versions."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.requirements import ROOT, compose_plugin, docker_compose

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
LOCKS = ("deploy/run.lock", "deploy/build.lock")
DIGEST = r"@sha256:[0-9a-f]{64}\Z"
# Their registry could not be asked for the digest; scripts/pin does, where they are used.
BY_VERSION = {
    "quay.io/jupyterhub/configurable-http-proxy": r":\d+\.\d+\.\d+\Z",
    "quay.io/jupyter/minimal-notebook": r":\d{4}-\d{2}-\d{2}\Z",
}
VARIABLES = ["TMPNB_IMAGE", "TMPNB_PROXY_IMAGE", "TMPNB_FILTER_IMAGE"]
NEW = "sha256:" + "7" * 64
OTHER = "sha256:" + "8" * 64


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return the packages of a lock file: version, and what else stands in their lines."""
    found = {}
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *rest = line.split()
            package, _, version = requirement.partition("==")
            found[package] = (version, rest)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_one_version_and_hashes(name: str) -> None:
    packages = locked(name)
    assert packages
    for package, (version, rest) in packages.items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), package
        assert rest, package
        assert all(HASH.fullmatch(word) for word in rest), package


@pytest.mark.parametrize("name", [*LOCKS, "scripts/lock"])
def test_a_lock_names_no_index(name: str) -> None:
    assert not re.search(r"https?:|--(extra-)?index|--find-links", (ROOT / name).read_text())


def test_the_locks_fit_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = [*project["build-system"]["requires"], "pip"]
    for asked, name in ((project["project"]["dependencies"], LOCKS[0]), (build, LOCKS[1])):
        packages = locked(name)
        for requirement in map(Requirement, asked):
            version, _ = packages[requirement.name]
            assert requirement.specifier.contains(version), requirement


def test_the_lock_has_all_that_its_packages_need() -> None:
    """As the metadata of those that are installed here say, which may be other versions."""
    packages = locked(LOCKS[0])
    for package in packages:
        for requirement in map(Requirement, requires(package) or ()):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            assert not wanted or canonicalize_name(requirement.name) in packages, (
                f"{package}: {requirement}"
            )


def test_the_image_takes_nothing_but_what_is_locked() -> None:
    installs = re.findall(
        r"pip (?:--python \S+ )?install(?:[^&\n\\]|\\\n)*", (ROOT / "Dockerfile").read_text()
    )
    assert len(installs) == 3
    for words in installs:
        assert "--require-hashes" in words or "--no-deps dist/" in words, words


def images() -> set[tuple[str, str]]:
    """Return what the project's files name as images, and where."""
    found = set()
    for path in ROOT.glob("docker-compose*.yml"):
        text = path.read_text()
        found |= {(path.name, name) for name in re.findall(r"IMAGE:-([^}]+)\}", text)}
    for path in (ROOT / "Dockerfile", *ROOT.glob("images/*/Dockerfile")):
        place = str(path.relative_to(ROOT))
        named = re.findall(r"^(?:ARG BASE_IMAGE=|FROM )(\S+)", path.read_text(), re.M)
        found |= {(place, name) for name in named if not name.startswith("${")}
    text = (ROOT / ".env.example").read_text()
    found |= {(".env.example", n) for n in re.findall(r"_IMAGE=(\S+)", text)}
    ours = {"tmpnb", "scratch"}
    return {(place, name) for place, name in found if name not in ours}


def test_every_image_is_named_by_its_digest_or_its_whole_version() -> None:
    assert len({name.partition("@")[0] for _, name in images()}) >= 4
    for place, name in sorted(images()):
        expected = next((e for n, e in BY_VERSION.items() if name.startswith(f"{n}:")), DIGEST)
        assert re.search(expected, name), f"{place}: {name}"


def test_an_example_names_what_compose_has() -> None:
    by_place: dict[str, set[str]] = {}
    for place, name in images():
        by_place.setdefault(place, set()).add(name)
    compose = by_place["docker-compose.yml"] | by_place["docker-compose.filtered.yml"]
    assert by_place[".env.example"] == compose


def test_compose_builds_from_what_the_dockerfile_names() -> None:
    [named] = re.findall(r"^ARG BASE_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert ("docker-compose.yml", named) in images()


# scripts/pin


@pytest.fixture(params=[docker_compose, compose_plugin], ids=["command", "plugin"])
def compose(request: pytest.FixtureRequest) -> str:
    """Return the path of a Compose, of version 1 where that is here, or newer."""
    return str(request.param())


@pytest.fixture
def installation(tmp_path: Path, compose: str) -> Path:
    """Return a copy of what scripts/pin reads, with an engine that only pretends."""
    for name in ("docker-compose.yml", "docker-compose.filtered.yml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "pin").write_text((ROOT / "scripts" / "pin").read_text())
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f"""#!/bin/sh
for image; do :; done
[ "$1 $2" != "compose version" ] || exec test -x {tmp_path}/compose # its start takes a second
[ "$1" != compose ] || {{ shift; exec {tmp_path}/compose "$@"; }}
echo "$1 $image" >>{tmp_path}/asked
case "$1 $image" in
  "pull "*/unknown:* | "pull "my/own:*) exit 1 ;;
  "image "*/unknown:*) exit 1 ;;
  "image my.registry:5000/"*) echo my.registry:5000/nb@{NEW} ;;
  "image quay.io/jupyterhub/"*) echo mirror.example/chp@{OTHER}
    echo quay.io/jupyterhub/configurable-http-proxy@{NEW} ;;
  "image docker.io/library/haproxy"*) echo haproxy@{NEW} ;;
  "image quay.io/"*) echo quay.io/jupyter/minimal-notebook@{NEW} ;;
esac
"""
    )
    docker.chmod(0o755)
    (tmp_path / "compose").symlink_to(compose)
    return tmp_path


def pin(installation: Path, status: int = 0, **environment: str) -> str:
    """Run scripts/pin; return what it said of what stays."""
    path = f"{installation / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own script
        ["bash", str(installation / "scripts" / "pin")],  # noqa: S607 - of the system
        env={"PATH": path, "HOME": str(installation), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert list(installation.glob(".env.*")) == []
    return done.stderr


def test_pinning_writes_what_the_tags_mean_now_and_keeps_the_rest(installation: Path) -> None:
    env = installation / ".env"
    env.write_text("# mine\nTMPNB_PORT=9000\nTMPNB_IMAGE=quay.io/jupyter/minimal-notebook:x\n")
    env.chmod(0o600)
    assert pin(installation) == ""
    written = env.read_text().splitlines()
    assert written[:2] == ["# mine", "TMPNB_PORT=9000"]
    assert written[2:] == [
        f"TMPNB_IMAGE=quay.io/jupyter/minimal-notebook:x@{NEW}",
        f"TMPNB_PROXY_IMAGE=quay.io/jupyterhub/configurable-http-proxy:5.3.0@{NEW}",
        f"TMPNB_FILTER_IMAGE=docker.io/library/haproxy:3.2.22-alpine3.24@{NEW}",
    ]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600, "there may be secrets in it"
    assert pin(installation) == ""
    assert env.read_text().splitlines() == written, "the tags are asked again"


def test_a_last_line_without_an_end_stays_whole(installation: Path) -> None:
    env = installation / ".env"
    env.write_text("TMPNB_POOL_SIZE=5")
    assert pin(installation) == ""
    assert env.read_text().splitlines()[0] == "TMPNB_POOL_SIZE=5"
    assert [line.partition("=")[0] for line in env.read_text().splitlines()[1:]] == VARIABLES


def test_what_has_no_registry_or_is_not_there_stays(installation: Path) -> None:
    env = installation / ".env"
    env.write_text("TMPNB_IMAGE=my/own:1\nTMPNB_PROXY_IMAGE=quay.io/x/unknown:1\n")
    said = pin(installation, status=1)
    assert "TMPNB_IMAGE=my/own:1 is unchanged: it is from no registry" in said
    assert "TMPNB_PROXY_IMAGE=quay.io/x/unknown:1 is unchanged: it cannot be pulled" in said
    assert env.read_text().splitlines()[:2] == [
        "TMPNB_IMAGE=my/own:1",
        "TMPNB_PROXY_IMAGE=quay.io/x/unknown:1",
    ]


MINE = "my.registry:5000/nb:1"
PINNED = f"TMPNB_IMAGE={MINE}@{NEW}"


@pytest.mark.parametrize(
    "text",
    [
        f"export TMPNB_IMAGE={MINE}",
        f"  TMPNB_IMAGE={MINE}  # ours",
        f'TMPNB_IMAGE="{MINE}"',
        f"export  TMPNB_IMAGE = '{MINE}' # ours",
        f"\tTMPNB_IMAGE={MINE}\r",
        "TMPNB_IMAGE=${REG}/nb:1",
        'TMPNB_IMAGE="${REG}/nb:${TAG:-1}"',
        f"TMPNB_IMAGE=other/x:1\nexport TMPNB_IMAGE={MINE}",
        f"#TMPNB_IMAGE=other/x:1\nTMPNB_IMAGE={MINE}@{OTHER}\n# TMPNB_IMAGE=other/y:1",
    ],
)
def test_a_line_means_what_it_means_to_compose(text: str, installation: Path) -> None:
    env = installation / ".env"
    env.write_text(f"REG=my.registry:5000\n{text}\nOF_MINE=${{TMPNB_IMAGE}}\n")
    before = env.read_text().splitlines()
    assert pin(installation) == ""
    after = env.read_text().splitlines()
    assert PINNED in after
    assert after[-2:] == [f"{n}={i}@{NEW}" for n, i in zip(VARIABLES[1:], others(), strict=True)]
    changed = [old for old, new in zip(before, after, strict=False) if old != new]
    assert len(changed) == 1, "all other lines stay, in their places"
    asked = (installation / "asked").read_text()
    assert f"pull {MINE}\n" in asked
    assert "minimal-notebook" not in asked, "and not what is in the Compose file"


def others() -> list[str]:
    """Return the images of the other two variables, without digests."""
    text = "".join(path.read_text() for path in sorted(ROOT.glob("docker-compose*.yml")))
    found = (re.search(rf"{name}:-([^}}@]+)", text) for name in VARIABLES[1:])
    return [match[1] for match in found if match]


def test_what_the_environment_says_counts_before_the_file(installation: Path) -> None:
    env = installation / ".env"
    env.write_text("TMPNB_IMAGE=quay.io/jupyter/minimal-notebook:x\n")
    said = pin(installation, TMPNB_IMAGE=MINE)
    assert "TMPNB_IMAGE is in the environment" in said
    assert env.read_text().splitlines()[0] == PINNED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"A='x\nTMPNB_IMAGE={MINE}\n'\n", "line 1 of .env has a quote"),
        (f'A=1\nTMPNB_IMAGE="{MINE}\n', "line 2 of .env has a quote"),
        ("TMPNB_IMAGE=${REG:?none}/nb:1\nREG\n", "not an image name|Compose cannot read .env"),
        ("TMPNB_IMAGE=my nb:1\n", "not an image name"),
        (
            f"export TMPNB_IMAGE {MINE}\n",
            "Compose ignores line 1 of .env|Compose cannot read .env",
        ),
        ("TMPNB_IMAGE='${REG}'\nTMPNB_IMAGE=${REG} # ours\n", "Compose ignores line 2 of .env"),
    ],
)
def test_what_cannot_be_read_is_not_changed(text: str, said: str, installation: Path) -> None:
    env = installation / ".env"
    env.write_text(text)
    assert re.search(said, pin(installation, status=1))
    assert env.read_text() == text


def test_what_only_newer_versions_of_compose_read_is_pinned_by_them(
    installation: Path, compose: str
) -> None:
    env, text = installation / ".env", f"A=1\nTMPNB_IMAGE: {MINE}\n"
    env.write_text(text)
    if compose == docker_compose():
        assert "Compose ignores line 2 of .env" in pin(installation, status=1)
        assert env.read_text() == text
    else:
        assert pin(installation) == ""
        assert env.read_text().splitlines()[1] == PINNED


@pytest.mark.parametrize("text", ["TMPNB_IMAGE=", "export TMPNB_IMAGE=''  # none", "TMPNB_IMAGE"])
def test_a_name_without_a_value_means_the_image_of_the_compose_file(
    text: str, installation: Path
) -> None:
    env = installation / ".env"
    env.write_text(f"{text}\nTMPNB_PORT=1\n")
    assert pin(installation) == ""
    first, second, *_ = env.read_text().splitlines()
    assert first.startswith("TMPNB_IMAGE=quay.io/jupyter/minimal-notebook:")
    assert first.endswith(NEW)
    assert second == "TMPNB_PORT=1"


def test_an_empty_variable_of_the_environment_takes_nothing_away(installation: Path) -> None:
    env = installation / ".env"
    env.write_text(f"TMPNB_IMAGE={MINE}\n")
    said = pin(installation, status=1, TMPNB_IMAGE="")
    assert "TMPNB_IMAGE is empty in the environment" in said
    assert env.read_text() == f"TMPNB_IMAGE={MINE}\n"


def test_a_link_stays_a_link(installation: Path) -> None:
    kept = installation / "elsewhere" / "env"
    kept.parent.mkdir()
    kept.write_text(f"TMPNB_IMAGE={MINE}\n")
    (installation / ".env").symlink_to(kept)
    assert pin(installation) == ""
    assert kept.read_text().splitlines()[0] == PINNED
    assert (installation / ".env").is_symlink()
    assert list(kept.parent.iterdir()) == [kept]


def test_without_compose_nothing_is_changed(installation: Path) -> None:
    (installation / "compose").unlink()
    (installation / "bin" / "docker-compose").write_text("#!/bin/sh\nexit 1\n")
    (installation / "bin" / "docker-compose").chmod(0o755)
    assert "Compose cannot read .env; nothing was changed" in pin(installation, status=1)
    assert not (installation / ".env").exists()

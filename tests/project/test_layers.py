"""Who may import whom, how long a module may be, and that each says what it is for."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tmpnb"
LONGEST = 350  # lines

# The core, and all of the package that it may know. It decides and does nothing.
CORE: Mapping[str, set[str]] = {
    "tmpnb.errors": set(),
    "tmpnb.server": {"tmpnb.errors"},
    "tmpnb.observation": set(),
    "tmpnb.burning": {"tmpnb.observation", "tmpnb.server"},
    "tmpnb.rotation": {"tmpnb.server"},
    "tmpnb.reconcile": {"tmpnb.observation", "tmpnb.rotation", "tmpnb.server"},
    "tmpnb.moments": set(),
    "tmpnb.endings": {"tmpnb.moments", "tmpnb.server"},
    "tmpnb.counts": set(),
    "tmpnb.refusals": set(),
    "tmpnb.pool": {
        "tmpnb.counts",
        "tmpnb.endings",
        "tmpnb.errors",
        "tmpnb.refusals",
        "tmpnb.server",
    },
    "tmpnb.backoff": set(),
    "tmpnb.links": {"tmpnb.errors", "tmpnb.server"},
    "tmpnb.origins": set(),
    "tmpnb.visit": {"tmpnb.origins"},
    "tmpnb.cookie_names": set(),
    "tmpnb.ties": {"tmpnb.tokens"},
    "tmpnb.command": {"tmpnb.errors"},
    "tmpnb.settings": {
        "tmpnb.embedding",
        "tmpnb.errors",
        "tmpnb.links",
        "tmpnb.origins",
        "tmpnb.reconcile",
    },
    "tmpnb.cors": {"tmpnb.errors", "tmpnb.origins"},
    "tmpnb.subdomains": {"tmpnb.errors"},
    "tmpnb.openapi": {"tmpnb.openapi.pages", "tmpnb.openapi.programs", "tmpnb.openapi.schemas"},
    "tmpnb.openapi.beside": {"tmpnb.openapi.parts"},
    "tmpnb.openapi.pages": {"tmpnb.links", "tmpnb.openapi.beside", "tmpnb.openapi.parts"},
    "tmpnb.openapi.parts": set(),
    "tmpnb.openapi.programs": {"tmpnb.openapi.beside", "tmpnb.openapi.parts"},
    "tmpnb.openapi.schemas": set(),
    "tmpnb.markup": set(),
    "tmpnb.brand": {"tmpnb.errors", "tmpnb.markup", "tmpnb.plain_text"},
    "tmpnb.plain_text": set(),
    "tmpnb.networks": {"tmpnb.errors"},
    "tmpnb.firewall_bounds": {"tmpnb.errors"},
    "tmpnb.firewall_rules": {"tmpnb.errors", "tmpnb.firewall_bounds", "tmpnb.networks"},
    "tmpnb.client": {"tmpnb.networks"},
    "tmpnb.own_hosts": {"tmpnb.errors", "tmpnb.networks"},
    "tmpnb.public_hosts": {"tmpnb.own_hosts"},
    "tmpnb.windows": set(),
    "tmpnb.holdings": set(),
    "tmpnb.repeats": set(),
}
OUTSIDE = frozenset(
    [
        "asyncio",
        "docker",
        "prometheus_client",
        "requests",
        "socket",
        "subprocess",
        "threading",
        "time",
        "tornado",
        "traitlets",
        "urllib3",
    ]
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str, known: Collection[str]) -> Iterator[str]:
    """Yield the modules that a source imports, anywhere in it: `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


GRAPH = {name: set(imports(path.read_text(), SOURCES)) for name, path in SOURCES.items()}
OURS = {name: {i for i in found if i in SOURCES} for name, found in GRAPH.items()}


def users_of(library: str) -> set[str]:
    """Return our modules that import a library or a part of it."""
    return {name for name, found in GRAPH.items() if library in {i.split(".")[0] for i in found}}


def test_imports_are_found_in_every_form() -> None:
    source = """
import os.path, a
from tmpnb import links, __version__
from tmpnb.pool import Pool
def f():
    from docker.errors import APIError
    if TYPE_CHECKING:
        import tornado.web as w
"""
    assert set(imports(source, {"tmpnb.links", "tmpnb.pool"})) == (
        {"os.path", "a", "tmpnb.links", "tmpnb", "tmpnb.pool", "docker.errors", "tornado.web"}
    )


def test_the_package_is_looked_at() -> None:
    assert set(CORE) < set(SOURCES)
    assert {"tmpnb", "tmpnb.app", "tmpnb.handlers", "tmpnb.spawners.docker"} < set(SOURCES)
    assert "tmpnb.spawners.docker" in users_of("docker")
    assert OURS["tmpnb.__main__"] == {"tmpnb.app"}


@pytest.mark.parametrize("name", CORE)
def test_core_knows_nothing_of_the_outside(name: str) -> None:
    assert OURS[name] <= CORE[name]
    assert not {i.split(".")[0] for i in GRAPH[name]} & OUTSIDE


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        order = tuple(TopologicalSorter(OURS).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
    assert set(order) == set(SOURCES)


def test_only_the_docker_spawner_knows_docker() -> None:
    users = users_of("docker") | users_of("requests") | users_of("urllib3")
    assert {name for name in users if not name.startswith("tmpnb.spawners.docker")} == set()


def test_only_one_module_knows_the_library_of_metrics() -> None:
    assert users_of("prometheus_client") == {"tmpnb.exposition"}


def test_traitlets_stay_at_the_edge() -> None:
    users = users_of("traitlets")
    edge = {
        "tmpnb.access_settings",
        "tmpnb.address_settings",
        "tmpnb.app",
        "tmpnb.branding",
        "tmpnb.config_file",
        "tmpnb.culling_settings",
        "tmpnb.flags",
        "tmpnb.log_settings",
        "tmpnb.told_settings",
    }
    assert {n for n in users if n not in edge and not n.startswith("tmpnb.spawners.")} == set()


def test_handlers_know_no_spawner_and_no_proxy() -> None:
    handlers = {name for name in SOURCES if name.startswith("tmpnb.handlers")}
    known = set().union(*(OURS[name] for name in handlers))
    assert {n for n in known if n.startswith(("tmpnb.spawners", "tmpnb.proxy"))} == set()


def test_one_spawner_knows_nothing_of_another() -> None:
    for name in (n for n in SOURCES if n.startswith("tmpnb.spawners.")):
        engine = name.split(".")[2].split("_")[0]
        others = {n for n in OURS[name] if n.startswith("tmpnb.spawners.")}
        allowed = ("tmpnb.spawners.base", f"tmpnb.spawners.{engine}")
        assert {n for n in others if not n.startswith(allowed)} == set(), name


def test_the_rest_knows_spawners_by_their_contract_only() -> None:
    rest = {n for n in SOURCES if not n.startswith("tmpnb.spawners") and n != "tmpnb.app"}
    known = {i for name in rest for i in OURS[name] if i.startswith("tmpnb.spawners")}
    assert known == {"tmpnb.spawners.base"}


def test_nothing_imports_the_program_itself() -> None:
    assert {n for n, found in OURS.items() if "tmpnb.app" in found} == {"tmpnb.__main__"}


@pytest.mark.parametrize("name", SOURCES)
def test_module_is_short_and_says_what_it_is_for(name: str) -> None:
    source = SOURCES[name].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST
    said = ast.get_docstring(ast.parse(source)) or ""
    assert said.partition("\n")[0].endswith((".", ":")), "one sentence, on the first line"

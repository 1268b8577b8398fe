"""Who may import whom, how long modules and functions may be, and how many share a folder."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tmpnb"
# A module imports from its own package and from those further left; packages in one bracket do not
# know each other.
LAYERS = (
    ("errors",),
    ("system",),
    ("core",),
    ("access", "proxy", "redirector", "spawners"),
    ("orchestrator",),
    ("visitors",),
    ("web",),
    ("settings",),
    ("commands",),
    ("__main__",),
)
TO_COME = {"redirector"}  # has its place, and no module yet
MOST_AT_THE_TOP = 12  # packages and modules, beside the marks of a package
MARKS = {"__init__.py", "py.typed"}
LEAST, MOST = 5, 15  # modules: of a package with all its folders, and of one folder
LONGEST = 350  # lines of a module
LONGEST_FUNCTION = 40  # lines, without its docstring
LONGER: Mapping[str, str] = {  # functions that may be longer: the reason of each
    "tmpnb.orchestrator.assembly:assemble": "the list of all parts, in the order of use",
    "tmpnb.settings.application:build": "one value of all settings, field by field",
    "tmpnb.spawners.docker.support:remarks": "a table: each setting with what is said of it",
    "tmpnb.spawners.egress.rules:table": "one text for nft, in the order in which rules apply",
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
CONTRACTS = {"tmpnb.proxy.contract", "tmpnb.spawners.base", "tmpnb.spawners.examination"}


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


def package_of(name: str) -> str:
    """Return the part of a module's name that has a place in LAYERS."""
    return name.split(".")[1]


def inside(*packages: str) -> set[str]:
    """Return the modules of some packages."""
    places = tuple(f"tmpnb.{package}" for package in packages)
    return {n for n in SOURCES if n in places or n.startswith(tuple(f"{p}." for p in places))}


def known_to(*packages: str) -> set[str]:
    """Return our modules that those of some packages import."""
    return set().union(*(OURS[name] for name in inside(*packages)))


FLOORS = {package: floor for floor, packages in enumerate(LAYERS) for package in packages}


def test_the_package_is_looked_at() -> None:
    assert {"tmpnb.commands.main", "tmpnb.web.routes", "tmpnb.core.plan"} < set(SOURCES)
    assert "tmpnb.spawners.docker.spawner" in users_of("docker")
    assert OURS["tmpnb.__main__"] == {"tmpnb.commands.main"}


def test_every_package_has_its_place() -> None:
    assert {package_of(name) for name in SOURCES if name != "tmpnb"} == set(FLOORS) - TO_COME


@pytest.mark.parametrize("name", [n for n in SOURCES if n != "tmpnb"])
def test_a_module_imports_from_its_own_package_and_those_below(name: str) -> None:
    own = package_of(name)
    known = {n for n in OURS[name] if n != "tmpnb"}
    upwards = {n for n in known if package_of(n) != own and FLOORS[package_of(n)] >= FLOORS[own]}
    assert upwards == set()


def test_the_rules_know_no_time_and_nothing_of_the_machine_but_units() -> None:
    assert known_to("core") & inside("system") == {"tmpnb.system.units"}
    assert known_to("core") <= inside("core", "errors") | {"tmpnb.system.units"}


@pytest.mark.parametrize("name", [n for n in SOURCES if n.startswith("tmpnb.core")])
def test_the_rules_know_nothing_of_the_outside(name: str) -> None:
    assert not {i.split(".")[0] for i in GRAPH[name]} & OUTSIDE


@pytest.mark.parametrize("name", SOURCES)
def test_what_calls_itself_pure_knows_nothing_of_the_outside(name: str) -> None:
    if " Pure." in first_line(name):
        assert not {i.split(".")[0] for i in GRAPH[name]} & OUTSIDE


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        order = tuple(TopologicalSorter(OURS).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
    assert set(order) == set(SOURCES)


def test_only_the_docker_spawner_knows_docker() -> None:
    users = users_of("docker") | users_of("requests") | users_of("urllib3")
    assert users - inside("spawners.docker", "spawners.docker_api") == set()


def test_only_one_module_knows_the_library_of_metrics() -> None:
    assert users_of("prometheus_client") == {"tmpnb.web.api.exposition"}


def test_traitlets_stay_with_settings_spawners_and_the_program() -> None:
    allowed = inside("settings", "spawners") | {"tmpnb.commands.main"}
    assert users_of("traitlets") - allowed == set()


def test_the_orchestrator_sees_engines_and_proxies_by_their_contracts_only() -> None:
    seen = known_to("orchestrator") & inside("proxy", "spawners")
    assert seen == CONTRACTS


def test_the_web_sees_no_spawner_and_no_proxy() -> None:
    assert known_to("web") & inside("proxy", "spawners") == set()


def test_one_spawner_knows_nothing_of_another() -> None:
    docker = inside("spawners.docker", "spawners.docker_api")
    engines = {
        "docker": docker,
        "docker_api": inside("spawners.docker_api"),
        "local": inside("spawners.local"),
        "fake": inside("spawners.fake"),
    }
    for engine, own in engines.items():
        others = set().union(*engines.values()) - own
        assert known_to(f"spawners.{engine}") & others == set(), engine


def test_nothing_imports_the_program_itself() -> None:
    users = {n for n, found in OURS.items() if "tmpnb.commands.main" in found}
    assert users == {"tmpnb.__main__"}


def test_the_top_of_the_package_is_a_map() -> None:
    found = {p.name for p in PACKAGE.iterdir() if p.name != "__pycache__"}
    assert found >= MARKS
    assert len(found - MARKS) <= MOST_AT_THE_TOP


def test_a_folder_is_read_at_a_glance() -> None:
    folders = Counter(path.parent for path in SOURCES.values() if path.name != "__init__.py")
    assert {str(f): count for f, count in folders.items() if count > MOST} == {}
    packages = {path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    for package in packages:
        below = sum(count for folder, count in folders.items() if folder.is_relative_to(package))
        assert below >= LEAST, package


@pytest.mark.parametrize("name", SOURCES)
def test_module_is_short_and_says_what_it_is_for(name: str) -> None:
    assert len(SOURCES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert first_line(name).endswith((".", ":")), "one sentence, on the first line"


def first_line(name: str) -> str:
    """Return the first line of a module's docstring."""
    tree = ast.parse(SOURCES[name].read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each function with the lines it has, its docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or 0) - node.lineno + 1
            yield node.name, lines - (said.count("\n") + 1 if said else 0)


def test_lines_of_functions_are_counted() -> None:
    source = 'def f():\n    """Say.\n\n    More.\n    """\n    return (\n        1\n    )\n'
    assert list(functions(ast.parse(source))) == [("f", 4)]


def test_functions_are_short() -> None:
    found = {
        f"{name}:{function}"
        for name, path in SOURCES.items()
        for function, lines in functions(ast.parse(path.read_text(encoding="utf-8")))
        if lines > LONGEST_FUNCTION
    }
    assert found == set(LONGER)

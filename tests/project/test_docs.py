"""What the documents say is so: addresses, flags, variables, files, links and numbers."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from tornado.routing import PathMatches
from tornado.web import Application, RequestHandler

from tests.support.documents import pages
from tests.support.world import World, site_of
from tmpnb import __version__
from tmpnb.commands import firewall
from tmpnb.commands.command_line import COMMANDS
from tmpnb.commands.load import options
from tmpnb.core.links import PAGES
from tmpnb.core.pool import PoolStats
from tmpnb.settings import flags
from tmpnb.web.base import STATUS
from tmpnb.web.routes import admin_application, public_application

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SAMPLES = {
    "<id>": "Ab12Cd34Ef56",
    "<path>": "a/b.ipynb",
    "<status>": "503",
    "<file>": "tmpnb.css",
    "<ticket>": "t1",
    "<network>": "192.0.2.0/24",
}
UNSPOKEN = r"/(favicon\.ico)$"  # Tornado's own rule; the pages name their icon themselves
LOAD_FLAGS = {flag for action in options.parser()._actions for flag in action.option_strings}
FIREWALL_FLAGS = {flag for a in firewall.parser()._actions for flag in a.option_strings}
FOREIGN_FLAGS = {"--internal", "--filter", "--rm", "--no-deps"}  # of Docker
FOREIGN_FLAGS |= {"--build", "--force-recreate", "--remove-orphans", "--volumes"}  # of Compose
FOREIGN_FLAGS |= {"--error-target", "--host-routing", "--keep-alive-timeout"}  # of the proxy
FOREIGN_FLAGS |= {"--user", "--platform"}  # of systemctl, of runsc
FOREIGN_FLAGS |= {"--upgrade", "--require-hashes", "--force-reinstall"}  # of pip, scripts/lock

Table = list[tuple[re.Pattern[str], type[RequestHandler]]]


def text(name: str | Path) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str | Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", text(name), flags=re.MULTILINE | re.DOTALL)


def in_code(name: str | Path) -> Iterator[str]:
    """Yield what stands between single backticks."""
    yield from re.findall(r"`([^`\n]+)`", prose(name))


def all_flags() -> Iterator[str]:
    """Yield every spelling of every flag."""
    for names in (*flags.aliases(), *flags.switches(), *flags.BUILT_IN):
        yield from (f"--{name}" for name in ((names,) if isinstance(names, str) else names))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def test_the_generated_parts_are_fresh(
    generate: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    status = generate.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_a_stale_part_is_named_and_writing_mends_it(
    generate: ModuleType, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = copied / "docs" / "configuration.md"
    fresh = page.read_text()
    page.write_text(fresh.replace("`--pool-size`", "`--size`"))
    assert generate.main(["--check"], copied) == 1
    assert capsys.readouterr().err == "stale: docs/configuration.md; run: make docs\n"
    assert "`--size`" in page.read_text()

    assert generate.main([], copied) == 0
    assert page.read_text() == fresh


def test_a_lost_place_of_a_part_is_an_error(generate: ModuleType, copied: Path) -> None:
    (copied / "README.md").write_text("# tmpnb\n")
    with pytest.raises(ValueError, match="generated: headline"):
        generate.main(["--check"], copied)


REPORT = {
    "facts": {
        "run": "full",
        "machine": "4 cores, 24 GiB",
        "processors in use": "4",
        "date": "2030-01-01",
        "the machine had other work": "no",
    },
    "missing": [],
    "rows": [
        {"part": part, "what": what, "system": system, "median": median}
        for part, what, system, median in (
            ("a", "1 visitor", "tmpnb", 0.0234),
            ("a", "1 visitor", "JupyterHub", 4.0),
            ("d", "notebook servers a second", "tmpnb", 2.0),
            ("e", "a waiting notebook server", "tmpnb", 60.0),
            ("e", "a kernel that has done nothing yet", "tmpnb", 36.0),
            ("e", "a container beside its server", "tmpnb", 4.0),
        )
    ],
}


@pytest.fixture
def report(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "report.json"
    monkeypatch.setattr(generate, "REPORT", path)
    return path


def test_measured_figures_come_from_the_stored_report(generate: ModuleType, report: Path) -> None:
    report.write_text(json.dumps(REPORT))
    assert "waits 0.02 s for a notebook, where JupyterHub takes 4 s" in generate.headline()
    assert "| 1 visitor | 0.0234 s | 4 s |  |" in generate.measured()
    assert "other work on it: no" in generate.measured()
    # 30 visitors at 100 MB, and at half a start a second for each processor.
    assert "| 30 | 3.0 GB | 15 GB | 1 | 1 |" in generate.sizes()
    assert "| 300 | 30.0 GB | 154 GB | 10 | 1 |" in generate.sizes()


def test_without_a_whole_report_no_figure_is_said(generate: ModuleType, report: Path) -> None:
    assert generate.measured() == generate.sizes() == generate.UNMEASURED
    assert generate.headline() == generate.UNMEASURED
    report.write_text(json.dumps(REPORT | {"missing": ["part b: there is no Chromium"]}))
    assert generate.measured() == generate.headline() == generate.UNMEASURED
    report.write_text(json.dumps(REPORT | {"facts": {"run": "quick"}}))
    assert generate.sizes() == generate.UNMEASURED


def test_every_flag_stands_in_the_reference_in_both_spellings_and_with_a_row_of_its_own() -> None:
    page = text("docs/configuration.md")
    assert {flag for flag in all_flags() if f"`{flag}`" not in page} == set()
    dashed = {f"--{flags.spellings(name)[0]}" for name in flags.owners()}
    rows = re.findall(r"^\| `(--[^`]+)`(?:<br>`--[^`]+`)* \| `c\.\w+\.\w+` \|", page, re.MULTILINE)
    assert dashed - set(rows) == set()
    assert len(rows) == len(set(rows)), "each once"


# The HTTP API


def documented(section: str) -> set[tuple[str, str]]:
    """Return method and sample path of each row of a section's table."""
    rows = re.findall(r"^\| ((?:`[A-Z]+` ?)+)\| `(/[^`]*)` \|", section, flags=re.MULTILINE)
    found = set()
    for methods, path in rows:
        for placeholder, sample in SAMPLES.items():
            path = path.replace(placeholder, sample)
        found |= {(method, path) for method in re.findall("[A-Z]+", methods)}
    return found


def rules(application: Application) -> Table:
    found = [(rule.matcher, rule.target) for rule in application.wildcard_router.rules]
    return [(matcher.regex, handler) for matcher, handler in found if type(matcher) is PathMatches]


def implements(handler: type[RequestHandler], method: str) -> bool:
    name = method.lower()
    return getattr(handler, name) is not getattr(RequestHandler, name)


def sections() -> tuple[str, str]:
    public, _, rest = text("docs/http-api.md").partition("\n## Admin port\n")
    return public, rest.partition("\n## ")[0]


@pytest.fixture(params=["public", "admin"])
def table(request: pytest.FixtureRequest, io_loop: object) -> tuple[Table, set[tuple[str, str]]]:
    del io_loop  # clients are made, and want a loop
    orchestrator = World().orchestrator
    site = site_of(orchestrator, version="0")
    public, admin = sections()
    if request.param == "public":
        return rules(public_application(site)), documented(public)
    return rules(admin_application(site)), documented(admin)


def test_every_documented_address_exists_with_its_methods(
    table: tuple[Table, set[tuple[str, str]]],
) -> None:
    served, said = table
    assert said
    for method, path in said:
        handler = next((handler for regex, handler in served if regex.match(path)), None)
        assert handler is not None, f"{path} is documented and does not exist"
        assert implements(handler, method), f"{method} {path} is documented and not served"


def test_every_address_is_documented_with_its_methods(
    table: tuple[Table, set[tuple[str, str]]],
) -> None:
    served, said = table
    for regex, handler in served:
        for method in METHODS:
            examples = [path for m, path in said if m == method and regex.match(path)]
            silent = regex.pattern == UNSPOKEN or not implements(handler, method)
            assert silent or examples, f"{method} {regex.pattern} is not documented"


def test_every_deep_link_and_every_code_of_an_error_is_documented() -> None:
    page = text("docs/http-api.md")
    assert [name for name in PAGES if f"`/{name}" not in page] == []
    assert [code for _, code in STATUS.values() if f"`{code}`" not in page] == []


def test_the_sample_of_the_numbers_has_the_keys_of_the_service() -> None:
    page = text("docs/http-api.md")
    sample = re.search(r"<!-- sample: stats -->\n```json\n(.*)\n```\n<!-- end of sample -->", page)
    assert sample is not None
    keys = {field.name for field in fields(PoolStats)} | {
        "version",
        "container_image",
        "waiting",
        "claims_refused_by_limit_total",
    }
    assert set(json.loads(sample[1])) == keys
    assert {name for name in keys if f"| `{name}` |" not in page} == set()


def test_every_promise_under_a_fault_names_its_test_and_no_test_is_without_one() -> None:
    table = re.search(
        r"<!-- promises -->(.*)<!-- end of promises -->", text("docs/operations.md"), re.S
    )
    assert table is not None
    tests = set()
    for module in (ROOT / "tests" / "e2e" / "faults").glob("test_*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                tests.add(node.name)
    promised = set(re.findall(r"`(test_\w+)`", table[1]))
    assert promised == {name for name in tests if name.startswith("test_")}


def test_every_claim_about_security_names_tests_that_there_are() -> None:
    page = text("docs/security.md")
    rows = page.partition("## Guarantees")[2].partition("\n## ")[0].splitlines()
    claims = [row for row in rows if row.startswith("| ")][1:]
    assert claims
    tests = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py"))
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for row in claims:
        named = re.findall(r"`((?:test_[\w.]+|tests/[\w/]+))`", row.rsplit(" | ", 1)[1])
        assert named, row
        for name in named:
            there = name in files or (ROOT / name).is_dir() or f"def {name}(" in tests
            assert there, f"{name} in: {row}"


def test_what_remains_open_says_to_whom_it_matters() -> None:
    section = text("docs/security.md").partition("## Known gaps")[2].partition("\n##")[0]
    entries = section.split("\n- ")[1:]
    assert len(entries) > 10
    assert [entry for entry in entries if "*Matters" not in entry] == []


# The code


def test_every_environment_variable_of_the_code_is_documented() -> None:
    named = set(in_code("docs/configuration.md"))
    missing = set()
    for module in (ROOT / "tmpnb").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            # SC_… are names of the system's, for `os.sysconf`.
            if isinstance(value, str) and re.fullmatch(
                r"(?!SC_)[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", value
            ):
                missing |= {value} - named
    assert missing == set()


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_file_named_in_code_exists(page: Path) -> None:
    named = {
        name
        for name in in_code(page)
        if re.fullmatch(r"(tmpnb|tests|docs|scripts|images)/[\w./-]+", name)
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_flag_and_every_target_named_in_code_exists(page: Path) -> None:
    own = {o for command in COMMANDS.values() for o in command.options | command.switches}
    known = set(all_flags()) | own | LOAD_FLAGS | FIREWALL_FLAGS | FOREIGN_FLAGS
    named, wanted = set(), set()
    for code in in_code(page):
        if not code.startswith("jupyter "):
            named |= set(re.findall(r"(?<!\S)--[a-z][a-z_-]+(?![\w.-])", code))
        wanted |= set(re.findall(r"\Amake ([a-z-]+)", code))
    assert named - known == set()
    assert wanted - set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE)) == set()


def test_the_changelog_knows_this_version() -> None:
    heading = re.search(r"^## (.*)$", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert heading is not None
    if ".dev" in __version__:
        assert heading[1] == "Unreleased"
    else:
        assert re.match(rf"\[?{re.escape(__version__)}\]?( |$)", heading[1])


# Links


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[tuple[Path, str]]:
    pattern = r"\]\(<?([^)\s>]+)>?(?:\s[^)]*)?\)|<(?:img|a)\s[^>]*(?:src|href)=\"([^\"]+)\""
    found = [(p, a or b) for p in pages() for a, b in re.findall(pattern, prose(p))]
    return [(page, link) for page, link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: str(value))
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = (ROOT / page.parent / name).resolve() if name else ROOT / page
    assert target.exists(), f"{page} links to {link}, which does not exist"
    if anchor:
        assert anchor in anchors(target.relative_to(ROOT)), f"{page}: no heading for {link}"

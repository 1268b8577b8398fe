"""Write anew the parts of the documents that repeat what the code says.

    python docs/generate.py            write them
    python docs/generate.py --check    change nothing; name what is stale and exit 1

A part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from traitlets import Enum, TraitType, Undefined
from traitlets.config import Configurable

from tmpnb.settings import flags
from tmpnb.settings.application import Tmpnb
from tmpnb.settings.branding import Branding
from tmpnb.spawners.base import Spawner
from tmpnb.spawners.docker.hardening import seccomp_rules
from tmpnb.spawners.docker.hardening.seccomp_calls import ABSENT, ALLOWED, DEBUGGERS
from tmpnb.web.api.metric_list import METRICS

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "benchmarks" / "report.json"  # written by `make bench`
UNMEASURED = (
    "`make bench` measures it on your machine, in about 20 minutes, and `make docs` puts the\n"
    "figures here."
)

# Defaults that differ from machine to machine, in words.
COMPUTED = {
    "Tmpnb.client_servers": "a quarter of `--pool-size`, at least 2",
    "Tmpnb.client_rate": "`--client-servers`, at least 10",
    "Tmpnb.state_dir": "`$XDG_STATE_HOME/tmpnb`, or `~/.local/state/tmpnb`",
    "Tmpnb.spawn_concurrency": "two for each processor",
}
BUILT_IN = {
    "help": "Print the flags, and end.",
    "help-all": "Print the flags and all settings, and end.",
    "version": "Print the version, and end.",
}
MEMORY_LIMIT = 0.512  # GB, the default of `--mem-limit`
CROWDS = (10, 30, 100, 300)  # visitors at once

Trait = TraitType[Any, Any]


def spawners() -> list[type[Spawner]]:
    """Return the engines that come with the package, as it registers them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = []
    for place in project["entry-points"]["tmpnb.spawners"].values():
        module, _, name = place.partition(":")
        found.append(getattr(importlib.import_module(module), name))
    return found


def classes() -> list[type[Configurable]]:
    """Return all that can be configured, in the order of the documents."""
    return [Tmpnb, Branding, Spawner, *(c for c in spawners() if c.class_own_traits(config=True))]


def flag_names() -> dict[str, tuple[str, ...]]:
    """Return the spellings of the flag of each trait: `Tmpnb.port` -> `("port",)`."""
    listed = flags.aliases().items()
    return {trait: (n,) if isinstance(n, str) else tuple(n) for n, trait in listed}


def own_traits(owner: type[Configurable]) -> Iterable[tuple[str, Trait]]:
    """Return the settings that a class adds, those of its flags first and in their order."""
    rank = {trait: number for number, trait in enumerate(flag_names())}
    known = set() if owner is Spawner else set(Spawner.class_traits())
    known |= {name for name in _shortcuts(owner) if f"{owner.__name__}.{name}" not in rank}
    own = _with_parts(owner).items()
    ours = {f"{owner.__name__}.{name}": trait for name, trait in own if name not in known}
    return sorted(ours.items(), key=lambda item: rank.get(item[0], len(rank)))


def default(owner: type[Configurable], key: str, trait: Trait) -> str:
    """Return a default in Markdown; a spawner's own default stands beside the common one."""
    if key in COMPUTED:
        return COMPUTED[key]
    if trait.name in owner._trait_default_generators:
        raise SystemExit(f"docs/generate.py: say in COMPUTED what the default of {key} is")
    shown = _value(trait.default_value)
    for name, spawner in _registered().items():
        own = spawner.class_traits(config=True).get(str(trait.name))
        if owner is Spawner and own is not None and own.default_value != trait.default_value:
            shown += f"; {_value(own.default_value)} with `--spawner={name}`"
    return shown


def shortcuts_table() -> str:
    """Return the flags that take no value: traitlets' own, and ours with what they do."""
    rows = ["| flag | what it does |", "|---|---|"]
    rows += [f"| `--{name}` | {BUILT_IN[name]} |" for name in sorted(flags.BUILT_IN)]
    rows += [f"| `--{name}` | {_markdown(text)} |" for name, (_, text) in flags.SHORTCUTS.items()]
    return "\n".join(rows)


def compose_table() -> str:
    """Return the flags that docker-compose.yml gives, by the variable that they come from."""
    by_variable: dict[str, list[str]] = {}
    for name, variable in flags.COMPOSE.items():
        by_variable.setdefault(variable, []).append(f"`--{flags.spellings(name)[0]}`")
    fixed = by_variable.pop("")
    rows = ["| flag | with Compose |", "|---|---|"]
    rows += [f"| {', '.join(names)} | `{variable}` |" for variable, names in by_variable.items()]
    return "\n".join([*rows, f"| {', '.join(fixed)} | what Compose needs |"])


def settings_tables() -> str:
    """Return a table for each class: every spelling, the default, the full help."""
    names, blocks = flag_names(), []
    for owner in classes():
        section = f"### {owner.__name__}"
        rows = ["| flag | in the config file | default | what it does |", "|---|---|---|---|"]
        for key, trait in own_traits(owner):
            spelt = "<br>".join(f"`--{name}`" for name in names.get(key, (key,)))
            shown = default(owner, key, trait)
            rows.append(f"| {spelt} | `c.{key}` | {shown} | {_help(trait)} |")
        blocks.append("\n".join([section, "", _markdown(_first_line(owner)), "", *rows]))
    return "\n\n".join(blocks)


def modules_table() -> str:
    """Return what each module is for, in the words of its own first line."""
    rows = ["| module | what it is for |", "|---|---|"]
    for path in sorted((ROOT / "tmpnb").rglob("*.py"), key=lambda p: (len(p.parents), str(p))):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append(f"| `{path.relative_to(ROOT)}` | {_markdown(_paragraph(text))} |")
    return "\n".join(rows)


def decisions() -> str:
    """Return the list of decisions, each by the title of its page.

    Raises:
        SystemExit: A title has not the number of its file, so two pages have the same one.
    """
    rows = []
    for number, path in enumerate(sorted((ROOT / "docs" / "decisions").glob("*.md")), start=1):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        if not (path.name.startswith(f"{number:04}-") and title.startswith(f"{number}. ")):
            raise SystemExit(f"docs/generate.py: {path.name} and its title want number {number}")
        rows.append(f"{number}. [{title.partition('. ')[2]}](decisions/{path.name})")
    return "\n".join(rows)


def headline() -> str:
    """Return the one comparison that begins the README."""
    report = _report()
    if report is None:
        return UNMEASURED
    first = {row["system"]: row["median"] for row in report["rows"] if row["what"] == "1 visitor"}
    return (
        f"**A new visitor waits {first['tmpnb']:.1g} s for a notebook, where JupyterHub "
        f"takes {first['JupyterHub']:.2g} s** ([benchmark](docs/benchmarks/README.md))."
    )


def measured() -> str:
    """Return the comparison of the last stored run, for the README."""
    report = _report()
    if report is None:
        return UNMEASURED
    systems = ("tmpnb", "JupyterHub", "docker run")
    rows = [f"| | {' | '.join(systems)} |", "|---|" + "---|" * len(systems)]
    for what in dict.fromkeys(row["what"] for row in report["rows"] if row["part"] in "ab"):
        found = {row["system"]: row for row in report["rows"] if row["what"] == what}
        cells = [f"{found[s]['median']:.3g} s" if s in found else "" for s in systems]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    known = report["facts"]
    other = known["the machine had other work"]
    rows += [
        "",
        "Medians, from `GET /`, at once to the notebook page's 200 or to the first executed",
    ]
    rows += [f"cell in Chromium. {known['machine']}; {known['date']}; other work on it: {other}."]
    return "\n".join(rows)


def sizes() -> str:
    """Return how much a machine must have for how many visitors, by the last stored run."""
    report = _report()
    if report is None:
        return UNMEASURED
    value = {(row["what"], row["system"]): row["median"] for row in report["rows"]}
    parts = ("a waiting notebook server", "a kernel that has done nothing yet")
    each = sum(value[part, "tmpnb"] for part in (*parts, "a container beside its server")) / 1000
    pace = value["notebook servers a second", "tmpnb"] / int(report["facts"]["processors in use"])
    rows = [
        "| visitors at once | memory, each with an idle kernel | each with 512 MB in use "
        "| processors, if they come within a minute | within ten |",
        "|---|---|---|---|---|",
    ]
    for crowd in CROWDS:
        cores = [max(1, math.ceil(crowd / (seconds * pace))) for seconds in (60, 600)]
        idle, full = crowd * each, crowd * MEMORY_LIMIT
        rows.append(f"| {crowd} | {idle:.1f} GB | {full:.0f} GB | {cores[0]} | {cores[1]} |")
    rows += ["", f"A server, its kernel and what runs beside them: {1000 * each:.0f} MB. Starts: "]
    rows[-1] += f"{pace:.2f} a second for each processor."
    return "\n".join(rows)


def calls_table() -> str:
    """Return the system calls of the profile that do not depend on their arguments."""
    rows = ["| group | why | calls |", "|---|---|---|"]
    for group in (*ALLOWED, DEBUGGERS, ABSENT):
        calls = " ".join(f"`{call}`" for call in group.calls)
        rows.append(f"| {group.name} | {_markdown(group.why)} | {calls} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Return each metric with its type, its labels with all their values, and its help."""
    rows = ["| metric | type | labels | what it tells |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = "<br>".join(
            f"`{name}`" + (f": {', '.join(f'`{v}`' for v in values)}" if values else "")
            for name, values in metric.labels.items()
        )
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {_markdown(metric.help)} |")
    return "\n".join(rows)


FILES: Mapping[str, Callable[[], str]] = {  # generated as a whole, beside the code
    "tmpnb/spawners/docker/hardening/seccomp_profile.json": seccomp_rules.text,
}
PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"headline": headline, "measured": measured},
    "docs/architecture.md": {"modules": modules_table, "decisions": decisions},
    "docs/configuration.md": {
        "shortcuts": shortcuts_table,
        "compose": compose_table,
        "settings": settings_tables,
    },
    "docs/metrics.md": {"metrics": metrics_table},
    "docs/seccomp.md": {"calls": calls_table},
    "docs/sizing.md": {"sizes": sizes},
}


def refreshed(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with its generated parts as they should be.

    Raises:
        ValueError: The document lacks the place of a part.
    """
    for name, make in parts.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"there is no part between {begin} and {end}")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Refresh the documents below `root`, or check them; return the exit status."""
    stale = []
    for name in (*(FILES if root == ROOT else ()), *PARTS):
        old = (root / name).read_text(encoding="utf-8")
        new = FILES[name]() if name in FILES else refreshed(old, PARTS[name])
        if new == old:
            continue
        stale.append(name)
        if "--check" not in arguments:
            (root / name).write_text(new, encoding="utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run: make docs\n")
        return 1
    return 0


def _with_parts(owner: type[Configurable]) -> dict[str, Trait]:
    """Return the settings that a class adds, with those of the parts it is made of."""
    parts = [p for p in owner.__mro__[1:] if p.__module__.startswith("tmpnb.") and p is not Spawner]
    own = dict(owner.class_own_traits(config=True))
    for part in parts:
        if issubclass(part, Configurable):
            own |= part.class_own_traits(config=True)
    return own


def _report() -> dict[str, Any] | None:
    """Return what `make bench` has stored; None if it has not, or not all of it."""
    if not REPORT.exists():
        return None
    report = dict(json.loads(REPORT.read_text(encoding="utf-8")))
    whole = report["facts"]["run"] == "full" and not report["missing"]
    return report if whole else None


def _shortcuts(owner: type) -> set[str]:
    """Return the settings that flags without a value set."""
    return {n for config, _ in flags.SHORTCUTS.values() for n in config.get(owner.__name__, {})}


def _registered() -> dict[str, type[Spawner]]:
    return {found.__module__.rpartition(".")[2]: found for found in spawners()}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if value in (None, Undefined, "", [], {}):
        return "none"
    return f"`{value}`" if isinstance(value, str) else str(value)


def _help(trait: Trait) -> str:
    choices = (
        f" One of {', '.join(map(str, trait.values or ()))}." if isinstance(trait, Enum) else ""
    )
    return _markdown(f"{trait.help}{choices}")


def _markdown(text: str) -> str:
    """Return text for a table's cell: on one line, and nothing in it taken for HTML."""
    pieces = " ".join(text.split()).replace("|", "\\|").split("`")
    pieces[::2] = [piece.replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


def _first_line(owner: type) -> str:
    return _paragraph(owner.__doc__ or "")


def _paragraph(text: str) -> str:
    return text.strip().partition("\n\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

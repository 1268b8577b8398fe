"""Change one line at a time and see whether a test notices: `make mutants`.

    python -m tests.support.mutants [MODULE...]

Works in copies of the project below `.cache/mutants`, one for each module, so that nothing here
changes. Prints those that survived, and figures by module. Exits 1 if a module could not be
tried, not for survivors: some change nothing that anybody could see.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / ".cache" / "mutants"
COPIED = ("tmpnb", "tests", "pyproject.toml")
SESSION = "session.sqlite"


class TrialError(Exception):
    """A module could not be tried."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one module.

    Attributes:
        module: Its name below `tmpnb`.
        outcomes: How many mutants ended how: `killed`, `survived`, or something else.
        survivors: Each that no test noticed, in one line.
    """

    module: str
    outcomes: Counter[str]
    survivors: tuple[str, ...]

    @property
    def made(self) -> int:
        return self.outcomes.total()

    def row(self) -> str:
        killed, survived = self.outcomes["killed"], self.outcomes["survived"]
        share = f"{100 * killed // self.made} %" if self.made else "-"
        return f"{self.module:<16}{self.made:>8}{killed:>8}{survived:>10}{share:>8}"


def config(module: str, tests: list[str], settings: dict[str, Any]) -> str:
    """Return what Cosmic Ray wants to know, as TOML; what JSON writes of text and lists is TOML."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [f"tests/{name}" for name in tests]
    fields = {
        "module-path": f"tmpnb/{module}.py",
        "timeout": float(settings["longest"]),
        "excluded-modules": [],
        "test-command": " ".join(command),
    }
    lines = ["[cosmic-ray]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    lines += ["[cosmic-ray.distributor]", 'name = "local"']
    lines += ["[cosmic-ray.filters.operators-filter]"]
    lines += [f"exclude-operators = {json.dumps(settings['left_out'])}", ""]
    return "\n".join(lines)


def cosmic_ray(copy: Path, program: str, *arguments: str) -> str:
    """Run a program of Cosmic Ray in a copy; return what it says.

    Raises:
        TrialError: It failed.
    """
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # or an old mutant might be read
    done = subprocess.run(  # noqa: S603 - a program of our own environment
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrialError(f"{program} {arguments[0]}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def copied(module: str) -> Path:
    copy = PLACE / module
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    return copy


def described(item: dict[str, Any]) -> str:
    """Return where a mutant is and what it is, in one line."""
    mutation = item["mutations"][0]
    what = mutation["operator_name"].removeprefix("core/")
    return f"{mutation['module_path']}:{mutation['start_pos'][0]}: {what}"


def read(dump: str) -> Iterator[tuple[str, str]]:
    """Yield outcome and description of each mutant that was tried."""
    for line in dump.splitlines():
        item, result = json.loads(line)
        if result is not None and result["worker_outcome"] != "skipped":
            yield str(result["test_outcome"]), described(item)


def tried(module: str, tests: list[str], settings: dict[str, Any]) -> Trial:
    """Try all mutants of a module.

    Raises:
        TrialError: Its tests fail without any change, or Cosmic Ray fails.
    """
    copy = copied(module)
    (copy / "mutants.toml").write_text(config(module, tests, settings))
    cosmic_ray(copy, "cosmic-ray", "baseline", "mutants.toml")
    cosmic_ray(copy, "cosmic-ray", "init", "mutants.toml", SESSION)
    cosmic_ray(copy, "cr-filter-operators", SESSION, "mutants.toml")
    cosmic_ray(copy, "cosmic-ray", "exec", "mutants.toml", SESSION)
    found = list(read(cosmic_ray(copy, "cosmic-ray", "dump", SESSION)))
    survivors = sorted(what for outcome, what in found if outcome == "survived")
    return Trial(module, Counter(outcome for outcome, _ in found), tuple(survivors))


def main(wanted: list[str]) -> int:
    """Try the modules that are named, or all; print what came of it."""
    known = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())
    modules: dict[str, list[str]] = known["modules"]
    if unknown := set(wanted) - modules.keys():
        print(f"not in tests/mutants.toml: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    trials, failed = list[Trial](), False
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        waited = {
            m: workers.submit(tried, m, modules[m], known["settings"]) for m in wanted or modules
        }
        for module, future in waited.items():
            try:
                trials.append(future.result())
            except TrialError as error:
                failed = True
                print(f"{module} could not be tried: {error}", file=sys.stderr)
            else:
                print("\n".join([f"{module}: tried", *trials[-1].survivors]), flush=True)
    print(f"\n{'module':<16}{'mutants':>8}{'killed':>8}{'survived':>10}{'':>8}")
    total = Trial("all", sum((t.outcomes for t in trials), Counter[str]()), ())
    print("\n".join(trial.row() for trial in [*trials, total]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

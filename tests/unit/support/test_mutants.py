"""Mutation testing: what it is told, what it understands, and that what it names is there."""

from __future__ import annotations

import json
import tomllib
from collections import Counter

import pytest

from tests.support import mutants
from tests.support.mutants import ROOT, Trial

LIST = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))


def line(operator: str, outcome: str | None, worker: str = "normal") -> str:
    where = {"module_path": "tmpnb/core/pool.py", "operator_name": operator, "start_pos": [7, 4]}
    result = {"worker_outcome": worker, "test_outcome": outcome}
    return json.dumps([{"job_id": "1", "mutations": [where]}, result])


def test_modules_and_tests_that_are_named_are_there() -> None:
    named = [ROOT / "tmpnb" / f"{module}.py" for module in LIST["modules"]]
    named += [ROOT / "tests" / test for tests in LIST["modules"].values() for test in tests]
    assert [path for path in named if not path.is_file()] == []


def test_cosmic_ray_is_told_the_module_its_tests_and_what_to_leave_out() -> None:
    text = mutants.config("core/pool", ["unit/a.py", "unit/b.py"], LIST["settings"])
    told = tomllib.loads(text)["cosmic-ray"]
    assert told["module-path"] == "tmpnb/core/pool.py"
    assert told["test-command"].endswith(" tests/unit/a.py tests/unit/b.py")
    left_out = told["filters"]["operators-filter"]["exclude-operators"]
    assert left_out == LIST["settings"]["left_out"]


def test_what_was_not_tried_does_not_count() -> None:
    lines = [
        line("core/AddNot", "killed"),
        line("core/NumberReplacer", "survived"),
        line("core/AddNot", None, "skipped"),
        json.dumps([{"mutations": []}, None]),
    ]
    assert list(mutants.read("\n".join(lines))) == [
        ("killed", "tmpnb/core/pool.py:7: AddNot"),
        ("survived", "tmpnb/core/pool.py:7: NumberReplacer"),
    ]


def test_a_row_has_the_share_of_those_that_were_noticed() -> None:
    row = Trial("pool", Counter(killed=7, survived=1), ()).row()
    assert row.split() == ["pool", "8", "7", "1", "87", "%"]
    assert Trial("pool", Counter(), ()).row().split() == ["pool", "0", "0", "0", "-"]


def test_a_module_that_is_not_listed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.main(["no_such"]) == 2
    assert "no_such" in capsys.readouterr().err

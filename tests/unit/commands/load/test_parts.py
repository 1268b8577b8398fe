"""The parts of `tmpnb load` that only decide: its words, URLs, notebooks, cookies and numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tmpnb.commands import command_line
from tmpnb.commands.load import notebook, options
from tmpnb.commands.load.cookies import Cookies
from tmpnb.commands.load.screen import Screen
from tmpnb.commands.load.tally import Tally, percentile
from tmpnb.commands.load.target import Target
from tmpnb.commands.main import main
from tmpnb.errors import ConfigError, VisitError

URL = "http://127.0.0.1:8000/"


# The command line


def test_the_words_become_options() -> None:
    words = [URL, "--visitors", "100", "--arrivals=10/s", "--notebook", "x.ipynb", "--idle=3"]
    found = options.parse([*words, "--patience=5", "--json=r.json"])
    assert (found.target, found.visitors, found.every) == (Target(URL), 100, 0.1)
    assert (found.notebook, found.json) == (Path("x.ipynb"), Path("r.json"))
    assert (found.idle, found.patience) == (3.0, 5.0)


@pytest.mark.parametrize(
    ("rate", "every", "words"),
    [
        ("2", 0.5, "2 a second"),
        ("30/min", 2.0, "0.5 a second"),
        ("36/h", 100.0, "0.01 a second"),
        ("0.5/s", 2.0, "0.5 a second"),
        ("all", 0.0, "all at once"),
    ],
)
def test_arrivals_are_a_rate_or_all_at_once(rate: str, every: float, words: str) -> None:
    found = options.parse([URL, f"--arrivals={rate}"])
    assert (found.every, found.arrivals) == (every, words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "required: URL"),
        ([URL, "--visitor=3"], "unrecognized arguments: --visitor=3"),
        ([URL, "--visitors=0"], "--visitors=0: it takes a number from 1"),
        ([URL, "--visitors=many"], "--visitors=many: it takes a number"),
        ([URL, "--arrivals=0/s"], "--arrivals=0/s: write it as 10/s"),
        ([URL, "--arrivals=3/day"], "--arrivals=3/day: write it as 10/s"),
        ([URL, "--idle=-1"], "--idle=-1: it takes seconds from 0"),
        ([URL, "--patience=nan"], "--patience=nan: it takes seconds from 1"),
        (["127.0.0.1:8000"], "write the whole URL"),
        (["ftp://127.0.0.1/"], "write the whole URL"),
        (["http:///lab"], "write the whole URL"),
        (["http://127.0.0.1:x/"], "http://127.0.0.1:x/: Port could not be cast"),
        (["http://me:secret@127.0.0.1/"], "user name or a password"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", *words])
    assert said in str(ended.value.code)
    assert "\n" not in str(ended.value.code)
    assert "secret" not in str(ended.value.code)


def test_it_has_its_own_help_and_stands_in_that_of_the_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", "--help"])
    assert not ended.value.code
    assert "--arrivals RATE" in capsys.readouterr().out
    assert "tmpnb load URL" in command_line.description(command_line.parse([]), "The program.")
    with pytest.raises(ConfigError, match="did you mean tmpnb load"):
        command_line.parse(["laod"])


# URLs


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h:1", Target("http://h:1/")),
        ("http://h:1/?token=t", Target("http://h:1/", token="t")),
        ("https://h/lab/a%20b?x=1&token=t", Target("https://h/", "lab/a%20b", "x=1", "t")),
        ("http://h/some/where/", Target("http://h/some/where/")),
        ("http://h/user/x/tree?token=t", Target("http://h/user/x/", "tree", token="t")),
        ("http://h/pre/hub/home", Target("http://h/pre/")),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target) -> None:
    assert Target.parse(url) == target


def test_a_token_is_never_shown() -> None:
    target = Target.parse("http://h/lab?token=secret&reset")
    assert target.url == "http://h/lab?reset="
    assert "secret" not in repr(target)


# Notebooks


def document(**changes: object) -> str:
    cell = {"cell_type": "code", "source": "1"}
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]} | changes)


def test_code_cells_are_found_in_order_and_empty_ones_are_left_out() -> None:
    cells = [
        {"cell_type": "code", "source": "one"},
        {"cell_type": "raw", "source": "raw"},
        {"cell_type": "code", "source": [" \n"]},
        {"cell_type": "code", "source": ["two\n", "three"]},
    ]
    metadata = {"kernelspec": {"name": "ir"}}
    found = notebook.parse(document(cells=cells, metadata=metadata), "t")
    assert (found.code, found.kernel) == (("one", "two\nthree"), "ir")
    saved = found.saved([[{"output_type": "stream"}]])["cells"]
    assert saved[0]["outputs"] == [{"output_type": "stream"}]
    assert saved[1:] == cells[1:], "what was not run stays as it was"


def test_without_a_file_there_is_a_small_notebook() -> None:
    assert notebook.read(None).code == ("print(6 * 7)",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "this is no JSON"),
        ("[]", "has no nbformat"),
        ("{}", "has no nbformat"),
        (document(nbformat=3), "nbformat 3 is too old"),
        (document(cells="x"), "no list of cells"),
        (document(cells=["x"]), "no list of cells"),
        (document(cells=[]), "no code to run"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        notebook.read(path)
    assert str(refused.value).startswith(f"--notebook={path}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        notebook.read(tmp_path / "none.ipynb")
    (tmp_path / "bytes").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ConfigError, match="it is no text in UTF-8"):
        notebook.read(tmp_path / "bytes")


# Cookies


def test_cookies_go_where_they_belong_and_the_nearest_is_first() -> None:
    cookies = Cookies()
    cookies.keep("http://h/hub/login", "a=1; Path=/")
    cookies.keep("http://h/hub/login", "x=hub; Path=/hub/; HttpOnly")
    cookies.keep("http://h/user/u/", "x=user; Path=/user/u/")
    cookies.keep("http://other/", "o=1")
    assert cookies.header("http://h/") == "a=1"
    assert cookies.header("http://h/hub/spawn?x=1") == "x=hub; a=1"
    assert cookies.header("http://h/user/u/lab") == "x=user; a=1"
    assert cookies.header("http://h/user/uu/") == "a=1"
    assert cookies.value("http://h/user/u/api", "x") == "user"
    assert cookies.value("http://h/", "x") == ""


@pytest.mark.parametrize("end", ["Max-Age=0", "expires=Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_deleted_cookie_is_gone(end: str) -> None:
    cookies = Cookies()
    cookies.keep("http://h/", "a=1")
    cookies.keep("http://h/", f"a=1; {end}; Path=/")
    assert cookies.header("http://h/") == ""


# Numbers


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.01) == 7.0


def test_a_step_that_fails_is_an_error_and_no_time() -> None:
    moments = iter([1.0, 3.5, 4.0, 5.0])
    tally = Tally(1, clock=lambda: next(moments))
    with tally.timed("cell"):
        assert tally.doing["cell"] == 1
    with pytest.raises(VisitError, match=r"^save: HTTP 500$"), tally.timed("save"):
        raise VisitError("HTTP 500")
    assert tally.seconds == {"cell": [2.5]}
    assert sum(tally.doing.values()) == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def busy_tally() -> Tally:
    tally = Tally(4, arrived=3, served=1)
    tally.note("cell", 0.25)
    tally.doing["kernel"] = 2
    return tally


def test_on_a_terminal_the_table_takes_the_place_of_the_former_one() -> None:
    out = Terminal()
    screen = Screen(out)
    screen.show(busy_tally(), 1.0)
    first = out.getvalue()
    assert "[#######......................." in first
    assert "(2 kernel)" in first
    assert "\x1b" not in first
    screen.show(busy_tally(), 2.0)
    assert out.getvalue().removeprefix(first).startswith(f"\x1b[{first.count(chr(10))}F\x1b[J")


def test_elsewhere_each_look_is_a_plain_line() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.show(busy_tally(), 1.0)
    assert out.getvalue() == "     1 s  3 of 4 came, 2 are here, 1 were served, 0 failed\n"
    screen.end(busy_tally(), 2.0)
    assert "\x1b" not in out.getvalue()
    assert "cell                 1    0.250    0.250" in out.getvalue()

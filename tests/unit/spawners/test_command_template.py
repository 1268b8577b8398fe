"""The command template of the operator, and what becomes of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.errors import ConfigError
from tmpnb.spawners.base import DEFAULT_COMMAND
from tmpnb.spawners.command_template import PLACEHOLDERS, render

VALUES = {
    "base_path": "/user/abc/",
    "port": "8888",
    "ip": "0.0.0.0",  # noqa: S104 - only text here
    "token": "secret",
    "frame_ancestors": "'self' https://example.org",
}


def test_every_placeholder_is_filled_in() -> None:
    template = "run " + " ".join(f"--{name}={{{name}}}" for name in PLACEHOLDERS)
    assert render(template, VALUES) == ["run", *(f"--{n}={VALUES[n]}" for n in PLACEHOLDERS)]


def test_a_value_with_spaces_stays_one_argument() -> None:
    assert render("run --csp={frame_ancestors}", VALUES) == [
        "run",
        "--csp='self' https://example.org",
    ]


def test_a_placeholder_inside_a_value_is_not_filled_in() -> None:
    assert render("run {base_path}", VALUES | {"base_path": "/user/{token}/"}) == [
        "run",
        "/user/{token}/",
    ]


@pytest.mark.parametrize(
    "braces", ['{"a": {"b": [1]}}', "{}", "{0}", "{unknown}", "{ port }", "{{port", "{'x': 1}"]
)
def test_other_braces_survive(braces: str) -> None:
    assert render(f"run {shlex.quote(braces)}", VALUES) == ["run", braces]


def test_the_default_command_needs_no_shell_and_hides_the_token() -> None:
    words = render(DEFAULT_COMMAND, VALUES)
    assert words[:2] == ["jupyter", "lab"]
    assert "--ServerApp.base_url=/user/abc/" in words
    settings = [w for w in words if w.startswith("--ServerApp.tornado_settings=")]
    assert len(settings) == 1
    assert "\"frame-ancestors 'self' https://example.org\"" in settings[0]
    assert "secret" not in " ".join(words)


@pytest.mark.parametrize(
    "template",
    [
        "run > /tmp/log",
        "run 2>&1",
        "one; two",
        "one && two",
        "one | two",
        "run $HOME",
        'run "$HOME"',
        "run `date`",
        'run "$(date)"',
        "(run)",
        "run one&",
        "NB_USER=me run",
        "exec run",
        "cd /srv",
    ],
)
def test_what_only_a_shell_understands_is_run_by_one(template: str) -> None:
    assert render(template, VALUES) == ["/bin/sh", "-c", template]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("run '$HOME'", ["run", "$HOME"]),
        (r"run \$HOME", ["run", "$HOME"]),
        ('run "a;b"', ["run", "a;b"]),
        ("run 'a && b'", ["run", "a && b"]),
        ("""run 'say "$x"'""", ["run", 'say "$x"']),
        (r'run "\"{port}\""', ["run", '"8888"']),
        ("run --a=b", ["run", "--a=b"]),
        ("executable", ["executable"]),
        ("run\n  --port {port}", ["run", "--port", "8888"]),
    ],
)
def test_what_is_quoted_needs_no_shell(template: str, words: list[str]) -> None:
    assert render(template, VALUES) == words


@pytest.mark.parametrize("name", ["base_path", "port", "ip", "token"])
def test_a_shell_never_sees_what_a_visitor_could_have_written(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        render(f"run {{{name}}} > /dev/null", VALUES | {name: "/user/$(reboot)/"})


def test_the_operators_own_words_may_go_to_a_shell() -> None:
    assert render('run "{frame_ancestors}" > /dev/null', VALUES)[2] == (
        "run \"'self' https://example.org\" > /dev/null"
    )


@pytest.mark.parametrize("template", ["run 'half", 'run "half', "run 'half > x"])
def test_an_open_quote_is_refused_in_one_line(template: str) -> None:
    with pytest.raises(ConfigError, match=r"^--command: .*half") as refused:
        render(template, VALUES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("template", ["", "   ", "\n"])
def test_an_empty_command_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="--command is empty"):
        render(template, VALUES)


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_quoted_words_arrive_as_they_were(words: list[str]) -> None:
    template = shlex.join(["run", *words])
    expected = ["run", *words]
    if not any(f"{{{name}}}" in word for name in PLACEHOLDERS for word in words):
        assert render(template, VALUES) == expected


def test_both_ways_give_a_process_the_same_arguments() -> None:
    code = "import json, sys; sys.stdout.write(json.dumps(sys.argv[1:]))"
    template = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} a 'b c' {{port}}"
    answers = [
        json.loads(subprocess.check_output(render(command, VALUES)))  # noqa: S603 - our own words
        for command in (template, f"{template} 2>&1")
    ]
    assert answers == [["a", "b c", "8888"]] * 2

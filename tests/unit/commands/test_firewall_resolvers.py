"""Whom a Docker engine asks for names in the place of its containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tmpnb.commands import firewall
from tmpnb.commands.main import main
from tmpnb.spawners.egress import name_servers
from tmpnb.spawners.egress.name_servers import Resolvers, chosen


@pytest.mark.parametrize(
    ("told", "machine", "systemd", "seen"),
    [
        ([], ["10.0.0.2"], ["9.9.9.9"], Resolvers(("10.0.0.2",))),
        ([], ["127.0.0.1"], ["9.9.9.9"], Resolvers(("127.0.0.1",), ("127.0.0.1",))),
        ([], ["10.0.0.2", "127.0.1.1"], [], Resolvers(("10.0.0.2", "127.0.1.1"), ("127.0.1.1",))),
        ([], ["::1"], [], Resolvers(("::1",), ("::1",))),
        ([], ["127.0.0.53"], ["10.0.0.2"], Resolvers(("10.0.0.2",))),
        ([], ["127.0.0.53", "10.0.0.2"], ["9.9.9.9"], Resolvers(("127.0.0.53", "10.0.0.2"), ("127.0.0.53",))),  # noqa: E501 - a table
        ([], [], ["9.9.9.9"], Resolvers()),
        (["10.0.0.3"], ["127.0.0.1"], [], Resolvers(("10.0.0.3",))),
        (["127.0.0.1"], ["127.0.0.1"], [], Resolvers(("127.0.0.1",))),
        ([], ["nonsense"], [], Resolvers(("nonsense",))),
    ],
)  # fmt: skip
def test_those_on_loopback_are_asked_by_the_engine(
    told: list[str], machine: list[str], systemd: list[str], seen: Resolvers
) -> None:
    assert chosen(told, machine, systemd) == seen


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with what is read in place of the machine's own; nothing is there yet."""
    for name in ("MACHINE", "SYSTEMD", "ENGINE"):
        monkeypatch.setattr(name_servers, name, tmp_path / name)
    return tmp_path


def test_the_machine_s_files_are_read(files: Path) -> None:
    assert name_servers.found() == Resolvers()
    (files / "MACHINE").write_text("# a\nnameserver 127.0.0.53\noptions edns0\nnameserver\n")
    (files / "SYSTEMD").write_text("search example.org\nnameserver 10.0.0.2\n")
    assert name_servers.found() == Resolvers(("10.0.0.2",))
    (files / "ENGINE").write_text(json.dumps({"dns": ["10.0.0.3"], "log-level": "warn"}))
    assert name_servers.found() == Resolvers(("10.0.0.3",))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dns": "10.0.0.3"}', '{"dns": []}', "\xff"])
def test_settings_of_the_engine_that_name_none_count_as_none(files: Path, text: str) -> None:
    (files / "MACHINE").write_text("nameserver 127.0.0.1\n")
    (files / "ENGINE").write_bytes(text.encode("latin-1"))
    assert name_servers.found().by_engine == ("127.0.0.1",)


def test_tmpnb_firewall_says_that_the_engine_asks_past_its_rules(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed() -> list[str]:
        with pytest.raises(SystemExit) as ended:
            main(["firewall"])
        assert ended.value.code == 0
        return [line for line in capsys.readouterr().out.splitlines() if "name server" in line]

    (files / "MACHINE").write_text("nameserver 127.0.0.1\nnameserver 10.0.0.2\n")
    [refused, past] = printed()
    assert "--dns=10.0.0.2" in refused
    assert past.startswith("# The name server 127.0.0.1 is this machine's own: the engine asks it")
    assert '"dns": ["' in past
    (files / "ENGINE").write_text('{"dns": ["9.9.9.9"]}')
    assert printed() == []
    assert firewall.past_the_rules(Resolvers(("9.9.9.9",))) == []

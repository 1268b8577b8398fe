"""What the real proxy prints again and again is in the log once, and then as a number."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.real_proxy import HOME, World, saying, world
from tests.support.world import wait_until
from tmpnb.proxy.managed import SCRIPTS

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=60)]

MANY = 30
[SCRIPT] = (script for script in SCRIPTS if script.stem == "repeated_lines")
HURRY = """
const { setTimeout } = globalThis;
const hurry = (after) => (after === 60_000 ? 500 : after);
globalThis.setTimeout = (call, after, ...words) => setTimeout(call, hurry(after), ...words);
"""


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up, as a server does that has ended."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "hang up" in r.getMessage()]


async def ask(served: World, count: int) -> None:
    for number in range(count):
        await served.head(f"{HOME}api/contents/{number}?token=x{number}")


@pytest.fixture
def _in_a_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "hurry.cjs"
    script.write_text(HURRY)
    monkeypatch.setenv("NODE_OPTIONS", f"--require={script}")


async def test_a_server_that_is_away_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with world(gone) as served:
        await ask(served, MANY)
    lines = said(caplog)
    assert len(lines) == 2, lines
    assert f"GET {HOME}api/contents/0" in lines[0]
    assert lines[1].endswith(f"… {MANY - 1} more like it within 60 s"), "as it ends"


@pytest.mark.usefixtures("_in_a_hurry")
async def test_repeats_are_told_in_time_and_what_goes_on_is_not_told_as_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(gone) as served:
        await ask(served, 3)
        await wait_until(lambda: len(said(caplog)) == 2)
        await ask(served, 2)
        await wait_until(lambda: len(said(caplog)) >= 3)
    lines = said(caplog)
    assert [" more like it" in line for line in lines] == [False, *[True] * (len(lines) - 1)]
    counted = (re.search(r"… (\d+) more", line) for line in lines)
    assert sum(int(found[1]) for found in counted if found) == 4, "none is lost"


async def test_another_fault_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world(gone, saying("HTTP/1.1 500 No\r\nContent-Length: 0\r\n")) as served:
        await ask(served, 2)
        await served.forget_default()
        await served.head("/elsewhere")
        await served.head("/elsewhere")
    text = [r.getMessage() for r in caplog.records]
    assert sum("404 GET /elsewhere" in line and "more like" not in line for line in text) == 1


def printed_by(program: str) -> str:
    words = ["node", f"--require={SCRIPT}", "-e", program]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - a program of this test
    return ran.stdout


def test_what_is_no_fault_of_the_proxy_is_printed_as_it_is() -> None:
    program = """
      const line = (level, text) => `2026-11-30T10:00:00.000Z [X] ${level}: ${text}\\n`;
      const log = (level, text, ...more) => process.stdout.write(line(level, text), ...more);
      for (let i = 0; i < 3; i++) {
        log("info", "Route added /user/a -> http://127.0.0.1:1");
        log("error", `503 GET /user/a${i} connect ECONNREFUSED 127.0.0.1:${i}`);
        log("error", `503 GET /user/a${i} connect ECONNREFUSED [::1]:${i}`);
        log("error", `404 GET /user/a${i} `);
        process.stdout.write("plain\\n");
        process.stdout.write(Buffer.from("bytes\\n"), () => {});
        log("error", "x", () => log("info", "called back"));
      }
    """
    printed = printed_by(program)
    lines = [re.sub(r"^\S+Z ", "", line) for line in printed.splitlines()]
    assert lines.count("[X] info: Route added /user/a -> http://127.0.0.1:1") == 3
    assert lines.count("plain") == lines.count("bytes") == 3
    assert "[X] error: 503 GET /user/a0 connect ECONNREFUSED 127.0.0.1:0" in lines
    assert "[X] error: 404 GET /user/a0 … 2 more like it within 60 s" in lines
    refused = [line for line in lines if "ECONNREFUSED" in line]
    assert len(refused) == 2, "whatever the address"
    assert printed.count("called back\n") == 3


def test_faults_that_all_differ_take_no_more_than_so_much_memory() -> None:
    program = """
      const letters = (n) => [...String(n)].map((d) => "abcdefghij"[d]).join("");
      for (let i = 0; i < 5000; i++)
        process.stdout.write(`2026-11-30T10:00:00.000Z [X] error: ${letters(i)}\\n`);
    """
    printed = printed_by(program)
    lines = printed.splitlines()
    assert len(lines) == 202
    assert lines[-1].endswith("… 4799 more like it within 60 s")


@pytest.mark.parametrize(
    "address",
    [
        "/user/a/" + "." * 300,
        "http://x/user/a/" + "." * 300,
        "H+t-1.p://x/" + "a:" * 300,
        "*" + ":1" * 300,
        "/a\\t1.2.3\\xa0/b",
    ],
)
def test_whatever_is_asked_for_the_fault_is_the_same(address: str) -> None:
    """So no pattern is tried on what visitors write."""
    program = f"""
      for (const path of ["/user/a", "{address}"])
        process.stdout.write(`2026-11-30T10:00:00.000Z [X] error: 503 GET ${{path}} refused\\n`);
    """
    lines = printed_by(program).splitlines()
    assert len(lines) == 2
    assert lines[-1].endswith("GET /user/a refused … 1 more like it within 60 s")


def test_a_new_kind_of_fault_is_told_after_a_flood_of_odd_ones() -> None:
    program = """
      const letters = (n) => [...String(n)].map((d) => "abcdefghij"[d]).join("");
      const log = (text) => process.stdout.write(`2026-11-30T10:00:00.000Z [X] error: ${text}\\n`);
      for (let i = 0; i < 250; i++) log(`503 ${letters(i)} /user/a refused`);
      for (const path of ["/user/a", "/user/b"]) log(`503 GET ${path} away`);
    """
    lines = [line.partition("error: ")[2] for line in printed_by(program).splitlines()]
    assert lines.count("503 GET /user/a away") == 1
    assert "503 GET /user/a away … 1 more like it within 60 s" in lines
    assert len(lines) == 200 + 1 + 1 + 2


PRINTS = """
process.on("uncaughtException", (error) => require("fs").writeSync(2, `${error}`));
console.log("first");
setTimeout(() => console.log("second"), 50);
"""


async def test_lines_that_nobody_reads_any_more_are_lost_and_no_more_than_that() -> None:
    reading, writing = os.pipe()
    program = await asyncio.create_subprocess_exec(
        *("node", f"--require={SCRIPT}", "--eval", PRINTS),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.close(reading)
    _, said = await program.communicate()
    assert (program.returncode, said) == (0, b"")

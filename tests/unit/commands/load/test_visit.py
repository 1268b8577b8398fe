"""A visitor of `tmpnb load` at pretend services: the way in, the work, the way out, the faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support import load_stand_in
from tests.support.load_stand_in import TOKEN, StandIn
from tmpnb.commands.load import notebook
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.run import arrive, check_files, load
from tmpnb.commands.load.tally import Tally
from tmpnb.commands.load.target import Target
from tmpnb.commands.load.visit import Plan
from tmpnb.errors import ConfigError

pytestmark = pytest.mark.gen_test(timeout=30)

PATIENCE = 20.0  # seconds
TWO_CELLS = json.dumps(
    {
        "nbformat": 4,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": []},
            {"cell_type": "markdown", "source": "words"},
            {"cell_type": "code", "source": "b = 2", "outputs": []},
        ],
    }
)
ALL_STEPS = {"notebook page", "open", "kernel", "cell", "first cell", "save", "leave"}


@pytest.fixture
def start(io_loop: IOLoop) -> Iterator[Callable[[str], StandIn]]:
    servers = []

    def begin(system: str) -> StandIn:
        async def serve() -> StandIn:
            stand_in, server = load_stand_in.start(system)
            servers.append(server)
            return stand_in

        return io_loop.run_sync(serve)

    yield begin
    for server in servers:
        server.stop()
        io_loop.run_sync(server.close_all_connections)


@pytest.fixture(params=["tmpnb", "hub", "jupyter"])
def service(request: pytest.FixtureRequest, start: Callable[[str], StandIn]) -> StandIn:
    return start(request.param)


@pytest.fixture
def tmpnb(start: Callable[[str], StandIn]) -> StandIn:
    return start("tmpnb")


@pytest.fixture
def hub(start: Callable[[str], StandIn]) -> StandIn:
    return start("hub")


@pytest.fixture
def jupyter(start: Callable[[str], StandIn]) -> StandIn:
    return start("jupyter")


def url_of(service: StandIn, page: str = "") -> str:
    query = f"?token={TOKEN}" if service.system == "jupyter" else ""
    return f"{service.url}{page}{query}"


async def visited(
    service: StandIn, *, visitors: int = 1, page: str = "", patience: float = PATIENCE
) -> Tally:
    door = await recognised(Target.parse(url_of(service, page)))
    plan = Plan(door, notebook.parse(TWO_CELLS, "a test"), idle=0, patience=patience)
    tally = Tally(visitors)
    service.done.clear()
    await arrive(plan, tally, every=0)
    return tally


async def test_a_visitor_runs_every_cell_saves_the_outputs_and_leaves(service: StandIn) -> None:
    tally = await visited(service)
    assert (tally.served, tally.failed, tally.errors) == (1, 0, {})
    assert set(tally.seconds) >= ALL_STEPS | {"whole visit"}
    assert len(tally.seconds["cell"]) == 2
    assert service.ran == ["a = 1\na", "b = 2"]
    saved = service.saved[-1]["cells"]
    printed = {"output_type": "stream", "name": "stdout", "text": "42\n"}
    assert [c.get("execution_count") for c in saved] == [1, None, 2]
    assert saved[0]["outputs"] == saved[2]["outputs"] == [printed]
    assert "outputs" not in saved[1]


async def test_all_visitors_come(service: StandIn) -> None:
    tally = await visited(service, visitors=5)
    assert (tally.arrived, tally.served, tally.here) == (5, 5, 0)
    assert sum(tally.doing.values()) == 0


async def test_at_tmpnb_the_server_is_given_back(tmpnb: StandIn) -> None:
    await visited(tmpnb)
    assert tmpnb.done[:2] == ["GET /", "POST /spawn"]
    assert tmpnb.done[-1] == "DELETE /api/servers/x"


async def test_at_tmpnb_a_deep_link_leads_to_that_page(tmpnb: StandIn) -> None:
    await visited(tmpnb, page="lab/tree/x.ipynb")
    assert tmpnb.done[:2] == ["GET /lab/tree/x.ipynb", "POST /spawn/lab/tree/x.ipynb"]
    assert tmpnb.done[2] == "GET /user/x/lab/tree/x.ipynb"


async def test_at_tmpnb_one_waits_in_line_until_it_is_their_turn(tmpnb: StandIn) -> None:
    tmpnb.full = 2
    tally = await visited(tmpnb)
    assert tally.served == 1
    assert (tmpnb.count("POST /spawn"), tmpnb.count("GET /wait/t1")) == (3, 2)


async def test_at_a_hub_one_waits_until_the_server_runs_and_has_it_stopped(hub: StandIn) -> None:
    hub.pending = 2
    tally = await visited(hub)
    assert tally.served == 1
    assert hub.count("GET /hub/api/users/x/server/progress") == 2
    assert hub.done[-1] == "DELETE /hub/api/users/x/server"


async def test_at_a_jupyter_server_kernel_and_file_are_removed(jupyter: StandIn) -> None:
    await visited(jupyter)
    assert jupyter.done[-2:] == ["DELETE /api/sessions/s1", "DELETE /api/contents/N"]


async def test_without_its_token_a_jupyter_server_asks_to_log_in(jupyter: StandIn) -> None:
    plan = Plan(
        await recognised(Target.parse(jupyter.url)), notebook.parse(TWO_CELLS, "t"), 0, PATIENCE
    )
    tally = Tally(1)
    await arrive(plan, tally, every=0)
    [error] = tally.errors
    assert "needs its token" in error


async def test_like_faults_are_counted_by_step_and_kind(service: StandIn) -> None:
    service.page_status = 502
    tally = await visited(service, visitors=3)
    assert tally.errors == {"notebook page: HTTP 502": 3}
    assert (tally.served, tally.failed) == (0, 3)
    assert "notebook page" not in tally.seconds


async def test_after_a_fault_the_server_is_given_back_all_the_same(tmpnb: StandIn) -> None:
    tmpnb.page_status = 502
    await visited(tmpnb)
    assert tmpnb.count("DELETE /api/servers/x") == 1


async def test_a_cell_that_raises_ends_the_visit_as_a_fault(service: StandIn) -> None:
    service.raises = "ZeroDivisionError"
    tally = await visited(service)
    assert tally.errors == {"cell: the notebook raised ZeroDivisionError": 1}
    assert len(service.ran) == 1, "as a page does, it stops at the first"
    assert service.done[-1].startswith("DELETE ")


async def test_a_kernel_that_goes_away_is_a_fault(tmpnb: StandIn) -> None:
    tmpnb.drops = True
    tally = await visited(tmpnb)
    assert tally.errors == {"cell: the kernel's connection was closed": 1}


async def test_patience_ends_what_never_ends(tmpnb: StandIn) -> None:
    tmpnb.hangs = True
    tally = await visited(tmpnb, patience=3.0)
    assert tally.errors == {"cell: not within the visitor's patience": 1}
    assert tmpnb.done[-1] == "DELETE /api/servers/x"


async def test_who_is_interrupted_leaves_first(tmpnb: StandIn) -> None:
    tmpnb.hangs = True
    visiting = asyncio.create_task(visited(tmpnb))
    await tmpnb.here.wait()
    visiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visiting
    assert tmpnb.done[-1] == "DELETE /api/servers/x"


@pytest.fixture
def other(start: Callable[[str], StandIn]) -> StandIn:
    return start("other")


async def test_what_is_none_of_the_three_is_refused_in_one_line(other: StandIn) -> None:
    with pytest.raises(ConfigError, match="no tmpnb, JupyterHub or Jupyter") as refused:
        await recognised(Target.parse(other.url))
    assert "\n" not in str(refused.value)


async def test_where_nobody_answers_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"http://127.0.0.1:9/: no answer \(Connection refused"):
        await recognised(Target.parse("http://127.0.0.1:9"))


async def test_the_command_says_what_it_found_and_writes_it(
    service: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    result = tmp_path / "result.json"
    words = [url_of(service), "--visitors=2", "--arrivals=all", f"--json={result}"]
    assert await load(words, said.append) is True
    written = json.loads(result.read_text())
    assert written["system"] in said[0]
    assert (written["visitors"], written["served"], written["errors"]) == (2, 2, {})
    assert set(written["steps"]["open"]) == {"count", "p50", "p95", "p99", "longest"}
    assert TOKEN not in result.read_text() + "".join(said) + capsys.readouterr().out


async def test_the_command_is_not_content_with_one_failed_visit(
    tmpnb: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    tmpnb.raises = "ValueError"
    assert await load([tmpnb.url, "--visitors=1"], lambda line: None) is False
    assert "1 x cell: the notebook raised ValueError" in capsys.readouterr().out


async def test_a_result_that_cannot_be_written_is_said_before_anybody_comes(
    tmpnb: StandIn, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--json=.*: Is a directory"):
        await load([tmpnb.url, f"--json={tmp_path}"], lambda line: None)
    assert tmpnb.done == []


def test_too_few_open_files_are_said() -> None:
    said: list[str] = []
    check_files(10, 1000, said.append)
    assert said == []
    check_files(1000, 1000, said.append)
    assert "4064 open files" in said[0]

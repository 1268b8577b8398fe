"""A hundred servers at once: filled, claimed, talked to, culled, and nothing left of them."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import docker
import pytest

from tests.e2e.measure import benchmark
from tests.support.requirements import chp

pytestmark = [pytest.mark.docker, pytest.mark.chp]


@pytest.mark.long
def test_a_hundred_servers_come_and_go_without_an_error_or_an_orphan(tmp_path: Path) -> None:
    benchmark.needs_stub()
    chp()
    found = tmp_path / "results.json"
    code, printed = benchmark.run(
        "scale", "--servers=100", "--hold=10", "--every=2", f"--json={found}"
    )
    print(printed)
    assert code == 0
    results = json.loads(found.read_text())
    assert (results["errors"], results["orphans"]) == (0, 0)
    assert results["claims"] == 100
    assert results["messages"] >= 300, "each websocket spoke"
    assert results["load"]["servers"]["processes"] == 100


def test_ctrl_c_removes_everything() -> None:
    benchmark.needs_stub()
    chp()
    process = benchmark.start("scale", "--servers=6", "--hold=600")
    try:
        assert process.stdout is not None
        printed = ""
        for line in iter(process.stdout.readline, ""):
            printed += line
            if "hold" in line:
                break
        said = re.search(r"tmpnb\.benchmark=\w+", printed)
        assert said, printed
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=benchmark.DEADLINE)
    finally:
        benchmark.end(process)
    assert process.returncode == 130, rest
    client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
    wanted = {"label": said[0]}
    left = [*client.containers(all=True, filters=wanted), *client.networks(filters=wanted)]
    client.close()
    assert left == []

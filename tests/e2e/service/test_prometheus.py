"""The real Prometheus, with the files of deploy/: it reads all metrics, and its own checks pass."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.running_service import Service, free_ports, serving
from tests.support.requirements import ROOT, prometheus
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.web.api.metric_list import METRICS, Kind

DEPLOY, RULES_TEST = ROOT / "deploy", Path(__file__).with_name("prometheus-rules-test.yml")
CONFIGURATIONS = ("prometheus.yml", "prometheus-token.yml")
RULES = "prometheus-rules.yml"
TOKEN_FILE = "/etc/prometheus/tmpnb-token"  # as deploy/prometheus-token.yml names it
TOKEN = "an-admin-token-for-tests"
FAKE = ("--spawner=fake", "--pool-size=3")
START = 60.0  # seconds until a condition has come true


def promtool(*words: str, cwd: Path | None = None, sent: bytes = b"") -> str:
    """Run it; return what it says if it is content."""
    command = [prometheus("promtool"), *words]
    done = subprocess.run(  # noqa: S603 - words of ours
        command, cwd=cwd, input=sent, capture_output=True, timeout=60, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def configured(directory: Path, name: str, *changes: tuple[str, str]) -> Path:
    """Return a configuration of deploy/ beside its rules, fit for this machine."""
    (directory / "token").write_text(TOKEN)
    shutil.copy(DEPLOY / RULES, directory)
    text = (DEPLOY / name).read_text()
    for there, here in changes:
        assert there in text, there
        text = text.replace(there, here)
    file = directory / name
    file.write_text(text.replace(TOKEN_FILE, str(directory / "token")))
    return file


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_promtool_takes_the_configuration(name: str, tmp_path: Path) -> None:
    assert "SUCCESS" in promtool("check", "config", str(configured(tmp_path, name)))


def test_promtool_takes_the_rules_and_each_alert_is_raised_by_what_it_is_for(
    tmp_path: Path,
) -> None:
    shutil.copy(DEPLOY / RULES, tmp_path)
    shutil.copy(RULES_TEST, tmp_path)
    promtool("check", "rules", RULES, cwd=tmp_path)
    promtool("test", "rules", RULES_TEST.name, cwd=tmp_path)
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / RULES).read_text()))
    assert alerts == set(re.findall(r"alertname: (\w+)", RULES_TEST.read_text()))


def test_the_rules_name_metrics_and_labels_that_there_are() -> None:
    text = (DEPLOY / RULES).read_text()
    told = {metric.name for metric in METRICS if metric.kind is not Kind.HISTOGRAM}
    told |= {f"{metric.name}_bucket" for metric in METRICS if metric.kind is Kind.HISTOGRAM}
    assert set(re.findall(r"\btmpnb_\w+", text)) - told == set()
    values = {v for m in METRICS for known in m.labels.values() for v in known}
    named = set(re.findall(r'(?:phase|reason|outcome|server|claimed)!?="(\w+)"', text))
    assert named
    assert named - values == set()


@pytest.mark.chp
@pytest.mark.gen_test(timeout=120)
async def test_promtool_has_nothing_to_say_of_the_metrics() -> None:
    async with serving(*FAKE, "--public-metrics") as service:
        await service.until_ready(3)
        await service.take()
        answer = await service.fetch("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert promtool("check", "metrics", sent=answer.body) == ""


@asynccontextmanager
async def running(configuration: Path) -> AsyncIterator[str]:
    """Run Prometheus; return where its API is."""
    [port] = free_ports(1)
    directory = configuration.parent
    words = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    program = await asyncio.create_subprocess_exec(prometheus("prometheus"), *words, cwd=directory)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        program.terminate()
        await program.wait()


async def until_asked(client: Client, api: str, query: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers to a query, once it answers something."""
    url, last = f"{api}/query?{urlencode({'query': query})}", b""
    try:
        async with asyncio.timeout(START):
            while True:
                with suppress(UnreachableError, ValueError, KeyError):
                    last = (await client.fetch(url, timeout=5)).body
                    if found := json.loads(last)["data"]["result"]:
                        return list(found)
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"never: {query}; last {last!r}") from None


def places(service: Service, name: str) -> list[tuple[str, str]]:
    """Return what has to be changed in a configuration, to find a service at once."""
    host = "tmpnb.internal" if "token" in name else "127.0.0.1"
    often = "job_name: tmpnb\n    scrape_interval: 1s\n    scrape_timeout: 1s"
    return [(f"{host}:10000", f"127.0.0.1:{service.admin_port}"), ("job_name: tmpnb", often)]


@pytest.mark.chp
@pytest.mark.gen_test(timeout=180)
@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_prometheus_reads_what_the_service_tells(name: str, tmp_path: Path) -> None:
    env = {"ADMIN_AUTH_TOKEN": TOKEN} if "token" in name else {}
    client = Client(MAX_ANSWER)
    async with serving(*FAKE, env=env) as service:
        await service.until_ready(3)
        await service.take()
        file = configured(tmp_path, name, *places(service, name))
        async with running(file) as api:
            await until_asked(client, api, "tmpnb_claims_total == 1")
            claimed = await until_asked(client, api, 'tmpnb_servers{phase="claimed"} == 1')
            assert claimed[0]["metric"]["job"] == "tmpnb"
            series = await until_asked(client, api, 'count({job="tmpnb"}) > 300')
            assert int(series[0]["value"][1]) < 600
            start = "tmpnb_server_start_duration_seconds"
            mean = await until_asked(client, api, f"{start}_sum / {start}_count")
            assert float(mean[0]["value"][1]) >= 0
            answer = await client.fetch(f"{api}/targets", timeout=5)
            [target] = json.loads(answer.body)["data"]["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            answer = await client.fetch(f"{api}/rules", timeout=5)
            [group] = json.loads(answer.body)["data"]["groups"]
            assert [rule["lastError"] for rule in group["rules"] if "lastError" in rule] == []
    client.close()

"""A page whose own name is made to lead to this machine takes no notebook, in a real browser."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.e2e.browser.browser import chromium
from tests.e2e.running_service import serving
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]

# What a page of that name can send: by now it is of the same site to its browser.
TRY = """async () => {
    const form = {"Content-Type": "application/x-www-form-urlencoded", Accept: "application/json"};
    const tries = [
        ["/api/spawn", {method: "POST"}],
        ["/spawn", {method: "POST", headers: form, body: "fresh=1"}],
        ["/spawn/lab", {headers: {Accept: "text/html"}, redirect: "manual"}],
    ];
    const told = [];
    for (const [path, options] of tries) {
        const answer = await fetch(path, options);
        told.push([answer.status, answer.type, await answer.text()]);
    }
    return told;
}"""


@pytest.mark.local
@pytest.mark.parametrize(
    ("flags", "status"),
    [(["--spawner=local"], 403), (["--spawner=fake", "--public-url=http://tmp.test:8000"], 421)],
    ids=["local", "public-url"],
)
async def test_a_page_whose_name_leads_to_loopback_takes_no_notebook(
    flags: list[str], status: int
) -> None:
    pool = f"--pool-name=rebinding-{os.getpid()}"
    async with serving(*flags, pool, "--pool-size=2") as service, chromium() as browser:
        await service.until_ready(2)
        evil = f"http://evil.test:{service.visitors}"
        page = await browser.new_page()
        assert (await page.goto(f"{evil}/health")).status == 200  # type: ignore[union-attr]  # it answers
        told: list[list[Any]] = await page.evaluate(TRY)
        assert [told[0][0], told[1][0]] == [status, status]
        assert told[2][0] == (status if status == 403 else 0), "where it leads is kept from it"
        assert not any("token=" in words for _, _, words in told)
        assert (await service.stats())["claims_total"] == 0
        # A program that is no browser may say any name as well.
        client = Client(MAX_ANSWER)
        sent = {"Host": "evil.test"}
        url = f"{service.url}/api/spawn"
        answer = await client.fetch(url, timeout=20, method="POST", headers=sent, body="")
        assert answer.code == status
        client.close()
        # What is at an address of this machine is no such page.
        await page.goto(f"{service.url}/health")
        [taken, *_] = await page.evaluate(TRY)
        assert taken[0] == 200
        assert (await service.stats())["claims_total"] >= 1

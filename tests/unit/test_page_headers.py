"""What every answer of ours tells browsers to keep apart, and to refuse."""

from __future__ import annotations

import pytest
from running_site import PERSON, Running

pytestmark = pytest.mark.gen_test(timeout=20)

ADDRESSES = ["/", "/info", "/spawn", "/nothing", "/health", "/static/tmpnb.css", "/user/x/lab"]


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_origin_is_a_process_and_devices_are_nobodys(running: Running, path: str) -> None:
    answer = await running.public()(path, method="HEAD", headers=PERSON)
    assert answer.headers["Origin-Agent-Cluster"] == "?1"
    refused = answer.headers["Permissions-Policy"].split(", ")
    for feature in ("camera", "microphone", "geolocation", "usb", "serial", "hid", "payment"):
        assert f"{feature}=()" in refused
    for feature in ("fullscreen", "clipboard"):
        assert not any(f.startswith(feature) for f in refused), "embedded notebooks use it"


async def test_the_page_for_authors_leaves_the_notebook_in_it_what_it_needs(
    running: Running,
) -> None:
    answer = await running.public()("/embed", headers=PERSON)
    assert "Permissions-Policy" not in answer.headers
    assert answer.headers["Origin-Agent-Cluster"] == "?1"

"""What every answer of ours tells browsers to keep apart, and to refuse."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from tests.support.running_site import PERSON, Running

pytestmark = pytest.mark.gen_test(timeout=20)

ADDRESSES = {
    "/": 200,
    "/info": 200,
    "/spawn": 405,
    "/nothing": 404,
    "/health": 200,
    "/static/tmpnb.css": 200,
    "/static/nothing": 404,
    "/user/x/lab": 404,
    "/session/x": 403,
    "/wait/nobody": 200,
    "/api/spawn": 405,
}
REFUSED = {
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
}  # and neither fullscreen nor the clipboard, which embedded notebooks use


def require(headers: HTTPHeaders) -> None:
    assert headers.get_list("Origin-Agent-Cluster") == ["?1"]
    [policy] = headers.get_list("Permissions-Policy")
    assert set(policy.split(", ")) == {f"{feature}=()" for feature in REFUSED}


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_origin_is_a_process_and_devices_are_nobodys(running: Running, path: str) -> None:
    method = "DELETE" if ADDRESSES[path] == 405 else "GET"
    answer = await running.public()(path, method=method, headers=PERSON)
    assert answer.code == ADDRESSES[path]
    require(answer.headers)


async def test_so_say_answers_that_lead_elsewhere_and_those_to_the_operator(
    running: Running,
) -> None:
    taken = await running.public()("/spawn", method="POST", headers=PERSON)
    assert taken.code == 303
    require(taken.headers)
    for headers, code in (({}, 200), ({"Host": "evil.example"}, 403)):
        answer = await running.admin()("/health", headers=headers)
        assert answer.code == code
        require(answer.headers)


async def test_the_page_for_authors_leaves_the_notebook_in_it_what_it_needs(
    running: Running,
) -> None:
    answer = await running.public()("/embed", headers=PERSON)
    assert "Permissions-Policy" not in answer.headers
    assert answer.headers["Origin-Agent-Cluster"] == "?1"

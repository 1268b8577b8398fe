"""How far it is from a visitor's request to their server: few functions, each in sight."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import tmpnb
from tests.support.running_site import PERSON, Running
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer

pytestmark = pytest.mark.gen_test(timeout=30)

MOST = 8  # frames of our own, from the request to what calls the pool
OURS = str(Path(tmpnb.__file__).parent)


@pytest.mark.parametrize("path", ["/spawn", "/api/spawn"])
async def test_a_claim_is_few_frames_away_from_its_request(
    running: Running, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    claim, seen = Pool.claim, list[list[str]]()

    def spied(pool: Pool) -> NotebookServer:
        stack = traceback.extract_stack()[:-1]
        seen.append([frame.name for frame in stack if frame.filename.startswith(OURS)])
        return claim(pool)

    monkeypatch.setattr(Pool, "claim", spied)
    own = {"Sec-Fetch-Site": "same-origin"}
    answer = await running.public()(path, method="POST", headers=PERSON | own, body="")
    assert answer.code in (200, 303)
    [frames] = seen
    assert "post" in frames
    assert len(frames) <= MOST, frames

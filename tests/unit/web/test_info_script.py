"""The script of /info shows what the page as served does."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.support.requirements import ROOT

pytestmark = pytest.mark.chp  # which brings Node.js

DASH = "\N{EN DASH}"

# A page with the place of each number, and one refresh of it.
PAGE = """
const [script, told, shown] = process.argv.slice(1).map((word) => JSON.parse(word));
const place = ([stat, textContent]) => ({ dataset: { stat }, textContent });
const places = Object.entries(shown).map(place);
globalThis.document = {
  querySelector: () => ({ querySelector: () => ({}) }),
  querySelectorAll: () => places,
};
globalThis.chart = { LAYERS: [], draw: () => {} };
globalThis.tmpnb = { seen: async () => {}, delay: () => 0 };
globalThis.fetch = async () => ({ ok: true, json: async () => told });
globalThis.setTimeout = () => {
  const texts = places.map((one) => [one.dataset.stat, one.textContent]);
  console.log(JSON.stringify(Object.fromEntries(texts)));
  process.exit(0);
};
AbortSignal.timeout = () => undefined;
(0, eval)(script);
"""


def refreshed(shown: dict[str, str], told: dict[str, object]) -> dict[str, object]:
    """Return what a page shows after a refresh."""
    node = shutil.which("node")
    assert node, "Node.js"
    script = (ROOT / "tmpnb" / "web" / "static" / "info.js").read_text()
    words = [json.dumps(word) for word in (script, told, shown)]
    ended = subprocess.run(  # noqa: S603 - our own script
        [node, "-e", PAGE, *words], capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, object] = json.loads(ended.stdout)
    return found


def test_what_is_not_known_stays_a_dash() -> None:
    shown = {"container_image": DASH, "available": "3", "version": "1", "other": "as it was"}
    told: dict[str, object] = {"container_image": "", "available": 0, "version": "2"}
    assert refreshed(shown, told) == {
        "container_image": DASH,
        "available": 0,
        "version": "2",
        "other": "as it was",
    }

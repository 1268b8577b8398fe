"""Measure how long new visitors wait: from GET `/` to the notebook page.

Against a service that runs, which needs a free notebook for each visitor:

    python -m benchmarks.common.visitors http://127.0.0.1:8000 --visitors 1 10

Each visitor takes a server, which stays taken until the service culls it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

TIMEOUT = 120.0  # seconds for one request
BROWSER = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
SCRIPT = {"Accept": "application/json", "User-Agent": BROWSER["User-Agent"]}


async def visit(client: Client, url: str) -> float | str:
    """Visit once; return seconds, or what went wrong."""
    try:
        return await reach_notebook(client, url)
    except UnreachableError as error:
        return str(error)


async def reach_notebook(client: Client, url: str) -> float | str:
    """Do what a browser does up to the notebook page."""
    begun = time.perf_counter()
    page = await client.fetch(f"{url}/", timeout=TIMEOUT, headers=BROWSER)
    taken = await client.fetch(f"{url}/spawn", timeout=TIMEOUT, method="POST", headers=SCRIPT)
    if page.code != 200 or taken.code != 200:
        return f"HTTP {page.code}, then {taken.code}"
    address = url + json.loads(taken.body)["url"]
    notebook = await client.fetch(address, timeout=TIMEOUT, headers=BROWSER)
    if notebook.code != 200:
        return f"the notebook page answered HTTP {notebook.code}"
    return time.perf_counter() - begun


async def measure(url: str, visitors: int) -> None:
    """Let so many come at once, and print a line."""
    client = Client(MAX_ANSWER)
    results = await asyncio.gather(*(visit(client, url) for _ in range(visitors)))
    times = sorted(r for r in results if isinstance(r, float))
    faults = [r for r in results if isinstance(r, str)]
    shown = f"median {statistics.median(times):.3f} s, longest {times[-1]:.3f} s" if times else "-"
    print(f"{visitors:4d} at once: {shown}; refused or failed: {len(faults)} {set(faults) or ''}")
    client.close()


async def main() -> None:
    """Read the arguments and measure one round after the other."""
    parser = argparse.ArgumentParser(description="How long new visitors wait for a notebook page.")
    parser.add_argument("url", help="where visitors go, as http://127.0.0.1:8000")
    parser.add_argument(
        "--visitors", type=int, nargs="+", default=[1, 10], help="at once, a round each"
    )
    arguments = parser.parse_args()
    for visitors in arguments.visitors:
        await measure(arguments.url.rstrip("/"), visitors)


if __name__ == "__main__":
    asyncio.run(main())

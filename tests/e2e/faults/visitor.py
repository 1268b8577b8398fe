"""Those who want a notebook server, and those who have one: what they save, run and see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlencode

from tornado.httpclient import HTTPResponse

from tests.e2e.running_service import PERSON, Service
from tests.support.engines.contract import wait_until
from tmpnb.errors import UnreachableError
from tmpnb.spawners.base import DEFAULT_COMMAND
from tmpnb.system.http.client import Client

JUPYTER = f"--command={DEFAULT_COMMAND}"  # in place of the stub that most tests run
PAUSE = 0.1  # seconds between two looks
FORM = "application/x-www-form-urlencoded"
FILE = "api/contents/work.txt"


class Site(Protocol):
    """Where a visitor's server is found."""

    @property
    def url(self) -> str:
        """Where visitors go."""

    client: Client


class Newcomer:
    """Somebody who wants a server, asks again and again, and keeps the place in line.

    Attributes:
        url: Of the page of the server they got, token included.
    """

    def __init__(self, service: Service) -> None:
        self.service, self.url = service, ""
        self._ticket = ""

    async def asks(self) -> bool:
        """Ask once; whether there was a server. If not, the answer must be honest."""
        answer = await self.service.fetch(
            "/spawn/lab",
            method="POST",
            headers={"Accept": "application/json", "Content-Type": FORM},
            body=urlencode({"ticket": self._ticket}),
        )
        told = json.loads(answer.body)
        if answer.code == 200:
            self.url = self.service.url + told["url"]
            return True
        assert answer.code == 503, told
        assert int(answer.headers["Retry-After"]) > 0
        self._ticket = told["ticket"]
        return False

    async def served(self) -> str:
        """Return the URL of a server once there is one."""
        await wait_until(self.asks, "a server is handed out")
        return self.url


class Visitor:
    """One visitor of a service.

    Attributes:
        url: Of the page, token included.
        codes: What `looking` saw, by HTTP status.
    """

    def __init__(self, service: Site, url: str) -> None:
        self.service, self.url = service, url
        self.codes: set[int] = set()

    @classmethod
    async def arriving(cls, service: Service) -> Visitor:
        """Take a server, which must be a live one."""
        visitor = cls(service, await service.take("/lab"))
        seen = await visitor.look()
        assert seen.code == 200, f"a dead server was handed out: {seen.code}"
        return visitor

    @property
    def id(self) -> str:
        """Of their server."""
        return self.url.split("/")[4]

    async def look(self, timeout: float = 20) -> HTTPResponse:
        """Load the page."""
        return await self.service.client.fetch(self.url, timeout=timeout, headers=PERSON)

    async def is_back(self) -> bool:
        """Whether the page is there."""
        return (await self.look()).code == 200

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Load the page again and again, and keep the codes."""

        async def look() -> None:
            while True:  # until it is cancelled at the end of the block
                with suppress(UnreachableError):
                    self.codes.add((await self.look()).code)
                await asyncio.sleep(PAUSE)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def save(self, text: str) -> None:
        """Write the file that must not be lost."""
        body = json.dumps({"type": "file", "format": "text", "content": text})
        answer = await self.ask(FILE, method="PUT", body=body)
        assert answer.code in (200, 201), answer.body

    async def saved(self) -> str:
        """Return what is in the file."""
        answer = await self.ask(FILE)
        assert answer.code == 200, answer.body
        return str(json.loads(answer.body)["content"])

    async def start_kernel(self) -> str:
        """Return its id."""
        answer = await self.ask("api/kernels", method="POST", body="{}")
        assert answer.code == 201, answer.body
        return str(json.loads(answer.body)["id"])

    async def kernels(self) -> set[str]:
        """Return the ids of the kernels that live."""
        return {kernel["id"] for kernel in json.loads((await self.ask("api/kernels")).body)}

    async def ask(self, api: str, **options: Any) -> HTTPResponse:
        """Ask the server's API with the token."""
        url = f"{self.service.url}/user/{self.id}/{api}"
        headers = {"Authorization": f"token {self.url.rpartition('token=')[2]}"}
        return await self.service.client.fetch(url, timeout=20, headers=headers, **options)

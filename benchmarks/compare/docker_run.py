"""What nobody can be faster than: the same containers, started by hand, without a service."""

from __future__ import annotations

import secrets
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.common.remains import LABEL, Engine
from benchmarks.compare.bounds import bounds
from tmpnb.spawners import command_template
from tmpnb.spawners.docker.options import memory
from tmpnb.spawners.docker.spawner import DockerSpawner

PORT = 8888
PAUSE = 0.02  # seconds between two questions whether it is up
PATIENCE = 120.0  # seconds for one
MEMORY = "512m"


@dataclass(frozen=True, slots=True)
class Started:
    """One server. Times in seconds, Unix time."""

    begun: float
    ready: float  # its API answered 200

    @property
    def took(self) -> float:
        """From the one to the other."""
        return self.ready - self.begun


class Floor:
    """Starts containers as tmpnb makes them: limits, command and a published port are the same."""

    def __init__(self, engine: Engine, image: str, template: str) -> None:
        """Keep what is needed.

        Args:
            engine: Whose label they carry.
            image: Of the containers.
            template: Command of a server, as `--command`.
        """
        self._engine, self._image, self._template = engine, image, template
        self._giving_up = threading.Event()

    def start(self, count: int, at_once: int) -> list[Started]:
        """Start so many, and return those that came up. Blocks."""
        with ThreadPoolExecutor(at_once) as threads:
            found = list(threads.map(lambda _: self._start(), range(count)))
        return [one for one in found if one is not None]

    def give_up(self) -> None:
        """Let `start` return soon."""
        self._giving_up.set()

    def _start(self) -> Started | None:
        if self._giving_up.is_set():
            return None
        begun = time.time()
        client, name = self._engine.client, secrets.token_hex(6)
        base, token = f"/user/{name}/", secrets.token_hex(16)
        values = {"base_path": base.rstrip("/"), "port": str(PORT), "ip": "0.0.0.0"}  # noqa: S104 - inside a container
        values |= {"token": token, "frame_ancestors": "'self'"}
        limit = memory(MEMORY)
        made = client.create_container(
            image=self._image,
            command=command_template.render(self._template, values),
            labels={LABEL: self._engine.run},
            environment={"JUPYTER_TOKEN": token},
            ports=[PORT],
            host_config=client.create_host_config(
                **{**bounds(), "mem_limit": limit, "memswap_limit": limit},
                port_bindings={PORT: ("127.0.0.1",)},
            ),
        )
        client.start(made["Id"])
        published = client.port(made["Id"], PORT)[0]["HostPort"]
        ready = self._until_ready(f"http://127.0.0.1:{published}{base}api", begun + PATIENCE)
        return None if ready is None else Started(begun, ready)

    def _until_ready(self, url: str, deadline: float) -> float | None:
        while time.time() < deadline and not self._giving_up.is_set():
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own
                    if answer.status == 200:
                        return time.time()
            except (urllib.error.URLError, OSError):
                time.sleep(PAUSE)
        return None


def new_floor(engine: Engine, image: str) -> Floor:
    """Return one that uses tmpnb's default command."""
    return Floor(engine, image, str(DockerSpawner.command.default_value))

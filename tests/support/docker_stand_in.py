"""A pretend Docker engine over TCP that fails as told: the faults a real one rarely shows.

It knows the few requests the spawner makes. A rule may answer a request in the engine's
place, or hold it until a test lets it go.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HELD_AT_MOST = 20.0  # seconds

Answer = tuple[int, Any]


@dataclass(slots=True)
class Rule:
    """Answers some requests, the next `times` of them."""

    pattern: str  # of "METHOD /path"
    answer: Callable[[], Answer | None]  # None: let the engine answer after all
    times: int = 1_000_000
    after: bool = False  # the engine acts first, then this answers in its place


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it came in."""

    method: str
    target: str  # path and query
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class StandIn:
    """The engine's state; requests come in on threads of their own."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # "METHOD /path?query"
    listeners: list[str] = field(default_factory=list)  # the same, of those who want its events
    bodies: list[dict[str, Any]] = field(default_factory=list)  # of creations
    sent: list[Sent] = field(default_factory=list)  # all of it
    new_state: str = "running"  # of a container that was started
    new_ports: list[dict[str, Any]] | None = None  # published; None: one on 127.0.0.1
    image_user: str = "1000"
    image_environment: list[str] = field(default_factory=list)  # NAME=value
    image_volumes: dict[str, dict[str, str]] | None = None  # by place
    volumes: dict[str, dict[str, str]] | None = None  # labels by name; None: it has no volumes
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)  # as asked for, by name
    in_use: set[str] = field(default_factory=set)  # volumes that cannot be removed
    copied: list[bytes] = field(default_factory=list)  # archives put into containers
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def rule(
        self,
        pattern: str,
        answer: Callable[[], Answer | None],
        times: int = 1_000_000,
        *,
        after: bool = False,
    ) -> None:
        self.rules.append(Rule(pattern, answer, times, after))

    def refuse(
        self,
        pattern: str,
        status: int,
        message: str,
        times: int = 1_000_000,
        *,
        after: bool = False,
    ) -> None:
        """Answer with an error, as the engine words them."""
        self.rule(pattern, lambda: (status, {"message": message}), times, after=after)

    def hold(self, pattern: str, *, after: bool = False) -> threading.Event:
        """Answer only once the returned event is set."""
        go = threading.Event()

        def wait() -> None:
            go.wait(HELD_AT_MOST)

        self.rule(pattern, wait, after=after)
        return go

    def requests(self, pattern: str) -> list[str]:
        return [asked for asked in self.asked if re.search(pattern, asked)]

    def wait_for(self, pattern: str) -> bool:
        """Return whether a request like that came in time."""
        with self.changed:
            return self.changed.wait_for(lambda: bool(self.requests(pattern)), HELD_AT_MOST)

    def answer(self, method: str, target: str, body: dict[str, Any]) -> Answer:
        url = urlsplit(target)
        path = re.sub(r"^/v[\d.]+", "", unquote(url.path))
        if path == "/events":  # asked for again and again, beside whatever a test looks at
            self.listeners.append(f"{method} {target}")
            return 404, {"message": "this engine tells of none"}
        with self.changed:
            self.asked.append(f"{method} {target}")
            self.changed.notify_all()
        answered = self._ruled(f"{method} {path}", after=False)
        if answered is None:
            answered = self._act(method, path, parse_qs(url.query), body)
        return self._ruled(f"{method} {path}", after=True) or answered

    def _ruled(self, request: str, *, after: bool) -> Answer | None:
        for rule in self.rules:
            if rule.times > 0 and rule.after is after and re.fullmatch(rule.pattern, request):
                rule.times -= 1
                return rule.answer()
        return None

    def _act(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        match method, path.strip("/").split("/"):
            case "GET", ["version"]:
                return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
            case "GET", ["images", *_]:
                about = {"User": self.image_user, "Env": self.image_environment}
                return 200, {"Config": about | {"Volumes": self.image_volumes}}
            case _, ["volumes", *rest] if self.volumes is not None:
                return self._volume(method, rest, self.volumes, query, body)
            case _, ["networks", *rest]:
                return self._network(method, rest, body)
            case "GET", ["containers", "json"]:
                return 200, self._list(json.loads(query.get("filters", ["{}"])[0]))
            case "POST", ["containers", "create"]:
                return self._create(query["name"][0], body)
            case _, ["containers", named, *rest] if container := self._id_of(named):
                return self._one(method, container, rest, query)
        return 404, {"message": f"no such thing: {path}"}

    def _network(self, method: str, rest: list[str], body: Any) -> Answer:
        match method, rest:
            case "POST", ["create"]:
                self.networks[body["Name"]] = body
                return 201, {"Id": body["Name"]}
            case "GET", []:
                return 200, list(self.networks.values())
            case "GET", [name] if name in self.networks:
                return 200, self.networks[name]
            case "DELETE", [name] if name in self.networks:
                del self.networks[name]
                return 204, None
        return 404, {"message": f"no such network: {rest}"}

    def _id_of(self, named: str) -> str:
        """Return the engine id of a container that is named by it or by its name; "" for none."""
        if named in self.containers:
            return named
        entries = list(self.containers.values())
        return next((str(e["Id"]) for e in entries if f"/{named}" in e["Names"]), "")

    def _list(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        def fits(entry: dict[str, Any]) -> bool:
            own = [f"{key}={value}" for key, value in entry["Labels"].items()]
            labelled = all(label in own for label in filters.get("label", []))
            on = entry["NetworkSettings"]["Networks"]
            wanted = [name for name in filters.get("network", []) if name in self.networks]
            there = all(name in on for name in wanted)
            return labelled and there and entry["Id"] in filters.get("id", [entry["Id"]])

        return [entry for entry in list(self.containers.values()) if fits(entry)]

    def _mounted(self) -> set[str]:
        entries = list(self.containers.values())
        return {str(mount["Name"]) for entry in entries for mount in entry.get("Mounts") or ()}

    def _volume(
        self,
        method: str,
        rest: list[str],
        volumes: dict[str, dict[str, str]],
        query: dict[str, list[str]],
        body: Any,
    ) -> Answer:
        match method, rest:
            case "POST", ["create"]:
                volumes.setdefault(body["Name"], body.get("Labels") or {})
                return 201, {"Name": body["Name"]}
            case "GET", []:
                [wanted] = json.loads(query["filters"][0])["label"]
                key, _, value = wanted.partition("=")
                fits = [name for name, labels in volumes.items() if labels.get(key) == value]
                return 200, {"Volumes": [{"Name": name} for name in fits]}
            case "GET", [name] if name in volumes:
                return 200, {"Name": name, "Labels": volumes[name]}
            case "DELETE", [name] if name in self.in_use or name in self._mounted():
                return 409, {"message": f"volume {name} is in use"}
            case "DELETE", [name] if name in volumes:
                del volumes[name]
                return 204, None
        return 404, {"message": "no such volume"}

    def _create(self, name: str, body: dict[str, Any]) -> Answer:
        self.bodies.append(body)
        if any(f"/{name}" in entry["Names"] for entry in self.containers.values()):
            return 409, {"message": f'Conflict. The container name "/{name}" is in use'}
        container = self.add(name, body.get("Labels") or {}, state="created")
        mounts = (body.get("HostConfig") or {}).get("Mounts") or ()
        self.containers[container]["Mounts"] = [{"Name": mount.get("Source")} for mount in mounts]
        return 201, {"Id": container, "Warnings": []}

    def add(self, name: str, labels: dict[str, str], *, state: str = "running") -> str:
        """Put a container there; return its engine id."""
        container = f"{len(self.asked):032x}{len(self.containers):032x}"
        self.containers[container] = {
            "Id": container,
            "Names": [f"/{name}"],
            "Labels": labels,
            "State": state,
            "Created": int(time.time()),
            "Ports": [],
            "NetworkSettings": {"Networks": {}},
        }
        return container

    def _one(
        self, method: str, container: str, rest: list[str], query: dict[str, list[str]]
    ) -> Answer:
        entry = self.containers[container]
        match method, rest:
            case "DELETE", []:
                del self.containers[container]
                return 204, None
            case "POST", ["start"]:
                entry["State"] = self.new_state
                published = {"IP": "127.0.0.1", "PrivatePort": 8888, "PublicPort": 40_000}
                entry["Ports"] = [published] if self.new_ports is None else self.new_ports
                return 204, None
            case "POST", ["rename"]:
                entry["Names"] = [f"/{query['name'][0]}"]
                return 204, None
            case "GET", ["json"]:
                state = {"Status": entry["State"], "ExitCode": 7}
                return 200, {"State": state, "Config": {"Tty": True}}
            case "PUT", ["archive"]:
                return 200, b""
            case "GET", ["logs"]:
                return 200, b"first line\nlast line\n"
        return 501, {"message": f"the stand-in does not know {method} {rest}"}


class Engine:
    """The stand-in, listening on a free port of this machine."""

    def __init__(self) -> None:
        self.state = state = StandIn()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent_body = self.rfile.read(length)
                state.sent.append(Sent(self.command, self.path, dict(self.headers), sent_body))
                if self.command == "PUT":
                    state.copied.append(sent_body)
                    sent_body = b""
                body = json.loads(sent_body or b"{}")
                status, answer = state.answer(self.command, self.path, body)
                sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - its base calls them so

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    self.close_connection = True  # the client gave up, as it should

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.state.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        # Not `server_close`, which would wait for requests that are held.
        self._server.socket.close()

"""The operations for programs: take a server, keep it, end it; the numbers, and health. Pure."""

from __future__ import annotations

from typing import Any

from tmpnb.web.openapi.beside import beside
from tmpnb.web.openapi.parts import (
    PATH,
    RETRY_AFTER,
    SERVER_ID,
    UNAUTHORIZED,
    UNAVAILABLE,
    Part,
    answer,
    empty,
    file,
    operation,
    problem,
)

_URL = "https://tmpnb.example/user/JtJ5bXTt4N1e/"
_TOKEN = "9f0c5a7e"  # noqa: S105 - an example, which opens nothing
_ENDED = {
    "code": "server_ended",
    "message": "This notebook server has ended at 14:05 UTC. Nobody had used it for a while. "
    "Its files are gone.",
    "reason": "idle",
    "ended_at": 1790003700.0,
}
_LOST = {"code": "route_lost", "message": "The way to this notebook server is being restored."}
_FULL = {"code": "pool_empty", "message": "no notebook was ready within 30 s"}
_GONE = answer(
    "There is no such server any more.", "Gone", {"error": _ENDED, "message": _ENDED["message"]}
)
_SPAWNED = {
    "url": f"{_URL}?token={_TOKEN}",
    "id": "JtJ5bXTt4N1e",
    "token": _TOKEN,
    "base_url": _URL,
    "expires_at": 1790014400.0,
}
_SERVER = {
    "id": "JtJ5bXTt4N1e",
    "url": _URL,
    "phase": "claimed",
    "now": 1790000100.0,
    "claimed_at": 1790000000.0,
    "expires_at": 1790014400.0,
    "idle_at": 1790003650.0,
    "answers": True,
}
_STATS = {
    "capacity": 12,
    "available": 7,
    "starting": 1,
    "claimed": 3,
    "stopping": 1,
    "waiting": 0,
    "claims_total": 1874,
    "claims_refused_total": 12,
    "claims_refused_by_limit_total": 3,
    "version": "1.0.0",
    "container_image": "jupyter/minimal-notebook",
}
_HEALTH = {
    "status": "degraded",
    "last_pass": 1790000000.0,
    "last_pass_age": 12.3,
    "open_files": {"limit": 1048576, "needed": 144},
    "problems": {"engine": 1790000010.0},
}
_READY = {"ready": True, "checks": {"engine": True, "proxy": True, "servers": True}}
_NOT_READY = {"ready": False, "checks": {"engine": True, "proxy": True, "servers": False}}


def programs(*, token_wanted: bool) -> Part:
    """Return path and operations; `token_wanted` tells whether the API token is."""
    guarded: Part = {"security": [{"apiToken": []}]} if token_wanted else {}
    refused: Part = {"401": UNAUTHORIZED} if token_wanted else {}
    return {
        "/api/spawn": {"post": _spawn(guarded, refused)},
        **_servers(),
        "/api/stats": {"get": _stats("stats", guarded, refused)},
        "/stats": {"get": _stats("statsAsOfOld", guarded, refused)},
        "/metrics": {"get": _metrics(guarded, refused)},
        **beside(),
        **_service(),
        "/logo": {"get": _logo()},
        "/user/{id}/{path}": {
            "parameters": [SERVER_ID, PATH],
            **{method: _lost(method) for method in ("get", "post", "put", "patch", "delete")},
        },
    }


def _spawn(guarded: Part, refused: Part) -> Part:
    return operation(
        "spawn",
        "servers",
        "Take a notebook server",
        {
            "200": answer("A server, ready for use.", "Spawned", _SPAWNED),
            **refused,
            "403": problem(
                "From a banned network, without the passphrase in X-Tmpnb-Passphrase, or by a "
                "page of a site that may not read our answers.",
                "passphrase_needed",
            ),
            "429": answer(
                "No server is ready, or was within `wait` seconds; without `status`, the client "
                "has as many as one address may.",
                "Full",
                {"status": "full", "error": _FULL},
                headers=RETRY_AFTER,
            ),
            "503": UNAVAILABLE,
        },
        description="The body is not read. Each answer is another server.",
        parameters=[
            {
                "name": "wait",
                "in": "query",
                "description": "Seconds to wait in line when none is ready; more counts as 60.",
                "schema": {"type": "number", "minimum": 0, "maximum": 60, "default": 0},
                "example": 30,
            }
        ],
        **guarded,
    )


def _servers() -> Part:
    said = {"200": answer("How long it has.", "Server", _SERVER)}
    wrong = {"401": UNAUTHORIZED, "404": _GONE}
    guarded: Part = {"security": [{"serverToken": []}]}
    return {
        "/api/servers/{id}": {
            "parameters": [SERVER_ID],
            "get": operation(
                "server", "servers", "How long a server has", {**said, **wrong}, **guarded
            ),
            "delete": operation(
                "endServer",
                "servers",
                "End a server; its files are gone",
                {"204": empty("It ends."), **wrong},
                **guarded,
            ),
        },
        "/api/servers/{id}/extend": {
            "parameters": [SERVER_ID],
            "post": operation(
                "extendServer",
                "servers",
                "Let the idle clock of a server begin anew",
                {**said, **wrong},
                description="The body is not read. `expires_at` stays as it is.",
                **guarded,
            ),
        },
    }


def _stats(name: str, guarded: Part, refused: Part) -> Part:
    said = {"200": answer("The pool as it is now.", "Stats", _STATS), **refused}
    return operation(name, "service", "The pool in numbers", said, **guarded)


def _metrics(guarded: Part, refused: Part) -> Part:
    said = {
        "200": file("All metrics; as OpenMetrics for those who accept that.", "text/plain"),
        **refused,
        "404": problem("They are shown to the operator alone.", "not_found"),
    }
    return operation(
        "metrics",
        "service",
        "The service in numbers, in the format of Prometheus",
        said,
        description="With `--public-metrics` alone; the admin port has them always.",
        **guarded,
    )


def _service() -> dict[str, Any]:
    document = file("The document.", "application/json")
    return {
        "/api/openapi.json": {
            "get": operation("openapi", "service", "This document", {"200": document})
        },
        "/health": {
            "get": operation(
                "health",
                "service",
                "How the service is; 200 while it serves",
                {"200": answer("It serves.", "Health", _HEALTH)},
            )
        },
        "/health/ready": {
            "get": operation(
                "ready",
                "service",
                "Whether a visitor who comes now can be served",
                {
                    "200": answer("Yes.", "Readiness", _READY),
                    "503": answer("Not now.", "Readiness", _NOT_READY),
                },
            )
        },
    }


def _logo() -> Part:
    said = {
        "200": file("The picture, as image/svg+xml or image/png.", "image/*"),
        "404": file("The service has none of its own.", "text/html"),
    }
    return operation("logo", "assets", "The picture of the service", said)


def _lost(method: str) -> Part:
    """Return what is said in place of a notebook server that has no route."""
    return operation(
        f"{method}Notebook",
        "servers",
        "A notebook server's own address",
        {
            "404": _GONE,
            "410": _GONE,
            "503": answer(
                "It lives, and the way to it is being restored.",
                "Gone",
                {"error": _LOST, "message": _LOST["message"]},
                headers=RETRY_AFTER,
            ),
            "default": empty("Whatever the notebook server answers."),
        },
        description="Answered by the notebook server itself while it lives. A person's "
        "browser gets a page in place of the JSON below.",
    )

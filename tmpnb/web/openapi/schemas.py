"""The bodies that the service answers with, as JSON schemas. Pure."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def _number(description: str, **more: Any) -> Schema:
    return {"type": "number", "description": description, **more}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


_REASON = _object(
    {
        "code": _text("For programs; the list of codes is in docs/http-api.md."),
        "message": _text("For people."),
    }
)
_ENDED = _object(
    {
        **_REASON["properties"],
        "reason": _text("Why it has ended, in one word, as long as that is remembered."),
        "ended_at": _number("When it began to end, Unix time in seconds."),
    },
    optional=("reason", "ended_at"),
)
_ID = _text("The server's random id.", pattern="^[A-Za-z0-9_-]{1,64}$")
_URL = _text("Its base URL, absolute, with a slash at its end.", format="uri")
_EXPIRES = _number("When it ends, whatever it does: Unix time in seconds.")

SCHEMAS: Schema = {
    "Spawned": _object(
        {
            "url": _text("Opens in a browser; the token is in its query.", format="uri"),
            "id": _ID,
            "token": _text("Opens this server, and no other; a secret."),
            "base_url": _URL,
            "expires_at": _or_null(_EXPIRES),
        },
        description="A server that was given out.",
    ),
    "Embeddable": _object(
        {
            "allowed": {"type": "boolean", "description": "Whether all the pages asked about may."},
            "sites": {
                "type": "array",
                "items": _text("As in a Content-Security-Policy; `*` is any site."),
                "description": "Whose pages may show notebooks, besides the service's own.",
            },
        },
        description="Whether pages may show notebooks.",
    ),
    "Full": _object(
        {"status": {"const": "full"}, "error": _REASON},
        optional=("status",),
        description="There is no server ready; `Retry-After` says when to come again.",
    ),
    "Server": _object(
        {
            "id": _ID,
            "url": _URL,
            "phase": {"const": "claimed"},
            "now": _number("The service's own time, Unix time in seconds."),
            "claimed_at": _number("When it was given out, Unix time in seconds."),
            "expires_at": _EXPIRES,
            "idle_at": _or_null(
                _number(
                    "When it ends unless it is used, never later than `expires_at`; null if "
                    "the server does not say when it was used last."
                )
            ),
            "answers": {
                "type": "boolean",
                "description": "Whether the server answered when it was asked a moment ago.",
            },
        },
        description="A server that is in use, and how long it has.",
    ),
    "Stats": _object(
        {
            "capacity": _count("Servers there may be in all."),
            "available": _count("Ready to be taken."),
            "starting": _count("Asked of the engine, not ready yet."),
            "claimed": _count("With a visitor."),
            "stopping": _count("Being removed."),
            "waiting": _count("Visitors in line."),
            "claims_total": _count("Servers given out since the service started."),
            "claims_refused_total": _count("Times a visitor was told that there is none."),
            "claims_refused_by_limit_total": _count("Times an address had as many as it may."),
            "version": _text("Of tmpnb."),
            "container_image": _text("Image of the servers; empty where there are no images."),
        },
        description="The pool in numbers.",
    ),
    "Health": _object(
        {
            "status": {"enum": ["ok", "degraded"]},
            "last_pass": _or_null(_number("When engine and proxy could last be read.")),
            "last_pass_age": _or_null(_number("The same in seconds ago.", minimum=0)),
            "open_files": _object(
                {
                    "limit": _count("Files that the service may have open."),
                    "needed": _count("Files that a proxy needs when every place is taken."),
                }
            ),
            "problems": {
                "type": "object",
                "description": "Topic, and the time since when.",
                "additionalProperties": {"type": "number"},
            },
        },
        description="How the service is.",
    ),
    "Readiness": _object(
        {
            "ready": {"type": "boolean"},
            "checks": _object({n: {"type": "boolean"} for n in ("engine", "proxy", "servers")}),
        },
        description="Whether a visitor who comes now can be served.",
    ),
    "Error": _object({"error": _REASON}, description="What went wrong."),
    "Gone": _object(
        {"error": _ENDED, "message": _text("The same where Jupyter's pages look for it.")},
        description="A notebook server that is not there, or not at the moment.",
    ),
}

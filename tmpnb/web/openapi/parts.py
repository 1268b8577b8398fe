"""Pieces that the operations of the OpenAPI document are put together from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Part = dict[str, Any]
Responses = dict[str, Part]

SERVER_ID: Part = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The server's id.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "example": "JtJ5bXTt4N1e",
}
PATH: Part = {
    "name": "path",
    "in": "path",
    "required": True,
    "description": "A path on a notebook server; may have slashes, and a query behind it.",
    "schema": {"type": "string"},
    "example": "lab/tree/first.ipynb",
}
RETRY_AFTER: Part = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def operation(name: str, tag: str, summary: str, responses: Responses, **more: Any) -> Part:
    """Return an operation; any may be asked for badly, or meet a bug of ours."""
    bad = problem("Form, path or query are broken, or no UTF-8.", "bad_request")
    bug = problem("A bug of the service; its log has it.", "internal_server_error")
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **more,
        "responses": {"400": bad, **responses, "500": bug},
    }


def answer(description: str, schema: str, example: Mapping[str, Any], **more: Any) -> Part:
    """Return an answer with a JSON body."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    body = {"schema": reference, "example": dict(example)}
    return {"description": description, "content": {"application/json": body}, **more}


def problem(description: str, code: str, message: str = "…", **more: Any) -> Part:
    """Return an answer with an error as its body."""
    return answer(description, "Error", {"error": {"code": code, "message": message}}, **more)


def file(description: str, kind: str) -> Part:
    """Return an answer of another type than JSON."""
    return {"description": description, "content": {kind: {"schema": {"type": "string"}}}}


def empty(description: str) -> Part:
    """Return an answer without a body."""
    return {"description": description}


UNAUTHORIZED = problem(
    "No `Authorization` with the token that is wanted.",
    "unauthorized",
    "Unauthorized: send 'Authorization: token <your token>'",
)
UNAVAILABLE = problem(
    "Engine or proxy do not answer.",
    "proxy_unavailable",
    "The service cannot give out a notebook at the moment. Please try again soon.",
    headers=RETRY_AFTER,
)

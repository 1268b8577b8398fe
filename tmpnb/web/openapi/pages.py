"""The addresses for people and for pages of other sites, in short. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tmpnb.core.links import PAGES
from tmpnb.web.openapi.beside import invitation
from tmpnb.web.openapi.parts import (
    PATH,
    RETRY_AFTER,
    SERVER_ID,
    Part,
    answer,
    empty,
    file,
    operation,
    problem,
)

_HTML = "text/html"
_ON = "To the server, or to the page that follows: the line, the terms, the passphrase."
_TAKES = "A person gets 302 or 303 to a server; a script, `Accept: application/json`, its `url`."
_ELSEWHERE = "POST from a page of another site, a banned network, or without the passphrase."
_REFUSED = "From a banned network; or the page that asks for the passphrase."
_ASKED = "`X-Tmpnb-Ask: 1`, with a cookie from another network: a form gets the question."
_WHICH = problem(_ASKED, "which_notebook")
_UNDER_WAY = "The client has as many requests under way as one may."
_ENOUGH = problem("The client has as many servers as one may.", "client_limit", headers=RETRY_AFTER)


def pages() -> Part:
    """Return path and operations."""
    deep = {
        f"/{name}/{{path}}": _page(f"{name}Page", "A page that takes a server at this path", PATH)
        for name in PAGES
    }
    return {
        "/": _page("startPage", "A page that takes a server once a person sees it"),
        **deep,
        "/hub/user-redirect/{path}": _page("hubPage", "As links made for JupyterHub", PATH),
        "/spawn": _taking("Spawn"),
        "/spawn/{path}": _taking("SpawnAt", PATH),
        "/spawn/user/{id}/{path}": _reopening(),
        "/wait/{ticket}": {"parameters": [_TICKET], "get": _waiting()},
        **invitation(),
        "/info": _page("infoPage", "The pool in numbers, as a page"),
        "/embed": _page("embedPage", "What authors paste to have a notebook in a page"),
        "/api/embed": _with((_FRAMING,), {"get": _embeddable()}),
        "/terms": {"get": _terms()},
        "/embed.js": _asset("embedScript", "The script for articles", "text/javascript"),
        "/badge.svg": _asset("badge", "A badge for links", "image/svg+xml"),
    }


_TICKET: Part = {
    "name": "ticket",
    "in": "path",
    "required": True,
    "description": "Stands for a place in line.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}

_FRAMING: Part = {
    "name": "page",
    "in": "query",
    "description": "Origin of a page to show one in; once for each, where one page frames another.",
    "schema": {"type": "array", "items": {"type": "string"}},
    "explode": True,
}


def _with(parameters: Sequence[Part], operations: Part) -> Part:
    return {**({"parameters": list(parameters)} if parameters else {}), **operations}


def _page(name: str, summary: str, *parameters: Part) -> Part:
    responses = {
        "200": file("The page; it has taken nothing.", _HTML),
        "400": file("A link that leads nowhere.", _HTML),
    }
    return _with(parameters, {"get": operation(name, "pages", summary, responses)})


def _taking(name: str, *parameters: Part) -> Part:
    responses = {
        "200": file("For a script the address, else a page that takes nothing.", _HTML),
        "400": file("A link that leads nowhere.", _HTML),
        "409": _WHICH,
        "429": _ENOUGH,
        "503": file("None is free; the page keeps the place in line.", _HTML),
    }
    summary = "Take a server for a person"
    get = operation(
        f"get{name}",
        "pages",
        summary,
        {**responses, "302": empty("To the server."), "403": file(_REFUSED, _HTML)},
        description=_TAKES,
    )
    post = operation(
        f"post{name}",
        "pages",
        summary,
        {**responses, "303": empty(_ON), "403": problem(_ELSEWHERE, "forbidden")},
        description=_TAKES,
    )
    return _with(parameters, {"get": get, "post": post})


def _reopening() -> Part:
    unknown = problem("No server here has an id of this form.", "not_found")
    page = {
        "200": file("A page with a button.", _HTML),
        "302": empty("To the server, for who has pressed it and waited."),
        "404": unknown,
        "503": file("None is free; the page keeps the place in line.", _HTML),
    }
    taken = {
        "200": file("For a script the address.", _HTML),
        "303": empty(_ON),
        "403": problem(_ELSEWHERE, "forbidden"),
        "404": unknown,
        "409": problem(f"The server of this id is being removed; or: {_ASKED}", "server_exists"),
        "429": _ENOUGH,
        "503": problem("There is no room.", "pool_empty"),
    }
    summary = "An empty server at an address that this browser had; for others an ordinary one"
    return _with(
        (SERVER_ID, PATH),
        {
            "get": operation("reopenPage", "pages", summary, page),
            "post": operation("reopen", "pages", summary, taken),
        },
    )


def _waiting() -> Part:
    responses = {
        "200": file("Events with the place; `turn` and `lost` end it.", "text/event-stream"),
        "429": problem(_UNDER_WAY, "client_limit", headers=RETRY_AFTER),
    }
    return operation("wait", "pages", "Tell one who waits in line how far it is", responses)


def _terms() -> Part:
    said = {"200": file("The terms.", _HTML), "404": file("There are none.", _HTML)}
    return operation("terms", "pages", "Terms of use", said)


def _embeddable() -> Part:
    example = {"allowed": False, "sites": ["https://journal.example"]}
    said = {"200": answer("Whether all may, and who may.", "Embeddable", example)}
    return operation("embeddable", "pages", "Whether a page may show notebooks", said)


def _asset(name: str, summary: str, kind: str) -> Part:
    return {"get": operation(name, "assets", summary, {"200": file("The file.", kind)})}

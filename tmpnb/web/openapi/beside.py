"""The addresses beside a notebook: its own page, its files in one archive, an invitation. Pure."""

from __future__ import annotations

from tmpnb.web.openapi.parts import SERVER_ID, UNAUTHORIZED, Part, empty, file, operation, problem

_HTML = "text/html"
_NO_KEY = "Without the server's token, or from a page of another site."


def beside() -> Part:
    """Return path and operations that are there whether pages are or not."""
    return {
        "/session/{id}": {"parameters": [SERVER_ID], "get": _page(), "post": _wish()},
        "/session/{id}/files.zip": {
            "parameters": [SERVER_ID],
            "get": _files("files", {"401": UNAUTHORIZED}, security=[{"serverToken": []}]),
            "post": _files(
                "filesForPage",
                {
                    "303": empty("It has ended: to the page that says why."),
                    "403": problem(_NO_KEY, "forbidden"),
                },
            ),
        },
    }


def invitation() -> Part:
    """Return path and operations of signed links, which lead to pages."""
    responses = {
        "302": empty("To the page; a cookie opens what the passphrase would."),
        "400": file("A link that leads nowhere.", _HTML),
        "403": file("It has ended, or is not from here.", _HTML),
    }
    return {"/invite": {"get": operation("invite", "pages", "Let in by a signed link", responses)}}


def _page() -> Part:
    responses = {
        "200": file("How long the notebook has, and what can be done.", _HTML),
        "303": empty("To the same page, without the token in its address."),
        "403": file(_NO_KEY, _HTML),
        "404": file("It has ended, and why.", _HTML),
        "503": file("The service does not know its servers yet.", _HTML),
    }
    return operation("sessionPage", "pages", "The page beside a notebook", responses)


def _wish() -> Part:
    responses = {
        "303": empty("To the page, which says what is now."),
        "400": problem("Neither `do=keep` nor `do=stop`.", "bad_request"),
        "403": problem(_NO_KEY, "forbidden"),
        "503": problem("The service does not know its servers yet.", "service_unavailable"),
    }
    return operation("wish", "pages", "Keep a notebook, or end it", responses)


def _files(name: str, refused: Part, **more: object) -> Part:
    responses = {
        "200": file("The archive; what could not be read is named in it.", "application/zip"),
        **refused,
        "404": file("It has ended, and why.", _HTML),
        "429": problem("Two archives of this server are under way.", "too_many_downloads"),
        "503": file(
            "The service does not know its servers yet, or this one does not answer.", _HTML
        ),
    }
    return operation(name, "servers", "All files of a notebook in one archive", responses, **more)

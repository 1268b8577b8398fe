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
                    "303": empty("The notebook has ended: to the page that says why."),
                    "403": problem(_NO_KEY, "forbidden"),
                },
            ),
        },
    }


def invitation() -> Part:
    """Return path and operations of signed links, which lead to pages."""
    responses = {
        "302": empty("To the page; a cookie replaces the passphrase."),
        "400": file("An invalid link.", _HTML),
        "403": file("The invitation has expired or is not from this service.", _HTML),
    }
    return {"/invite": {"get": operation("invite", "pages", "Let in by a signed link", responses)}}


def _page() -> Part:
    responses = {
        "200": file("How long the notebook lasts, and what can be done.", _HTML),
        "303": empty("To the same page, without the token in its address."),
        "403": file(_NO_KEY, _HTML),
        "404": file("The notebook has ended, and why.", _HTML),
        "503": file("The service does not know its servers yet.", _HTML),
    }
    return operation("sessionPage", "pages", "The page beside a notebook", responses)


def _wish() -> Part:
    responses = {
        "303": empty("To the page, which shows the new state."),
        "400": problem("Neither `do=keep` nor `do=stop`.", "bad_request"),
        "403": problem(_NO_KEY, "forbidden"),
        "503": problem("The service does not know its servers yet.", "service_unavailable"),
    }
    return operation("wish", "pages", "Keep a notebook, or stop it", responses)


def _files(name: str, refused: Part, **more: object) -> Part:
    responses = {
        "200": file("The archive; it lists what could not be read.", "application/zip"),
        **refused,
        "404": file("The notebook has ended, and why.", _HTML),
        "429": problem(
            "Two archives of this server are being downloaded already.", "too_many_downloads"
        ),
        "503": file(
            "The service does not know its servers yet, or this one does not respond.", _HTML
        ),
    }
    return operation(name, "servers", "All files of a notebook in one archive", responses, **more)

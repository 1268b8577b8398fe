"""How a request stands before the gate: what it says of its sender, and the page that asks."""

from __future__ import annotations

from tmpnb.access.gate import Knock
from tmpnb.access.limits import Admission
from tmpnb.access.passphrase import COOKIE, DAY
from tmpnb.access.ties import PASS
from tmpnb.errors import PassphraseError
from tmpnb.web.asked.browser import BrowserHandler
from tmpnb.web.pages.question import QuestionHandler

HEADER = "X-Tmpnb-Passphrase"


def knock(
    handler: BrowserHandler, *, is_program: bool = False, is_known: bool = False, typed: str = ""
) -> Knock:
    """Return what the request of a handler says about its sender."""
    request = handler.request
    return Knock(
        peer=request.remote_ip or "",
        forwarded=request.headers.get("X-Forwarded-For", ""),
        passphrase=typed or _from_header(request.headers.get(HEADER, "")),
        held=next(filter(handler.site.gate.passes.seconds_left, handler.said(COOKIE, PASS)), ""),
        is_program=is_program,
        is_known=is_known,
    )


async def admit(handler: QuestionHandler, action: str, *, is_known: bool) -> Admission | None:
    """Return the leave to take a server; None if the page that asks for the passphrase was sent.

    Args:
        handler: Of the request.
        action: Where that page's form goes.
        is_known: Whether the visitor comes back to what they have.

    Raises:
        BannedError: Their network gets nothing.
        PassphraseError: A script has not said the passphrase.
        TooManyTriesError: They have tried too many.
    """
    typed = handler.get_body_argument("passphrase", "")
    gate = handler.site.gate
    try:
        admission = await gate.admit(knock(handler, is_known=is_known, typed=typed))
    except PassphraseError as error:
        if handler.wants_json():
            raise
        if handler.request.method == "POST":
            handler.show_after_post(action, wrong="1" if error.was_wrong else "")
            return None
        handler.page(
            "passphrase.html",
            403,
            action=action,
            was_wrong=bool(handler.from_form("wrong")),
            agree=handler.agreed_now,
            fresh=handler.from_form("fresh"),
            answer=handler.answered(),
        )
        return None
    if admission.by_passphrase:
        handler.keep(COOKIE, handler.seal(COOKIE, PASS, gate.passes.by_passphrase()), DAY)
    return admission


def _from_header(value: str) -> str:
    """Return a header's text, whose bytes were read one by one, as UTF-8 if it is that."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value

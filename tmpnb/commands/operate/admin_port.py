"""Ask the admin port of a running service; whatever goes wrong is one line for the operator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tmpnb.errors import (
    AdminPortError,
    AnswerTooLargeError,
    ConfigError,
    NobodyThereError,
    UnreachableError,
)
from tmpnb.system import untrusted_json
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.logs.redaction import on_one_line, redact
from tmpnb.system.net.port_owners import Owner, owner

QUICK = 20.0  # seconds for an answer
MOST_VALUES = 5_000_000  # of a list of all servers
NOTHING = "There is nothing at this address."  # as a tmpnb says it
LONGEST = 500  # characters of what the service says that are shown
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised
TOKEN = "ADMIN_AUTH_TOKEN or ADMIN_AUTH_TOKEN_FILE"  # noqa: S105 - names of variables
_URL = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?")


class AdminPort:
    """The admin port of one service. Close it in the end."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Keep where it is; nothing is asked yet.

        Args:
            url: `http://127.0.0.1:10000`.
            token: The operator's, if there is one.
        """
        self.url = url.rstrip("/")
        self._client = Client(MAX_ANSWER)
        self._token = token
        self.owner = Owner.UNKNOWN  # whose port it was when it was asked last

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = QUICK,
    ) -> dict[str, Any]:
        """Return the answer; empty if it has no content.

        Args:
            method: HTTP method.
            path: With its query.
            body: Sent as JSON.
            seconds: Until there must be an answer.

        Raises:
            AdminPortError: There is none, it is not what was asked for, or it is another user's
                port, which gets nothing; in one line.
        """
        await self.look()
        sent = None if body is None else json.dumps(body)
        if sent is None and method in ("POST", "PUT"):
            sent = ""
        try:
            answer = await self._client.fetch(
                self.url + path, timeout=seconds, method=method, headers=self._headers(), body=sent
            )
        except AnswerTooLargeError as error:
            raise AdminPortError(
                f"the answer of {self.url} has more than {MAX_ANSWER // 2**20} MB"
            ) from error
        except UnreachableError as error:
            why = str(error).partition(": ")[2].strip() or "no answer"
            raise NobodyThereError(
                f"no tmpnb answers at {self.url} ({on_one_line(why[:LONGEST])}); is it running, "
                "and is this its admin port? See --admin-port, --admin-ip and --admin-url"
            ) from error
        found = _object(answer.body)
        if answer.code == HTTPStatus.NO_CONTENT:
            return {}
        if answer.code == HTTPStatus.OK and found is not None:
            return found
        raise AdminPortError(self._refusal(answer.code, found))

    async def look(self) -> None:
        """Keep whose port it is now.

        Raises:
            AdminPortError: That of another user of this machine.
        """
        self.owner = await owner(self.url)
        if self.owner is Owner.ANOTHER:
            raise AdminPortError(
                f"another user of this machine listens at {self.url}, so nothing is asked there; "
                "if it is the service, run this as its user"
            )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._token is not None and self.owner is not Owner.UNKNOWN:
            headers["Authorization"] = f"token {self._token}"
        return headers

    def _refusal(self, code: int, found: Mapping[str, Any] | None) -> str:
        if code == HTTPStatus.UNAUTHORIZED:
            if self._token is not None and self.owner is Owner.UNKNOWN:
                return (
                    f"what answers at {self.url} wants a token, which is not sent: this machine "
                    "does not tell which user listens there"
                )
            what = "a token" if self._token is None else "another token"
            return f"the service at {self.url} wants {what}; set {TOKEN} to the service's"
        error = (found or {}).get("error")
        said = error.get("message") if isinstance(error, dict) else None
        if not isinstance(said, str):
            return f"what answers at {self.url} is no tmpnb of this version (HTTP {code})"
        if code == HTTPStatus.NOT_FOUND and said == NOTHING:
            return f"what answers at {self.url} is no admin port of this version"
        return f"the service says: {on_one_line(redact(said[:LONGEST]))}"


def place(admin_url: str, ip: str, port: int) -> str:
    """Return the address of the admin port of a service with these settings.

    Args:
        admin_url: As the operator says it; empty: by the other two.
        ip: On which it listens.
        port: Of TCP.

    Raises:
        ConfigError: It is not known, or no address.
    """
    if admin_url:
        _check(admin_url)
        return admin_url.rstrip("/")
    if not port:
        raise ConfigError("--admin-port=0 may be any port; say which with --admin-url=http://…")
    host = EVERYWHERE.get(ip, ip)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _check(url: str) -> None:
    try:
        is_sound = _URL.fullmatch(url) is not None and bool(urlsplit(url).hostname)
        _ = urlsplit(url).port
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ConfigError(
            f"--admin-url={on_one_line(url)} is no address; write http://127.0.0.1:10000"
        )


def _object(body: bytes | None) -> dict[str, Any] | None:
    try:
        found = untrusted_json.loads(body or b"", most=MOST_VALUES)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

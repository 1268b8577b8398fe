"""No token comes out of the logs, and words about tokens stay readable."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from tornado.concurrent import future_set_exception_unless_cancelled

from tmpnb.settings.logs import configure
from tmpnb.system.logs.redaction import RedactingFormatter, redact
from tmpnb.system.signing import TokenMaker, new_id

TOKEN = TokenMaker(b"0123456789abcdef").token_for("abc")
OPTIONS: dict[str, object] = {
    "log_to_stderr": None,
    "log_file_prefix": "",
    "log_file_max_size": 1_000_000,
    "log_file_num_backups": 1,
    "log_rotate_mode": "size",
    "log_rotate_when": "midnight",
    "log_rotate_interval": 1,
}


@pytest.mark.parametrize(
    "text",
    [
        "?token={}",
        "GET /user/abc/lab?x=1&token={}&y=2",
        "302 -> /login?next=%2Fuser%2Fabc%2Flab%3Ftoken%3D{}",
        "--IdentityProvider.token={}",
        '--NotebookApp.token="{}"',
        "JUPYTER_TOKEN={}",
        "CONFIGPROXY_AUTH_TOKEN={}",
        "TMPNB_SECRET_KEY={}",
        "TOKEN = '{}'",
        '{{"token": "{}"}}',
        "{{'token': '{}', 'x': 1}}",
        "Authorization: token {}",
        "authorization: Bearer {}",
        "{{'Authorization': 'token {}'}}",
        "[('Authorization', 'token {}')]",
        "[(b'Authorization', b'token {}')]",
        '{{"Authorization": "Bearer {}"}}',
        "Authorization: Basic {}",
        "token {}",
        "bearer {}",
        "the token is token: {}",
        "token '{}' refused",
        "Cookie: tmpnb-session={}",
        "Cookie: tmpnb-visitor-minimal-notebook-8000={}",
        "Invalid header value 'tmpnb-pass={}; a=\\x00'",
        "passphrase={}",
    ],
)
@pytest.mark.parametrize(
    "token",
    [
        TOKEN,
        "Zm9v+/YmFy0123456789abcdefghij==",
        "b1946ac9-2492-d234-7c6235b4d2611184",
        "a_b-c~d.e0123456789",
    ],
)
def test_token_is_taken_out(text: str, token: str) -> None:
    """O11: tokens were in the URL and in the logs."""
    clean = redact(text.format(token))
    assert token not in clean
    assert token[2:-3] not in clean
    assert "[redacted]" in clean


@pytest.mark.parametrize(
    "text",
    [
        "?token={}",
        "?token={}&x=1",
        '{{"token": "{}"}}',
        "Authorization: token {}",
        "{{'Authorization': 'token {}'}}",
        "API_AUTH_TOKEN={}",
    ],
)
@pytest.mark.parametrize("token", ["abc", "correcthorse", "p!ss$w;rd,(1)", "schlüssel"])
def test_token_that_an_operator_chose_is_taken_out_where_it_stands(text: str, token: str) -> None:
    clean = redact(text.format(token))
    assert token not in clean
    assert clean == text.format("[redacted]")


@pytest.mark.parametrize("before", ["token ", "Bearer ", "the token: ", "token '", "?token="])
def test_words_before_a_token_stay(before: str) -> None:
    assert redact(f"{before}{TOKEN}") == f"{before}[redacted]"


def test_every_token_of_a_line_is_taken_out() -> None:
    clean = redact(f"token={TOKEN} then Authorization: token {TOKEN} and ?token={TOKEN}")
    assert clean == "token=[redacted] then Authorization: token [redacted] and ?token=[redacted]"


def test_what_stands_beside_a_token_stays() -> None:
    assert redact(f"GET /lab?a=1&token={TOKEN}&b=2 200") == "GET /lab?a=1&token=[redacted]&b=2 200"


@pytest.mark.parametrize(
    "text",
    [
        "token refused by proxy",
        "token rejected by the proxy",
        "the token: rejected",
        "the proxy's API refused our token (HTTP 403); set the same CONFIGPROXY_AUTH_TOKEN",
        "# API_AUTH_TOKEN is not set",
        "Unauthorized: send 'Authorization: token <your token>'",
        "--use-tokens=False has no effect: every server has a secret token",
        "tokens: 3, tokens=3",
        "cannot keep a token /root/.local/state/tmpnb1/proxy_token",
        "server move id=abcdefgh1234 from=ready to=claimed reason=None",
        "token authentication",
        "token rejected,401",
        "Token\n  File 'server12345678.py'",
        "",
    ],
)
def test_ordinary_words_stay_readable(text: str) -> None:
    assert redact(text) == text


def test_redacting_a_long_line_ends() -> None:
    words = "token " * 20_000
    assert redact(f"{words}token={'x' * 100_000}").removeprefix(words) == "token=[redacted]"


# The log itself


class Written:
    """What a handler with our formatter wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        plain = logging.Formatter("%(levelname)s %(message)s")
        self.handler.setFormatter(RedactingFormatter(plain))

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture
def written() -> Iterator[Written]:
    found = Written()
    logger = logging.getLogger("tmpnb.test")
    logger.addHandler(found.handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(found.handler)


log = logging.getLogger("tmpnb.test")


def fail_with_token() -> None:
    raise ValueError(f"could not fetch http://10.0.0.2:8888/api?token={TOKEN}")


def test_token_in_the_message_is_not_written(written: Written) -> None:
    log.info("GET /lab?token=" + TOKEN)  # noqa: G003 - as a careless caller would
    assert written.text == "INFO GET /lab?token=[redacted]\n"


def test_token_in_an_argument_is_not_written(written: Written) -> None:
    log.info("asked %s with %r", f"/lab?token={TOKEN}", {"Authorization": f"token {TOKEN}"})
    assert TOKEN not in written.text
    assert written.text.count("[redacted]") == 2


def test_token_split_over_message_and_argument_is_not_written(written: Written) -> None:
    log.info("Authorization: token %s", TOKEN)
    assert written.text == "INFO Authorization: token [redacted]\n"


def test_token_in_a_traceback_is_not_written(written: Written) -> None:
    try:
        fail_with_token()
    except ValueError:
        log.exception("it failed")
    assert "ValueError: could not fetch http://10.0.0.2:8888/api?token=[redacted]" in written.text
    assert "Traceback" in written.text
    assert TOKEN not in written.text


def test_token_in_the_cause_of_an_error_is_not_written(written: Written) -> None:
    try:
        try:
            fail_with_token()
        except ValueError as error:
            raise RuntimeError("no answer") from error
    except RuntimeError:
        log.exception("it failed")
    assert "RuntimeError: no answer" in written.text
    assert TOKEN not in written.text


def test_token_in_the_stack_is_not_written(written: Written) -> None:
    log.info("here", stack_info=True, extra={"token": TOKEN})
    record = logging.LogRecord("x", logging.INFO, "f", 1, "m", (), None, sinfo=f"token={TOKEN}")
    written.handler.handle(record)
    assert "Stack (most recent call last)" in written.text
    assert TOKEN not in written.text


def test_broken_log_call_does_not_break_its_caller(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("%d servers", "many")
    log.info("after it")
    assert written.text == "INFO after it\n"


# The set-up


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """Lend the root logger without its handlers, and give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


def test_log_file_gets_lines_of_its_level_without_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tmpnb.log"
    with bare_root() as root:
        configure(logging="info", **{**OPTIONS, "log_file_prefix": str(file)})
        logging.getLogger("tmpnb.other").info("claimed ?token=%s", TOKEN)
        logging.getLogger("tmpnb.other").debug("not this")
        assert root.level == logging.INFO
    [line] = file.read_text().splitlines()
    assert line.endswith("claimed ?token=[redacted]")


def test_what_befalls_a_request_after_it_was_given_up_concerns_nobody(tmp_path: Path) -> None:
    path = tmp_path / "tmpnb.log"
    given_up: Future[None] = Future()
    with bare_root():
        configure(logging="info", **{**OPTIONS, "log_file_prefix": str(path)})
        given_up.cancel()
        future_set_exception_unless_cancelled(given_up, ConnectionResetError("too late"))
        logging.getLogger("tornado.application").error("it concerns somebody")
    text = path.read_text()
    assert "too late" not in text
    assert "it concerns somebody" in text


def test_every_handler_redacts(tmp_path: Path) -> None:
    file, stream = str(tmp_path / "tmpnb.log"), io.StringIO()
    with bare_root() as root:
        root.addHandler(logging.StreamHandler(stream))
        options = {**OPTIONS, "log_to_stderr": True, "log_file_prefix": file}
        configure(logging="info", **options)
        assert len(root.handlers) == 3
        assert all(isinstance(h.formatter, RedactingFormatter) for h in root.handlers)
        logging.getLogger("tmpnb.other").warning("token=%s", TOKEN)
    assert stream.getvalue() == "token=[redacted]\n"


def test_none_logs_nothing_not_even_by_the_last_resort(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(sys.stderr))
    with bare_root():
        configure(logging="none", **OPTIONS)
        logging.getLogger("tmpnb.other").error("token=%s", TOKEN)
    assert capsys.readouterr().err == ""


def test_ids_are_not_taken_for_tokens() -> None:
    ids = [new_id(12) for _ in range(50)]
    assert redact(" ".join(ids)) == " ".join(ids)

"""A tiny stand-in for a notebook server, run as `python -c TEXT PORT IP BASE_URL [anything]`.

It must not hold a single quote, a dollar or a backtick: it travels inside a command.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, IP, BASE_URL = int(sys.argv[1]), sys.argv[2], sys.argv[3]
TOKEN = os.environ.get("JUPYTER_TOKEN", "")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def spin() -> None:
    while True:
        pass


class Stub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.removeprefix(BASE_URL)
        knows_token = bool(TOKEN) and self.headers.get("Authorization") == f"token {TOKEN}"
        if path == "exit":
            say("these are my last words")
            os._exit(3)
        if path == "spin":
            threading.Thread(target=spin, daemon=True).start()
        if path in ("api", "spin"):
            self.answer(200, {"version": "stub"})
        elif not knows_token:
            self.answer(403, {})
        elif path == "api/status":
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.answer(200, {"last_activity": now})
        elif path == "about":
            self.answer(200, {"argv": sys.argv[4:], "uid": os.getuid(), "pid": os.getpid()})
        else:
            self.answer(404, {})

    def answer(self, status: int, body: dict[str, object]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        say(format % args)


say("stub is starting")
ThreadingHTTPServer((IP, PORT), Stub).serve_forever()

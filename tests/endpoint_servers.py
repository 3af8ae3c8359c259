"""Real servers on loopback that take alerts, or do not: a webhook and a mail server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Webhook:
    """Posts as they arrive, also those that are then not taken; `answer` may be replaced at any time."""

    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answer: Answer = ok
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook?rto=0.5&cto=0.5"

    @property
    def keys(self) -> list[str]:
        return [post["key"] for post in self.received]

    def start(self) -> None:
        """Listen, after `stop` on the same port again."""
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.received.append(body | {"key": self.headers["X-Tablewatch-Key"]})
                webhook.answer(self)

            def do_GET(self) -> None:
                ok(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def ok(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "0")
    request.end_headers()


def status(code: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("Location", "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def closing(request: BaseHTTPRequestHandler) -> None:
    """Takes the message and says nothing."""
    request.close_connection = True


def hanging(request: BaseHTTPRequestHandler) -> None:
    """Answers too late."""
    time.sleep(1.5)
    closing(request)


def slow(request: BaseHTTPRequestHandler) -> None:
    """Answers in time, not at once."""
    time.sleep(0.2)
    ok(request)


def rubbish(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00\xff no HTTP at all\r\n\r\n")
    request.close_connection = True


def endless(request: BaseHTTPRequestHandler) -> None:
    """Begins a good answer and never ends it; a byte comes before every time-out."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    for _ in range(1200):
        try:
            request.wfile.write(b".")
        except OSError:
            return
        time.sleep(0.1)


class Mailbox:
    """A mail server; `refusing` makes it refuse every message."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.refusing = False
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=20)
        self._controller.start()

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=tablewatch@example.com&to=ops@example.com&mode=insecure"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        if self.refusing:
            return "451 later, perhaps"
        self.mails.append(message_from_bytes(envelope.content))
        return "250 taken"

    def stop(self) -> None:
        self._controller.stop()


def part(mail: Message, kind: str) -> str:
    """The text of a mail's part, such as `text/plain`."""
    found = next(each for each in mail.walk() if each.get_content_type() == kind)
    payload = found.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()

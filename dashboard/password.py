"""One password for all, asked for before anything is served: HTTP Basic once, after that a cookie.

For a server on its own. Where people are told apart, a login takes its place (dashboard/identity.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "TABLEWATCH_DASHBOARD_PASSWORD"
HEALTH = "/_stcore/health"
COOKIE = "tablewatch"
DAYS = 30
POLICY_VIOLATION = 1008


def given() -> str | None:
    """The password that the environment sets; None where it sets none."""
    return os.environ.get(VARIABLE) or None


class PasswordRequired:
    """Lets through who knows the password, whatever name they give, and who asks whether the server is healthy.

    Browsers send Basic credentials with a page but not all of them with its WebSocket, hence the cookie. It is made
    from the password, so that a new password ends every session.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._password = password.encode()
        self._token = hmac.new(self._password, b"the dashboard of tablewatch", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] == "lifespan" or scope["path"] == HEALTH:
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        if hmac.compare_digest(asked.cookies.get(COOKIE, "").encode(), self._token.encode()):
            await self._app(scope, receive, send)
        elif hmac.compare_digest(_password(asked.headers.get("authorization", "")), self._password):
            await self._app(scope, receive, self._remembering(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            ask = {"WWW-Authenticate": 'Basic realm="tablewatch", charset="UTF-8"'}
            await PlainTextResponse("the dashboard asks for its password", 401, ask)(scope, receive, send)

    def _remembering(self, send: Send) -> Send:
        cookie = f"{COOKIE}={self._token}; Path=/; Max-Age={DAYS * 86400}; HttpOnly; SameSite=Lax"

        async def remember(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        return remember


def _password(authorization: str) -> bytes:
    """What is after the name in Basic credentials; nothing where there are none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""

"""A small OpenID Connect provider on loopback: discovery, a page to choose who one is, signed tokens, a way out."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "tablewatch-tests", secrets.token_hex(16)


class Provider:
    """Who may log in: e-mails with what is said of each. `url` is the issuer."""

    def __init__(self, people: dict[str, dict[str, Any]]) -> None:
        self.people = people
        self.key = RSAKey.generate_key(2048, {"kid": "tests"})
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                provider.answer(self, address.path, asked)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                asked = {name: values[0] for name, values in parse_qs(body).items()}
                provider.hand_out(self, asked)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, to: BaseHTTPRequestHandler, path: str, asked: dict[str, str]) -> None:
        """A GET request."""
        if path == "/.well-known/openid-configuration":
            _send(to, self._about())
        elif path == "/keys":
            _send(to, {"keys": [self.key.as_dict(private=False, alg="RS256", use="sig")]})
        elif path == "/authorize" and asked["client_id"] == CLIENT and asked["code_challenge_method"] == "S256":
            _send(to, self._choice(asked))
        elif path == "/chosen":
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            _redirect(to, f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
        elif path == "/out":
            _redirect(to, asked["post_logout_redirect_uri"])
        else:
            to.send_error(404)

    def hand_out(self, to: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        """A request for tokens: of the client itself, for a code that was not used, with the verifier that fits it."""
        known = self.codes.pop(asked["code"], None)
        client = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if known is None or to.headers["Authorization"] != client or known["code_challenge"] != challenge:
            to.send_error(400)
            return
        now = int(time.time())
        claims = {"iss": self.url, "sub": known["who"], "aud": CLIENT, "iat": now, "exp": now + 600}
        claims |= {"nonce": known["nonce"], **self.people[known["who"]]}
        token = jwt.encode({"alg": "RS256", "kid": "tests"}, claims, self.key)
        _send(to, {"access_token": "of no use", "token_type": "Bearer", "expires_in": 600, "id_token": token})

    def _about(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "end_session_endpoint": f"{self.url}/out",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _choice(self, asked: dict[str, str]) -> str:
        names = ("redirect_uri", "state", "nonce", "code_challenge")
        kept = urlencode({name: asked[name] for name in names})
        links = [
            f'<p><a href="/chosen?who={quote(who)}&amp;{escape(kept)}">{escape(who)}</a></p>' for who in self.people
        ]
        return f"<h1>Who are you?</h1>{''.join(links)}"

    def secrets(self, dashboard: str) -> str:
        """What stands in `.streamlit/secrets.toml` for it."""
        return (
            f'[auth]\nredirect_uri = "{dashboard}/oauth2callback"\ncookie_secret = "{secrets.token_hex(32)}"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n'
        )


@contextmanager
def providing(people: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """A provider that answers."""
    provider = Provider(people)
    thread = threading.Thread(target=provider.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join(10)


def _send(to: BaseHTTPRequestHandler, body: dict[str, Any] | str) -> None:
    page = isinstance(body, str)
    sent = (body if isinstance(body, str) else json.dumps(body)).encode()
    to.send_response(200)
    to.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/json")
    to.send_header("Content-Length", str(len(sent)))
    to.end_headers()
    to.wfile.write(sent)


def _redirect(to: BaseHTTPRequestHandler, address: str) -> None:
    to.send_response(302)
    to.send_header("Location", address)
    to.send_header("Content-Length", "0")
    to.end_headers()

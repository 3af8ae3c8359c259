"""The password of the dashboard's server: nothing is served without it but the answer that the server is healthy."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from served import looking, serving
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from wrong_night import LAST, WrongNight

from dashboard.password import COOKIE, HEALTH, VARIABLE, PasswordRequired
from dashboard.serving import asks_who_is_there

PASSWORD = "päss:word"
NOT_BASIC = "Bearer " + base64.b64encode(PASSWORD.encode()).decode()


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("what was found")


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("what was found")
    await socket.close()


def visitor(password: str = PASSWORD) -> TestClient:
    routes = [Route("/", page), Route("/static/app.js", page), Route(HEALTH, page), WebSocketRoute("/stream", stream)]
    guard = Middleware(PasswordRequired, password=password)
    return TestClient(Starlette(routes=routes, middleware=[guard]), base_url="http://127.0.0.1")


def basic(password: str, name: str = "ann") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/nowhere", "//_stcore/health", "/_stcore/healthy"])
def test_p38_nothing_is_served_without_the_password(path: str) -> None:
    answer = visitor().get(path)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic ")
    assert "found" not in answer.text and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "header",
    [
        *(basic(""), basic("password"), basic(PASSWORD + " "), {"Authorization": "Basic %%%"}),
        *(
            {"Authorization": NOT_BASIC},
            {"Cookie": f"{COOKIE}="},
            {"Cookie": f"{COOKIE}={'0' * 64}"},
        ),
    ],
)
def test_p38_no_other_password_and_no_made_up_cookie_opens_it(header: dict[str, str]) -> None:
    assert visitor().get("/", headers=header).status_code == 401
    with pytest.raises(WebSocketDisconnect), visitor().websocket_connect("/stream", headers=header):
        pass


def test_p38_the_password_opens_it_and_its_cookie_keeps_it_open() -> None:
    one = visitor()
    answer = one.get("/", headers=basic(PASSWORD))
    assert answer.text == "what was found"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and PASSWORD not in cookie
    assert one.get("/static/app.js").status_code == 200
    with visitor().websocket_connect("/stream", headers={"Cookie": f"{COOKIE}={one.cookies[COOKIE]}"}) as socket:
        assert socket.receive_text() == "what was found"


def test_p38_a_new_password_ends_every_session() -> None:
    token = visitor().get("/", headers=basic(PASSWORD)).cookies[COOKIE]
    assert visitor().get("/", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 200
    assert visitor("another").get("/", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 401


def test_whether_the_server_is_healthy_is_no_secret() -> None:
    assert visitor().get(HEALTH).status_code == 200


def test_p38_the_server_asks_for_the_password_that_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not asks_who_is_there()
    monkeypatch.setenv(VARIABLE, "")
    assert not asks_who_is_there()
    monkeypatch.setenv(VARIABLE, PASSWORD)
    assert asks_who_is_there()


@pytest.mark.browser
@pytest.mark.slow
def test_p38_a_browser_that_knows_the_password_sees_the_pages(
    night: WrongNight, chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "secret")
    with serving() as url, looking(chromium, url.replace("//", "//ann:secret@"), tmp_path) as seen:
        seen.open()
        assert f"night of {LAST}" in seen.text()
        seen.url = url  # as a link in an alert, that knows no password
        seen.open(monitor="nights", partition=LAST)
        assert "carrier ZZ" in seen.text()

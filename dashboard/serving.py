"""Serves the dashboard. What its pages need is imported before the first of them is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from dashboard import password

PAGES = ("tonight", "incident", "record", "monitor", "quality", "models", "run")
LATER = ("altair", "pandas", "alembic.command", "pipeline.validation.words", "pipeline.registry", "pipeline.steps")


def prepare() -> None:
    """Load what the pages need, which takes some seconds.

    Raises ConfigurationError where a login is configured by halves: then nothing is served.
    """
    import_module("dashboard.identity").required()
    for name in (*LATER, *(f"dashboard.views.{page}" for page in PAGES)):
        import_module(name)
    # Altair reads its schema when the first chart is drawn.
    import_module("dashboard.charts").rate_by_night([]).to_dict()


def asks_who_is_there() -> bool:
    """Whether nobody sees a page before a login or a password."""
    return bool(import_module("dashboard.identity").required() or password.given())


def serve(host: str, port: int) -> None:
    """Serve until Ctrl-C. Streamlit's settings are these, whatever its own files say."""
    settings = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "logger.hideWelcomeMessage": True,
    }
    known = password.given()
    guard = [Middleware(password.PasswordRequired, password=known)] if known else []
    App(Path(__file__).with_name("app.py"), middleware=guard).run(config=settings)

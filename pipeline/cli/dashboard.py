"""The command that serves the dashboard: Streamlit on loopback unless told otherwise, fetching nothing from outside."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pipeline.cli.arguments import Json
from pipeline.cli.screen import say, say_json, warn

LOOPBACK = ("127.0.0.1", "::1", "localhost")
READ_ONLY = "TABLEWATCH_DASHBOARD_READ_ONLY"


def dashboard(
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")] = LOOPBACK[0],
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="The port to listen on.")] = 8501,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show no button that writes.")] = False,
    as_json: Json = False,
) -> None:
    """Serve the dashboard on http://127.0.0.1:8501 until Ctrl-C.

    It reads the store that TABLEWATCH_STORE_URL or TABLEWATCH_HOME names.
    """
    from importlib.resources import files

    from streamlit.web.cli import main as streamlit

    if host not in LOOPBACK:
        warn(f"whoever reaches {host}:{port} sees what the store holds, and may label unless it is --read-only;")
        warn("it asks for no password: put a proxy that does before it")
    if read_only:
        os.environ[READ_ONLY] = "1"
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if as_json:
        say_json({"url": url})
    else:
        say(f"the dashboard is on {url}; Ctrl-C ends it")
    streamlit.main(args=["run", str(files("dashboard") / "app.py"), *_settings(host, port)], standalone_mode=False)


def _settings(host: str, port: int) -> list[str]:
    """Streamlit's settings, whatever its own files say."""
    settings = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": "true",
        "server.enableCORS": "true",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "logger.hideWelcomeMessage": "true",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]

"""The command that serves the dashboard: Streamlit on loopback unless told otherwise, fetching nothing from outside."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pipeline.cli.arguments import Json
from pipeline.cli.quiet import working
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
    if read_only:
        os.environ[READ_ONLY] = "1"
    with working("loading"):
        from dashboard.serving import asks_who_is_there, prepare, serve

        prepare()
    if host not in LOOPBACK and not asks_who_is_there():
        warn(f"whoever reaches {host}:{port} sees what the store holds, and may label unless it is --read-only;")
        warn("it asks for no password: set TABLEWATCH_DASHBOARD_PASSWORD or configure a login")
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if as_json:
        say_json({"url": url})
    else:
        say(f"the dashboard is on {url}; Ctrl-C ends it")
    serve(host, port)

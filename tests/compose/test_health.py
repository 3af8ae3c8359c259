"""The health check of Airflow's components, as docker-compose.yml calls it."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.compose.stack import ROOT

SAID = {"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}, "dag_processor": {"status": None}}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(SAID).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def status(component: str, url: str) -> int:
    command = [sys.executable, str(ROOT / "deploy" / "health.py"), component]
    return subprocess.run(command, env={"AIRFLOW_HEALTH_URL": url}, capture_output=True).returncode


@pytest.mark.parametrize(
    ("component", "healthy"), [("scheduler", True), ("triggerer", False), ("dag_processor", False), ("other", False)]
)
def test_a_component_is_healthy_when_airflow_says_so(component: str, healthy: bool, url: str) -> None:
    assert (status(component, url) == 0) is healthy


def test_without_an_api_server_nothing_is_healthy() -> None:
    assert status("scheduler", "http://127.0.0.1:9") != 0

"""`make screenshots`: the pictures of the documentation, taken of what `make demo` left, in headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from demo import planting
from demo.airflow_home import LOOPBACK, REPO, prepare
from demo.run import MONITOR
from demo.ui import components, free_port, wait_until_healthy
from pipeline.errors import ConfigurationError, FailedMachinery, TablewatchError
from pipeline.settings import Settings
from pipeline.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = REPO / "docs" / "images"
SIZE = {"width": 1280, "height": 900}
COLOURS = 128
PATIENCE = 60_000  # ms
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def main() -> int:
    """0, or 1 after a line on stderr that says what stands in the way."""
    try:
        with browser() as page:
            of_dashboard(page)
            of_airflow(page)
    except TablewatchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def browser() -> Iterator[Page]:
    """A page of Debian's Chromium. ConfigurationError where it is not installed."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise ConfigurationError("the pictures are taken in Chromium; install it: make chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = running.new_page(viewport=SIZE, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            yield page
        finally:
            running.close()


def of_dashboard(page: Page) -> None:
    """Tonight, the worst incident of the night of patterns, and its worst record."""
    here = {"monitor": MONITOR, "partition": planting.NIGHT_OF_PATTERNS}
    store = Store(Settings().store)
    incidents = store.incidents(MONITOR, planting.NIGHT_OF_PATTERNS)
    if not incidents:
        raise ConfigurationError("the store holds no night of the demo; run: make demo")
    shifted = next(each for each in incidents if "sched_dep_time" in each.columns)
    worst = store.anomalies(MONITOR, planting.NIGHT, limit=1)[0]
    with dashboard() as address:
        for name, where in (
            ("tonight", {}),
            ("incident", {**here, "incident": shifted.incident_id}),
            ("record", {**here, "partition": planting.NIGHT, "record": worst.record_key}),
        ):
            page.goto(f"{address}/?{urlencode(where)}")
            page.wait_for_selector("h1.tw")
            page.wait_for_selector(DRAWN)
            keep(page, f"dashboard-{name}")


@contextmanager
def dashboard() -> Iterator[str]:
    """The address of `tablewatch dashboard`, which ends with the block."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = int(probe.getsockname()[1])
    code = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "dashboard", "--read-only", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"http://{LOOPBACK}:{port}/_stcore/health", timeout=5):
                yield f"http://{LOOPBACK}:{port}"
                return
            time.sleep(0.2)
        raise FailedMachinery("the dashboard did not answer; see what it printed above")
    finally:
        server.terminate()
        server.wait(30)


def of_airflow(page: Page) -> None:
    """The run that scored the night of patterns, in Airflow, with what it found beside it."""
    port = free_port("0")
    (run,) = Store(Settings().store).runs(MONITOR, planting.NIGHT_OF_PATTERNS, limit=1)
    dag, _, dag_run = (run.dag_run or "").partition("/")
    with dashboard() as address:
        variables = prepare(Settings().home, REPO, port) | {"TABLEWATCH_DASHBOARD_URL": address}
        with components(variables) as running:
            wait_until_healthy(port, running, Event())
            log_in(page, f"http://{LOOPBACK}:{port}", Path(variables["AIRFLOW_HOME"]))
            page.goto(f"http://{LOOPBACK}:{port}/dags/{dag}/runs/{quote(dag_run)}/plugin/tablewatch_run")
            page.frame_locator('iframe[title="tablewatch"]').locator("h1.tw").wait_for()
            keep(page, "airflow-run")


def log_in(page: Page, address: str, airflow_home: Path) -> None:
    """As the user that Airflow made on its first start."""
    made = (airflow_home / "simple_auth_manager_passwords.json.generated").read_text(encoding="utf-8")
    user, password = next(iter(json.loads(made).items()))
    page.goto(address)
    page.get_by_label("Username").fill(user)
    page.locator('input[type="password"]').fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")


def keep(page: Page, name: str) -> None:
    """Write the picture, in so few colours that the repository stays small."""
    from PIL import Image

    page.wait_for_timeout(3_000)  # charts fade in
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    path = IMAGES / f"{name}.png"
    picture.save(path, optimize=True)
    print(f"{os.path.relpath(path)}: {path.stat().st_size // 1024} kB", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The dashboard as its command serves it, and a Chromium that looks at it and notes every host it asks."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Dialog, Page, ViewportSize, sync_playwright

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE = 60_000
ROW = 35
READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(*options: str, port: int | None = None) -> Iterator[str]:
    """`tablewatch dashboard` on a port, a free one if none is said; its URL."""
    port = port or free_port()
    code = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "dashboard", "--port", str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(300):
        assert server.poll() is None and server.stderr is not None, "the dashboard ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the dashboard did not answer within a minute")


class Looking:
    """A browser on the dashboard. `hosts` are those it asked anything of, `dialogs` what tried to speak."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.hosts: set[str] = set()
        self.dialogs: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("dialog", self._silence)

    def _silence(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str = "", **where: str) -> None:
        """Open an address and wait until the page is drawn."""
        self.page.goto(f"{self.url}/{path}?{urlencode(where)}")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is drawn any more: Streamlit says that it rests, and a second later reads the same."""
        self.page.wait_for_selector("h1.tw", state="attached")
        before = None
        for _ in range(60):
            self.page.wait_for_selector(READY)
            now = self.text()
            if now == before:
                return
            before = now
            self.page.wait_for_timeout(1_000)
        raise TimeoutError("the page did not come to rest within a minute")

    def press(self, button: str) -> None:
        """Press a button and wait for what it does."""
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_timeout(500)
        self.settle()

    def choose_row(self, row: int) -> None:
        """Choose a row of the first table, from 0: it is drawn on a canvas, so by where it is."""
        grid = self.page.locator('[data-testid="stDataFrame"]').first
        grid.scroll_into_view_if_needed()
        box = grid.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + 15, box["y"] + ROW * (row + 1.5))

    def text(self) -> str:
        """What is read on the page."""
        return self.page.locator('[data-testid="stMain"]').inner_text()


@contextmanager
def looking(
    chromium: str, url: str, folder: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Looking]:
    """Chromium with an empty profile."""
    with sync_playwright() as playwright:
        size = ViewportSize(width=width, height=900)
        browser = playwright.chromium.launch_persistent_context(
            str(folder / "profile"), executable_path=chromium, args=list(QUIET), viewport=size, color_scheme=scheme
        )
        try:
            yield Looking(browser.pages[0], url)
        finally:
            browser.close()

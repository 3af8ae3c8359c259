"""How long it takes from opening the dashboard's address until Tonight is there, on a store that is not small.

One monitor of 1,000 nights with 100 anomalies each, in SQLite. The server is up; every view is a new session of
Chromium with an empty cache. `words` is when the page's heading is there, `whole` when the server
has nothing more to say.

    python benchmarks/first_view.py [--nights 1000] [--anomalies 100] [--views 7]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from benchmarks.postgres import engine_of
from benchmarks.years import Years
from demo.screenshots import dashboard
from pipeline.store import Store


def viewed(browser: Any, address: str) -> tuple[float, float]:
    """Seconds until the heading is there, and until Streamlit says that the page is whole."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("h1.tw").first.wait_for()
    words = time.perf_counter() - started
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    whole = time.perf_counter() - started
    context.close()
    return words, whole


def main() -> None:
    """Print how long the first and the other views took."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=1_000)
    parser.add_argument("--anomalies", type=int, default=100)
    parser.add_argument("--views", type=int, default=7)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("needs Chromium: make chromium")
    print(environment())
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        Store(url).migrate()
        Years(1, options.nights, options.anomalies).fill(engine_of(url))
        os.environ |= {"TABLEWATCH_HOME": folder, "TABLEWATCH_MONITORS": folder}
        with dashboard() as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            views = [viewed(browser, address) for _ in range(options.views)]
            browser.close()
    for name, some in (("first", views[:1]), ("median of the rest", views[1:])):
        words, whole = (statistics.median(each) for each in zip(*some, strict=True))
        print(f"{name:20} words {words:5.2f} s   whole {whole:5.2f} s")


if __name__ == "__main__":
    main()

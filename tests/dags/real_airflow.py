"""Airflow as a team runs it: scheduler, DAG processor and api-server, on PostgreSQL as the store is."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from psycopg import sql

from demo import airflow_home, ui
from pipeline.store import Run, Store

PATIENCE = 300
ROWS = 120
MONITOR = """\
source: {{files: {data}}}
partition_by: night
primary_key: [id]
training: {{window: 2, min_rows: 50, model: autoencoder}}
expectations: [{{expect_table_row_count_to_be_between: {{min_value: 50}}}}]
schedule: "{schedule}"
"""
TODAY = dt.datetime.now(dt.UTC).date()
SHORT = (TODAY - dt.timedelta(days=9)).isoformat()
"""A night with too few records."""

Found = TypeVar("Found")


class RealAirflow:
    """A running Airflow, asked through its REST API; `monitors` is the folder that its DAGs are made of."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.monitors = folder, folder / "monitors"
        self.data = folder / "nights.parquet"
        self._server = sa.make_url(server).set(drivername="postgresql")
        name = secrets.token_hex(6)
        self._databases = {"airflow": f"airflow_{name}", "store": f"store_{name}"}
        self.port = ui.free_port("0")
        self.dashboard = f"http://127.0.0.1:{ui.free_port('0')}"
        self._token = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Store:
        return Store(self._url("store"))

    def environment(self, **more: str) -> dict[str, str]:
        """What every process of it has in its environment."""
        metadata = self._url("airflow").removeprefix("postgresql://")
        # What is short here is long by default: a new monitor is seen within seconds, a tick is not waited for.
        return airflow_home.environment(self.folder / "home", airflow_home.REPO, self.port) | {
            "TABLEWATCH_MONITORS": str(self.monitors),
            "TABLEWATCH_STORE_URL": self._url("store"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg://{metadata}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+psycopg_async://{metadata}",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            **more,
        }

    @contextmanager
    def running(self, **more: str) -> Iterator[RealAirflow]:
        """With two trained monitors that it does not know of yet; afterwards no process or database of it is left."""
        self.make()
        pq.write_table(nights(), self.data)
        variables = self.environment(**more)
        training = self._train(variables)
        try:
            airflow_home._migrate(variables)
            assert training.wait(PATIENCE) == 0, "training failed"
            with self.started(variables):
                yield self
        finally:
            training.kill()
            self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    @contextmanager
    def started(self, variables: dict[str, str]) -> Iterator[dict[Path, subprocess.Popen[bytes]]]:
        """Its components, healthy, on a database that is migrated; afterwards no process of them is left."""
        with ui.components(variables) as running:
            assert ui.wait_until_healthy(self.port, running, Event())
            yield running

    @contextmanager
    def looked_at(self, chromium: str, folder: Path) -> Iterator[Any]:
        """Chromium, logged in to Airflow, with the dashboard served: a page of Playwright's."""
        from playwright.sync_api import sync_playwright

        port = self.dashboard.rpartition(":")[2]
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", "dashboard", "--port", port]
        output = (folder / "dashboard.log").open("wb")
        variables = {**os.environ, **self.environment()}
        server = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        try:
            until(lambda: _answers(f"{self.dashboard}/_stcore/health"))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.set_default_timeout(1000 * PATIENCE)
                self._log_in(page)
                yield page
                browser.close()
        finally:
            server.terminate()
            server.wait(30)
            output.close()

    def _log_in(self, page: Any) -> None:
        page.goto(self.address)
        for name, value in zip(("username", "password"), self.login, strict=True):
            page.fill(f'input[name="{name}"]', value)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav, [aria-label], main")

    def watch(self, name: str, schedule: str, more: str = "") -> None:
        """Write a monitor of the table into the folder that Airflow reads."""
        text = MONITOR.format(data=self.data, schedule=schedule) + more
        (self.monitors / f"{name}.yaml").write_text(text, encoding="utf-8")

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def next_run(self, dag: str) -> dt.datetime | None:
        """When the DAG's schedule comes next, as far as Airflow knows of it."""
        told = self._ask("GET", f"/api/v2/dags/{dag}", missing={}).get("next_dagrun_run_after")
        return dt.datetime.fromisoformat(told) if told else None

    def trigger(self, dag: str, **conf: Any) -> str:
        """A run of the DAG by hand, for a partition where there is one; its id."""
        asked = {"logical_date": None} | conf
        return str(until(lambda: self._ask("POST", f"/api/v2/dags/{dag}/dagRuns", asked, missing=None))["dag_run_id"])

    def unpause(self, pattern: str) -> None:
        """Let the DAGs run whose ids contain the pattern: all of them by one request."""
        self._ask("PATCH", f"/api/v2/dags?dag_id_pattern={pattern}", {"is_paused": False})

    def runs(self, dag: str) -> list[dict[str, Any]]:
        found = self._ask("GET", f"/api/v2/dags/{dag}/dagRuns?limit=50", missing={"dag_runs": []})
        return list(found["dag_runs"])

    def finished(self, dag: str, partition: str | None = None, run_id: str | None = None) -> dict[str, Any]:
        """The DAG's run for the partition, or of that id, once it has ended."""

        def ended() -> dict[str, Any] | None:
            of = [run for run in self.runs(dag) if run_id in (None, run["dag_run_id"])]
            of = [run for run in of if partition in (None, run["partition_key"])]
            return next((run for run in of if run["state"] in ("success", "failed")), None)

        return until(ended)

    def log_of(self, dag: str, run_id: str, task: str) -> str:
        path = f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/1"
        return json.dumps(self.get(path))

    def store_runs(self, monitor: str, partition: str) -> list[Run]:
        return self.store.runs(monitor, partition)

    @property
    def login(self) -> tuple[str, str]:
        """User and password that Airflow made for itself."""
        made = self.folder / "home" / "airflow" / "simple_auth_manager_passwords.json.generated"
        ((user, password),) = json.loads(made.read_text(encoding="utf-8")).items()
        return user, password

    def _ask(self, method: str, path: str, body: Any = None, **default: Any) -> Any:
        request = urllib.request.Request(self.address + path, method=method)
        request.add_header("Authorization", f"Bearer {self._logged_in()}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404 and "missing" in default:
                return default["missing"]
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error

    def _logged_in(self) -> str:
        if not self._token:
            user, password = self.login
            body = json.dumps({"username": user, "password": password}).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{self.address}/auth/token", body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._token = json.load(answer)["access_token"]
        return self._token

    def make(self) -> None:
        """The folders, and both databases, empty."""
        for folder in (self.monitors, self.folder / "home" / "airflow", self.folder / "training"):
            folder.mkdir(parents=True)
        self._administer("CREATE DATABASE {}")

    def _train(self, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        """The champions of the monitors `east` and `west`, trained in a process of its own."""
        names = ("east", "west")
        for name in names:
            text = MONITOR.format(data=self.data, schedule="0 2 * * *")
            (self.folder / "training" / f"{name}.yaml").write_text(text, encoding="utf-8")
        through = (TODAY - dt.timedelta(days=2)).isoformat()
        code = f"from pipeline import steps\nfor name in {names}: steps.train(name, {through!r}, alerts=False)"
        own = {"TABLEWATCH_MONITORS": str(self.folder / "training")}
        return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **variables, **own})

    def _url(self, which: str) -> str:
        return self._server.set(database=self._databases[which]).render_as_string(hide_password=False)

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._server.render_as_string(hide_password=False), autocommit=True) as connection:
            for name in self._databases.values():
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _answers(url: str) -> bool | None:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return None


def until(found: Callable[[], Found | None]) -> Found:
    """What is found, as soon as it is; AssertionError if it is not there after all patience."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if (value := found()) is not None:
            return value
        time.sleep(1)
    raise AssertionError(f"not there after {PATIENCE} s")


def nights() -> pa.Table:
    """The last week with today, and a night with five records. In each a record is far out."""
    week = [(TODAY - dt.timedelta(days=day)).isoformat() for day in range(7)]
    days = [day for day in week for _ in range(ROWS)] + [SHORT] * 5
    draw = np.random.default_rng(1)
    distance = draw.integers(100, 4000, len(days))
    minutes = distance / 12 + draw.normal(20, 2, len(days))
    minutes[7::ROWS] *= 20
    return pa.table(
        {
            "id": np.arange(len(days)),
            "night": pa.array([dt.date.fromisoformat(day) for day in days]),
            "carrier": draw.choice(["UA", "DL", "AA"], len(days)),
            "distance": distance,
            "minutes": minutes,
        }
    )

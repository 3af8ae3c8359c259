"""What our tasks tell a StatsD daemon and an OpenLineage server, both of which really listen."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import step
from fake_steps import FakeSteps

from pipeline import telemetry
from pipeline.errors import FailedMachinery
from pipeline.monitor import Monitor
from pipeline.reports.measuring import Quality, dataset_of
from pipeline.results import ExpectationResult

NIGHT = "2013-02-03"
BETWEEN = "expect_column_values_to_be_between"


class Daemon:
    """A StatsD daemon on loopback: what was sent to it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.5)
        self.port = int(self._socket.getsockname()[1])

    def received(self) -> list[str]:
        """What has come, to the end."""
        found: list[str] = []
        while True:
            try:
                found.append(self._socket.recv(65_536).decode())
            except TimeoutError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets options of Airflow's `[metrics]` and starts them, as a task's process does."""
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    def configure(**options: str) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", value)
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)

    yield configure
    monkeypatch.undo()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


@pytest.fixture
def daemon(configured: Callable[..., None]) -> Iterator[Daemon]:
    listening = Daemon()
    configured(statsd_on="True", statsd_host="127.0.0.1", statsd_port=str(listening.port))
    yield listening
    listening.close()


def ours(daemon: Daemon) -> list[str]:
    return sorted(line for line in daemon.received() if "tablewatch" in line)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["validate", "score"])
def test_a_night_sets_gauges(
    database: None, flights: dict[str, Any], steps: FakeSteps, daemon: Daemon, kind: str
) -> None:
    assert step(flights[f"{kind}_flights"], partition=NIGHT).state == "success"
    assert ours(daemon) == ["airflow.tablewatch.flights.flagged:7.0|g", "airflow.tablewatch.flights.read:40.0|g"]


def test_tags_name_the_monitor_where_they_are_kept(
    steps: FakeSteps, daemon: Daemon, configured: Callable[..., None]
) -> None:
    configured(statsd_influxdb_enabled="True")
    telemetry.of_scoring("flights", NIGHT, backfill=False)
    assert ours(daemon) == [
        "airflow.tablewatch.flagged,monitor=flights:7.0|g",
        "airflow.tablewatch.read,monitor=flights:40.0|g",
    ]


def test_a_backfill_sets_no_gauge(steps: FakeSteps, daemon: Daemon) -> None:
    telemetry.of_scoring("flights", NIGHT, backfill=True)
    assert ours(daemon) == []


def test_without_metrics_the_store_is_not_asked(steps: FakeSteps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.reports.measures", lambda *_: pytest.fail("asked"))
    telemetry.of_scoring("flights", NIGHT, backfill=False)


def test_a_store_that_is_down_fails_no_night(
    steps: FakeSteps, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: str) -> None:
        raise FailedMachinery("postgresql://user:zq-secret@host is down")

    monkeypatch.setattr("pipeline.reports.measures", down)
    telemetry.of_scoring("flights", NIGHT, backfill=False)
    assert "flights 2013-02-03: metrics got nothing of it: FailedMachinery" in caplog.text
    assert "zq-secret" not in caplog.text


class Lineage:
    """An OpenLineage server: the events that were sent to it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def lineage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lineage]:
    """OpenLineage's provider, configured for a server that listens; before and after it is not."""
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins import listener

    def forget() -> None:
        for name in vars(conf).values():
            if hasattr(name, "cache_clear"):
                name.cache_clear()
        listener._openlineage_listener = None

    server = Lineage()
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps({"type": "http", "url": server.url}))
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__NAMESPACE", "nightly")
    forget()
    yield server
    server.close()
    monkeypatch.undo()
    forget()


QUALITY = Quality(
    "postgres://warehouse:5432",
    "sales.public.flights",
    40,
    [
        ExpectationResult("record", BETWEEN, "air_time", {"max_value": 700}, "error", "learned", False, 40, 3, [9060]),
        ExpectationResult(
            "partition", "expect_table_row_count_to_be_between", None, {}, "warning", "monitor", True, 1, 0
        ),
    ],
)


@pytest.mark.slow
def test_openlineage_is_told_how_the_expectations_fared(
    database: None,
    flights: dict[str, Any],
    steps: FakeSteps,
    lineage: Lineage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.reports.quality", lambda *_: QUALITY)
    assert step(flights["validate_flights"], partition=NIGHT).state == "success"
    told = [event for event in lineage.events if event.get("inputs")]
    (event,) = told
    assert (event["job"]["namespace"], event["job"]["name"]) == ("nightly", "validate_flights.validate")
    (dataset,) = event["inputs"]
    assert (dataset["namespace"], dataset["name"]) == ("postgres://warehouse:5432", "sales.public.flights")
    facets = dataset["inputFacets"]
    assert facets["dataQualityMetrics"]["rowCount"] == 40
    broken, kept = facets["dataQualityAssertions"]["assertions"]
    assert (broken["assertion"], broken["column"], broken["success"], broken["severity"]) == (
        BETWEEN,
        "air_time",
        False,
        "error",
    )
    assert (broken["actual"], kept["success"], kept["severity"]) == ("3", True, "warn")
    assert "9060" not in json.dumps(event["inputs"]) and "700" not in json.dumps(event["inputs"]), (
        "a value of the table"
    )


def test_where_openlineage_is_not_configured_nothing_is_asked(
    steps: FakeSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.reports.quality", lambda *_: pytest.fail("asked"))
    telemetry.of_validation("flights", NIGHT, backfill=False)


def test_where_openlineage_is_not_installed_nothing_is_asked(steps: FakeSteps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.reports.quality", lambda *_: pytest.fail("asked"))
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.api", None)
    telemetry.of_validation("flights", NIGHT, backfill=False)


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        (
            ("postgres://me:${SECRET}@db.example.com/sales", "flights"),
            "postgres://db.example.com:5432",
            "sales.public.flights",
        ),
        (
            ("postgresql://db.example.com:5433/sales", "raw.flights"),
            "postgres://db.example.com:5433",
            "sales.raw.flights",
        ),
        (("duckdb:///data/warehouse.duckdb", "flights"), "file", "/data/warehouse.duckdb/flights"),
        (("airflow:warehouse", "flights"), "postgres://db:5432", "sales.public.flights"),
    ],
)
def test_a_table_is_named_as_openlineage_names_it(
    source: tuple[str, str], namespace: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "zq-secret")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://me:zq-secret@db:5432/sales")
    table = {"connection": source[0], "table": source[1]}
    found = dataset_of(
        Monitor.model_validate({"name": "flights", "source": table, "partition_by": "d", "primary_key": ["id"]})
    )
    assert found == (namespace, name)


def test_files_are_named_by_their_glob(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA", "/data")
    keys = {"name": "f", "source": {"files": "${DATA}/*.csv"}, "partition_by": "d", "primary_key": ["id"]}
    assert dataset_of(Monitor.model_validate(keys)) == ("file", "/data/*.csv")

"""A store with a clock that stands still, and servers that take alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.monitor import Monitor
from pipeline.results import Incident
from pipeline.store import Store
from tests.endpoint_servers import Mailbox, Webhook


class StillClock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.now = dt.datetime(2013, 2, 14, 2, 0, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += dt.timedelta(minutes=minutes)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def store(tmp_path: Path, clock: StillClock) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", clock)
    store.migrate()
    return store


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The endpoint `ops`."""
    server = Webhook()
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", server.url)
    yield server
    server.stop()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The endpoint `owners`."""
    server = Mailbox()
    monkeypatch.setenv("TABLEWATCH_ALERTS__OWNERS", server.url)
    yield server
    server.stop()


@pytest.fixture
def monitor() -> Callable[..., Monitor]:
    """The monitor `flights`, which tells `ops`, with other parts of its file as they are given."""

    def make(**sections: Any) -> Monitor:
        file = {
            "name": "flights",
            "source": {"files": "flights/*.parquet"},
            "partition_by": "flight_date",
            "primary_key": ["flight_id"],
            "alerts": {"to": ["ops"]},
        }
        return Monitor.model_validate(file | sections)

    return make


@pytest.fixture
def incident() -> Callable[..., Incident]:
    """A pattern; any of its fields may be another."""

    def make(incident_id: str = "1f2e3d4c5b6a", **fields: Any) -> Incident:
        values: dict[str, Any] = {
            "kind": "pattern",
            "severity": "warning",
            "summary": "412 of 964 records where carrier is EV (43 %): dep_delay 800 to 900, expected about 4",
            "columns": ("dep_delay",),
            "segment": (),
            "flagged": 412,
            "quarantined": 0,
            "segment_records": 964,
            "lift": 9.0,
            "p_value": 1e-9,
            "observed": "800 to 900",
            "expected": "about 4",
            "first_partition": "2013-02-14",
        }
        return Incident(incident_id=incident_id, **(values | fields))

    return make

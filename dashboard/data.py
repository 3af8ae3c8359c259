"""What the pages show, read from the store: its views, and its tables where there is no view. Plain values, cached."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import streamlit as st

from dashboard import statements
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.store.database import Database
from pipeline.store.types import JSON, UtcTime

SECONDS = 20
"""What is read stays for so long, so that a click reads nothing again; what this screen writes is read at once."""
MOST = 1_000
"""Records and lines of one kind that a page reads."""
NIGHTS = 60
"""Partitions that a page looks back on."""

Row = dict[str, Any]

_TIMES = (
    *("started_at", "finished_at", "validated_at", "scored_at", "first_detected_at", "created_at", "promoted_at"),
    *("rolled_back_at", "labelled_at", "last_started_at", "last_finished_at", "last_scored_at"),
    *("champion_promoted_at", "muted_until", "expires_at", "revoked_at"),
)
_VALUES = ("record", "columns", "segment", "metrics", "kwargs", "found")
_TYPES: dict[str, Any] = {**dict.fromkeys(_TIMES, UtcTime), **dict.fromkeys(_VALUES, JSON)}


class Views(Database):
    """Reads statements as plain values, the same on SQLite and PostgreSQL: JSON as values, times in UTC."""

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[Row]:
        with self._reading() as connection:
            found = connection.execute(sa.text(sql).columns(**_TYPES), parameters)
            return [dict(row) for row in found.mappings()]


@st.cache_resource(show_spinner=False)
def _views(url: str) -> Views:
    return Views(url)


@st.cache_data(ttl=SECONDS, show_spinner=False, max_entries=200)
def _rows(url: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _views(url).rows(sql, parameters)


def forget() -> None:
    """Read everything again: something was written."""
    _rows.clear()


def read(sql: str, **parameters: Any) -> list[Row]:
    """The rows of a statement on the store that the environment names."""
    return _rows(Settings().store, sql, parameters)


@st.cache_resource(show_spinner=False)
def prepared(url: str, writes: bool) -> bool:
    """Whether the store may be read: brought up to this version, or where nothing may be written, at least there."""
    if url.startswith("sqlite") and not Path(sa.make_url(url).database or "").exists():
        raise ConfigurationError("there is no store yet; score a night first: tablewatch run MONITOR --partition P")
    if writes:
        Store(url).migrate()
    return True


def health() -> list[Row]:
    """A row for each monitor that ever ran."""
    return read(statements.HEALTH)


@st.cache_data(ttl=SECONDS, show_spinner=False, max_entries=20)
def watched(folder: Path) -> tuple[list[str], list[str]]:
    """The monitors that have a file, and the first line of what is wrong with each file that cannot be read."""
    from pipeline.monitor import scan

    monitors, errors = scan(folder)
    return [each.name for each in monitors], [str(error).splitlines()[0] for error in errors]


def nights(monitor: str, count: int = NIGHTS) -> list[Row]:
    """The latest partitions, the latest first."""
    return read(statements.NIGHTS, monitor=monitor, nights=count)


def partitions(monitor: str) -> list[str]:
    """Every partition that was ever attempted, the latest first."""
    return [row["partition"] for row in read(statements.PARTITIONS, monitor=monitor)]


def of_dag_run(dag_run: str) -> Row | None:
    """The latest run of ours in a run of a DAG, `score_flights/manual__...`; None where there is none."""
    return next(iter(read(statements.OF_DAG_RUN, dag_run=dag_run)), None)


def incidents(monitor: str, partition: str) -> list[Row]:
    """The incidents of a partition, the worst first."""
    return read(statements.INCIDENTS, monitor=monitor, partition=partition, most=MOST)


def history(monitor: str, incident_id: str) -> list[Row]:
    """An incident in the latest partitions where it shows, the latest first."""
    return read(statements.HISTORY, monitor=monitor, incident_id=incident_id, nights=NIGHTS)


def flagged(monitor: str, partition: str, incident_id: str | None = None) -> list[Row]:
    """The flagged records of a partition, or of one of its incidents, the worst first."""
    if incident_id is None:
        return read(statements.FLAGGED, monitor=monitor, partition=partition, most=MOST)
    here = {"monitor": monitor, "partition": partition, "incident_id": incident_id}
    return read(statements.FLAGGED_OF_INCIDENT, **here, most=MOST)


def quarantined(monitor: str, partition: str, incident_id: str | None = None) -> list[Row]:
    """The quarantined records of a partition, or of one of its incidents: a row for each rule that they break."""
    if incident_id is None:
        return read(statements.QUARANTINED, monitor=monitor, partition=partition, most=MOST)
    here = {"monitor": monitor, "partition": partition, "incident_id": incident_id}
    return read(statements.QUARANTINED_OF_INCIDENT, **here, most=MOST)


def record(monitor: str, partition: str, record_key: str) -> tuple[Row | None, list[Row]]:
    """What is there of one record: its anomaly, if it was flagged, and the rules that it breaks."""
    here = {"monitor": monitor, "partition": partition, "record_key": record_key}
    anomaly = next(iter(read(statements.FLAGGED_RECORD, **here)), None)
    return anomaly, read(statements.QUARANTINED_RECORD, **here, most=MOST)


def why_record(monitor: str, partition: str, record_key: str) -> list[Row]:
    """The contributions to a record's score, by rank."""
    return read(statements.WHY_RECORD, monitor=monitor, partition=partition, record_key=record_key)


def neighbours(monitor: str, partition: str, record_key: str) -> list[Row]:
    """The normal records that are kept beside a flagged one, the nearest first."""
    return read(statements.NEIGHBOURS, monitor=monitor, partition=partition, record_key=record_key)


def why_incident(monitor: str, partition: str, incident_id: str) -> dict[str, list[Row]]:
    """The contributions to the scores of an incident's records, by record key and rank, the worst record first."""
    here = {"monitor": monitor, "partition": partition, "incident_id": incident_id}
    found: dict[str, list[Row]] = {}
    for row in read(statements.WHY_INCIDENT, **here, most=10 * MOST):
        found.setdefault(row["record_key"], []).append(row)
    return found


def scores(monitor: str, partition: str) -> list[float]:
    """The scores of the flagged records of a partition."""
    found = read(statements.SCORES, monitor=monitor, partition=partition, most=10 * MOST)
    return [row["score"] for row in found]


def labels(monitor: str, partition: str) -> dict[str, Row]:
    """What people said of the records of a partition, by record key."""
    found = read(statements.LABELS, monitor=monitor, partition=partition, most=MOST)
    return {row["record_key"]: row for row in found}


def rates(monitor: str, count: int = NIGHTS) -> list[Row]:
    """The share `flagged`, the share `asked` for and the share of canaries `caught` of the latest scored partitions,
    the oldest first.
    """
    return read(statements.RATES, monitor=monitor, nights=count)[::-1]


def drift(monitor: str, name: str, count: int = NIGHTS) -> list[Row]:
    """How far each column is from its training window in the latest partitions: `psi` or `ks`."""
    return read(statements.DRIFT, monitor=monitor, name=name, nights=count)


def would_stay(monitor: str, rate: float, count: int = NIGHTS) -> list[Row]:
    """Of the flagged records of the latest scored partitions, the oldest first, how many are at most so frequent among
    normal ones.
    """
    # SQLite 3.40 has been seen to ignore an ORDER BY that goes against that of the statement's subquery.
    found = read(statements.WOULD_STAY, monitor=monitor, rate=rate, nights=count)
    return sorted(found, key=lambda row: str(row["partition"]))


def expectations(monitor: str, partition: str) -> list[Row]:
    """How each expectation fared on a partition, the broken ones first."""
    return read(statements.EXPECTATIONS, monitor=monitor, partition=partition)


def broken_by_night(monitor: str, count: int = NIGHTS) -> list[Row]:
    """The expectations that failed in the latest partitions, the latest first."""
    return read(statements.BROKEN, monitor=monitor, nights=count, most=MOST)


def quarantine_reasons(monitor: str, count: int = NIGHTS) -> list[Row]:
    """How many records each rule sent to quarantine in the latest partitions that have any."""
    return read(statements.QUARANTINE_REASONS, monitor=monitor, nights=count, most=MOST)


def models(monitor: str) -> list[Row]:
    """The model versions, the latest first."""
    return read(statements.MODELS, monitor=monitor, most=MOST)


def undelivered() -> int:
    """Messages that were tried and that no endpoint has taken."""
    return int(read(statements.UNDELIVERED)[0]["waiting"])


def muting(monitor: str) -> list[Row]:
    """The suppressions that mute something now, the latest first."""
    now = dt.datetime.now(dt.UTC)
    found = read(statements.SUPPRESSIONS, monitor=monitor, most=MOST)
    return [row for row in found if row["revoked_at"] is None and row["expires_at"] > now]


@st.cache_data(ttl=3600, show_spinner=False, max_entries=20)
def normal_scores(bundles: Path, monitor: str, version: str, sha256: str) -> list[float]:
    """The scores of the records that the model version was calibrated on.

    Raises ConfigurationError, CorruptBundle or FailedMachinery where the bundle cannot be read from here.
    """
    from pipeline.registry import Registry

    _, arrays = Registry(bundles).load(monitor, version, sha256)
    return [float(score) for score in arrays.get("calibration", ())]

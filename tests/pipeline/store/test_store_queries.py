"""The queries of docs/dashboards.md: each runs on both databases, finds what is right, in the columns it promises."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipeline.results import Alert, Incident
from pipeline.store import PartitionResults, Store, TrainedModel

if TYPE_CHECKING:
    from conftest import Clock

PAGE = (Path(__file__).parents[3] / "docs" / "dashboards.md").read_text()
SECTION = re.compile(r"^## (?P<title>.+?)\n(?P<text>.*?)(?=^## |\Z)", re.M | re.S)
QUERY = re.compile(r"^```sql\n(.+?)^```\n\nColumns: (.+?)\.$", re.M | re.S)
QUERIES = {found["title"]: QUERY.findall(found["text"]) for found in SECTION.finditer(PAGE)}
FIRST, SECOND, THIRD = "2013-02-03", "2013-02-04", "2013-02-05"
"""A Sunday, and two days of the week after it."""
PATTERN = Incident(
    incident_id="a1",
    kind="pattern",
    severity="critical",
    summary="2 records of UA",
    columns=("dep_delay",),
    segment=(),
    flagged=2,
    quarantined=1,
    segment_records=5,
    lift=9.0,
    p_value=1e-6,
    observed="800",
    expected="4",
    first_partition=FIRST,
)
RULE = "expect_column_values_to_be_between"
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "Flagged rate by night, against the rate that was asked for": [
        (FIRST, pytest.approx(2 / 9), 0.001),
        (SECOND, pytest.approx(2 / 9), 0.001),
    ],
    "Records by night": [(FIRST, 9, 1, 2, "done"), (SECOND, 9, 1, 2, "done"), (THIRD, None, None, None, "refused")],
    "Incidents by week and severity": [
        ("2013-01-28", "critical", 1, 3),
        ("2013-02-04", "critical", 1, 3),
        ("2013-02-04", "info", 1, 1),
    ],
    "Top columns, by reason": [("dep_delay", "out_of_range", 4, 4), ("carrier", "reconstruction", 0, 4)],
    "Quarantine by rule": [(FIRST, "distance", RULE, 1), (SECOND, "distance", RULE, 1)],
    "Champions": [
        ("v1", "champion", ..., None, "gate of v1", "2013-01-06", "2013-02-02", 2),
        ("v2", "retired", ..., ..., "gate of v2", "2013-01-06", "2013-02-02", 0),
    ],
    "Drift by column": [
        (FIRST, "carrier", 0.0),
        (FIRST, "dep_delay", 0.5),
        (SECOND, "carrier", 0.0),
        (SECOND, "dep_delay", 0.5),
    ],
    "From detection to label": [("2013-01-28", 2, pytest.approx(30.0), pytest.approx(48.0))],
    "How many of the flags were right": [("v1", 4, 2, 1, pytest.approx(0.5))],
    "Nobody has answered yet": [
        (SECOND, "2", "critical", 7.25, "dep_delay", "800", "4"),
        (SECOND, "1", "critical", 2.5, "dep_delay", "800", "4"),
    ],
    "Monitors that have not scored lately": [
        ("trains", None, None, "failed", "the table is gone", 0, 1, None),
        ("flights", SECOND, ..., "refused", "too few records", 1, 0, "v1"),
    ],
    "Alerts that did not arrive": [
        ("flights", FIRST, "incidents", "critical", "ops", "UA is late", ..., 1, "it answered 500")
    ],
}
"""What each query finds; an ellipsis stands for a time."""


@pytest.fixture
def nights(store: Store, clock: Clock, results: Callable[..., PartitionResults], score: Callable[..., str]) -> None:
    """Two nights and one that was refused, two versions, labels, alerts; and a monitor that only failed."""
    for version in ("v1", "v2"):
        window = ("2013-01-06", "2013-02-02", 25_000)
        store.add_model_version(
            TrainedModel("flights", version, "ab" * 32, "ensemble", 7, *window, "5eed", "c0ffee", {})
        )
        store.promote("flights", version, f"gate of {version}")
    store.rollback("flights")
    single = replace(PATTERN, incident_id="b2", kind="single", severity="info", flagged=1, quarantined=0)
    message = Alert("flights", FIRST, "incidents", "critical", "ops", "a", "UA is late", "text", "<p>text</p>")
    for night, incidents, alerts in ((FIRST, [PATTERN], [message]), (SECOND, [PATTERN, single], [])):
        found = results()
        severe = [replace(each, incident_id="a1", severity="critical") for each in found.anomalies]
        measured = {"metrics": {"asked_rate": 0.001}, "alerts": alerts, "incidents": incidents}
        drift = {("dep_delay", "psi"): 0.5, ("carrier", "psi"): 0.0, ("carrier", "ks"): 0.1}
        score(replace(found, anomalies=severe, column_metrics=drift, **measured), night)
    store.alerts_not_delivered(store.claim_alerts("ops"), "it answered 500")
    store.finish_run(store.start_run("flights", THIRD, "score", "c0ffee"), "refused", "too few records")
    store.finish_run(store.start_run("trains", THIRD, "score", "c0ffee"), "failed", "the table is gone")
    detected = next(each.first_detected_at for each in store.anomalies("flights", FIRST))
    for hours, key, label in ((12, "1", "confirmed"), (48, "2", "expected")):
        clock.now = detected + dt.timedelta(hours=hours, minutes=-1)
        store.add_label("flights", FIRST, key, label, "", "ann")  # type: ignore[arg-type]
    store.add_label("flights", FIRST, "of a quarantined record", "confirmed", "", "ann")


def test_every_section_has_one_query_and_is_expected_to_find_something() -> None:
    assert {title: len(found) for title, found in QUERIES.items()} == dict.fromkeys(EXPECTED, 1)


@pytest.mark.parametrize("title", EXPECTED)
def test_a_query_of_the_page_finds_what_it_says(nights: None, engine: sa.Engine, title: str) -> None:
    ((sql, columns),) = QUERIES[title]
    with engine.connect() as connection:
        found = connection.execute(sa.text(sql))
        assert list(found.keys()) == re.findall(r"`(\w+)`", columns)
        rows = [tuple(row) for row in found]
    assert len(rows) == len(EXPECTED[title])
    for row, expected in zip(rows, EXPECTED[title], strict=True):
        assert all(value is not None for value, wanted in zip(row, expected, strict=True) if wanted is ...)
        kept = [at for at, wanted in enumerate(expected) if wanted is not ...]
        assert [_plain(row[at]) for at in kept] == [expected[at] for at in kept]


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int | Decimal) else value


def test_the_queries_of_the_page_read_views_only() -> None:
    for ((sql, _),) in QUERIES.values():
        read = re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", sql)
        assert read and all(name.startswith("v_") for name in read)

"""Incidents as they are read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pipeline.results import Condition, Incident
from pipeline.store import PartitionResults, Store

FIRST = Incident(
    incident_id="a1b2",
    kind="pattern",
    severity="warning",
    summary="3 records of UA from 9:00 to 10:00: air_time 9060, expected 151",
    columns=("air_time", "distance"),
    segment=(Condition("carrier", "UA"), Condition("hour", low="9", high="10")),
    flagged=3,
    quarantined=1,
    segment_records=40,
    lift=12.5,
    p_value=1e-6,
    observed="9060",
    expected="151",
    first_partition="2013-02-03",
)
CRITICAL = replace(FIRST, incident_id="c3", severity="critical", p_value=1e-3, suppression_id="s1")
RARER = replace(FIRST, incident_id="d4", kind="single", segment=(), segment_records=None, lift=None, p_value=1e-9)


@pytest.fixture
def night(store: Store, score: Callable[..., str]) -> Callable[..., None]:
    def run(partition: str, incidents: Sequence[Incident], monitor: str = "flights") -> None:
        score(PartitionResults(incidents=incidents), partition, monitor=monitor)

    return run


def test_an_incident_comes_back_as_it_was_written(store: Store, night: Callable[..., None]) -> None:
    night("2013-02-03", [FIRST])
    night("2013-02-03", [replace(FIRST, severity="critical")], monitor="trains")
    (found,) = store.incidents("flights")
    assert Incident(**{name: getattr(found, name) for name in vars(FIRST)}) == FIRST
    assert (found.partition, found.first_severity) == ("2013-02-03", "warning")
    detected = found.first_detected_at
    night("2013-02-03", [replace(FIRST, severity="critical")])
    (again,) = store.incidents("flights")
    assert (again.severity, again.first_severity, again.first_detected_at) == ("critical", "warning", detected)


def test_incidents_come_latest_and_worst_first_and_between_oldest_first(
    store: Store, night: Callable[..., None]
) -> None:
    night("2013-02-04", [FIRST, RARER, CRITICAL])
    night("2013-02-03", [FIRST])
    night("2013-02-05", [RARER])

    def told(found: Sequence[Incident]) -> list[tuple[str, str]]:
        return [(each.partition[-2:], each.incident_id) for each in found]  # type: ignore[attr-defined]

    in_order = [("05", "d4"), ("04", "c3"), ("04", "d4"), ("04", "a1b2"), ("03", "a1b2")]
    assert told(store.incidents("flights")) == in_order
    assert told(store.incidents("flights", limit=2)) == in_order[:2]
    assert told(store.incidents("flights", "2013-02-04", limit=1)) == [("04", "c3")]
    assert told(store.incidents("flights", incident_id="a1b2")) == [("04", "a1b2"), ("03", "a1b2")]
    between = store.incidents_between("flights", "2013-02-03", "2013-02-04")
    assert told(between) == [("03", "a1b2"), ("04", "c3"), ("04", "d4"), ("04", "a1b2")]

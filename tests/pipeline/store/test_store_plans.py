"""How the databases read a store that has grown: by an index, whatever the dashboard or a chart asks of one monitor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.store import statements_of
from benchmarks.years import Years
from pipeline.store import Store

LARGE = {
    "anomalies", "column_metrics", "contributions", "incidents", "labels", "metrics", "outbox", "quarantine", "runs",
    "validations",
}  # fmt: skip
ALIASES = {"a", "done", "later", "latest", "scored"}
OF_ALL_RUNS = {
    "HEALTH",
    "Monitors that have not scored lately",
    "Incidents by week and severity",
    "From detection to label",
}
"""They tell of every monitor or every night: all of `runs` is read, and of nothing else."""

pytestmark = pytest.mark.slow


def scanned_on_postgresql(connection: sa.Connection, sql: str, said: dict[str, Any]) -> set[str]:
    """The tables that the statement's plan reads from end to end."""
    (plan,) = connection.execute(sa.text(f"EXPLAIN (FORMAT JSON) {sql}"), said).scalar_one()
    return {node["Relation Name"] for node in _nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def scanned_on_sqlite(connection: sa.Connection, sql: str, said: dict[str, Any]) -> set[str]:
    steps = [row.detail.split() for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {sql}"), said)]
    return {step[1] for step in steps if step[0] == "SCAN" and "INDEX" not in step}


def test_what_is_asked_of_one_monitor_is_found_by_an_index(store: Store, engine: sa.Engine) -> None:
    Years(monitors=60, nights=200, anomalies=2).fill(engine)
    scanned = scanned_on_postgresql if engine.dialect.name == "postgresql" else scanned_on_sqlite
    with engine.connect() as connection:
        found = {
            name: scanned(connection, sql, said) & (LARGE | ALIASES) - ({"runs"} if name in OF_ALL_RUNS else set())
            for name, (sql, said) in statements_of("m007", "2013-07-19", "i28").items()
        }
    assert len(found) > 35
    assert {name: tables for name, tables in found.items() if tables} == {}

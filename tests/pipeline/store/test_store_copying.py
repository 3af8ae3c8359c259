"""COPY on PostgreSQL: the same rows as INSERTs leave, and nothing of them in an error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.records import storable
from pipeline.results import Anomaly, Condition, Contribution, ExpectationResult, Incident, Quarantined
from pipeline.store import PartitionResults, Store, copying
from pipeline.store.schema import LARGEST, contributions
from tests import older_store

NIGHT = "2013-02-03"
RESULTS = (
    "validations",
    "quarantine",
    "anomalies",
    "contributions",
    "neighbours",
    "incidents",
    "metrics",
    "column_metrics",
)
ON_POSTGRESQL = pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)

HARD = ["\\N", "\\.", "\t", "\n", "\r\n", "\x00", "\ud83d", '"', "''", "\\x41", "\u2028", "", "NULL", "{1,2}", "😀"]
text = st.sampled_from(HARD) | st.text(st.characters(), max_size=8)
number = st.floats(-LARGEST, LARGEST)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
record = st.dictionaries(text, json_value, max_size=3)
contribution = st.builds(
    Contribution, text, st.none() | text, st.none() | text, number, st.just(1), st.just("reconstruction")
)
anomaly = st.builds(Anomaly, text, number, st.floats(0, 1), number, record, st.tuples(contribution))
quarantined = st.builds(Quarantined, st.integers(0, 2**63 - 1), st.none() | text, st.none() | text, text, text, record)
check = st.builds(
    ExpectationResult, st.just("record"), text, st.none() | text, record, st.just("error"), st.just("learned"),
    st.booleans(), st.integers(0, 2**63 - 1), st.just(0), json_value,
)  # fmt: skip
incident = st.builds(
    Incident, text, st.just("single"), st.just("info"), text, st.tuples(text),
    st.tuples(st.builds(Condition, text, text)), st.integers(0, 2**31 - 1), st.just(0), st.none() | st.integers(0, 9),
    st.none() | number, st.floats(0, 1), st.none() | text, st.none() | text, st.just(NIGHT),
)  # fmt: skip
results_of_any_kind = st.builds(
    PartitionResults,
    validations=st.lists(check, max_size=3),
    quarantine=st.lists(quarantined, max_size=3),
    anomalies=st.lists(anomaly, max_size=3, unique_by=lambda each: storable(each.record_key)),
    metrics=st.dictionaries(text.map(storable), st.none() | st.floats(), max_size=3),
    incidents=st.lists(incident, max_size=1),
    column_metrics=st.dictionaries(st.tuples(text.map(storable), st.just("psi")), st.none() | number, max_size=3),
)


@ON_POSTGRESQL
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(results=results_of_any_kind)
@example(PartitionResults(anomalies=[Anomaly(each, 5e-324, 0.1, -0.0, {each: each}, ()) for each in HARD]))
def test_a_copy_leaves_the_rows_that_inserts_leave(
    store: Store, engine: sa.Engine, score: Callable[..., str], results: PartitionResults
) -> None:
    store.clock = lambda: dt.datetime(2013, 2, 4, 2, 0, 0, 123457, tzinfo=dt.UTC)
    left = []
    for way in (copying._execute_many, copying._copy):
        score(PartitionResults())
        with pytest.MonkeyPatch.context() as only:
            only.setattr(copying, "_copy", way)
            score(results)
        rows = older_store.rows_of(engine)
        left.append({name: sorted(repr({**row, "run_id": ""}) for row in rows[name]) for name in RESULTS})
    inserted, copied = left
    assert copied == inserted
    assert len(copied["anomalies"]) == len(results.anomalies)


def statements_of(store: Store, write: Callable[[], Any]) -> list[str]:
    """The first words of each statement that `write` runs."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.split()[:2]))

    sa.event.listen(store._engine, "after_cursor_execute", note)
    write()
    sa.event.remove(store._engine, "after_cursor_execute", note)
    return seen


def test_postgresql_copies_and_sqlite_inserts(store: Store, engine: sa.Engine, score, results) -> None:
    seen = statements_of(store, lambda: score(results()))
    tables = ["validations", "quarantine", "anomalies", "contributions", "neighbours", "metrics"]
    copied = [each.split()[1] for each in seen if each.startswith("COPY")]
    assert copied == (tables if engine.dialect.name == "postgresql" else [])
    assert seen.count("INSERT INTO") == (1 if copied else 1 + len(tables)), "the run's row"


def test_p33_no_value_is_in_the_error_of_a_copy(store: Store) -> None:
    row = dict.fromkeys(contributions.c.keys(), "s3cr3t-m4rk3r") | {"share": 1.5e308, "rank": 1}
    with (
        store._writing("test") as connection,
        pytest.raises(sa.exc.IntegrityError, match="share") as caught,
    ):
        copying.insert(connection, contributions, iter([row]))
    assert "s3cr3t-m4rk3r" not in str(caught.value)

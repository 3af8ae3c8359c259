"""A store of every released revision is brought up to date with all that it holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from pipeline.results import Alert, Condition, Incident
from pipeline.store import PartitionResults, Store, TrainedModel, database
from pipeline.store.schema import metadata
from tests import older_store

NIGHT = "2013-02-03"


@pytest.fixture
def full(store: Store, engine: sa.Engine, results: Callable[..., PartitionResults], score) -> older_store.Rows:
    """Rows in every table; the store they were in is gone."""
    window = ("2013-01-06", "2013-02-02", 25_000)
    store.add_suite("flights", "5eed", "{}")
    store.add_model_version(TrainedModel("flights", "v1", "ab" * 32, "ensemble", 7, *window, "5eed", "c0ffee", {}))
    store.promote("flights", "v1", "the first")
    incident = Incident(
        "a1", "pattern", "critical", "UA is late", ("dep_delay",), (Condition("carrier", "UA"),), 2, 1, 9, 3.0, 1e-9,
        "800", "4", NIGHT,
    )  # fmt: skip
    alert = Alert("flights", NIGHT, "incidents", "critical", "ops", "a", "UA is late", "text", "<p>text</p>")
    score(replace(results(), incidents=[incident], alerts=[alert], column_metrics={("dep_delay", "psi"): 0.5}))
    store.add_label("flights", NIGHT, "1", "confirmed", "wrong", "ann")
    store.open_suppression("flights", "a1", "UA", ["dep_delay"], [], "", "ann", store.clock() + dt.timedelta(days=9))
    rows = older_store.rows_of(engine)
    assert [name for name, found in rows.items() if not found] == []
    with engine.begin() as connection:
        for view in sorted(sa.inspect(connection).get_view_names()):
            connection.execute(sa.text(f"DROP VIEW {view}"))
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE alembic_version"))
    return rows


def test_every_revision_before_the_newest_is_tried() -> None:
    newest, *before = (each.revision for each in ScriptDirectory(str(database._MIGRATIONS)).walk_revisions())
    assert newest not in older_store.RELEASED
    assert tuple(sorted(before))[1:] == older_store.RELEASED, "of 0001 alone nobody ever had a store"


@pytest.mark.parametrize("revision", older_store.RELEASED)
def test_p25_migrations_keep_every_row_of_an_older_store(
    full: older_store.Rows, url: str, engine: sa.Engine, revision: str
) -> None:
    before = older_store.make(url, revision, full)
    assert sum(map(len, before.values())) > 8
    store = Store(url)
    store.migrate()
    after = older_store.rows_of(engine)
    for name, rows in before.items():
        assert [{key: row[key] for key in old} for old, row in zip(rows, after[name], strict=True)] == rows, name
    run_id = store.start_run("flights", NIGHT, "score", "c0ffee")
    store.finish_run(run_id, "done", counts={})
    assert store.champion("flights") is not None
    assert [each.record_key for each in store.anomalies("flights", NIGHT)] == ["2", "1"]

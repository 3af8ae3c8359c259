"""The views that dashboards read: the documented columns on both databases, and what they say."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.store import Store, TrainedModel
from pipeline.store.grants import VIEWS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "store.md").read_text()


def documented(name: str) -> list[str]:
    """The first cells of the table below the heading of a view or a table."""
    section = re.search(rf"^### `{name}`\n(.*?)(?=^#|\Z)", DOCUMENT, re.M | re.S)
    assert section is not None, f"docs/store.md does not describe {name}"
    return [name for row in re.findall(r"^\| (`.*?) \|", section[1], re.M) for name in re.findall(r"`(\w+)`", row)]


def promote(store: Store, version: str) -> None:
    window = ("2013-01-06", "2013-02-02", 25_000)
    store.add_model_version(TrainedModel("flights", version, "ab" * 32, "ensemble", 7, *window, "5eed", "c0ffee", {}))
    store.promote("flights", version, f"gate of {version}")


def test_the_views_that_may_be_granted_are_those_there_are(store: Store, engine: sa.Engine) -> None:
    assert sorted(sa.inspect(engine).get_view_names()) == [*VIEWS]


@pytest.mark.parametrize("view", VIEWS)
def test_a_views_columns_are_the_documented_ones(store: Store, engine: sa.Engine, view: str) -> None:
    with engine.connect() as connection:
        columns = list(connection.execute(sa.select("*").select_from(sa.table(view))).keys())
    assert columns == documented(view)


def test_every_table_is_documented_with_its_columns(store: Store, engine: sa.Engine) -> None:
    inspector = sa.inspect(engine)
    for table in inspector.get_table_names():
        if table != "alembic_version":
            assert [column["name"] for column in inspector.get_columns(table)] == documented(table)


def test_partition_summary_tells_the_latest_run_and_what_is_stored(store: Store, score, results, query) -> None:
    score(results())
    refused = store.start_run("flights", "2013-02-03", "validate", "c0ffee")
    store.finish_run(refused, "refused", "column 'dep_delay' is missing")
    store.finish_run(store.start_run("flights", "2013-02-02", "train", "c0ffee"), "done")
    assert query(
        'SELECT "partition", status, kind, reason, run_id, model_version, records_read, accepted, quarantined, flagged,'
        " worst_score, expectations, broken_expectations FROM v_partition_summary"
    ) == [
        ("2013-02-03", "refused", "validate", "column 'dep_delay' is missing", refused, "v1", 10, 9, 1, 2, 7.25, 2, 1)
    ]


def test_partition_states_tell_validated_from_scored(store: Store, score, results) -> None:
    score(results({}), "2013-02-04")
    run_id = store.start_run("flights", "2013-02-03", "validate", "c0ffee")
    store.finish_run(run_id, "done", counts={"read": 10, "accepted": 9, "quarantined": 1})
    store.start_run("flights", "2013-02-05", "score", "c0ffee")
    validated, scored, running = store.partition_states("flights")
    assert (validated.partition, validated.records_read, validated.flagged) == ("2013-02-03", 10, None)
    assert validated.validated_at is not None
    assert validated.scored_at is None
    assert (scored.partition, scored.flagged, scored.model_version) == ("2013-02-04", 0, "v1")
    assert scored.scored_at == scored.finished_at
    assert scored.scored_at.tzinfo is dt.UTC
    assert (running.partition, running.status, running.records_read) == ("2013-02-05", "running", None)
    assert store.partition_states("trains") == []


def test_anomalies_show_their_first_reason(store: Store, score, results, query) -> None:
    score(results())
    assert query(
        "SELECT record_key, score, top_column, top_reason, observed, expected, top_share"
        " FROM v_anomalies ORDER BY score"
    ) == [
        ("1", 2.5, "dep_delay", "out_of_range", "800", "4", 0.75),
        ("2", 7.25, "dep_delay", "out_of_range", "800", "4", 0.75),
    ]


def test_neighbours_are_a_view(store: Store, score, results, query) -> None:
    run_id = score(results({"1": 2.5}))
    columns = 'monitor, "partition", record_key, rank, neighbour_key, distance, run_id, model_version, config_hash'
    assert query(f"SELECT {columns} FROM v_neighbours ORDER BY rank") == [
        ("flights", "2013-02-03", "1", 1, "n1", 0.25, run_id, "v1", "c0ffee"),
        ("flights", "2013-02-03", "1", 2, "n2", 0.5, run_id, "v1", "c0ffee"),
    ]


def test_column_reasons_count_anomalies(store: Store, score, results, query) -> None:
    score(results())
    assert query(
        "SELECT column_name, reason, anomalies, ranked_first, mean_share FROM v_column_reasons ORDER BY column_name"
    ) == [("carrier", "reconstruction", 2, 0, 0.25), ("dep_delay", "out_of_range", 2, 2, 0.75)]


def test_model_history_tells_promotions_and_their_end(store: Store, score, results, query) -> None:
    promote(store, "a")
    promote(store, "b")
    score(results(), version="b")
    score(results(), version="b")
    store.rollback("flights")
    assert query(
        "SELECT version, status, promotion_reason, rolled_back_at IS NULL, partitions_scored"
        " FROM v_model_history ORDER BY version"
    ) == [("a", "champion", "gate of a", True, 0), ("b", "retired", "gate of b", False, 1)]


def test_p25_a_run_whose_process_was_killed_shows_as_stale(store: Store, clock) -> None:
    clock.now = dt.datetime.now(dt.UTC) - dt.timedelta(hours=7)
    store.start_run("flights", "2013-02-03", "score", "c0ffee")
    clock.now = dt.datetime.now(dt.UTC)
    store.start_run("flights", "2013-02-04", "score", "c0ffee")
    (health,) = store.health()
    assert (health.running, health.stale) == (1, 1)


def test_health_tells_how_each_monitor_fares(store: Store, score, results) -> None:
    promote(store, "a")
    score(results())
    for partition, status in [("2013-02-04", "refused"), ("2013-02-05", "empty"), ("2013-02-06", "failed")]:
        store.finish_run(store.start_run("flights", partition, "score", "c0ffee"), status, f"it is {status}")
    score(results(), "2013-02-07", monitor="trains")
    flights, trains = store.health()
    assert (flights.last_partition, flights.last_status, flights.last_reason) == (
        "2013-02-06",
        "failed",
        "it is failed",
    )
    assert (flights.last_scored_partition, flights.refused_partitions, flights.failed_partitions) == (
        "2013-02-03",
        2,
        1,
    )
    assert (flights.champion, flights.champion_window_last) == ("a", "2013-02-02")
    assert flights.champion_promoted_at is not None
    assert (trains.monitor, trains.last_status, trains.champion, trains.stale) == ("trains", "done", None, 0)

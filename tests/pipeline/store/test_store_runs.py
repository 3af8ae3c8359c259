"""A run's row: written at once, ended once, told apart."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline.store import Run, Store


def test_a_run_is_there_from_its_start(store: Store) -> None:
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    started = dt.datetime(2013, 2, 4, 2, 1, tzinfo=dt.UTC)
    assert store.runs() == [
        Run(run_id, "flights", "2013-02-03", "score", "running", None, {}, None, "c0ffee", started, None)
    ]


@pytest.mark.parametrize("status", ["done", "refused", "empty", "failed"])
def test_a_run_ends_with_its_reason(store: Store, status) -> None:
    run_id = store.start_run("flights", None, "train", "c0ffee")
    store.finish_run(run_id, status, "column 'dep_delay' is missing", {"read": 10}, "v1")
    (run,) = store.runs("flights")
    assert (run.status, run.reason, run.counts, run.model_version, run.partition) == (
        status,
        "column 'dep_delay' is missing",
        {"read": 10},
        "v1",
        None,
    )
    assert run.finished_at is not None
    assert run.finished_at > run.started_at


def test_the_first_ending_stands(store: Store) -> None:
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    store.finish_run(run_id, "done", counts={"read": 10})
    (before,) = store.runs()
    store.finish_run(run_id, "failed", "the connection was lost after the commit")
    assert store.runs() == [before]


def test_runs_are_found_by_monitor_and_partition_the_latest_first(store: Store) -> None:
    first = store.start_run("flights", "2013-02-03", "validate", "c0ffee")
    second = store.start_run("flights", "2013-02-04", "validate", "c0ffee")
    third = store.start_run("trains", "2013-02-03", "validate", "c0ffee")
    assert [run.run_id for run in store.runs()] == [third, second, first]
    assert [run.run_id for run in store.runs("flights")] == [second, first]
    assert [run.run_id for run in store.runs("flights", "2013-02-03")] == [first]
    assert [run.run_id for run in store.runs(limit=1)] == [third]


def test_a_clock_set_back_does_not_reorder_runs(store: Store, clock) -> None:
    first = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    clock.now -= dt.timedelta(days=1)
    second = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    assert [run.run_id for run in store.runs()] == [second, first]


def test_times_come_back_in_utc_whatever_zone_they_were_told_in(url: str) -> None:
    zurich = dt.timezone(dt.timedelta(hours=1))
    store = Store(url, lambda: dt.datetime(2013, 2, 4, 1, 30, tzinfo=zurich))
    store.migrate()
    store.start_run("flights", "2013-02-03", "score", "c0ffee")
    (run,) = store.runs()
    assert run.started_at == dt.datetime(2013, 2, 4, 0, 30, tzinfo=dt.UTC)
    assert run.started_at.utcoffset() == dt.timedelta(0)

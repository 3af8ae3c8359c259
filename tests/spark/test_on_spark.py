"""A partition on a real master with two workers: the same results as locally, whatever dies and whatever is wrong."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from spark_cluster import Cluster, kill
from two_houses import LAST, LAST_RECORDS, NIGHTS, TwoHouses, assert_same, found, last_score, orders

from pipeline import spark, steps
from pipeline.errors import ConfigurationError, RefusedData, TablewatchError
from pipeline.steps.tally import NORMAL_RECORDS

pytestmark = pytest.mark.spark

TASKS = 7
Found = dict[str, list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a night is more than one task."""
    monkeypatch.setattr(spark, "ROWS_A_TASK", 1_800)


@pytest.fixture(scope="module")
def local(houses: TwoHouses) -> Found:
    """What the last night comes to locally."""
    steps.score("orders", LAST, settings=houses.local, alerts=False)
    return found(houses.local)


def test_p24_results_are_those_of_a_local_run_and_twice_is_once(houses: TwoHouses, local: Found) -> None:
    outcome = steps.score("orders", LAST, settings=houses.spark, alerts=False)
    counts = outcome.counts
    assert counts["read"] == counts["accepted"] + counts["quarantined"] == LAST_RECORDS + 4
    # More than incidents keep of normal records, so that these are a sample.
    assert counts["accepted"] > NORMAL_RECORDS and counts["quarantined"] > 40 and counts["flagged"] > 15
    assert_same(found(houses.spark), local)
    again = steps.score("orders", LAST, settings=houses.spark, alerts=False)
    assert again.counts == counts and "since the run before" not in again.message
    assert_same(found(houses.spark), local)
    assert last_score(houses.spark) == last_score(houses.local)


def test_p24_the_scores_of_all_records_are_those_of_a_local_run(houses: TwoHouses, local: Found) -> None:
    written = []
    for settings in (houses.local, houses.spark):
        written.append(houses.folder / f"{settings.home.name}.parquet")
        steps.score("orders", LAST, settings=settings, scores_file=written[-1], alerts=False)
    assert_same(found(houses.spark), found(houses.local))
    here, there = (pq.read_table(path) for path in written)
    assert there.drop_columns(["score", "p_value"]) == here.drop_columns(["score", "p_value"])
    # In other batches a score differs in its last bits, and what is that near to a held-out score by a rank.
    for name, a_rank in (("score", 0.0), ("p_value", 1e-3)):
        np.testing.assert_allclose(there[name].to_numpy(), here[name].to_numpy(), rtol=1e-4, atol=a_rank)


def test_validation_alone_finds_the_same(houses: TwoHouses) -> None:
    told = [steps.validate("orders", NIGHTS[2], settings=each, alerts=False) for each in (houses.local, houses.spark)]
    assert told[0].counts == told[1].counts and told[0].warnings == told[1].warnings
    assert_same(found(houses.spark, NIGHTS[2]), found(houses.local, NIGHTS[2]))


def test_p25_a_worker_that_is_killed_in_the_middle_changes_nothing(
    houses: TwoHouses, local: Found, cluster: Cluster
) -> None:
    # Another thread that asks a session that is only being made fails.
    spark.session("orders", houses.spark)
    doomed = cluster.workers[-1]
    killed = threading.Event()

    def kill_in_the_middle() -> None:
        while not killed.is_set():
            if _scoring_has_begun():
                kill(doomed)
                killed.set()
            time.sleep(0.01)

    killer = threading.Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    try:
        outcome = steps.score("orders", LAST, settings=houses.spark, alerts=False)
        assert killed.is_set(), "the night was scored before a worker was killed"
    finally:
        killed.set()
        killer.join()
        kill(doomed)
        cluster.add_worker()
    assert outcome.status == "done"
    assert_same(found(houses.spark), local)


def _scoring_has_begun() -> bool:
    """Whether the tasks that score are running, one of them being done."""
    from pyspark import SparkContext

    # A session is active in its own thread only.
    context = SparkContext._active_spark_context
    if context is None:
        return False
    tracker = context.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return any(stage and stage.numTasks == TASKS and 0 < stage.numCompletedTasks < TASKS - 1 for stage in stages)


def _missing_column(path: Path) -> None:
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["weight"]), path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _broken_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(4).data_page_offset
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)


def _no_records(path: Path) -> None:
    pq.write_table(pq.read_table(path, partitioning=None).slice(0, 0), path)


@pytest.mark.parametrize("spoil", [_missing_column, _cut, _broken_page, _no_records])
def test_p06_p12_a_hostile_partition_is_refused_in_the_words_of_a_local_run(houses: TwoHouses, spoil: object) -> None:
    night = NIGHTS[3]
    path = houses.file(night)
    whole = path.read_bytes()
    spoil(path)  # type: ignore[operator]
    errors: list[TablewatchError] = []
    try:
        for settings in (houses.local, houses.spark):
            with pytest.raises(RefusedData) as refused:
                steps.score("orders", night, settings=settings, alerts=False)
            errors.append(refused.value)
    finally:
        path.write_bytes(whole)
    here, there = errors
    assert (type(there), str(there)) == (type(here), str(here))
    assert last_score(houses.spark, night)["status"] == last_score(houses.local, night)["status"]


def test_two_files_of_a_night_are_one_table(houses: TwoHouses) -> None:
    night = NIGHTS[4]
    more = houses.file(night).with_name("late.parquet")
    pq.write_table(orders(night, 200).slice(0, 50), more)
    try:
        told = [steps.validate("orders", night, settings=each, alerts=False) for each in (houses.local, houses.spark)]
    finally:
        more.unlink()
    assert told[0].counts == told[1].counts and told[1].counts["quarantined"] > 0
    assert_same(found(houses.spark, night), found(houses.local, night))


def test_a_type_that_spark_cannot_read_is_told_with_the_mend(houses: TwoHouses) -> None:
    import pyarrow as pa

    night = NIGHTS[1]
    path = houses.file(night)
    whole = path.read_bytes()
    table = pq.read_table(path, partitioning=None)
    times = table.column("placed").cast(pa.timestamp("ns"))
    pq.write_table(table.set_column(table.column_names.index("placed"), "placed", times), path)
    try:
        with pytest.raises(ConfigurationError, match=r"orders 2024-03-02: Spark cannot read .*; see docs/scale.md"):
            steps.validate("orders", night, settings=houses.spark, alerts=False)
    finally:
        path.write_bytes(whole)

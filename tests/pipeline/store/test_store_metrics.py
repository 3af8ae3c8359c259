"""A metric of the latest partitions, as the refresh of p-values asks for it."""

from __future__ import annotations

from pipeline.store import PartitionResults, Store

DAYS = [f"2013-02-{day:02d}" for day in range(1, 8)]


def latest(
    store: Store, after: str = DAYS[0], before: str = DAYS[-1], limit: int = 9, version: str = "v1"
) -> list[float]:
    return store.latest_metrics("flights", "power", version, after=after, before=before, limit=limit)


def of_day(day: str) -> PartitionResults:
    return PartitionResults(metrics={"power": int(day[-2:]) / 10, "other": 9.0})


def test_the_latest_come_first_and_both_ends_are_left_out(store: Store, score) -> None:
    for day in (DAYS[3], DAYS[0], DAYS[6], DAYS[1], DAYS[4]):
        score(of_day(day), day)
    assert latest(store) == [0.5, 0.4, 0.2]
    assert latest(store, limit=2) == [0.5, 0.4]
    assert latest(store, after=DAYS[4]) == []


def test_only_the_metric_of_this_monitor_and_version_counts_and_only_where_it_has_a_value(store: Store, score) -> None:
    score(of_day(DAYS[1]), DAYS[1], "v1")
    score(of_day(DAYS[2]), DAYS[2], "v2")
    score(of_day(DAYS[3]), DAYS[3], "v1", "trains")
    score(PartitionResults(metrics={"power": None}), DAYS[4], "v1")
    assert latest(store, limit=1) == [0.2]
    assert latest(store, version="v2") == [0.3]


def test_a_partition_scored_again_counts_once_with_its_latest_version(store: Store, score) -> None:
    for _ in range(2):
        score(of_day(DAYS[1]), DAYS[1], "v1")
    assert latest(store) == [0.2]
    score(of_day(DAYS[1]), DAYS[1], "v2")
    assert latest(store) == []

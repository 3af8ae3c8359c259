from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.validation.history import MIN_PARTITIONS, learn_partition
from pipeline.validation.suite import DISTINCT, FILLED, MEAN, MEDIAN, ROW_COUNT, UNIQUE_SHARE, Spec


def history(changes: dict[str, Any] | None = None, partitions: int = 28) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "partition": f"2013-01-{day + 1:02}",
            "rows": int(rng.normal(900, 40)),
            "delay.null_share": float(rng.uniform(0.005, 0.03)),
            "delay.distinct": 200,
            "delay.mean": float(rng.normal(10, 5)),
            "delay.median": float(rng.normal(-2, 1)),
            "shop.null_share": 0.0,
            "shop.distinct": 3,
            **(changes or {}),
        }
        for day in range(partitions)
    ]


def bounds(specs: list[Spec], kind: str, severity: str, column: str | None = None) -> tuple[float, float]:
    found = [
        spec["kwargs"]
        for spec in specs
        if (spec["type"], spec["severity"], spec["kwargs"].get("column")) == (kind, severity, column)
    ]
    assert len(found) == 1, found
    return found[0].get("min_value", -np.inf), found[0].get("max_value", np.inf)


def test_few_partitions_teach_nothing() -> None:
    assert learn_partition(["delay"], ["shop"], [], history(partitions=MIN_PARTITIONS - 1)) == []
    assert learn_partition(["delay"], ["shop"], [], history(partitions=MIN_PARTITIONS)) != []


def test_partitions_without_records_are_no_history() -> None:
    profiles = history(partitions=MIN_PARTITIONS - 1) + [{"partition": "2013-01-31", "rows": 0}] * 5
    assert learn_partition(["delay"], ["shop"], [], profiles) == []


def test_a_quiet_or_busy_day_warns_and_only_a_meaningless_number_of_records_is_an_error() -> None:
    specs = learn_partition(["delay"], ["shop"], [], history())
    low, high = bounds(specs, ROW_COUNT, "warning")
    far_low, far_high = bounds(specs, ROW_COUNT, "error")
    assert 300 < low < 850 < 950 < high < 1500
    assert 1 <= far_low <= 45
    assert far_high >= 18_000


def test_five_times_the_cancellations_warn_and_an_empty_column_is_an_error() -> None:
    specs = learn_partition(["delay"], ["shop"], [], history())
    low, _ = bounds(specs, FILLED, "warning", "delay")
    broken, _ = bounds(specs, FILLED, "error", "delay")
    assert 0.9 < low < 0.97
    assert broken == 0.05


@pytest.mark.parametrize("nulls", [0.6, 0.97])
def test_a_column_that_is_often_null_may_be_null_throughout(nulls: float) -> None:
    specs = learn_partition(["delay"], ["shop"], [], history({"delay.null_share": nulls}))
    assert not [spec for spec in specs if (spec["type"], spec["severity"]) == (FILLED, "error")
                and spec["kwargs"]["column"] == "delay"]  # fmt: skip


def test_what_has_happened_before_is_no_error() -> None:
    profiles = history()
    profiles[9] = {**profiles[9], "delay.null_share": 0.99}
    specs = learn_partition(["delay"], [], [], profiles)
    assert not [spec for spec in specs if (spec["type"], spec["severity"]) == (FILLED, "error")]


def test_small_partitions_may_be_null_by_chance() -> None:
    specs = learn_partition(["delay"], [], [], history({"rows": 12, "delay.null_share": 0.2}))
    assert not [spec for spec in specs if (spec["type"], spec["severity"]) == (FILLED, "error")]


def test_numbers_are_watched_by_mean_and_median_and_the_others_by_distinct_values() -> None:
    specs = learn_partition(["delay"], ["shop"], [], history())
    assert bounds(specs, MEAN, "warning", "delay")[0] < 0 < 20 < bounds(specs, MEAN, "warning", "delay")[1]
    assert bounds(specs, MEDIAN, "warning", "delay")[1] < 10
    assert bounds(specs, DISTINCT, "warning", "shop") == (2, 4)


def test_of_a_sensitive_column_no_mean_and_no_median_is_kept() -> None:
    specs = learn_partition(["delay"], [], ["delay"], history())
    assert {spec["type"] for spec in specs} == {ROW_COUNT, FILLED}


def test_a_column_that_is_always_unique_is_expected_to_stay_so() -> None:
    profiles = [{**profile, "shop.distinct": profile["rows"]} for profile in history()]
    low, _ = bounds(learn_partition([], ["shop"], [], profiles), UNIQUE_SHARE, "warning", "shop")
    assert 0.9 < low < 1


def test_one_wild_partition_in_the_history_does_not_widen_the_bounds() -> None:
    profiles = history()
    profiles[5] = {**profiles[5], "delay.mean": 1e6}
    assert bounds(learn_partition(["delay"], [], [], profiles), MEAN, "warning", "delay")[1] < 100


def test_a_backend_without_medians_teaches_none() -> None:
    specs = learn_partition(["delay"], [], [], history({"delay.median": None}))
    assert MEDIAN not in {spec["type"] for spec in specs}

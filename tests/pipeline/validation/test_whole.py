from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.monitor import Monitor
from pipeline.validation import first_suite, refuse_if_broken

MakeMonitor = Callable[..., Monitor]
Run = Callable[..., Any]
TABLE = pa.table(
    {
        "id": [1, 2, 3, 4],
        "a": [1.0, 2.0, 3.0, float("inf")],
        "shop": ["x", "x", None, "y"],
        "at": pa.array([dt.datetime(2013, 1, day) for day in (1, 2, 3, 4)], pa.timestamp("us")),
    }
)


@pytest.mark.parametrize(
    ("name", "kwargs", "success", "observed"),
    [
        ("expect_column_mean_to_be_between", {"column": "a", "min_value": 1, "max_value": 2}, True, 2.0),
        ("expect_column_sum_to_be_between", {"column": "a", "max_value": 5}, False, 6.0),
        ("expect_column_max_to_be_between", {"column": "at", "max_value": "2013-01-02T12:00:00"}, False,
         "2013-01-03T00:00:00"),
        ("expect_column_values_to_be_increasing", {"column": "id"}, True, 0.0),
        ("expect_column_values_to_not_be_null", {"column": "shop", "mostly": 0.5}, True, 100 / 3),
        ("expect_column_values_to_not_be_null", {"column": "shop", "mostly": 0.9}, False, 100 / 3),
        ("expect_table_column_count_to_equal", {"value": 4}, True, 4),
        ("expect_table_columns_to_match_set", {"column_set": ["id", "a"], "exact_match": False}, True, None),
        ("expect_column_to_exist", {"column": "gone"}, False, None),
        ("expect_column_distinct_values_to_be_in_set", {"column": "shop", "value_set": ["x"]}, True, None),
        ("expect_column_quantile_values_to_be_between",
         {"column": "a", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[2, 2]]}}, True, None),
    ],
)  # fmt: skip
def test_aggregates_look_at_the_accepted_records_of_all_batches(
    monitor: MakeMonitor, run: Run, name: str, kwargs: dict[str, Any], success: bool, observed: Any
) -> None:
    watched = monitor(expectations=[{name: kwargs}])
    checked = run(watched, first_suite(watched, TABLE.schema), TABLE, rows=2)
    result = checked.result(name, kwargs.get("column"))
    assert (result.scope, result.success, result.checked) == ("partition", success, 3)
    if observed is not None:
        assert result.observed == pytest.approx(observed)
    if success:
        refuse_if_broken(watched, "2013-02-03", checked.results)
    else:
        with pytest.raises(RefusedData, match=f"^orders 2013-02-03: expected that {name[:20]}|the mean"):
            refuse_if_broken(watched, "2013-02-03", checked.results)


def test_a_warning_does_not_refuse(monitor: MakeMonitor, run: Run) -> None:
    watched = monitor(
        expectations=[{"expect_column_sum_to_be_between": {"column": "a", "max_value": 5}, "severity": "warning"}]
    )
    checked = run(watched, first_suite(watched, TABLE.schema), TABLE)
    assert not checked.result("expect_column_sum_to_be_between", "a").success
    refuse_if_broken(watched, "2013-02-03", checked.results)


def test_without_an_accepted_record_no_aggregate_holds(monitor: MakeMonitor, run: Run) -> None:
    watched = monitor(expectations=[{"expect_column_sum_to_be_between": {"column": "a", "max_value": 5}}])
    broken = pa.table({"id": pa.array([None], pa.int64()), "a": [1.0]})
    checked = run(watched, first_suite(watched, broken.schema), broken)
    assert not checked.result("expect_column_sum_to_be_between", "a").success


def test_an_aggregate_that_cannot_be_computed_is_an_error(monitor: MakeMonitor, run: Run) -> None:
    watched = monitor(expectations=[{"expect_column_mean_to_be_between": {"column": "shop", "min_value": 1}}])
    with pytest.raises(ConfigurationError, match="expect_column_mean_to_be_between on 'shop' could not be computed"):
        run(watched, first_suite(watched, TABLE.schema), TABLE)


def test_p33_what_is_observed_in_a_sensitive_column_is_not_told(monitor: MakeMonitor, run: Run) -> None:
    expectation = {"expect_column_max_to_be_between": {"column": "at", "max_value": "2000-01-01"}}
    watched = monitor(columns={"sensitive": ["at"]}, expectations=[expectation])
    checked = run(watched, first_suite(watched, TABLE.schema), TABLE)
    result = checked.result("expect_column_max_to_be_between", "at")
    assert (result.success, result.observed) == (False, None)

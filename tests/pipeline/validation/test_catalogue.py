from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.validation import first_suite
from pipeline.validation.catalogue import own_specs
from pipeline.validation.engine import expectation_names

MakeMonitor = Callable[..., Monitor]
SCHEMA = pa.schema([("id", pa.int64()), ("distance", pa.int64()), ("shop", pa.string())])


def scope(monitor: MakeMonitor, name: str, **kwargs: Any) -> str:
    return own_specs(monitor(expectations=[{name: kwargs}]))[0]["scope"]


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("expect_column_values_to_be_between", {"column": "distance", "min_value": 1}),
        ("expect_column_values_to_match_regex", {"column": "shop", "regex": "^B"}),
        ("expect_column_value_lengths_to_equal", {"column": "shop", "value": 4}),
        ("expect_column_pair_values_to_be_equal", {"column_A": "id", "column_B": "distance"}),
        ("expect_multicolumn_sum_to_equal", {"column_list": ["id", "distance"], "sum_total": 3}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["id", "distance"]}),
    ],
)
def test_what_judges_a_record_is_in_the_record_suite(monitor: MakeMonitor, name: str, kwargs: dict[str, Any]) -> None:
    assert scope(monitor, name, **kwargs) == "record"


@pytest.mark.filterwarnings("ignore:.*condition:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
        ("expect_column_mean_to_be_between", {"column": "distance", "min_value": 1}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "shop", "value_set": ["Bern"]}),
        ("expect_column_values_to_be_increasing", {"column": "id"}),
        ("expect_column_value_z_scores_to_be_less_than", {"column": "id", "threshold": 3, "double_sided": True}),
        ("expect_column_values_to_not_be_null", {"column": "shop", "mostly": 0.95}),
        ("expect_column_values_to_be_unique",
         {"column": "id", "row_condition": "id > 0", "condition_parser": "pandas"}),
    ],
)  # fmt: skip
def test_what_needs_more_than_the_record_is_in_the_partition_suite(
    monitor: MakeMonitor, name: str, kwargs: dict[str, Any]
) -> None:
    assert scope(monitor, name, **kwargs) == "partition"


def test_an_unknown_expectation_names_the_nearest(monitor: MakeMonitor) -> None:
    with pytest.raises(ConfigurationError) as error:
        own_specs(monitor(expectations=[{"expect_column_value_to_be_between": {"column": "distance"}}]))
    told = str(error.value)
    assert told.startswith("orders: unknown expectation 'expect_column_value_to_be_between'; the nearest are ")
    assert "expect_column_values_to_be_between" in told
    assert "\n" not in told


def test_an_expectation_like_no_other_is_unknown_too(monitor: MakeMonitor) -> None:
    with pytest.raises(ConfigurationError, match="unknown expectation 'expect_q'; see the gallery"):
        own_specs(monitor(expectations=[{"expect_q": {}}]))


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"column": "distance", "min_valu": 1}, "min_valu: extra fields not permitted"),
        ({"column": "distance"}, "min_value and max_value cannot both be None"),
        ({"min_value": 1}, "column: field required"),
        ({"column": "distance", "min_value": "far"}, "min_value: "),
    ],
)
def test_wrong_arguments_are_named(monitor: MakeMonitor, kwargs: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        own_specs(monitor(expectations=[{"expect_column_values_to_be_between": kwargs}]))
    assert str(error.value).startswith("orders: expect_column_values_to_be_between has wrong arguments: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_the_table_has_not_names_the_nearest(monitor: MakeMonitor) -> None:
    misspelt = monitor(expectations=[{"expect_column_values_to_be_between": {"column": "distnce", "min_value": 1}}])
    with pytest.raises(ConfigurationError, match="no column of the table: 'distnce'; did you mean 'distance'"):
        first_suite(misspelt, SCHEMA)
    absent = monitor(expectations=[{"expect_column_to_exist": {"column": "soon"}}])
    assert first_suite(absent, SCHEMA).partition[-1]["kwargs"] == {"column": "soon"}


@pytest.mark.parametrize(
    "name", ["expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"]
)
def test_an_expectation_that_needs_sql_is_refused(monitor: MakeMonitor, name: str) -> None:
    assert name in expectation_names()
    with pytest.raises(ConfigurationError, match=f"orders: {name} needs a SQL query"):
        own_specs(monitor(expectations=[{name: {}}]))


def test_a_monitor_without_expectations_has_none(monitor: MakeMonitor) -> None:
    assert own_specs(monitor()) == []


def test_severity_is_the_monitors(monitor: MakeMonitor) -> None:
    written = [{"expect_column_values_to_not_be_null": {"column": "shop"}, "severity": "warning"},
               {"expect_column_values_to_not_be_null": {"column": "id"}}]  # fmt: skip
    assert [spec["severity"] for spec in own_specs(monitor(expectations=written))] == ["warning", "error"]

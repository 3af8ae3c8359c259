from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import EmptyPartition, RefusedData
from pipeline.monitor import Monitor
from pipeline.validation import Suite, check_partition, check_schema, first_suite, metrics_of, refuse_if_broken
from pipeline.validation.history import learn_partition
from pipeline.validation.suite import DISTINCT, FILLED, MEAN, ROW_COUNT, UNIQUE_SHARE, Spec, has_records, learned

MakeMonitor = Callable[..., Monitor]
TRAINED = {"id": "int64", "day": "date32[day]", "dep_delay": "int64", "carrier": "string"}
SCHEMA = pa.schema(
    [("id", pa.int64()), ("day", pa.date32()), ("dep_delay", pa.int64()), ("carrier", pa.string())]
)  # fmt: skip
HISTORY = [
    {"rows": 900 + 10 * (n % 5), "delay.null_share": 0.01 + 0.005 * (n % 4), "delay.mean": 8.0 + n % 6,
     "delay.median": -2.0 + n % 2, "shop.null_share": 0.0, "shop.distinct": 3 + n % 2}
    for n in range(28)
]  # fmt: skip


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite((), (has_records(), *learn_partition(["delay"], ["shop"], [], HISTORY)), TRAINED)


def without(*names: str) -> pa.Schema:
    return pa.schema([field for field in SCHEMA if field.name not in names])


def night(**changes: Any) -> dict[str, Any]:
    return {**HISTORY[0], "partition": "2013-02-08", **changes}


def broken(monitor: Monitor, suite: Suite, profile: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    results = check_partition(monitor, "2013-02-08", profile, suite)
    return [(one.severity, one.expectation, one.column) for one in results if not one.success]


def test_the_columns_as_trained_give_no_warning(monitor: MakeMonitor, suite: Suite) -> None:
    assert check_schema(monitor(), "2013-02-03", SCHEMA, suite) == []


def test_p06_a_missing_column_refuses_the_partition_by_name(monitor: MakeMonitor, suite: Suite) -> None:
    renamed = without("dep_delay").append(pa.field("dep_dealy", pa.int64()))
    with pytest.raises(RefusedData) as error:
        check_schema(monitor(name="flights"), "2013-02-03", renamed, suite)
    assert str(error.value) == (
        "flights 2013-02-03: column 'dep_delay' is missing; known columns are dep_dealy, day, id, carrier"
    )


def test_p06_several_missing_columns_and_many_known_ones_are_cut(monitor: MakeMonitor, suite: Suite) -> None:
    wide = pa.schema([("id", pa.int64()), ("day", pa.date32())] + [(f"x{n}", pa.int64()) for n in range(30)])
    with pytest.raises(RefusedData) as error:
        check_schema(monitor(), "2013-02-03", wide, suite)
    assert "columns 'dep_delay', 'carrier' are missing; known columns are" in str(error.value)
    assert str(error.value).endswith("and 22 more")


@pytest.mark.parametrize("column", ["id", "day"])
def test_p06_key_and_partition_column_are_needed_before_any_training_too(monitor: MakeMonitor, column: str) -> None:
    with pytest.raises(RefusedData, match=f"column '{column}' is missing"):
        check_schema(monitor(), "2013-02-03", without(column), Suite((), (), {}))


def test_p05_a_new_column_is_ignored_with_a_warning(monitor: MakeMonitor, suite: Suite) -> None:
    wider = SCHEMA.append(pa.field("gate", pa.string()))
    assert check_schema(monitor(name="flights"), "2013-02-03", wider, suite) == [
        "flights 2013-02-03: column 'gate' is new and is ignored; train again to take it in"
    ]


def test_p05_a_new_column_refuses_the_partition_if_the_monitor_says_so(monitor: MakeMonitor, suite: Suite) -> None:
    strict = monitor(name="flights", schema={"new_column": "refuse"})
    with pytest.raises(RefusedData, match="^flights 2013-02-03: column 'gate' is new; train again"):
        check_schema(strict, "2013-02-03", SCHEMA.append(pa.field("gate", pa.string())), suite)
    assert check_schema(strict, "2013-02-03", SCHEMA, suite) == []


def test_an_excluded_column_is_neither_new_nor_missing(monitor: MakeMonitor, suite: Suite) -> None:
    strict = monitor(columns={"exclude": ["gate", "carrier"]}, schema={"new_column": "refuse"})
    assert check_schema(strict, "2013-02-03", SCHEMA.append(pa.field("gate", pa.string())), suite) == []
    assert check_schema(strict, "2013-02-03", without("carrier"), suite) == []


def test_before_any_training_no_column_is_new(monitor: MakeMonitor) -> None:
    strict = monitor(schema={"new_column": "refuse"})
    assert check_schema(strict, "2013-02-03", SCHEMA, Suite((), (), {})) == []


def test_p07_a_column_of_another_type_is_told(monitor: MakeMonitor, suite: Suite) -> None:
    changed = SCHEMA.set(2, pa.field("dep_delay", pa.string()))
    warnings = check_schema(monitor(name="flights"), "2013-02-03", changed, suite)
    assert len(warnings) == 1
    assert warnings[0].startswith("flights 2013-02-03: column 'dep_delay' was int64 in training and is string;")


def test_p01_an_empty_partition_is_told_by_the_row_count(monitor: MakeMonitor, suite: Suite) -> None:
    for one in (suite, first_suite(monitor(), SCHEMA)):
        results = check_partition(monitor(), "2013-02-03", {"rows": 0}, one)
        assert {result.expectation for result in results} == {ROW_COUNT}
        assert not results[0].success
        assert results[0].observed == 0
        with pytest.raises(EmptyPartition, match="^orders 2013-02-03: the partition has no records"):
            refuse_if_broken(monitor(), "2013-02-03", results)


def test_the_metrics_that_are_asked_for_are_those_that_are_judged(monitor: MakeMonitor, suite: Suite) -> None:
    wanted = metrics_of(suite)
    assert wanted == {"delay.null_share", "delay.mean", "delay.median", "shop.null_share", "shop.distinct"}
    known = {name: value for name, value in night().items() if name in {"partition", "rows", *wanted}}
    assert check_partition(monitor(), "2013-02-08", known, suite) == check_partition(
        monitor(), "2013-02-08", night(**{"delay.min": -9.0}), suite
    )


def test_an_ordinary_night_passes(monitor: MakeMonitor, suite: Suite) -> None:
    assert broken(monitor(), suite, night()) == []
    results = check_partition(monitor(), "2013-02-08", night(), suite)
    mean = next(result for result in results if result.expectation == MEAN)
    assert (mean.column, mean.observed, mean.checked, mean.scope) == ("delay", 8.0, 900, "partition")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rows": 400}, (ROW_COUNT, None)),
        ({"delay.null_share": 0.5}, (FILLED, "delay")),
        ({"delay.mean": 90.0}, (MEAN, "delay")),
        ({"shop.distinct": 40}, (DISTINCT, "shop")),
        ({"delay.mean": None}, (MEAN, "delay")),
    ],
)
def test_a_blizzard_or_a_holiday_warns_and_is_not_refused(
    monitor: MakeMonitor, suite: Suite, changes: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    assert broken(monitor(), suite, night(**changes)) == [("warning", *expected)]
    refuse_if_broken(monitor(), "2013-02-08", check_partition(monitor(), "2013-02-08", night(**changes), suite))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rows": 12}, "the number of records is from 45 to 18,800; observed 12"),
        ({"rows": 90_000}, "the number of records is from 45 to 18,800; observed 90,000"),
        ({"delay.null_share": 0.97}, "the share of delay that is not null is more than 0.05; observed 0.03"),
    ],
)
def test_a_partition_that_cannot_be_scored_is_refused(
    monitor: MakeMonitor, suite: Suite, changes: dict[str, Any], told: str
) -> None:
    results = check_partition(monitor(), "2013-02-08", night(**changes), suite)
    with pytest.raises(RefusedData) as error:
        refuse_if_broken(monitor(), "2013-02-08", results)
    assert not isinstance(error.value, EmptyPartition)
    assert str(error.value).startswith(f"orders 2013-02-08: expected that {told}")


@pytest.mark.parametrize(
    ("expectation", "success"),
    [
        ({"expect_table_row_count_to_be_between": {"min_value": 901}}, False),
        ({"expect_table_row_count_to_be_between": {"min_value": 900, "strict_min": True}}, False),
        ({"expect_table_row_count_to_be_between": {"min_value": 900, "max_value": 900}}, True),
        ({"expect_table_row_count_to_equal": {"value": 900}}, True),
        ({"expect_table_row_count_to_equal": {"value": 899}}, False),
    ],
)
def test_the_monitors_own_number_of_records_is_honoured(
    monitor: MakeMonitor, expectation: dict[str, Any], success: bool
) -> None:
    watched = monitor(expectations=[expectation])
    results = check_partition(watched, "2013-02-08", night(), first_suite(watched, SCHEMA))
    assert [(result.origin, result.success) for result in results] == [("built-in", True), ("monitor", success)]
    assert results[1].kwargs == next(iter(expectation.values()))


def test_the_share_of_distinct_values_counts_those_that_are_not_null(monitor: MakeMonitor) -> None:
    spec: Spec = learned("partition", UNIQUE_SHARE, "warning", column="mail", min_value=0.99)
    profile = {"rows": 100, "mail.null_share": 0.5, "mail.distinct": 50}
    assert broken(monitor(), Suite((), (spec,), {}), profile) == []
    assert broken(monitor(), Suite((), (spec,), {}), {**profile, "mail.distinct": 49}) != []
    assert broken(monitor(), Suite((), (spec,), {}), {**profile, "mail.null_share": 1.0, "mail.distinct": 0}) != []

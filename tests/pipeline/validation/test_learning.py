from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.monitor import Monitor
from pipeline.validation import Suite, learn, with_own
from pipeline.validation.suite import BETWEEN, IN_SET, NOT_NULL

MakeMonitor = Callable[..., Monitor]
MakeTable = Callable[..., pa.Table]
MakeProfile = Callable[..., dict[str, Any]]
DAYS = [f"2013-01-{day:02}" for day in range(1, 11)]


@pytest.fixture(scope="module")
def nights(orders: MakeTable) -> list[pa.Table]:
    return [orders(400, day, seed, 400 * seed) for seed, day in enumerate(DAYS)]


@pytest.fixture(scope="module")
def profiles(nights: list[pa.Table], profile: MakeProfile) -> list[dict[str, Any]]:
    return [profile(night, day) for night, day in zip(nights, DAYS, strict=True)]


def record(suite: Suite, kind: str, column: str) -> dict[str, Any] | None:
    found = [spec for spec in suite.record if (spec["type"], spec["kwargs"].get("column")) == (kind, column)]
    assert len(found) <= 1, found
    return {**found[0]["kwargs"], "severity": found[0]["severity"]} if found else None


def rows_of(column: list[Any] | np.ndarray, kind: pa.DataType | None = None, partitions: int = 10) -> pa.Table:
    days = np.repeat(np.arange(partitions), -(-len(column) // partitions))[: len(column)]
    return pa.table({"id": np.arange(len(column)), "day": days.astype("datetime64[D]"), "x": pa.array(column, kind)})


def learned(monitor: Monitor, table: pa.Table, profile: MakeProfile, partitions: int = 10) -> Suite:
    size = -(-table.num_rows // partitions)
    return learn(monitor, table, [profile(table.slice(at, size)) for at in range(0, table.num_rows, size)])


def test_the_window_teaches_every_kind_of_column(
    monitor: MakeMonitor, nights: list[pa.Table], profiles: list[dict[str, Any]]
) -> None:
    suite = learn(monitor(), pa.concat_tables(nights), profiles)
    amount, balance = record(suite, BETWEEN, "amount"), record(suite, BETWEEN, "balance")
    assert amount and amount["min_value"] == 0 and amount["max_value"] > 1_000 and amount["severity"] == "error"
    assert balance and balance["min_value"] < -1_000 and balance["max_value"] > 1_000
    assert record(suite, IN_SET, "shop") == {
        "column": "shop",
        "value_set": ["Bern", "Genf", "Zürich"],
        "severity": "warning",
    }
    assert record(suite, NOT_NULL, "amount") is not None
    assert record(suite, NOT_NULL, "note") is None
    assert suite.schema["at"] == "timestamp[us]"
    assert suite.schema["day"] == "date32[day]"


def test_key_and_partition_column_grow_so_nothing_is_learned_of_their_values(
    monitor: MakeMonitor, nights: list[pa.Table], profiles: list[dict[str, Any]]
) -> None:
    suite = learn(monitor(), pa.concat_tables(nights), profiles)
    taught = [spec for spec in (*suite.record, *suite.partition) if spec["origin"] == "learned"]
    assert not {"id", "day"} & {spec["kwargs"].get("column") for spec in taught}


def test_of_an_excluded_column_nothing_is_learned(
    monitor: MakeMonitor, nights: list[pa.Table], profiles: list[dict[str, Any]]
) -> None:
    suite = learn(monitor(columns={"exclude": ["amount", "shop"]}), pa.concat_tables(nights), profiles)
    named = {spec["kwargs"].get("column") for spec in (*suite.record, *suite.partition)}
    assert not {"amount", "shop"} & named
    assert not {"amount", "shop"} & set(suite.schema)


def test_p33_no_value_of_a_sensitive_column_is_in_the_suite(monitor: MakeMonitor, profile: MakeProfile) -> None:
    table = rows_of(["MARKER", "OTHER"] * 600)
    assert "MARKER" in learned(monitor(), table, profile).to_json()
    suite = learned(monitor(columns={"sensitive": ["x"]}), table, profile)
    assert "MARKER" not in suite.to_json()
    assert record(suite, NOT_NULL, "x") is not None


@pytest.mark.parametrize(("records", "expected"), [(499, False), (500, True)])
def test_never_null_needs_evidence(monitor: MakeMonitor, profile: MakeProfile, records: int, expected: bool) -> None:
    suite = learned(monitor(), rows_of(np.arange(records) % 7), profile)
    assert (record(suite, NOT_NULL, "x") is not None) == expected


def test_a_null_in_the_window_shows_that_nulls_are_ordinary(monitor: MakeMonitor, profile: MakeProfile) -> None:
    suite = learned(monitor(), rows_of([None] + [1.5] * 999), profile)
    assert record(suite, NOT_NULL, "x") is None


def test_p08_nan_is_a_null_and_infinity_no_value(monitor: MakeMonitor, profile: MakeProfile) -> None:
    values = np.random.default_rng(0).normal(0, 1, 1_000)
    values[0], values[1] = np.nan, np.inf
    suite = learned(monitor(), rows_of(values), profile)
    assert record(suite, NOT_NULL, "x") is None
    between = record(suite, BETWEEN, "x")
    assert between is not None
    assert between["max_value"] < 100


def test_what_rises_with_time_has_no_upper_bound(monitor: MakeMonitor, profile: MakeProfile) -> None:
    suite = learned(monitor(), rows_of(1_000_000 + np.arange(5_000)), profile)
    between = record(suite, BETWEEN, "x")
    assert between is not None
    assert "max_value" not in between


def test_what_falls_with_time_has_no_lower_bound(monitor: MakeMonitor, profile: MakeProfile) -> None:
    suite = learned(monitor(), rows_of(1_000_000 - np.arange(5_000)), profile)
    between = record(suite, BETWEEN, "x")
    assert between is not None
    assert "min_value" not in between


@pytest.mark.parametrize("partitions", [1, 2])
def test_of_one_or_two_partitions_nobody_can_tell_what_rises(
    monitor: MakeMonitor, profile: MakeProfile, partitions: int
) -> None:
    values = np.random.default_rng(0).normal(0, 1, 1_000)
    suite = learned(monitor(), rows_of(values, partitions=partitions), profile, partitions)
    bounded = record(suite, BETWEEN, "x")
    assert bounded == {"column": "x", "min_value": -1.7976931348623157e308, "max_value": 1.7976931348623157e308,
                       "severity": "error"}  # fmt: skip


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns", tz="UTC"), pa.date32(), pa.timestamp("s")])
def test_tomorrow_and_next_year_are_never_out_of_range(
    monitor: MakeMonitor, profile: MakeProfile, kind: pa.DataType
) -> None:
    wild = dt.date(1900, 1, 1)
    days = pa.array([dt.date(2013, 1, 1) + dt.timedelta(days=n % 40) for n in range(1_000)] + [wild], pa.date32())
    table = rows_of(np.zeros(1_001)).set_column(2, "x", days.cast(pa.timestamp("s")).cast(kind))
    between = record(learned(monitor(), table, profile), BETWEEN, "x")
    assert between is not None
    assert "1950" < between["min_value"] < "2013"
    assert between["max_value"] > "2022"
    assert ("T" in between["min_value"]) == pa.types.is_timestamp(kind)
    assert between["min_value"].endswith("+00:00") == (getattr(kind, "tz", None) is not None)


def test_a_date_without_end_that_recurs_is_ordinary(monitor: MakeMonitor, profile: MakeProfile) -> None:
    dates = [dt.date(2013, 1, 1) + dt.timedelta(days=n % 400) for n in range(10_000)] + [dt.date(9999, 12, 31)] * 5
    between = record(learned(monitor(), rows_of(dates), profile), BETWEEN, "x")
    assert between is not None
    assert between["max_value"] == "9999-12-31"


def test_codes_that_are_numbers_have_no_range(monitor: MakeMonitor, profile: MakeProfile) -> None:
    codes = np.random.default_rng(0).integers(100, 140, 2_000)
    assert record(learned(monitor(), rows_of(codes), profile), BETWEEN, "x") is not None
    suite = learned(monitor(columns={"kinds": {"x": "categorical"}}), rows_of(codes), profile)
    assert record(suite, BETWEEN, "x") is None
    assert record(suite, IN_SET, "x") == {"column": "x", "value_set": list(range(100, 140)), "severity": "warning"}


def test_a_vocabulary_is_learned_only_where_it_is_small_and_closed(monitor: MakeMonitor, profile: MakeProfile) -> None:
    many = [f"customer {number}" for number in range(60)] * 20
    assert record(learned(monitor(), rows_of(many), profile), IN_SET, "x") is None
    open_ended = ["a", "b"] * 500 + [f"text {number}" for number in range(20)]
    assert record(learned(monitor(), rows_of(open_ended), profile), IN_SET, "x") is None
    slip = ["a", "b"] * 1_000 + ["aa"]
    vocabulary = record(learned(monitor(), rows_of(slip), profile), IN_SET, "x")
    assert vocabulary is not None
    assert vocabulary["value_set"] == ["a", "b"]


@pytest.mark.parametrize("kind", [pa.decimal128(12, 2), pa.int8(), pa.uint64(), pa.float32()])
def test_numbers_of_any_width_have_ranges(monitor: MakeMonitor, profile: MakeProfile, kind: pa.DataType) -> None:
    numbers = [Decimal(n % 90) if pa.types.is_decimal(kind) else n % 90 for n in range(2_000)]
    profiles = [{"rows": 200, "x.mean": mean} for mean in (1, 2, 1, 2)]
    between = record(learn(monitor(), rows_of(numbers, kind), profiles), BETWEEN, "x")
    assert between is not None
    assert (between["min_value"], between["max_value"] > 400) == (0, True)


def test_an_all_null_column_teaches_no_more_than_its_type(monitor: MakeMonitor, profile: MakeProfile) -> None:
    suite = learned(monitor(), rows_of([None] * 1_000, pa.float64()), profile)
    assert [spec["origin"] for spec in suite.record if spec["kwargs"].get("column") == "x"] == ["built-in"]


def test_a_learned_suite_takes_the_monitors_expectations_as_they_are_now(
    monitor: MakeMonitor, nights: list[pa.Table], profiles: list[dict[str, Any]]
) -> None:
    suite = learn(monitor(), pa.concat_tables(nights), profiles)
    between = {"expect_column_values_to_be_between": {"column": "amount", "min_value": 1}}
    edited = with_own(monitor(expectations=[between]), suite)
    own = [spec for spec in edited.record if spec["origin"] == "monitor"]
    assert [spec["kwargs"] for spec in own] == [{"column": "amount", "min_value": 1}]
    assert not [spec for spec in edited.record if spec["origin"] == "learned" and spec["type"] == BETWEEN
                and spec["kwargs"]["column"] == "amount"]  # fmt: skip
    assert with_own(monitor(), suite) == suite


def test_the_window_is_not_changed(
    monitor: MakeMonitor, nights: list[pa.Table], profiles: list[dict[str, Any]]
) -> None:
    window = pa.concat_tables(nights)
    before = window.to_pydict()
    learn(monitor(), window, profiles)
    assert window.to_pydict() == before

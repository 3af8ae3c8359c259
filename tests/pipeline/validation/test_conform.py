from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.validation.conform import arrow_type, conform, type_text

TYPES = [
    pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(),
    pa.date32(), pa.timestamp("us"), pa.timestamp("ns", tz="Europe/Zurich"), pa.decimal128(12, 2),
    pa.decimal256(50, -3), pa.time64("us"), pa.null(),
]  # fmt: skip


def cells(values: list[Any], kind: pa.DataType, trained: pa.DataType, zone: str = "UTC") -> tuple[list[Any], list[int]]:
    found = conform(pa.table({"x": pa.array(values, kind)}), {"x": str(trained)}, zone)
    return found.table.column("x").to_pylist(), found.offending.get("x", [])


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_the_text_of_a_type_reads_back(kind: pa.DataType) -> None:
    assert arrow_type(type_text(kind)) == kind


def test_nested_types_are_left_as_they_come() -> None:
    assert arrow_type(str(pa.list_(pa.int64()))) is None
    assert cells([[1]], pa.list_(pa.int64()), pa.list_(pa.int64())) == ([[1]], [])


@pytest.mark.parametrize(
    ("values", "kind", "trained", "expected"),
    [
        ([1, None], pa.int64(), pa.float64(), [1.0, None]),
        ([1.0, None], pa.float64(), pa.int64(), [1, None]),
        ([1.0, 2.5], pa.float64(), pa.int64(), [1.0, 2.5]),
        ([2**53 + 1], pa.int64(), pa.float64(), [2**53 + 1]),
        ([2**40], pa.int64(), pa.int32(), [2**40]),
        ([0.1], pa.float64(), pa.float32(), [0.1]),
        ([Decimal("1.10")], pa.decimal128(5, 2), pa.float64(), [1.1]),
        ([1.25], pa.float64(), pa.decimal128(5, 2), [Decimal("1.25")]),
        ([125], pa.int64(), pa.decimal128(5, 2), [Decimal("125.00")]),
        ([1250], pa.int64(), pa.decimal128(5, 2), [1250]),
        ([1.255], pa.float64(), pa.decimal128(5, 2), [1.255]),
        ([dt.date(2013, 1, 1)], pa.date32(), pa.timestamp("us"), [dt.datetime(2013, 1, 1)]),
        ([dt.datetime(2013, 1, 1, 5)], pa.timestamp("us"), pa.date32(), [dt.datetime(2013, 1, 1, 5)]),
        (["a"], pa.large_string(), pa.string(), ["a"]),
    ],
)
def test_within_a_family_no_cell_offends_and_no_digit_is_lost(
    values: list[Any], kind: pa.DataType, trained: pa.DataType, expected: list[Any]
) -> None:
    found, offending = cells(values, kind, trained)
    assert (found, offending) == (expected, [])
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("values", "kind", "trained", "expected", "offending"),
    [
        (["12", "abc", None, "", "nan", "12.0", "1.5"], pa.string(), pa.int64(), [12, None, None, None, None, 12, None],
         [1, 3, 4, 6]),
        (["9007199254740993"], pa.string(), pa.int64(), [2**53 + 1], []),
        (["1e400", "99999999999999999999"], pa.string(), pa.int64(), [None, None], [0, 1]),
        (["1.5", "x", "NaN"], pa.string(), pa.float64(), [1.5, None, None], [1, 2]),
        (["1.50", "1.555"], pa.string(), pa.decimal128(5, 2), [Decimal("1.50"), None], [1]),
        (["true", "0", "maybe"], pa.string(), pa.bool_(), [True, False, None], [2]),
        ([0, 1, 2], pa.int64(), pa.bool_(), [False, True, None], [2]),
        ([True], pa.bool_(), pa.int64(), [1], []),
        (["2013-01-31", "31.1.2013"], pa.string(), pa.date32(), [dt.date(2013, 1, 31), None], [1]),
        (["2013-01-31 05:00:00", "soon"], pa.string(), pa.timestamp("us"), [dt.datetime(2013, 1, 31, 5), None], [1]),
        ([1359590400], pa.int64(), pa.timestamp("us"), [None], [0]),
        ([7, 1.5], pa.float64(), pa.string(), ["7", "1.5"], []),
        ([dt.date(2013, 1, 31)], pa.date32(), pa.int64(), [None], [0]),
    ],
)  # fmt: skip
def test_p07_between_families_a_cell_that_does_not_read_as_the_trained_type_offends(
    values: list[Any], kind: pa.DataType, trained: pa.DataType, expected: list[Any], offending: list[int]
) -> None:
    assert cells(values, kind, trained) == (expected, offending)


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1).map(str), st.text(max_size=5), st.none()), max_size=20))
@settings(max_examples=200, deadline=None)
def test_p07_a_text_in_a_column_of_integers_is_read_exactly_or_named(values: list[str | None]) -> None:
    found, offending = cells(values, pa.string(), pa.int64())
    for row, (value, cell) in enumerate(zip(values, found, strict=True)):
        assert (cell is None) == (value is None or row in offending)
        if cell is not None and value is not None:
            assert cell == int(float(value)) if "." in value or "e" in value.lower() else cell == int(value)


def test_p08_nan_is_a_null_and_infinity_stays() -> None:
    found, offending = cells([1.0, float("nan"), float("inf"), None], pa.float64(), pa.float64())
    assert (found, offending) == ([1.0, None, float("inf"), None], [])


def test_p10_naive_times_take_the_monitors_zone_where_instants_were_trained() -> None:
    summer = [dt.datetime(2013, 7, 1, 12)]
    found, offending = cells(summer, pa.timestamp("us"), pa.timestamp("us", tz="UTC"), "Europe/Zurich")
    assert [value.astimezone(dt.UTC) for value in found] == [dt.datetime(2013, 7, 1, 10, tzinfo=dt.UTC)]
    assert offending == []
    found, _ = cells(["2013-07-01 12:00:00"], pa.string(), pa.timestamp("us", tz="UTC"), "Europe/Zurich")
    assert [value.astimezone(dt.UTC) for value in found] == [dt.datetime(2013, 7, 1, 10, tzinfo=dt.UTC)]


def test_p10_instants_are_told_in_the_monitors_zone_where_naive_times_were_trained() -> None:
    instant = [dt.datetime(2013, 7, 1, 10, tzinfo=dt.UTC)]
    found, _ = cells(instant, pa.timestamp("us", tz="UTC"), pa.timestamp("us"), "Europe/Zurich")
    assert found == [dt.datetime(2013, 7, 1, 12)]


def test_p10_a_time_that_the_clock_skips_is_neither_lost_nor_an_error() -> None:
    skipped = [dt.datetime(2013, 3, 31, 2, 30)]
    found, offending = cells(skipped, pa.timestamp("us"), pa.timestamp("us", tz="UTC"), "Europe/Zurich")
    assert offending == []
    assert found[0].astimezone(ZoneInfo("Europe/Zurich")).date() == dt.date(2013, 3, 31)


def test_a_dictionary_is_read_as_its_values() -> None:
    encoded = pa.array(["a", "b", "a"]).dictionary_encode()
    found = conform(pa.table({"x": encoded}), {"x": type_text(encoded.type)}, "UTC")
    assert found.table.schema.field("x").type == pa.string()
    assert found.table.column("x").to_pylist() == ["a", "b", "a"]


def test_a_column_that_was_not_trained_on_is_left_as_it_comes() -> None:
    table = pa.table({"new": ["a"]})
    assert conform(table, {"x": "int64"}, "UTC").table == table


def test_an_empty_batch_conforms() -> None:
    assert cells([], pa.string(), pa.int64()) == ([], [])

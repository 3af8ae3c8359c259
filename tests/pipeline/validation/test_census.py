from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.monitor import Monitor
from pipeline.steps.on_spark import Job, census_text, contents, values
from pipeline.validation import KeyCensus, Suite, duplicate_keys, first_suite, unique_columns
from pipeline.validation.census import digests

MakeMonitor = Callable[..., Monitor]


class Reader:
    """Reads a table in batches and remembers which columns it was asked for."""

    def __init__(self, table: pa.Table, rows: int = 3) -> None:
        self.table, self.rows, self.asked = table, rows, list[list[str] | None]()

    def __call__(self, columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        self.asked.append(None if columns is None else list(columns))
        chosen = self.table if columns is None else self.table.select(list(columns))
        yield from chosen.to_batches(self.rows)


def suite_of(monitor: Monitor, table: pa.Table) -> Suite:
    return first_suite(monitor, table.schema)


def counted(monitor: Monitor, reader: Reader) -> KeyCensus:
    return duplicate_keys(monitor, suite_of(monitor, reader.table), reader)


def test_without_repeated_keys_only_the_key_is_read(monitor: MakeMonitor) -> None:
    reader = Reader(pa.table({"id": [1, 2, 3, 4], "x": [0, 0, 0, 0]}))
    census = counted(monitor(), reader)
    assert census.repeated == {("id",): frozenset()}
    assert reader.asked == [["id"]]


def test_p11_a_repeated_key_is_conflicting_only_if_the_records_differ(monitor: MakeMonitor) -> None:
    table = pa.table({"id": [1, 2, 1, 2, 3], "x": ["a", "b", "a", "c", "d"]})
    reader = Reader(table, rows=2)
    census = counted(monitor(), reader)
    one, two = (digests(table.slice(row, 1), ("id",))[0] for row in (0, 1))
    assert census.repeated == {("id",): {one, two}}
    assert census.conflicting == {("id",): {two}}
    assert reader.asked == [["id"], None]


def test_p11_null_keys_are_no_duplicates(monitor: MakeMonitor) -> None:
    table = pa.table({"id": pa.array([None, None], pa.int64()), "day": [1, 1]})
    assert counted(monitor(), Reader(table)).repeated == {("id",): frozenset()}
    keyed = monitor(primary_key=["id", "day"])
    assert counted(keyed, Reader(table)).repeated == {("id", "day"): frozenset()}


def test_p09_neighbours_of_huge_integers_are_different_keys(monitor: MakeMonitor) -> None:
    table = pa.table({"id": [2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, -(2**63)]})
    assert counted(monitor(), Reader(table)).repeated == {("id",): frozenset()}


def test_keys_are_compared_in_the_type_as_trained(monitor: MakeMonitor) -> None:
    suite = Suite(suite_of(monitor(), pa.table({"id": [1]})).record, (), {"id": "int64"})
    census = duplicate_keys(monitor(), suite, Reader(pa.table({"id": ["7", "7.0"]})))
    assert len(census.repeated["id",]) == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=30), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_p11_the_census_is_exact_whatever_the_batches(
    monitor: MakeMonitor, records: list[tuple[int, int]], rows: int
) -> None:
    table = pa.table({"id": pa.array([key for key, _ in records], pa.int64()),
                      "x": pa.array([value for _, value in records], pa.int64())})  # fmt: skip
    census = counted(monitor(), Reader(table, rows))
    values: dict[Any, list[int]] = {}
    for key, value in records:
        values.setdefault(key, []).append(value)
    names = {key: digests(pa.table({"id": [key]}), ("id",))[0] for key in values}
    assert census.repeated["id",] == {names[key] for key, found in values.items() if len(found) > 1}
    assert census.conflicting["id",] == {names[key] for key, found in values.items() if len({*found}) > 1}


def test_what_the_monitor_expects_to_be_unique_is_counted_too(monitor: MakeMonitor) -> None:
    watched = monitor(
        expectations=[
            {"expect_column_values_to_be_unique": {"column": "mail"}},
            {"expect_compound_columns_to_be_unique": {"column_list": ["shop", "nr"]}},
        ]
    )
    table = pa.table({"id": [1, 2], "mail": ["a", "a"], "shop": ["s", "s"], "nr": [1, 2]})
    suite = suite_of(watched, table)
    assert unique_columns(suite) == [("id",), ("mail",), ("shop", "nr")]
    census = duplicate_keys(watched, suite, Reader(table))
    assert [len(found) for found in census.conflicting.values()] == [0, 1, 0]


def test_an_empty_partition_has_no_duplicates(monitor: MakeMonitor) -> None:
    table = pa.table({"id": pa.array([], pa.int64())})
    assert duplicate_keys(monitor(), suite_of(monitor(), table), lambda columns: []).repeated == {("id",): frozenset()}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=30), st.integers(1, 9))
def test_what_workers_count_of_a_partition_is_its_census(rows: list[tuple[int, int]], size: int) -> None:
    watched = Monitor.model_validate(
        {"name": "m", "source": {"files": "x"}, "partition_by": "day", "primary_key": ["id"]}
    )
    table = pa.table(
        {"id": pa.array([id for id, _ in rows], pa.int64()), "x": pa.array([x for _, x in rows], pa.int8())}
    )
    suite = suite_of(watched, table)
    job = Job(
        watched.model_dump_json(by_alias=True), "2013-02-03", suite.to_json(), table.schema.serialize().to_pybytes()
    )
    seen = Counter(_rows(values(job, [("id",)], iter(table.to_batches(size)))))
    repeated = {("id",): frozenset(value for (_, value), times in seen.items() if times > 1)}
    job = replace(job, census=census_text(KeyCensus(repeated, repeated)))
    different = Counter(
        (of, value) for of, value, _ in set(_rows(contents(job, [("id",)], iter(table.to_batches(size)))))
    )
    conflicting = {("id",): frozenset(value for (_, value), times in different.items() if times > 1)}
    assert KeyCensus(repeated, conflicting) == counted(watched, Reader(table))
    assert replace(job, census=census_text(KeyCensus(repeated, conflicting))).opened()[2].conflicting == conflicting


def _rows(batches: Iterable[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]

"""Partitions, batches and profiles: the same from every place."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_places import DATABASES, FILES, POSTGRES, Put

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.monitor import Monitor, SourceConfig
from pipeline.source import FakeSource, Partition, open_source, read

DAY, NEXT, LAST = (dt.date(2013, 2, day) for day in (3, 4, 7))
everywhere = pytest.mark.parametrize("put", [*FILES, *DATABASES], indirect=True)


def flights(**columns: Any) -> pa.Table:
    """Seven records of three days, in no order, one of them without a day."""
    held = {
        "id": pa.array([5, 3, 1, 4, 2, 7, 6]),
        "day": pa.array([DAY, NEXT, DAY, NEXT, DAY, LAST, None]),
        "carrier": pa.array(["UA", "AA", "", "ÅÄ", None, "UA", "UA"]).cast(pa.string()),
        "delay": pa.array([1.5, -2.0, None, 4.0, 9.5, 0.25, 1.0]),
        "late": pa.array([True, False, None, True, False, True, False]),
    }
    return pa.table(held | columns)


@everywhere
def test_partitions_are_counted_and_records_without_a_day_stand_under_no_key(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(flights())))
    wanted = [Partition("", 1), Partition("2013-02-03", 3), Partition("2013-02-04", 2), Partition("2013-02-07", 1)]
    assert source.partitions() == wanted


@everywhere
def test_batches_hold_the_records_of_the_keys_sorted_by_primary_key(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(flights())))
    batches = list(source.batches(["2013-02-04", "2013-02-03"], ["delay", "id"], rows=2))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    table = pa.Table.from_batches(batches)
    assert table.to_pydict() == {"delay": [None, 9.5, -2.0, 4.0, 1.5], "id": [1, 2, 3, 4, 5]}
    assert read(source, ["2013-02-07"]).num_rows == 1
    assert list(source.batches([])) == []


@everywhere
def test_batches_have_the_types_that_the_schema_says(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(flights())))
    schema = source.schema()
    assert schema.names == ["id", "day", "carrier", "delay", "late"]
    assert [str(dtype) for dtype in schema.types] == ["int64", "date32[day]", "string", "double", "bool"]
    for batch in source.batches(["2013-02-03"]):
        assert batch.schema == schema == source.schema(["2013-02-03"])
    nothing = read(source, ["1999-01-01"])
    assert (nothing.num_rows, nothing.schema) == (0, source.schema(["1999-01-01"]))
    assert read(source, ["1999-01-01"], ["late"]).schema.names == ["late"]


@pytest.mark.parametrize("put", ["parquet", *DATABASES], indirect=True)
def test_values_come_as_they_are(monitor: Any, put: Put) -> None:
    table = flights()
    wanted = sorted((row for row in table.to_pylist() if row["day"] == DAY), key=lambda row: row["id"])
    assert read(open_source(monitor(put(table))), ["2013-02-03"]).to_pylist() == wanted


@everywhere
def test_profiles_are_one_row_of_metrics_a_key_in_the_order_of_the_keys(monitor: Any, put: Put) -> None:
    first, empty, second = open_source(monitor(put(flights()))).profiles(["2013-02-03", "1999-01-01", "2013-02-04"])
    assert (first["partition"], first["rows"]) == ("2013-02-03", 3)
    assert first["delay.null_share"] == pytest.approx(1 / 3)
    assert (first["delay.distinct"], first["delay.min"], first["delay.max"]) == (2, 1.5, 9.5)
    assert first["delay.mean"] == first.get("delay.median", 5.5) == 5.5
    assert first["late.mean"] == 0.5
    assert (second["partition"], second["carrier.distinct"], second["delay.mean"]) == ("2013-02-04", 2, 1.0)
    assert not any(metric.startswith("carrier.m") for metric in first)
    assert (empty["rows"], empty["delay.distinct"], empty["delay.mean"]) == (0, 0, None)
    assert empty.keys() == first.keys() == second.keys()


@pytest.mark.parametrize("put", ["parquet", "duckdb"], indirect=True)
def test_profile_counts_nan_as_null_and_leaves_infinities_out_of_the_numbers(monitor: Any, put: Put) -> None:
    table = flights(delay=pa.array([1.0, 0, float("nan"), 0, float("inf"), 0, 0]))
    (profile,) = open_source(monitor(put(table))).profiles(["2013-02-03"])
    assert profile["delay.null_share"] == pytest.approx(1 / 3)
    assert profile["delay.mean"] == profile["delay.min"] == profile["delay.max"] == 1.0


@pytest.mark.parametrize("put", [*FILES, *DATABASES], indirect=True)
def test_p09_a_profile_of_huge_integers_is_exact_where_it_is_not_a_mean(monitor: Any, put: Put) -> None:
    table = flights(id=pa.array([2**63 - 1, 3, 2**53 + 1, 4, -(2**63), 7, 6]))
    (profile,) = open_source(monitor(put(table))).profiles(["2013-02-03"])
    assert (profile["id.min"], profile["id.max"], profile["id.distinct"]) == (-(2**63), 2**63 - 1, 3)
    assert profile["id.mean"] == pytest.approx(2**53 / 3, abs=2**11)


@pytest.mark.parametrize("put", ["duckdb", POSTGRES], indirect=True)
def test_p14_a_profile_of_more_columns_than_a_query_may_have_keeps_long_names_apart(monitor: Any, put: Put) -> None:
    names = [f"{'x' * 56}_{number}" for number in range(300)]
    table = flights(**{name: pa.array([number] * 7) for number, name in enumerate(names)})
    (profile,) = open_source(monitor(put(table))).profiles(["2013-02-03"])
    assert profile["rows"] == 3
    assert [profile[f"{name}.max"] for name in names] == list(range(300))


@everywhere
def test_only_the_metrics_that_are_asked_for_are_aggregated(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(flights())))
    (whole,) = source.profiles(["2013-02-03"])
    for metrics in ({"delay.mean", "carrier.distinct", "delay.null_share"}, set[str]()):
        assert source.profiles(["2013-02-03"], metrics) == [
            {name: whole[name] for name in whole if name in {"partition", "rows", *metrics}}
        ]


@pytest.mark.parametrize("put", ["parquet"], indirect=True)
def test_a_profile_that_holds_fewer_values_at_once_is_the_same(
    monitor: Any, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, days = open_source(monitor(put(flights()))), ["2013-02-03", "2013-02-04"]
    at_once = source.profiles(days)
    monkeypatch.setattr("pipeline.source.profile._HELD", 1)
    assert source.profiles(days) == at_once


@everywhere
def test_p11_records_that_share_a_key_always_come_in_the_same_order(monitor: Any, put: Put) -> None:
    count = 5_000
    table = pa.table({"id": [1] * count, "day": [DAY] * count, "value": [(7 * n) % count for n in range(count)]})
    assert read(open_source(monitor(put(table))), ["2013-02-03"])["value"].to_pylist() == list(range(count))


@everywhere
def test_a_query_beside_an_open_stream_does_not_cut_it(monitor: Any, put: Put) -> None:
    count = 30_000
    source = open_source(monitor(put(pa.table({"id": range(count), "day": [DAY] * count}))))
    stream = source.batches(["2013-02-03"], rows=1_000)
    read_rows = next(stream).num_rows
    assert source.profiles(["2013-02-03"])[0]["rows"] == count
    other = source.batches(["2013-02-03"], rows=1_000)
    next(other)
    read_rows += sum(batch.num_rows for batch in stream)
    assert read_rows == count
    assert source.partitions() == [Partition("2013-02-03", count)]


@everywhere
def test_p06_a_column_that_is_not_there_refuses_the_read_and_names_the_nearest(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(flights())))
    with pytest.raises(RefusedData, match="flights 2013-02-03: column 'dela' is missing; did you mean 'delay'?"):
        next(source.batches(["2013-02-03"], ["dela"]))


@pytest.mark.parametrize("key", ["", "yesterday", "2013-2-3", "20130203", "2013-W05-7", "2013-02-30", "9999-12-31"])
def test_p30_a_key_that_is_not_a_day_is_refused(monitor: Any, key: str) -> None:
    source = FakeSource(monitor({"files": "*.csv"}), flights())
    with pytest.raises(ConfigurationError, match="is not a partition; write an ISO date"):
        source.profiles([key])
    with pytest.raises(ConfigurationError, match="is not a partition"):
        next(source.batches([key]))


@everywhere
def test_monitors_that_name_no_column_are_refused_when_the_source_is_opened(monitor: Any, put: Put) -> None:
    source = put(flights())
    with pytest.raises(ConfigurationError, match="partition_by names no column 'dya'; did you mean 'day'"):
        open_source(monitor(source, partition_by="dya"))
    with pytest.raises(ConfigurationError, match="primary_key names no column 'idd'; did you mean 'id'"):
        open_source(monitor(source, primary_key=("idd",)))


def test_a_column_that_holds_no_days_cannot_partition(monitor: Any) -> None:
    source = FakeSource(monitor({"files": "*.csv"}, partition_by="delay"), flights())
    with pytest.raises(ConfigurationError, match="column 'delay' is float64, which tells no day; partition by"):
        source.partitions()
    with pytest.raises(ConfigurationError, match="column 'delay' is float64, which tells no day; partition by"):
        source.profiles(["2013-02-03"])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.dates(DAY, LAST) | st.none(), st.floats(width=32) | st.none(), st.text(max_size=3)), max_size=20
    )
)
def test_every_record_is_in_exactly_one_partition(records: list[tuple[dt.date | None, float | None, str]]) -> None:
    days, values, texts = zip(*records, strict=True) if records else ((), (), ())
    table = pa.table(
        {
            "id": pa.array(range(len(records)), pa.int64()),
            "day": pa.array(days, pa.date32()),
            "value": pa.array(values, pa.float64()),
            "text": pa.array([text.replace("\0", "") for text in texts], pa.string()),
        }
    )
    watched = Monitor(name="flights", source=SourceConfig(files="*.csv"), partition_by="day", primary_key=("id",))
    source = FakeSource(watched, table)
    partitions = source.partitions()
    assert sum(partition.rows for partition in partitions) == len(records)
    keys = [partition.key for partition in partitions if partition.key]
    for partition in partitions:
        if partition.key:
            found = read(source, [partition.key])
            wanted = [index for index, day in enumerate(days) if day and day.isoformat() == partition.key]
            assert found["id"].to_pylist() == wanted
            assert found["text"].to_pylist() == [table["text"][index].as_py() for index in wanted]
    assert [profile["rows"] for profile in source.profiles(keys)] == [p.rows for p in partitions if p.key]

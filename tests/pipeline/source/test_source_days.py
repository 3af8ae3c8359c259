"""Partition columns of every type, and the days that they tell."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_places import DATABASES, POSTGRES, Put

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor, SourceConfig
from pipeline.source import FakeSource, Partition, open_source, read

# The clocks went back in Zurich at 2013-10-27 01:00 UTC and forward at 2013-03-31 01:00 UTC.
FOLD = [dt.datetime(2013, 10, 26, 22, tzinfo=dt.UTC) + dt.timedelta(minutes=30 * n) for n in range(50)]
ZONES = ["UTC", "Europe/Zurich", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]


def watching(zone: str) -> Monitor:
    return Monitor(
        name="flights", source=SourceConfig(files="*.csv"), partition_by="day", primary_key=("id",), timezone=zone
    )


def table_of(days: pa.Array) -> pa.Table:
    return pa.table({"id": range(len(days)), "day": days})


@pytest.mark.parametrize("put", ["parquet", "csv", "duckdb", POSTGRES], indirect=True)
def test_p10_zoned_times_are_of_the_day_in_the_monitors_zone_and_the_long_day_is_whole(monitor: Any, put: Put) -> None:
    source = open_source(monitor(put(table_of(pa.array(FOLD, pa.timestamp("us", "UTC")))), timezone="Europe/Zurich"))
    assert source.partitions() == [Partition("2013-10-27", 50)]
    assert read(source, ["2013-10-27"])["id"].to_pylist() == list(range(50))
    assert source.profiles(["2013-10-27"])[0]["rows"] == 50


@pytest.mark.parametrize("put", ["parquet", *DATABASES], indirect=True)
def test_p10_naive_times_are_already_of_the_monitors_zone(monitor: Any, put: Put) -> None:
    times = [dt.datetime(2013, 10, 27), dt.datetime(2013, 10, 27, 23, 59, 59, 999999), dt.datetime(2013, 10, 28)]
    source = open_source(monitor(put(table_of(pa.array(times, pa.timestamp("us")))), timezone="Europe/Zurich"))
    assert source.partitions() == [Partition("2013-10-27", 2), Partition("2013-10-28", 1)]
    assert read(source, ["2013-10-27"])["day"].to_pylist() == times[:2]


@pytest.mark.parametrize("put", ["parquet", *DATABASES], indirect=True)
def test_of_text_the_first_ten_characters_tell_the_day(monitor: Any, put: Put) -> None:
    texts = ["2013-02-03", "2013-02-03T05:06", "2013-02-04", "2013-02-0", "soon", "2013-02-30", None, "2013-02-03 x"]
    source = open_source(monitor(put(table_of(pa.array(texts)))))
    assert source.partitions() == [Partition("", 4), Partition("2013-02-03", 3), Partition("2013-02-04", 1)]
    assert read(source, ["2013-02-03"])["id"].to_pylist() == [0, 1, 7]
    assert [profile["rows"] for profile in source.profiles(["2013-02-03", "2013-02-04"])] == [3, 1]


@pytest.mark.parametrize("put", ["sqlite"], indirect=True)
def test_zoned_times_of_sqlite_cannot_partition(monitor: Any, put: Put) -> None:
    source = put(table_of(pa.array(FOLD, pa.timestamp("us", "UTC"))))
    with pytest.raises(ConfigurationError, match="column 'day' holds zoned times.*partition by a date column"):
        open_source(monitor(source))


moments = st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2036, 1, 1))


@settings(deadline=None, max_examples=40)
@given(st.lists(moments, min_size=1, max_size=8), st.sampled_from(ZONES))
def test_p10_every_instant_is_read_under_the_key_that_counts_it(times: list[dt.datetime], zone: str) -> None:
    instants = [time.replace(tzinfo=dt.UTC) for time in times]
    source = FakeSource(watching(zone), table_of(pa.array(instants, pa.timestamp("us", "UTC"))))
    days = [instant.astimezone(ZoneInfo(zone)).date().isoformat() for instant in instants]
    assert source.partitions() == [Partition(day, days.count(day)) for day in sorted(set(days))]
    for day in set(days):
        assert read(source, [day])["id"].to_pylist() == [index for index, of in enumerate(days) if of == day]


@pytest.mark.parametrize("dtype", [pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC")])
def test_the_filter_on_days_is_pushed_down_to_row_groups(monitor: Any, tmp_path: Any, dtype: pa.DataType) -> None:
    days = pa.array([dt.datetime(2013, 1, 1) + dt.timedelta(days=n // 1_000) for n in range(20_000)]).cast(dtype)
    pa.parquet.write_table(table_of(days), tmp_path / "flights.parquet", row_group_size=1_000)
    source: Any = open_source(monitor({"files": str(tmp_path / "*.parquet")}))
    backend = source._place.engine.backend
    table = source._place.view(()).table
    plan = backend.con.execute(
        "EXPLAIN ANALYZE " + backend.compile(table.filter(source._days.within(table, source._days.of(["2013-01-05"]))))
    ).fetchone()[1]
    scan = plan[plan.index("Filters:") :]
    assert "day>=" in scan.replace("\n", "") and "1,000 rows" in scan


@pytest.mark.parametrize("put", ["sqlite"], indirect=True)
def test_the_filter_on_days_uses_an_index(monitor: Any, put: Put, tmp_path: Any) -> None:
    import sqlite3

    config = put(table_of(pa.array([dt.date(2013, 1, 1) + dt.timedelta(days=n % 50) for n in range(500)])))
    with sqlite3.connect(tmp_path / "flights.db") as connection:
        connection.execute("CREATE INDEX by_day ON flights (day)")
    source: Any = open_source(monitor(config))
    backend, table = source._place.engine.backend, source._place.view(()).table
    query = backend.compile(table.filter(source._days.within(table, source._days.of(["2013-01-05"]))))
    plan = backend.con.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert "USING INDEX by_day" in str(plan)

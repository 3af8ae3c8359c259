"""Types and values come out of each kind of place as they are in it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_places import POSTGRES, Put

from pipeline.errors import RefusedData
from pipeline.monitor import Monitor, SourceConfig
from pipeline.source import FakeSource, open_source, read

DAY = "2013-02-03"
INSTANT = dt.datetime(2013, 10, 27, 0, 30, 0, 123456, tzinfo=dt.UTC)
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "whole": (pa.int64(), [2**53 + 1, None, -(2**63)]),
    "money": (pa.decimal128(20, 2), [Decimal("123456789012345.67"), None, Decimal("-0.05")]),
    "real": (pa.float64(), [0.1, None, -1e300]),
    "yes": (pa.bool_(), [True, None, False]),
    "text": (pa.string(), ["ÅÄ 'x' \"y\"", None, ""]),
    "date": (pa.date32(), [dt.date(1999, 12, 31), None, dt.date(2038, 1, 20)]),
    "naive": (pa.timestamp("us"), [dt.datetime(2013, 10, 27, 2, 30, 0, 5), None, dt.datetime(1969, 7, 20)]),
    "zoned": (pa.timestamp("us", "UTC"), [INSTANT, None, INSTANT + dt.timedelta(days=9999)]),
}


def everything() -> pa.Table:
    columns = {"id": pa.array([1, 2, 3]), "day": pa.array([dt.date(2013, 2, 3)] * 3)}
    return pa.table(columns | {name: pa.array(values, dtype) for name, (dtype, values) in VALUES.items()})


@pytest.mark.parametrize("put", ["parquet", "duckdb", POSTGRES], indirect=True)
def test_p09_types_and_values_are_kept(monitor: Any, put: Put) -> None:
    assert read(open_source(monitor(put(everything()))), [DAY]) == everything()


@pytest.mark.parametrize("put", ["sqlite"], indirect=True)
def test_p09_sqlite_keeps_what_it_can_hold(monitor: Any, put: Put) -> None:
    # SQLite itself keeps 15 digits of a decimal.
    table = everything().set_column(
        3, "money", pa.array([Decimal("12.50"), None, Decimal("-0.05")], pa.decimal128(20, 2))
    )
    assert read(open_source(monitor(put(table))), [DAY]) == table


def test_p09_unsigned_and_narrow_integers_of_parquet_are_kept(monitor: Any, tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([2**64 - 1, 2**63, 0], pa.uint64()),
            "day": pa.array([dt.date(2013, 2, 3)] * 3),
            "narrow": pa.array([-128, None, 127], pa.int8()),
            "half": pa.array([1.5, None, -2.5], pa.float32()),
            "clock": pa.array([dt.time(5, 6, 7, 8), None, dt.time(0)], pa.time64("us")),
            "raw": pa.array([b"\x00\xff", None, b""]),
            "code": pa.array(["a", None, "b"]).dictionary_encode(),
        }
    )
    pa.parquet.write_table(table, tmp_path / "flights.parquet")
    found = read(open_source(monitor({"files": str(tmp_path / "*.parquet")})), [DAY])
    assert found["id"].to_pylist() == [0, 2**63, 2**64 - 1]
    kept = ["uint64", "date32[day]", "int8", "float", "time64[ns]", "binary", "string"]
    assert [str(dtype) for dtype in found.schema.types] == kept
    assert found.to_pylist() == table.to_pylist()[::-1]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True),
    st.lists(st.decimals(places=3, min_value=-(10**15), max_value=10**15)),
)
def test_p09_no_integer_wraps_and_no_two_keys_become_one(keys: list[int], decimals: list[Decimal]) -> None:
    count = max(len(keys), len(decimals))
    watched = Monitor(name="flights", source=SourceConfig(files="*.csv"), partition_by="day", primary_key=("id",))
    table = pa.table(
        {
            "id": pa.array([*keys, *[None] * (count - len(keys))], pa.int64()),
            "day": [dt.date(2013, 2, 3)] * count,
            "money": pa.array([*decimals, *[None] * (count - len(decimals))], pa.decimal128(20, 3)),
        }
    )
    found = read(FakeSource(watched, table), [DAY])
    assert sorted(found["id"].drop_null().to_pylist()) == sorted(keys)
    assert sorted(found["money"].drop_null().to_pylist()) == sorted(decimals)


def test_nested_columns_are_text_that_holds_json(monitor: Any) -> None:
    table = pa.table(
        {
            "id": [1, 2],
            "day": [dt.date(2013, 2, 3)] * 2,
            "legs": pa.array([[{"to": "Zürich", "at": dt.date(2013, 2, 4)}], None]),
            "tags": pa.array([[], ["a", None]]),
        }
    )
    source = FakeSource(monitor({"files": "*.csv"}), table)
    found = read(source, [DAY])
    assert source.schema().field("legs").type == pa.string()
    assert found["legs"].to_pylist() == ['[{"at": "2013-02-04", "to": "Zürich"}]', None]
    assert found["tags"].to_pylist() == ["[]", '["a", null]']
    (profile,) = source.profiles([DAY])
    assert profile["legs.null_share"] == 0.5
    assert "legs.distinct" not in profile


def test_types_without_a_like_in_arrow_are_text(monitor: Any, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "flights.duckdb")) as connection:
        connection.execute(
            """CREATE TABLE flights AS SELECT 1 AS id, DATE '2013-02-03' AS day, INTERVAL 90 MINUTE AS span,
            '7f679441-fd5b-447e-95be-99efbe0ef3ed'::UUID AS uuid, 'UA'::ENUM ('UA', 'AA') AS code,
            '{"a": 1}'::JSON AS doc, '0101'::BIT AS bits, 170141183460469231::HUGEINT AS huge"""
        )
    source = open_source(monitor({"connection": f"duckdb://{tmp_path / 'flights.duckdb'}", "table": "main.flights"}))
    (record,) = read(source, [DAY]).to_pylist()
    assert record["uuid"] == "7f679441-fd5b-447e-95be-99efbe0ef3ed"
    assert (record["span"], record["code"], record["doc"]) == ("01:30:00", "UA", '{"a": 1}')
    assert (record["bits"], record["huge"]) == ("0101", Decimal(170141183460469231))
    assert source.profiles([DAY])[0]["doc.distinct"] == 1


@pytest.mark.postgres
def test_types_of_postgres_without_a_like_in_arrow(monitor: Any, postgres: tuple[str, str]) -> None:
    import psycopg

    url, schema = postgres
    with psycopg.connect(url) as connection:
        connection.execute(
            f"""CREATE TABLE {schema}.flights AS SELECT 1.50::numeric AS id, DATE '2013-02-03' AS day,
            0.1::numeric AS share, '{{"a": 1}}'::json AS doc, '10.0.0.1'::inet AS address, ARRAY[1, 2] AS legs,
            '7f679441-fd5b-447e-95be-99efbe0ef3ed'::uuid AS uuid, INTERVAL '90 minutes' AS span"""
        )
    source = open_source(monitor({"connection": url, "table": f"{schema}.flights"}))
    (record,) = read(source, [DAY]).to_pylist()
    assert (record["id"], record["share"], record["legs"], record["doc"]) == ("1.50", 0.1, "[1, 2]", '{"a": 1}')
    assert (record["address"], record["span"]) == ("10.0.0.1/32", "01:30:00")
    assert record["uuid"] == "7f679441-fd5b-447e-95be-99efbe0ef3ed"
    assert source.profiles([DAY])[0]["share.median"] == 0.1


@pytest.mark.postgres
def test_p12_a_value_that_arrow_cannot_hold_refuses_the_partition_and_is_not_told(
    monitor: Any, postgres: tuple[str, str]
) -> None:
    import psycopg

    url, schema = postgres
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE TABLE {schema}.flights AS SELECT n AS id, DATE '2013-02-03' AS day, "
            "CASE n WHEN 3000 THEN DATE 'infinity' END AS due FROM generate_series(1, 3000) AS n"
        )
    stream = open_source(monitor({"connection": url, "table": f"{schema}.flights"})).batches([DAY], rows=1000)
    assert next(stream).num_rows == 1000
    with pytest.raises(RefusedData, match=r"^flights 2013-02-03: .*\(DataError\); mend the records there$") as refused:
        list(stream)
    assert "infinity" not in str(refused.value)


BROKEN: dict[str, tuple[str, list[Any], list[str | None]]] = {
    "whole": ("BIGINT", [1, 2**53 + 1, "abc"], ["1", "9007199254740993", "abc"]),
    "yes": ("BOOLEAN", [0, 1, 7], ["0", "1", "7"]),
    "date": ("DATE", ["2013-02-03", None, "2013-02-30"], ["2013-02-03", None, "2013-02-30"]),
    "naive": ("TIMESTAMP", ["2013-02-03 05:00", "soon", None], ["2013-02-03 05:00", "soon", None]),
    "clock": ("TIME", ["05:06", "24:00", None], ["05:06", "24:00", None]),
    "money": ("DECIMAL(4, 2)", [1.5, 100.0, None], ["1.5", "100", None]),
    "raw": ("BLOB", [b"\x00\xff", "x", None], ["00ff", "x", None]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_p07_a_sqlite_column_with_a_cell_of_another_type_comes_as_text(monitor: Any, tmp_path: Path, name: str) -> None:
    declared, cells, texts = BROKEN[name]
    with sqlite3.connect(tmp_path / "flights.db") as connection:
        connection.execute(f"CREATE TABLE flights (id INT, day DATE, {name} {declared})")
        rows = [(index, DAY, cell) for index, cell in enumerate(cells)]
        connection.executemany("INSERT INTO flights VALUES (?, ?, ?)", [*rows, (9, "2013-02-04", None)])
    source = open_source(monitor({"connection": f"sqlite:///{tmp_path / 'flights.db'}", "table": "flights"}))
    assert read(source, [DAY])[name].to_pylist() == texts
    assert source.schema(["2013-02-04"]).field(name).type != pa.string()
    assert f"{name}.mean" not in source.profiles([DAY])[0]


def test_p12_text_of_sqlite_that_is_not_utf_8_is_refused(monitor: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "flights.db") as connection:
        connection.execute("CREATE TABLE flights (id INT, day DATE, name TEXT)")
        connection.execute("INSERT INTO flights VALUES (1, '2013-02-03', CAST(x'ff41' AS TEXT))")
    source = open_source(monitor({"connection": f"sqlite://{tmp_path / 'flights.db'}", "table": "flights"}))
    with pytest.raises(RefusedData, match="flights 2013-02-03: Could not decode to UTF-8"):
        read(source, [DAY])

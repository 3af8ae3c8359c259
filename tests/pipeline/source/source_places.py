"""One table written to every kind of place that a source reads; each gives the monitor's `source` that reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from pipeline.records import as_text

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
FILES = ["parquet", "csv"]
DATABASES = ["duckdb", "sqlite", POSTGRES]

Put = Callable[[pa.Table], dict[str, str]]


def in_parquet(table: pa.Table, folder: Path) -> dict[str, str]:
    pa.parquet.write_table(table, folder / "flights.parquet")
    return {"files": str(folder / "*.parquet")}


def in_csv(table: pa.Table, folder: Path) -> dict[str, str]:
    pa.csv.write_csv(table, folder / "flights.csv")
    return {"files": str(folder / "*.csv")}


def in_duckdb(table: pa.Table, folder: Path) -> dict[str, str]:
    with duckdb.connect(str(folder / "flights.duckdb")) as connection:
        connection.from_arrow(table).create("flights")
    return {"connection": f"duckdb://{folder / 'flights.duckdb'}", "table": "flights"}


def in_sqlite(table: pa.Table, folder: Path) -> dict[str, str]:
    columns = ", ".join(f'"{field.name}" {_declared(field.type)}' for field in table.schema)
    with sqlite3.connect(folder / "flights.db") as connection:
        connection.execute(f"CREATE TABLE flights ({columns})")
        marks = ", ".join("?" * table.num_columns)
        rows = ([_sqlite_cell(value) for value in row.values()] for row in table.to_pylist())
        connection.executemany(f"INSERT INTO flights VALUES ({marks})", rows)
    connection.close()
    return {"connection": f"sqlite://{folder / 'flights.db'}", "table": "flights"}


def _sqlite_cell(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bytes | None) else as_text(value)


def in_postgres(table: pa.Table, url: str, schema: str) -> dict[str, str]:
    import psycopg

    columns = ", ".join(f'"{field.name}" {_declared(field.type)}' for field in table.schema)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {schema}.flights ({columns})")
        marks = ", ".join(["%s"] * table.num_columns)
        cursor.executemany(
            f"INSERT INTO {schema}.flights VALUES ({marks})",
            [tuple(row.values()) for row in table.to_pylist()],
        )
    return {"connection": url, "table": f"{schema}.flights"}


def _declared(dtype: pa.DataType) -> str:
    if pa.types.is_timestamp(dtype):
        return "TIMESTAMP WITH TIME ZONE" if dtype.tz else "TIMESTAMP"
    if pa.types.is_decimal(dtype):
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    names = {
        "int64": "BIGINT",
        "double": "DOUBLE PRECISION",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "string": "TEXT",
    }
    return names[str(dtype)]


WRITERS = {"parquet": in_parquet, "csv": in_csv, "duckdb": in_duckdb, "sqlite": in_sqlite}

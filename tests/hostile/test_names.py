"""Names of tables, columns, partitions and monitors are names: never SQL, never a path out of the home."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import House

from pipeline import steps
from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.source import open_source, read

DAY = "2024-10-27"
TABLE = 'orders"; DROP TABLE victim; --'
COLUMNS = [
    "'; DROP TABLE victim; --", '"; DROP TABLE victim; --', "a b", "select", "%s", "%(x)s", ":x", "?", "{x}", "$1",
    "\\", "é", "x'", "-- ", "/*",
]  # fmt: skip
PARTITIONS = [
    "20241027",
    "2024-W43-7",
    "'; DROP TABLE victim; --",
    "2024-10-27' OR '1'='1",
    "../2024-10-27",
    "2024-10-27\0",
    "",
    "2024-10-27 ",
    "٢٠٢٤-10-27",
    "NaN",
]
MONITORS = [
    "../t",
    "/etc/passwd",
    "t/../t",
    "t\0",
    "",
    ".",
    "..",
    "T",
    "t ",
    "t.yaml",
    "t; rm -rf x",
    "~",
    "t\n",
    "t" * 64,
]

Execute = Callable[[str], Any]
Place = tuple[dict[str, str], Execute]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def statements(schema: str = "") -> list[str]:
    columns = ", ".join(f"{quoted(name)} INTEGER" for name in COLUMNS)
    values = ", ".join(map(str, range(len(COLUMNS))))
    table = schema + quoted(TABLE)
    return [
        f"CREATE TABLE {schema}victim (id INTEGER)",
        f"CREATE TABLE {table} (id INTEGER, {quoted('da y')} DATE, {columns})",
        f"INSERT INTO {table} VALUES (1, '{DAY}', {values})",
    ]


@pytest.fixture(params=["duckdb", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database with a table of hostile names and one that they would drop; the source, and what runs a query."""
    kind = request.param
    if kind == "duckdb":
        path = tmp_path / "t.duckdb"
        with duckdb.connect(str(path)) as connection:
            for statement in statements():
                connection.execute(statement)

        def in_duckdb(query: str) -> Any:
            with duckdb.connect(str(path), read_only=True) as again:
                return again.execute(query).fetchone()

        return {"connection": f"duckdb://{path}", "table": TABLE}, in_duckdb
    if kind == "sqlite":
        database = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
        request.addfinalizer(database.close)
        for statement in statements():
            database.execute(statement)
        source = {"connection": f"sqlite://{tmp_path / 't.db'}", "table": TABLE}
        return source, lambda query: database.execute(query).fetchone()
    return _postgres(request)


def _postgres(request: pytest.FixtureRequest) -> Place:
    import psycopg

    url = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("set TABLEWATCH_TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this on PostgreSQL too")
    connection = psycopg.connect(url, autocommit=True)
    request.addfinalizer(connection.close)
    connection.execute("CREATE SCHEMA hostile_names")
    request.addfinalizer(lambda: connection.execute("DROP SCHEMA hostile_names CASCADE"))
    for statement in statements("hostile_names."):
        connection.execute(statement)  # type: ignore[call-overload]
    connection.execute("SET search_path TO hostile_names")
    return {"connection": url, "table": f"hostile_names.{TABLE}"}, lambda query: connection.execute(query).fetchone()  # type: ignore[call-overload]


def monitor(source: dict[str, str]) -> Monitor:
    return Monitor(name="t", source=source, partition_by="da y", primary_key=("id", COLUMNS[0]))


def test_p35_hostile_names_are_bound_as_identifiers(place: Place) -> None:
    source, execute = place
    opened = open_source(monitor(source))
    (record,) = read(opened, [DAY]).to_pylist()
    assert record == {"id": 1, "da y": dt.date(2024, 10, 27)} | {name: at for at, name in enumerate(COLUMNS)}
    profile = opened.profiles([DAY])[0]
    assert [profile[f"{name}.max"] for name in COLUMNS] == list(range(len(COLUMNS)))
    assert [(one.key, one.rows) for one in opened.partitions()] == [(DAY, 1)]
    assert execute("SELECT count(*) FROM victim") == (0,)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_p35_a_partition_that_is_no_date_reaches_no_database(place: Place, partition: str) -> None:
    source, execute = place
    opened = open_source(monitor(source))
    for call in (opened.profiles, lambda keys: list(opened.batches(keys)), opened.schema):
        with pytest.raises(ConfigurationError, match="is not a partition; write an ISO date"):
            call([partition])
    assert execute("SELECT count(*) FROM victim") == (0,)


@pytest.mark.parametrize("name", MONITORS)
def test_p36_a_hostile_monitor_is_refused_before_anything_is_written(house: House, name: str) -> None:
    before = sorted(house.folder.parent.rglob("*"))
    for step in (steps.validate, steps.score, steps.run):
        with pytest.raises(ConfigurationError):
            step(name, DAY, house.settings)
    with pytest.raises(ConfigurationError):
        steps.train(name, settings=house.settings)
    assert [path for path in sorted(house.folder.parent.rglob("*")) if path.parent.name != "home"] == [
        path for path in before if path.parent.name != "home"
    ]

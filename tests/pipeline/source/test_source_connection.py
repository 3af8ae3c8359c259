"""Connections: where the URL comes from, that it stays secret, and whose fault it is when it does not connect."""

from __future__ import annotations

import datetime as dt
import json
import socket
import sqlite3
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ConfigurationError, FailedMachinery, RefusedData
from pipeline.source import airflow_connection, open_source, read
from pipeline.source.connection import Environment, url_of
from pipeline.source.failures import Failures

DAY = "2013-02-03"
SECRET = "m@rk/er#pa ss+%"
QUOTED = "m%40rk%2Fer%23pa%20ss%2B%25"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A SQLite file with a table of one record."""
    path = tmp_path / "flights.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE flights AS SELECT 1 AS id, '2013-02-03' AS day")
    return path


def expanded(connection: str) -> tuple[str, Failures]:
    environment = Environment("flights")
    url = url_of(connection, environment)
    return url, Failures("flights", environment.secrets)


@pytest.mark.parametrize("form", ["sqlite://{path}", "sqlite:///{path}"])
def test_a_file_of_sqlite_is_read_and_not_written(monitor: Any, database: Path, form: str) -> None:
    source: Any = open_source(monitor({"connection": form.format(path=database), "table": "flights"}))
    assert read(source, [DAY])["id"].to_pylist() == [1]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        source._place.engine.backend.con.execute("DELETE FROM flights")


def test_a_file_of_duckdb_is_read_while_it_is_open_to_read_elsewhere(monitor: Any, tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "flights.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE flights AS SELECT 1 AS id, DATE '2013-02-03' AS day")
    with duckdb.connect(str(path), read_only=True):
        source: Any = open_source(monitor({"connection": f"duckdb://{path}", "table": "flights"}))
        assert read(source, [DAY]).num_rows == 1
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        source._place.engine.backend.con.execute("DELETE FROM flights")


def test_variables_are_expanded_in_connections_and_globs(
    monitor: Any, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIGHTS_FOLDER", str(database.parent))
    (database.parent / "a.csv").write_text("id,day\n5,2013-02-03\n")
    table = open_source(monitor({"connection": "sqlite://${FLIGHTS_FOLDER}/flights.db", "table": "flights"}))
    files = open_source(monitor({"files": "${FLIGHTS_FOLDER}/*.csv"}))
    assert [read(source, [DAY])["id"].to_pylist() for source in (table, files)] == [[1], [5]]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ({"connection": "postgres://${FLIGHTS_ABSENT}@host/db", "table": "flights"}, "source.connection"),
        ({"files": "${FLIGHTS_ABSENT}/*.csv"}, "source.files"),
    ],
)
def test_a_variable_that_is_not_set_is_named(monitor: Any, source: dict[str, str], place: str) -> None:
    with pytest.raises(ConfigurationError, match=f"flights: {place} needs the environment variable FLIGHTS_ABSENT"):
        open_source(monitor(source))


def test_the_home_has_a_default(monitor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TABLEWATCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no file .tablewatch/flights.duckdb; mend source.connection"):
        open_source(monitor({"connection": "duckdb://${TABLEWATCH_HOME}/flights.duckdb", "table": "flights"}))
    assert list(tmp_path.iterdir()) == []


def test_a_variable_in_the_user_part_of_a_url_stands_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIGHTS_PASSWORD", SECRET)
    assert expanded("postgres://ann:${FLIGHTS_PASSWORD}@host/db")[0] == f"postgres://ann:{QUOTED}@host/db"
    monkeypatch.setenv("FLIGHTS_URL", f"postgres://ann:{QUOTED}@host/db")
    assert expanded("${FLIGHTS_URL}")[0] == f"postgres://ann:{QUOTED}@host/db"


AIRFLOW = {
    f"postgres://ann:{QUOTED}@Host:5432/db?sslmode=require": f"postgres://ann:{QUOTED}@Host:5432/db?sslmode=require",
    json.dumps(
        {"conn_type": "postgresql", "login": "ann", "password": SECRET, "host": "Host", "port": 5432, "schema": "db"}
        | {"extra": {"sslmode": "require", "nested": {}}}
    ): f"postgres://ann:{QUOTED}@Host:5432/db?sslmode=require",
    'postgresql://Host/db?__extra__={"sslmode": "require"}': "postgres://Host/db?sslmode=require",
    json.dumps({"conn_type": "mysql", "host": "h", "extra": '{"charset": "utf8"}'}): "mysql://h/?charset=utf8",
    "sqlite:///tmp/flights.db": "sqlite:///tmp/flights.db",
    "sqlite://%2Ftmp%2Fflights.db": "sqlite:///tmp/flights.db",
    json.dumps({"conn_type": "sqlite", "host": "/tmp/flights.db"}): "sqlite:///tmp/flights.db",
    "google-cloud-platform://project/data": "bigquery://project/data",
}


@pytest.mark.parametrize("text", AIRFLOW)
def test_connections_of_airflow_are_ibis_urls(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", text)
    assert expanded("airflow:warehouse")[0] == AIRFLOW[text]


def test_inside_airflow_its_own_look_up_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        @staticmethod
        def get(name: str) -> Any:
            assert name == "warehouse"
            fields = {"conn_type": "postgres", "login": "ann", "password": SECRET, "host": "h", "port": None}
            return SimpleNamespace(**fields, schema="db", extra_dejson={})

    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE", raising=False)
    monkeypatch.setitem(sys.modules, "airflow", SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "airflow.sdk", SimpleNamespace(Connection=Connection))
    assert expanded("airflow:warehouse")[0] == f"postgres://ann:{QUOTED}@h/db"
    monkeypatch.setattr(Connection, "get", lambda name: 1 / 0)
    with pytest.raises(
        ConfigurationError, match="'warehouse' cannot be read; create it, or set AIRFLOW_CONN_WAREHOUSE"
    ):
        expanded("airflow:warehouse")


def test_outside_airflow_an_unknown_connection_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "airflow.sdk", raising=False)
    with pytest.raises(
        ConfigurationError, match="no Airflow connection 'warehouse' outside of Airflow; set AIRFLOW_CONN_WAREHOUSE"
    ):
        airflow_connection.url_of("warehouse", "flights")


@pytest.mark.parametrize(
    ("connection", "family", "text"),
    [
        ("postgres://ann:{}@127.0.0.1:{port}/db", FailedMachinery, "source.connection: .*Connection refused"),
        ("postgres://ann:{}@127.0.0.1:{port}/db?nonsense=1", ConfigurationError, "invalid connection option"),
        ("postgres://ann:{}@127.0.0.1:x/db", ConfigurationError, "Port could not be cast"),
        ("postgers://ann:{}@127.0.0.1/db", ConfigurationError, "no backend 'postgers'; did you mean 'postgres'"),
        ("airflow:marker", ConfigurationError, "'marker' cannot be read; mend AIRFLOW_CONN_MARKER"),
        ("sqlite://nowhere.db?key={}", ConfigurationError, "there is no file nowhere.db"),
        ("duckdb://", ConfigurationError, "duckdb:// alone holds no table"),
    ],
)
def test_p34_no_error_and_no_trace_shows_a_secret(
    monitor: Any, monkeypatch: pytest.MonkeyPatch, connection: str, family: type[Exception], text: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FLIGHTS_PASSWORD", SECRET)
    monkeypatch.setenv("AIRFLOW_CONN_MARKER", f'{{"conn_type": 1, "password": "{SECRET}"')
    for written in ("${FLIGHTS_PASSWORD}", QUOTED):
        url = connection.replace("{}", written).replace("{port}", str(port))
        with pytest.raises(family, match=text) as failed:
            open_source(monitor({"connection": url, "table": "flights"}))
        shown = "".join(traceback.format_exception(failed.value))
        assert SECRET not in shown and QUOTED not in shown
        assert "\n" not in str(failed.value)


def test_p34_what_a_driver_says_is_told_without_secrets_and_values() -> None:
    url, failures = expanded(f"postgres://ann:{QUOTED}@host/db?token=tok-123")
    failures.known.add("delay")
    for said in (url, SECRET, QUOTED, "tok-123"):
        with pytest.raises(FailedMachinery) as failed, failures.told():
            raise ConnectionError(f"no answer from {said} there")
        assert "no answer from" in str(failed.value) and said not in str(failed.value)
    with pytest.raises(RefusedData, match="^flights 2013-02-03: column 'delay' has '...' where"), failures.told(DAY):
        raise ValueError("column 'delay' has 'Ann Smith' where a number should be")


def test_p27_a_lost_connection_is_worth_another_try(monitor: Any, database: Path) -> None:
    source: Any = open_source(monitor({"connection": f"sqlite://{database}", "table": "flights"}))
    database.unlink()
    source._place.engine._connect = lambda: (_ for _ in ()).throw(TimeoutError("timed out"))
    with pytest.raises(FailedMachinery, match=r"flights 2013-02-03: timed out \(TimeoutError\); see that it answers"):
        next(source.batches([DAY]))


@pytest.mark.parametrize("name", ["flihgts", "main.flihgts"])
def test_an_unknown_table_is_told_with_the_nearest(monitor: Any, database: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"flights: there is no table '{name}'; did you mean 'flights'?"):
        open_source(monitor({"connection": f"sqlite://{database}", "table": name}))


def test_p35_a_tables_name_is_only_a_name(monitor: Any, tmp_path: Path) -> None:
    name = 'flights; DROP TABLE flights; --"'
    with sqlite3.connect(tmp_path / "flights.db") as connection:
        connection.execute("CREATE TABLE flights (id INT, day DATE)")
        connection.execute(f'CREATE TABLE "{name.replace(chr(34), chr(34) * 2)}" (id INT, day DATE)')
    source = open_source(monitor({"connection": f"sqlite://{tmp_path / 'flights.db'}", "table": name}))
    assert read(source, [DAY]).num_rows == 0
    assert source.profiles([DAY])[0]["rows"] == 0
    with sqlite3.connect(tmp_path / "flights.db") as connection:
        assert connection.execute("SELECT count(*) FROM flights").fetchone() == (0,)


@pytest.mark.postgres
def test_postgres_is_read_in_read_only_sessions_that_time_out(monitor: Any, postgres: tuple[str, str]) -> None:
    import psycopg

    url, schema = postgres
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {schema}.flights (id INT, day DATE)")
        connection.execute(f"INSERT INTO {schema}.flights VALUES (1, '2013-02-03')")
    source: Any = open_source(monitor({"connection": f"{url}/{schema}", "table": "flights"}))
    assert read(source, [DAY]).to_pylist() == [{"id": 1, "day": dt.date(2013, 2, 3)}]
    backend = source._place.engine.backend
    assert backend.con.execute("SHOW statement_timeout").fetchone() == ("10min",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), backend.con.transaction():
        backend.con.execute("DELETE FROM flights")

"""A drafted file as a whole, where its records are, and what never lands in it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from drafted_orders import DAYS, FIRST, ROWS, Draw, read, table
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drafting import draft
from pipeline.drafting.writing import scalar
from pipeline.errors import ConfigurationError, TablewatchError
from pipeline.monitor import load
from pipeline.source import open_source

# The whole file


def test_a_drafted_file_loads_and_reads_the_table(drafted: Draw, tmp_path: Path) -> None:
    made = drafted(table())
    monitor = read(made, tmp_path)
    assert (made.name, made.notes, made.variable) == ("orders", (), None)
    assert (monitor.partition_by, monitor.primary_key) == ("order_date", ("order_id",))
    assert monitor.columns.exclude == ("year", "day")
    assert monitor.training.window == 39
    assert monitor.threshold.false_alarm_rate == 0.001
    assert len(open_source(monitor).partitions()) == DAYS


def test_every_choice_has_its_reason(drafted: Draw) -> None:
    lines = drafted(table()).text.splitlines()
    for choice in ("partition_by:", "primary_key:", "    - year", "    - day", "  window:", "  false_alarm_rate:"):
        (line,) = [line for line in lines if line.startswith(choice)]
        assert "  # " in line
    assert any("40 days from 2013-01-01 to 2013-02-09, about 30 records each" in line for line in lines)
    assert any("also holds dates: born_on" in line for line in lines)


def test_no_value_of_a_record_is_in_the_file(drafted: Draw) -> None:
    marker = "M4rk3r"
    records = table(constant=[marker] * DAYS * ROWS, mail=[f"{marker}{n % 7}@x.org" for n in range(DAYS * ROWS)])
    assert marker not in drafted(records).text


# Where the records are


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_of_a_glob(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "Shop orders"
    folder.mkdir()
    records = table()
    for part in range(2):
        half = records.slice(part * 600, 600)
        if ending == "csv":
            pyarrow.csv.write_csv(half, folder / f"{part}.csv")
        else:
            pq.write_table(half, folder / f"{part}.parquet")
    made = draft(None, None, f"{folder}/*.{ending}")
    monitor = read(made, tmp_path)
    assert made.name == "shop_orders"
    assert (monitor.partition_by, monitor.primary_key) == ("order_date", ("order_id",))
    assert len(open_source(monitor).partitions()) == DAYS


def test_a_table_of_sqlite_with_dates_as_text(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE sales (code TEXT, loaded TEXT, amount REAL)")
        rows = [(f"c{n}", f"{FIRST + dt.timedelta(days=n // 30)} 05:00:00", n / 7) for n in range(900)]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?)", rows)
    monitor = read(draft(f"sqlite://{file}", "sales", None), tmp_path)
    assert (monitor.partition_by, monitor.primary_key) == ("loaded", ("code",))


def test_a_table_that_is_not_there(drafted: Draw, tmp_path: Path) -> None:
    drafted(table())
    with pytest.raises(ConfigurationError, match="there is no table 'order'; did you mean 'orders'"):
        draft(f"duckdb://{tmp_path / 'shop.duckdb'}", "order", None)
    with pytest.raises(ConfigurationError, match="there is no file"):
        draft("duckdb://nowhere.duckdb", "orders", None)
    with pytest.raises(ConfigurationError, match="no file matches"):
        draft(None, None, str(tmp_path / "*.parquet"))
    with pytest.raises(ConfigurationError, match="remove the connection"):
        draft("postgres://db/x", None, "*.parquet")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("public.Orders 2013", None), "orders_2013"),
        (("2013_orders", None), "orders"),
        (("日本", None), "monitor"),
        ((None, "data/flights/*.parquet"), "flights"),
        ((None, "data/flights-*.csv"), "flights"),
        ((None, "/x/flights.csv.gz"), "flights"),
        ((None, "*.csv"), "monitor"),
    ],
)
def test_the_name_of_a_monitor(
    monkeypatch: pytest.MonkeyPatch, place: tuple[str | None, str | None], name: str
) -> None:
    from pipeline import drafting

    asked: list[str] = []

    def stop(name: str, source: object) -> None:
        asked.append(name)
        raise KeyError

    monkeypatch.setattr(drafting, "look", stop)
    with pytest.raises(KeyError):
        draft("duckdb://x" if place[0] else None, *place)
    assert asked == [name]


def test_p36_a_name_that_is_no_name_is_refused() -> None:
    for name in ("../x", "Orders", "", "1a", "a" * 64):
        with pytest.raises(ConfigurationError, match="is not a monitor's name"):
            draft("duckdb://x.duckdb", "orders", None, name)


def test_p34_a_password_never_lands_in_the_file(drafted: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafted(table())
    url = f"duckdb://{tmp_path / 'shop.duckdb'}?password=hunter2"
    made = draft(url, "orders", None, "shop")
    assert "hunter2" not in repr(made)
    assert made.variable == "TABLEWATCH_SHOP_URL"
    assert "export TABLEWATCH_SHOP_URL" in made.notes[0]
    monitor = read(made, tmp_path)
    assert monitor.source.connection == "${TABLEWATCH_SHOP_URL}"
    monkeypatch.setenv("TABLEWATCH_SHOP_URL", url)
    assert len(open_source(monitor).partitions()) == DAYS


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgres://me:hunter2@db/x", True),
        ("postgres://me:p@ss:w/rd@db/x", True),
        ("postgres://db/x?sslpassword=hunter2", True),
        ("duckdb://md:x?motherduck_token=abc", True),
        ("postgres://me:${PASSWORD}@db/x", False),
        ("postgres://me@db:5432/x", False),
        ("postgres://db/x?sslmode=require", False),
        ("duckdb://[odd]/x.duckdb", False),
        ("airflow:warehouse", False),
    ],
)
def test_p34_which_urls_hold_a_secret(url: str, secret: bool) -> None:
    from pipeline.source.connection import holds_secret

    assert holds_secret(url) is secret


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
def test_p14_a_scalar_reads_back_as_its_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "orders.yaml"
    content = f"source:\n  files: x.csv\npartition_by: {scalar(text)}  # why\nprimary_key: [id, {scalar(text + 'x')}]\n"
    path.write_text(content, encoding="utf-8")
    monitor = load(path)
    assert (monitor.partition_by, monitor.primary_key) == (text, ("id", text + "x"))


def test_p34_a_place_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(Exception, match="orders") as told:
        draft("postgres://me:hunter2@127.0.0.1:9/x", "orders", None)
    assert isinstance(told.value, TablewatchError)
    assert "hunter2" not in str(told.value)

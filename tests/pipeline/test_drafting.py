from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drafting import Draft, draft, looking
from pipeline.drafting.writing import scalar
from pipeline.errors import ConfigurationError, TablewatchError
from pipeline.monitor import Monitor, load
from pipeline.source import open_source

FIRST = dt.date(2013, 1, 1)
DAYS, ROWS = 40, 30
Draw = Callable[..., Draft]


def table(days: int = DAYS, rows: int = ROWS, **more: Any) -> pa.Table:
    """Orders of some days, as many each; `more` are columns by name, None takes a column away."""
    total = days * rows
    draw = np.random.default_rng(3)
    night = [FIRST + dt.timedelta(days=day) for day in range(days) for _ in range(rows)]
    columns: dict[str, Any] = {
        "order_id": np.arange(total),
        "order_date": night,
        "born_on": [dt.date(1950, 1, 1) + dt.timedelta(days=int(d)) for d in draw.integers(0, 20_000, total)],
        "year": [day.year for day in night],
        "day": [day.day for day in night],
        "shop": draw.choice(["north", "south", "west"], total),
        "amount": draw.gamma(2.0, 10.0, total).round(2),
    }
    return pa.table({name: values for name, values in (columns | more).items() if values is not None})


@pytest.fixture
def drafted(tmp_path: Path) -> Draw:
    """Drafts a monitor of a table: in DuckDB, or in Parquet files."""

    def drafting(records: pa.Table, **arguments: Any) -> Draft:
        database = tmp_path / "shop.duckdb"
        with duckdb.connect(database) as connection:
            connection.from_arrow(records).create("orders")
        return draft(f"duckdb://{database}", "orders", None, **arguments)

    return drafting


def read(drafted: Draft, folder: Path) -> Monitor:
    """The monitor in a drafted file."""
    path = folder / f"{drafted.name}.yaml"
    path.write_text(drafted.text, encoding="utf-8")
    return load(path)


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
    from pipeline.drafting import _holds_secret

    assert _holds_secret(url) is secret


# The partition column


def test_a_table_without_dates_says_so(drafted: Draw) -> None:
    with pytest.raises(ConfigurationError, match=r"no column holds dates.*columns are order_id, .*shop"):
        drafted(table(order_date=None, born_on=None))


def test_a_table_without_records_has_no_dates(drafted: Draw) -> None:
    with pytest.raises(ConfigurationError, match="no column holds dates"):
        drafted(table().slice(0, 0))


def test_text_of_any_name_is_searched_for_dates_last(drafted: Draw, tmp_path: Path) -> None:
    dates = [str(day) for day in table().column("order_date").to_pylist()]
    assert read(drafted(table(order_date=None, born_on=None, x=dates)), tmp_path).partition_by == "x"


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ({}, "order_date"),
        ({"order_date": None, "seen": "times"}, "seen"),
        ({"updated_date": "few"}, "order_date"),
        ({"order_date": None, "seen": "times", "loaded_date": "few"}, "seen"),
    ],
)
def test_the_column_that_is_most_like_nightly_partitions(
    drafted: Draw, tmp_path: Path, others: dict[str, Any], chosen: str
) -> None:
    days = table().column("order_date").to_pylist()
    columns = {
        "times": [dt.datetime.combine(day, dt.time(n % 24)) for n, day in enumerate(days)],
        "few": [FIRST if n % 50 else FIRST + dt.timedelta(days=300) for n in range(len(days))],
    }
    records = table(**{name: columns.get(what) if what else None for name, what in others.items()})
    assert read(drafted(records), tmp_path).partition_by == chosen


def test_times_without_a_zone_are_told(drafted: Draw, tmp_path: Path) -> None:
    times = [dt.datetime(2013, 1, 1, n % 24) for n in range(DAYS * ROWS)]
    made = drafted(table(packed=times))
    assert "timezone: UTC  # the zone of times that are stored without one: packed" in made.text
    assert read(made, tmp_path).timezone == "UTC"


def test_records_without_a_date_are_told(drafted: Draw) -> None:
    dates = table().column("order_date").to_pylist()
    dates[:3] = [None] * 3
    assert drafted(table(order_date=dates)).notes == (
        "3 records have no date in order_date and would never be checked",
    )


# The primary key


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"uuid": [f"u{n}" for n in range(DAYS * ROWS)]}, ("order_id",)),
        ({"order_id": None, "ticket": np.arange(DAYS * ROWS), "item_no": np.arange(DAYS * ROWS)}, ("item_no",)),
        ({"order_id": np.arange(DAYS * ROWS) % ROWS}, ("order_id",)),
        (
            {"order_id": np.arange(DAYS * ROWS) // 2, "line": np.arange(DAYS * ROWS) % 2, "born_on": None},
            ("order_id", "line"),
        ),
        (
            {
                "order_id": None,
                "born_on": None,
                "a": np.arange(DAYS * ROWS) % 2,
                "b": np.arange(DAYS * ROWS) // 2 % 3,
                "c": np.arange(DAYS * ROWS) // 6 % 5,
            },
            ("a", "b", "c"),
        ),
    ],
)
def test_the_smallest_key_that_is_unique_in_each_partition(
    drafted: Draw, tmp_path: Path, columns: dict[str, Any], key: tuple[str, ...]
) -> None:
    made = drafted(table(**columns))
    assert read(made, tmp_path).primary_key == key
    assert made.notes == ()


def test_a_column_with_a_null_or_a_repetition_is_no_key(drafted: Draw, tmp_path: Path) -> None:
    nulls: list[int | None] = list(range(DAYS * ROWS))
    nulls[5] = None
    repeated = list(range(DAYS * ROWS))
    repeated[-1] = repeated[-2]
    records = table(order_id=nulls, code_id=repeated, serial=np.arange(DAYS * ROWS))
    assert read(drafted(records), tmp_path).primary_key == ("serial",)


def test_a_table_without_a_key_is_told(drafted: Draw, tmp_path: Path) -> None:
    made = drafted(table(order_id=None, born_on=None))
    (note,) = made.notes
    assert "no key of up to three columns is unique" in note
    assert "WARNING: " + note in made.text
    assert read(made, tmp_path).primary_key


# The other columns


def test_columns_that_tell_nothing_are_excluded(drafted: Draw, tmp_path: Path) -> None:
    shops = table().column("shop").to_pylist()
    made = drafted(table(same=["x"] * DAYS * ROWS, none=pa.nulls(DAYS * ROWS, pa.string()), twin=shops))
    assert read(made, tmp_path).columns.exclude == ("year", "day", "same", "none", "twin")
    assert "twin  # the same as shop in all 1,200 records looked at" in made.text
    assert "day  # one value a partition, so it follows order_date" in made.text


def test_small_partitions_have_no_column_that_follows_the_date(drafted: Draw, tmp_path: Path) -> None:
    made = drafted(table(days=200, rows=2, day=[n // 2 for n in range(400)]))
    assert read(made, tmp_path).columns.exclude == ("year",)


def test_kinds_are_written_where_they_are_debatable(drafted: Draw, tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    clock = draw.integers(0, 24, DAYS * ROWS) * 100 + draw.integers(0, 60, DAYS * ROWS)
    shop_no = draw.integers(0, 20, DAYS * ROWS)
    flag = draw.integers(0, 2, DAYS * ROWS)
    made = drafted(table(left=clock, shop_no=shop_no, flag=flag, pieces=draw.integers(0, 20, DAYS * ROWS)))
    assert read(made, tmp_path).columns.kinds == {"left": "clock", "shop_no": "categorical", "flag": "categorical"}
    assert "#   pieces: numeric (type int64)" in made.text
    assert "#   shop: categorical (3 different texts)" in made.text


def test_what_may_be_personal_is_pointed_out_and_left_to_the_user(drafted: Draw, tmp_path: Path) -> None:
    mails = [f"p{n}@example.org" for n in range(DAYS * ROWS)]
    made = drafted(table(contact=mails, phone_number=[f"+41 {n}" for n in range(DAYS * ROWS)]))
    assert "#   sensitive: [contact, phone_number]" in made.text
    assert "contact holds e-mail addresses, phone_number by its name" in made.text
    assert read(made, tmp_path).columns.sensitive == ()


def test_numbers_among_text_are_told(drafted: Draw) -> None:
    delays = ["NA" if n % 9 == 0 else str(n % 100) for n in range(DAYS * ROWS)]
    (note,) = drafted(table(delay=delays)).notes
    assert "some cells are no numbers: delay" in note


@pytest.mark.parametrize(
    ("days", "rows", "window"),
    [(1, 300, 1), (10, 300, 9), (29, 300, 28), (60, 300, 28), (120, 50, 100), (120, 20, 119)],
)
def test_the_window_fits_the_partitions(drafted: Draw, tmp_path: Path, days: int, rows: int, window: int) -> None:
    assert read(drafted(table(days, rows)), tmp_path).training.window == window


def test_too_few_records_to_train_on_are_told(drafted: Draw) -> None:
    assert "fewer than 200 records" in drafted(table(3, 20)).notes[0]


def test_a_large_table_is_sampled(drafted: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SAMPLE_CELLS", 600)
    monkeypatch.setattr(looking, "FEWEST_DAYS", 1)
    monkeypatch.setattr(looking, "READ_RECORDS", 150)
    made = drafted(table())
    assert "in all 75 records looked at" in made.text, "5 days of 30 records, every second one"
    assert read(made, tmp_path).primary_key == ("order_id",)


# Hostile names


def test_p14_columns_of_any_name(drafted: Draw, tmp_path: Path) -> None:
    names = ["yes", "2013", "1e3", "a: b # c", "{x}", "é\u202e\U0001f600", "l1\nl2", '"', "'", "- a", "null", "~", " "]
    draw = np.random.default_rng(5)
    odd = {name: draw.integers(0, 2, DAYS * ROWS) for name in names}
    dates = table().column("order_date").to_pylist()
    monitor = read(drafted(table(order_date=None, born_on=None, **{"on\n# date": dates}, **odd)), tmp_path)
    assert monitor.partition_by == "on\n# date"
    assert set(monitor.columns.kinds) == set(names)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
def test_p14_a_scalar_reads_back_as_its_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "orders.yaml"
    content = f"source:\n  files: x.csv\npartition_by: {scalar(text)}  # why\nprimary_key: [id, {scalar(text + 'x')}]\n"
    path.write_text(content, encoding="utf-8")
    monitor = load(path)
    assert (monitor.partition_by, monitor.primary_key) == (text, ("id", text + "x"))


def test_partitions_are_spread_from_the_first_to_the_last() -> None:
    from pipeline.source import Partition

    days = [Partition(f"2013-01-{day:02}", 10) for day in range(1, 32)]
    calendar = looking.Calendar("day", pa.date32(), days, 0)
    assert looking.spread(calendar, 4) == ["2013-01-01", "2013-01-11", "2013-01-21", "2013-01-31"]
    assert looking.spread(calendar, 1) == ["2013-01-01"]
    assert len(looking.spread(calendar, 99)) == 31


def test_p34_a_place_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(Exception, match="orders") as told:
        draft("postgres://me:hunter2@127.0.0.1:9/x", "orders", None)
    assert isinstance(told.value, TablewatchError)
    assert "hunter2" not in str(told.value)

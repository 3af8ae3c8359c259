"""What is drafted of a table's columns: partition, key, kinds, what is excluded."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from drafted_orders import DAYS, FIRST, ROWS, Draw, read, table

from pipeline.drafting import looking
from pipeline.errors import ConfigurationError

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


def test_partitions_are_spread_from_the_first_to_the_last() -> None:
    from pipeline.source import Partition

    days = [Partition(f"2013-01-{day:02}", 10) for day in range(1, 32)]
    calendar = looking.Calendar("day", pa.date32(), days, 0)
    assert looking.spread(calendar, 4) == ["2013-01-01", "2013-01-11", "2013-01-21", "2013-01-31"]
    assert looking.spread(calendar, 1) == ["2013-01-01"]
    assert len(looking.spread(calendar, 99)) == 31

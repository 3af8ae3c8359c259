from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo import planting
from demo.planting import Planted

Flight = dict[str, Any]


def _by_key(connection: duckdb.DuckDBPyConnection, night: str = planting.NIGHT) -> dict[int, Flight]:
    table = connection.execute("FROM flights WHERE flight_date = ?", [night]).to_arrow_table()
    return {flight["flight_id"]: flight for flight in table.to_pylist()}


@pytest.fixture
def truth(flights: duckdb.DuckDBPyConnection) -> list[Planted]:
    return planting.planted(flights)


@pytest.fixture
def before(pristine: duckdb.DuckDBPyConnection) -> dict[int, Flight]:
    """The last night's flights as they came from the file, by key."""
    return _by_key(pristine)


@pytest.fixture
def after(flights: duckdb.DuckDBPyConnection) -> dict[int, Flight]:
    """The last night's flights with the planted errors, by key."""
    return _by_key(flights)


def test_forty_flights_that_flew_five_of_each_kind(truth: list[Planted], before: dict[int, Flight]) -> None:
    assert len({planted.flight_id for planted in truth}) == 40
    assert Counter(planted.kind for planted in truth) == dict.fromkeys(planting.KINDS, 5)
    assert len(planting.KINDS) == 8
    assert all(before[planted.flight_id]["air_time"] is not None for planted in truth)


def test_the_truth_is_all_that_differs_from_the_file(
    truth: list[Planted], flights: duckdb.DuckDBPyConnection, pristine_file: Path
) -> None:
    found = flights.execute("FROM flights").to_arrow_table()
    pairs = "SELECT was, found FROM flights was JOIN found USING (flight_id)"
    with duckdb.connect(pristine_file, read_only=True) as pristine:
        pristine.register("found", found)
        everyone = pristine.execute(f"SELECT count(*) FROM ({pairs})").fetchone()
        differing = pristine.execute(f"{pairs} WHERE was IS DISTINCT FROM found").to_arrow_table().to_pylist()
    changed = {
        pair["was"]["flight_id"]: ({n: v for n, v in pair["found"].items() if v != pair["was"][n]}, pair["was"])
        for pair in differing
    }
    assert everyone == (336_776,)
    patterns = {int(key) for key in planting.patterns(flights)}
    assert changed.keys() == {planted.flight_id for planted in truth} | patterns
    for planted in truth:
        change, was = changed[planted.flight_id]
        assert planted.column_name.split(", ") == list(change)
        assert planted.value == ", ".join("null" if value is None else str(value) for value in change.values())
        assert planted.original == ", ".join(str(was[column]) for column in change)
        assert len(change) == (2 if planted.kind == "departure and arrival swapped" else 1)


def test_thirty_flights_of_each_pattern_are_wrong_in_its_way(
    flights: duckdb.DuckDBPyConnection, pristine: duckdb.DuckDBPyConnection
) -> None:
    patterns = planting.patterns(flights)
    assert Counter(patterns.values()) == dict.fromkeys(planting.PATTERNS, 30)
    was = _by_key(pristine, planting.NIGHT_OF_PATTERNS)
    now = _by_key(flights, planting.NIGHT_OF_PATTERNS)
    for key, pattern in patterns.items():
        before, after = was[int(key)], now[int(key)]
        changed = {name for name, value in after.items() if value != before[name]}
        if pattern.startswith("air times"):
            assert changed == {"air_time"} and after["air_time"] == 60 * before["air_time"]
        elif pattern.startswith("times of airport"):
            assert changed == {*planting.TIMES}
            assert all((after[name] - before[name]) % 2400 == 1200 for name in planting.TIMES)
        else:
            assert changed == {"distance"} and after["distance"] == 0


def _is_another_destination(was: Flight, now: Flight, others: list[Flight]) -> bool:
    there = [other for other in others if (other["origin"], other["dest"]) == (now["origin"], now["dest"])]
    return bool(there) and all(other["distance"] != was["distance"] for other in there)


IS_OF_KIND: dict[str, Callable[[Flight, Flight, list[Flight]], bool]] = {
    "null where never null": lambda was, now, others: None in now.values(),
    "impossible value": lambda was, now, others: min(now["distance"], now["air_time"]) <= 0,
    "destination changed, not the distance": _is_another_destination,
    "air time in seconds": lambda was, now, others: now["air_time"] == 60 * was["air_time"],
    "departure and arrival swapped": lambda was, now, others: (
        (now["dep_time"], now["arr_time"]) == (was["arr_time"], was["dep_time"])
    ),
    "distance in kilometres": lambda was, now, others: now["distance"] == round(1.609344 * was["distance"]),
    "unseen carrier": lambda was, now, others: now["carrier"] not in {other["carrier"] for other in others},
    "far-out delay": lambda was, now, others: (
        max(now["dep_delay"], now["arr_delay"]) > 2 * max(other["arr_delay"] or 0 for other in others)
    ),
}


@pytest.mark.parametrize("kind", planting.KINDS)
def test_an_error_is_of_its_kind(
    kind: str, truth: list[Planted], before: dict[int, Flight], after: dict[int, Flight]
) -> None:
    for planted in truth:
        if planted.kind == kind:
            was, now = before[planted.flight_id], after[planted.flight_id]
            assert IS_OF_KIND[kind](was, now, list(before.values()))


def test_what_is_made_null_or_unseen_never_is_in_the_file(pristine: duckdb.DuckDBPyConnection) -> None:
    nulls = " + ".join(f"count(*) - count({column})" for column in planting.NEVER_NULL)
    assert pristine.execute(f"SELECT {nulls} FROM flights").fetchone() == (0,)
    seen = {carrier for (carrier,) in pristine.execute("SELECT DISTINCT carrier FROM flights").fetchall()}
    assert not seen & set(planting.NOT_OF_NEW_YORK)


def test_planting_is_the_same_each_time_and_never_happens_twice(
    truth: list[Planted], pristine_file: Path, tmp_path: Path
) -> None:
    with duckdb.connect(shutil.copy(pristine_file, tmp_path)) as connection:
        connection.execute("DROP TABLE planted")
        connection.execute("DROP TABLE IF EXISTS patterns")
        planting.plant(connection)
        assert planting.planted(connection) == truth
        once = connection.execute("SELECT bit_xor(hash(flights)) FROM flights").fetchone()
        with pytest.raises(duckdb.CatalogException):
            planting.plant(connection)
        assert connection.execute("SELECT bit_xor(hash(flights)) FROM flights").fetchone() == once
        assert planting.planted(connection) == truth

"""Plants known errors in the last night of the demo, so that what tablewatch catches can be counted.

Forty flights that flew get one wrong field each (a swap: two), five of each kind; the same ones every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from random import Random
from typing import Any

import duckdb

NIGHT = "2013-01-31"
OF_EACH_KIND = 5
SEED = 2013

Flight = dict[str, Any]
Corrupt = Callable[["Flight", int, "Night"], "Flight"]

NEVER_NULL = ("carrier", "dest", "distance", "origin", "sched_dep_time")
NOT_OF_NEW_YORK = ("AF", "BA", "JL", "LH", "QF")
KILOMETRES = 1.609344
DAY = 24 * 60  # minutes

FLOWN = """
    FROM flights WHERE flight_date = $night AND air_time IS NOT NULL AND dep_time <> arr_time ORDER BY flight_id
"""
TRUTH = "CREATE TABLE planted (flight_id INTEGER, kind VARCHAR, column_name VARCHAR, value VARCHAR, original VARCHAR)"


@dataclass(frozen=True)
class Planted:
    """One planted error: the flight, what kind of error, the columns in which, and their values as text."""

    flight_id: int
    kind: str
    column_name: str
    value: str
    original: str


@dataclass(frozen=True)
class Night:
    """What a corruption may look up: every flight that flew that night, and the one source of chance."""

    flights: list[Flight]
    chance: Random

    def elsewhere(self, flight: Flight) -> str:
        """Another destination of the same airport that night, at another distance."""
        others: set[str] = {f["dest"] for f in self.flights if f["origin"] == flight["origin"]}
        as_far = {f["dest"] for f in self.flights if f["distance"] == flight["distance"]}
        return self.chance.choice(sorted(others - as_far))


def _null(flight: Flight, turn: int, night: Night) -> Flight:
    return {NEVER_NULL[turn]: None}


def _impossible(flight: Flight, turn: int, night: Night) -> Flight:
    values = ("distance", 0), ("distance", -flight["distance"]), ("distance", -1)
    return dict([(*values, ("air_time", -flight["air_time"]), ("air_time", -1))[turn]])


def _destination(flight: Flight, turn: int, night: Night) -> Flight:
    return {"dest": night.elsewhere(flight)}


def _seconds(flight: Flight, turn: int, night: Night) -> Flight:
    return {"air_time": flight["air_time"] * 60}


def _swapped(flight: Flight, turn: int, night: Night) -> Flight:
    return {"dep_time": flight["arr_time"], "arr_time": flight["dep_time"]}


def _kilometres(flight: Flight, turn: int, night: Night) -> Flight:
    return {"distance": round(flight["distance"] * KILOMETRES)}


def _carrier(flight: Flight, turn: int, night: Night) -> Flight:
    return {"carrier": NOT_OF_NEW_YORK[turn]}


def _delay(flight: Flight, turn: int, night: Night) -> Flight:
    column = ("dep_delay", "arr_delay")[turn % 2]
    return {column: flight[column] + (turn + 2) * DAY}


KINDS: dict[str, Corrupt] = {
    "null where never null": _null,
    "impossible value": _impossible,
    "destination changed, not the distance": _destination,
    "air time in seconds": _seconds,
    "departure and arrival swapped": _swapped,
    "distance in kilometres": _kilometres,
    "unseen carrier": _carrier,
    "far-out delay": _delay,
}


def plant(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Corrupts the table `flights` as it came from the file, and keeps the truth in a new table `planted`.

    `planted` has a row for each corrupted flight: the fields of Planted. duckdb.CatalogException if it is there: an
    error is never planted on top of another.
    """
    warehouse.execute(TRUTH)
    warehouse.begin()
    for flight, kind, change in _choose(warehouse.execute(FLOWN, {"night": NIGHT}).to_arrow_table().to_pylist()):
        key = flight["flight_id"]
        assignments = ", ".join(f"{column} = ?" for column in change)
        warehouse.execute(f"UPDATE flights SET {assignments} WHERE flight_id = ?", [*change.values(), key])  # noqa: S608
        original = {column: flight[column] for column in change}
        planted = Planted(key, kind, ", ".join(change), _text(change), _text(original))
        warehouse.execute("INSERT INTO planted VALUES (?, ?, ?, ?, ?)", astuple(planted))
    warehouse.commit()


def planted(warehouse: duckdb.DuckDBPyConnection) -> list[Planted]:
    """The truth, by kind and flight."""
    return [Planted(*row) for row in warehouse.execute("FROM planted ORDER BY kind, flight_id").fetchall()]


def _choose(flights: list[Flight]) -> list[tuple[Flight, str, Flight]]:
    """The flights to corrupt, the kind of error of each and its new values by column."""
    night = Night(flights, Random(SEED))  # noqa: S311
    chosen = iter(night.chance.sample(flights, OF_EACH_KIND * len(KINDS)))
    turns = [(kind, corrupt, turn) for kind, corrupt in KINDS.items() for turn in range(OF_EACH_KIND)]
    return [
        (flight, kind, corrupt(flight, turn, night))
        for (kind, corrupt, turn), flight in zip(turns, chosen, strict=True)
    ]


def _text(values: Flight) -> str:
    return ", ".join("null" if value is None else str(value) for value in values.values())

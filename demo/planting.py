"""Plants known errors in two nights of the demo, so that what tablewatch catches can be counted.

In one night forty flights that flew get one wrong field each (a swap: two), five of each kind; in the night after,
thirty flights each of a carrier, an airport and a route go wrong in the same way. The same ones every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from random import Random
from typing import Any

import duckdb

NIGHT = "2013-01-31"
NIGHT_OF_PATTERNS = "2013-02-01"
OF_EACH_KIND = 5
SEED = 2013

Flight = dict[str, Any]
Corrupt = Callable[["Flight", int, "Night"], "Flight"]

NEVER_NULL = ("carrier", "dest", "distance", "origin", "sched_dep_time")
NOT_OF_NEW_YORK = ("AF", "BA", "JL", "LH", "QF")
KILOMETRES = 1.609344
DAY = 24 * 60  # minutes

# What goes wrong together: in which flights, and the new values by column.
HALF_A_DAY = "(({0} // 100 + 12) % 24) * 100 + {0} % 100"
TIMES = ("dep_time", "sched_dep_time", "arr_time", "sched_arr_time")
PATTERNS: dict[str, tuple[str, dict[str, str]]] = {
    "air times of carrier EV in seconds": ("carrier = 'EV'", {"air_time": "air_time * 60"}),
    "times of airport LGA twelve hours off": (
        "origin = 'LGA' AND carrier <> 'EV'",
        {name: HALF_A_DAY.format(name) for name in TIMES},
    ),
    "no distance from JFK to LAX": (
        "origin = 'JFK' AND dest = 'LAX' AND carrier <> 'EV'",
        {"distance": "0"},
    ),
}
OF_EACH_PATTERN = 30
CHOSEN = """
    SELECT flight_id FROM flights
    WHERE flight_date = $night AND air_time IS NOT NULL AND arr_delay IS NOT NULL AND {segment}
    ORDER BY hash(flight_id), flight_id LIMIT $most
"""

FLOWN = """
    FROM flights WHERE flight_date = $night AND air_time IS NOT NULL AND dep_time <> arr_time ORDER BY flight_id
"""
PATTERNS_TRUTH = "CREATE TABLE patterns (flight_id INTEGER, pattern VARCHAR)"
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
    """Corrupts the table `flights` as it came from the file, and keeps the truth in new tables.

    `planted` has a row for each flight of NIGHT that was corrupted: the fields of Planted; `patterns` one for each of
    NIGHT_OF_PATTERNS: the flight and its pattern. duckdb.CatalogException if they are there: an error is never planted
    on top of another.
    """
    warehouse.execute(TRUTH)
    warehouse.execute(PATTERNS_TRUTH)
    warehouse.begin()
    _plant_patterns(warehouse)
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


def patterns(warehouse: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The pattern of each flight of NIGHT_OF_PATTERNS that belongs to one, by record key."""
    return {str(key): pattern for key, pattern in warehouse.execute("FROM patterns").fetchall()}


def _plant_patterns(warehouse: duckdb.DuckDBPyConnection) -> None:
    for pattern, (segment, change) in PATTERNS.items():
        chosen = CHOSEN.format(segment=segment)
        warehouse.execute(
            f"INSERT INTO patterns SELECT flight_id, $pattern FROM ({chosen})",  # noqa: S608
            {"pattern": pattern, "night": NIGHT_OF_PATTERNS, "most": OF_EACH_PATTERN},
        )
        assignments = ", ".join(f"{column} = {value}" for column, value in change.items())
        of_pattern = "SELECT flight_id FROM patterns WHERE pattern = ?"
        warehouse.execute(f"UPDATE flights SET {assignments} WHERE flight_id IN ({of_pattern})", [pattern])  # noqa: S608


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

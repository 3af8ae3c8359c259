"""What must agree within one flight, written by hand: laws that say whether anything contradicts a wrong value.

None of them knows of a detector. A law holds, is broken, or says nothing (a flight that never left has no delay).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
DAY = 24 * 60  # minutes
# A flight that was diverted has landed somewhere, so an arrival may be there without an air time.
TOGETHER = (("dep_time", "dep_delay"), ("air_time", "arr_delay"))
IN_ORDER = (("arr_time", "dep_time"), ("air_time", "arr_time"))

Flight = dict[str, Any]
Law = Callable[[Flight], bool | None]
Quantity = Callable[[Flight], float | None]


@dataclass(frozen=True)
class Laws:
    """The laws of flights by what they say, with the values that a window of normal flights showed."""

    by_name: dict[str, Law]

    @classmethod
    def of(cls, window: list[Flight]) -> Laws:
        """Those that hold of any flight, and those whose values are learned from `window`."""
        laws: dict[str, Law] = {
            "the scheduled departure is hour and minute": _scheduled,
            "time_hour is the hour of the flight's date": _on_its_date,
            "the delay of departure is departure less schedule": lambda f: _delay(f, "dep"),
            "the delay of arrival is arrival less schedule": lambda f: _delay(f, "arr"),
            "what comes together is there or missing together": _together,
            "a column without a null has none": _never_null(window),
            "a route has its distances": _known(window, _route, lambda f: f["distance"]),
            "a flight number of a carrier has its routes": _known(
                window, lambda f: (f["carrier"], f["flight"]), _route
            ),
            "an aircraft flies for its carriers": _known(window, lambda f: f["tailnum"], lambda f: f["carrier"]),
            "a route has its range of air times": _within(window, _route, lambda f: f["air_time"]),
            "a route has its range of scheduled durations": _within(window, _route, _scheduled_duration),
            "a destination has its range of minutes between departure and arrival not in the air": _within(
                window, lambda f: f["dest"], _ground_minutes
            ),
        }
        return cls(laws)

    def broken(self, flight: Flight) -> set[str]:
        """The laws that `flight` breaks."""
        return {name for name, holds in self.by_name.items() if holds(flight) is False}


def minutes(clock: int) -> int:
    """Minutes after midnight of hhmm; 2400 is midnight."""
    return (clock // 100 * 60 + clock % 100) % DAY


def _scheduled(flight: Flight) -> bool | None:
    parts = flight["sched_dep_time"], flight["hour"], flight["minute"]
    return None if None in parts else parts[0] == parts[1] * 100 + parts[2]


def _on_its_date(flight: Flight) -> bool | None:
    hour, moment = flight["hour"], flight["time_hour"]
    if hour is None or moment is None:
        return None
    there = moment.astimezone(NEW_YORK)
    return (there.date(), there.hour) == (flight["flight_date"], hour % 24)


def _delay(flight: Flight, which: str) -> bool | None:
    at, planned, delay = flight[f"{which}_time"], flight[f"sched_{which}_time"], flight[f"{which}_delay"]
    return None if None in (at, planned, delay) else (minutes(at) - minutes(planned) - delay) % DAY == 0


def _together(flight: Flight) -> bool:
    there = {name: flight[name] is not None for pair in (*TOGETHER, *IN_ORDER) for name in pair}
    return all(there[a] == there[b] for a, b in TOGETHER) and all(there[b] or not there[a] for a, b in IN_ORDER)


def _never_null(window: list[Flight]) -> Law:
    full = [name for name in window[0] if all(flight[name] is not None for flight in window)]
    return lambda flight: all(flight[name] is not None for name in full)


def _route(flight: Flight) -> tuple[str, str] | None:
    ends = flight["origin"], flight["dest"]
    return None if None in ends else ends


def _scheduled_duration(flight: Flight) -> float | None:
    ends = flight["sched_arr_time"], flight["sched_dep_time"]
    return None if None in ends else (minutes(ends[0]) - minutes(ends[1])) % DAY


def _ground_minutes(flight: Flight) -> float | None:
    """Taxiing and the difference of time zones, in -720..719."""
    parts = flight["arr_time"], flight["dep_time"], flight["air_time"]
    if None in parts:
        return None
    return (minutes(parts[0]) - minutes(parts[1]) - parts[2] + DAY // 2) % DAY - DAY // 2


def _known(window: Iterable[Flight], of: Callable[[Flight], Any], value: Callable[[Flight], Any]) -> Law:
    """The value is one of those seen with its like; nothing is said where the like was never seen."""
    seen: dict[Any, set[Any]] = defaultdict(set)
    for flight in window:
        seen[of(flight)].add(value(flight))
    return lambda flight: value(flight) in seen[of(flight)] if seen.get(of(flight)) and of(flight) else None


def _within(window: Iterable[Flight], of: Callable[[Flight], Any], quantity: Quantity) -> Law:
    """The quantity is between the least and the greatest seen with its like."""
    seen: dict[Any, list[float]] = defaultdict(list)
    for flight in window:
        if (found := quantity(flight)) is not None:
            seen[of(flight)].append(found)
    ends = {like: (min(found), max(found)) for like, found in seen.items()}

    def law(flight: Flight) -> bool | None:
        found, (low, high) = quantity(flight), ends.get(of(flight), (None, None))
        return None if found is None or low is None or high is None else low <= found <= high

    return law

"""How well records that went wrong together are found to belong together: patterns planted in real nights of flights.

For each planting a night is drawn, and three patterns are planted in it: a kind of error (a unit, a shift of twelve
hours, a constant, a null, a sign, a unit of distance, a wrong destination) in up to thirty records of a segment (a
carrier, an airport, a route, the flights of some hours), besides ten records with an error of their own. The night goes
the way of every night: validation, scoring, incidents. Compared are the records that were found: those planted together
ought to be in one incident, all others alone. `ari` is the adjusted Rand index (Hubert and Arabie 1985).

    python benchmarks/grouping.py [--plantings 50] [--home FOLDER] [--show]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from demo import planting, warehouse

TRAINED_THROUGH = "2013-01-28"
NIGHTS = ("2013-01-29", "2013-01-30", "2013-02-02", "2013-02-03", "2013-02-04", "2013-02-05")
PATTERNS = 3
SIZE = 30
FEWEST = 12
SINGLES = 10

Flight = dict[str, Any]


def _units(flight: Flight) -> Flight:
    return {"air_time": flight["air_time"] * 60}


def _hours(flight: Flight) -> Flight:
    names = ("dep_time", "sched_dep_time", "arr_time", "sched_arr_time")
    return {name: (flight[name] // 100 + 12) % 24 * 100 + flight[name] % 100 for name in names}


def _no_distance(flight: Flight) -> Flight:
    return {"distance": 0}


def _no_carrier(flight: Flight) -> Flight:
    return {"carrier": None}


def _sign(flight: Flight) -> Flight:
    return {"arr_delay": -flight["arr_delay"] - 600}


def _kilometres(flight: Flight) -> Flight:
    return {"distance": round(flight["distance"] * planting.KILOMETRES)}


def _one_destination(flight: Flight) -> Flight:
    return {"dest": "ANC"}


ERRORS: tuple[Callable[[Flight], Flight], ...] = (
    _units,
    _hours,
    _no_distance,
    _no_carrier,
    _sign,
    _kilometres,
    _one_destination,
)


@dataclass(frozen=True)
class Segment:
    """Which flights a pattern is planted in."""

    name: str
    holds: Callable[[Flight], bool]


def segments(flights: list[Flight], chance: Random) -> list[Segment]:
    """A segment of each kind, drawn at random."""
    one = chance.choice(flights)
    hour = chance.randrange(6, 20)
    return [
        Segment(f"carrier {one['carrier']}", lambda f: f["carrier"] == one["carrier"]),
        Segment(
            f"carrier {one['carrier']}, origin {one['origin']}",
            lambda f: (f["carrier"], f["origin"]) == (one["carrier"], one["origin"]),
        ),
        Segment(
            f"{one['origin']} to {one['dest']}", lambda f: (f["origin"], f["dest"]) == (one["origin"], one["dest"])
        ),
        Segment(f"dest {one['dest']}", lambda f: f["dest"] == one["dest"]),
        Segment(f"hours {hour} to {hour + 1}", lambda f: hour <= f["hour"] <= hour + 1),
    ]


def plant(flights: list[Flight], seed: int) -> tuple[list[Flight], dict[str, str], list[str]]:
    """The night with its patterns; what was planted in each record, by key; the patterns in words.

    A segment that holds fewer than FEWEST flights, or of which the error names a column, is drawn again.
    """
    chance = Random(seed)  # noqa: S311
    flights = [dict(flight) for flight in flights]
    flown = [f for f in flights if f["air_time"] is not None and f["arr_delay"] is not None]
    truth: dict[str, str] = {}
    told = []
    while len(told) < PATTERNS:
        error = chance.choice(ERRORS)
        segment = chance.choice(segments(flown, chance))
        free = [f for f in flown if str(f["flight_id"]) not in truth and segment.holds(f)]
        if len(free) < FEWEST or set(error(free[0])) & {*segment.name.replace(",", "").split(), *_named(segment)}:
            continue
        chosen = chance.sample(free, min(SIZE, len(free)))
        for flight in chosen:
            flight.update(error(flight))
            truth[str(flight["flight_id"])] = f"pattern {len(told)}"
        told.append(f"{error.__name__[1:]} in {len(chosen)} of {len(free)} flights with {segment.name}")
    single = planting.Night(flown, chance)
    kinds = list(planting.KINDS.values())
    for turn, flight in enumerate(chance.sample([f for f in flown if str(f["flight_id"]) not in truth], SINGLES)):
        flight.update(kinds[turn % len(kinds)](flight, turn % 5, single))
        truth[str(flight["flight_id"])] = f"single {turn}"
    return flights, truth, told


def _named(segment: Segment) -> set[str]:
    """The columns that a segment is told by."""
    if " to " in segment.name and not segment.name.startswith("hours"):
        return {"origin", "dest"}
    return {"dep_time", "sched_dep_time"} if segment.name.startswith("hours") else set()


def trained(home: Path) -> None:
    """A champion for the flights in `home`, unless there is one."""
    from pipeline import steps
    from pipeline.steps import House

    os.environ["TABLEWATCH_HOME"] = str(home)
    os.environ.setdefault("TABLEWATCH_MONITORS", str(Path(__file__).parents[1] / "monitors"))
    warehouse.prepare(home)
    if House().store.champion("flights") is None:
        print(f"training through {TRAINED_THROUGH} ...", flush=True)
        steps.train("flights", TRAINED_THROUGH)


def main() -> None:
    """Print a line for each planting and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plantings", type=int, default=50)
    parser.add_argument("--home", type=Path, help="train here, or use what was trained here")
    parser.add_argument("--show", action="store_true", help="print the incidents too")
    options = parser.parse_args()
    print(environment())
    with TemporaryDirectory() as folder:
        trained(options.home or Path(folder))
        measured = [measure(seed, options.show) for seed in range(options.plantings)]
    indices = [each["ari"] for each in measured]
    print(f"\n{'plantings':>10} {'mean ari':>9} {'median':>7} {'least':>6} {'below .9':>9} {'patterns whole':>15}")
    whole = sum(each["whole"] for each in measured)
    print(
        f"{len(indices):10} {statistics.mean(indices):9.3f} {statistics.median(indices):7.3f} {min(indices):6.3f} "
        f"{sum(i < 0.9 for i in indices):9} {whole:9} of {PATTERNS * len(indices)}"
    )


def measure(seed: int, show: bool) -> dict[str, Any]:
    """Plant, find, compare: a line on the screen, and the figures."""
    from sklearn.metrics import adjusted_rand_score

    night = NIGHTS[seed % len(NIGHTS)]
    house = NightOfFlights.open(night)
    flights, truth, told = plant(house.flights, seed)
    found = house.find(flights)
    of_key = {a.record_key: a.incident_id for a in found.anomalies}
    of_key |= {q.record_key: q.incident_id for q in found.quarantined if q.record_key}
    patterns = {i.incident_id for i in found.incidents if i.kind == "pattern"}
    keys = sorted(of_key)
    is_in = [of_key[key] if of_key[key] in patterns else f"alone {key}" for key in keys]
    ought = [truth[key] if truth.get(key, "").startswith("pattern") else f"alone {key}" for key in keys]
    ari = float(adjusted_rand_score(ought, is_in))
    caught = sum(key in of_key for key, what in truth.items() if what.startswith("pattern"))
    planted = sum(what.startswith("pattern") for what in truth.values())
    whole = sum(_whole(f"pattern {at}", ought, is_in) for at in range(PATTERNS))
    print(
        f"{seed:3} {night} ari {ari:.3f}  caught {caught:2} of {planted:2}  {len(patterns)} patterns  "
        + "; ".join(told)
    )
    if show:
        for incident in found.incidents:
            if incident.kind != "single":
                print(f"      {incident.severity:8} {incident.summary}")
        print(f"      {sum(i.kind == 'single' for i in found.incidents)} singles", flush=True)
    return {"ari": ari, "whole": whole}


def _whole(name: str, ought: list[str], is_in: list[str]) -> bool:
    """Whether nearly all found records of a pattern are in one incident, and hardly any other is in it."""
    members = [incident for what, incident in zip(ought, is_in, strict=True) if what == name]
    if not members:
        return False
    main = max({*members}, key=members.count)
    others = sum(what != name and incident == main for what, incident in zip(ought, is_in, strict=True))
    return members.count(main) >= 0.8 * len(members) and others <= 0.2 * members.count(main)


@dataclass
class NightOfFlights:
    """A night as it was, and all that validates and scores it."""

    night: str
    flights: list[Flight]
    schema: pa.Schema

    @classmethod
    def open(cls, night: str) -> NightOfFlights:
        from pipeline.steps import House

        house = House()
        source = house.source(house.monitor("flights"))
        table = pa.Table.from_batches(list(source.batches([night])))
        return cls(night, table.to_pylist(), table.schema)

    def find(self, flights: list[Flight]) -> Any:
        """The incidents of the night with these flights."""
        from pipeline import training
        from pipeline.incidents import Night, find
        from pipeline.scoring import anomalies, score_batch
        from pipeline.steps import House
        from pipeline.validation import RecordCheck
        from pipeline.validation.census import duplicate_keys
        from pipeline.validation.words import phrase

        house = House()
        monitor = house.monitor("flights")
        champion = house.champion(monitor)
        manifest, arrays = house.registry.load("flights", champion.version, champion.sha256)
        detector = training.restore(monitor, manifest, arrays)
        suite = house.suite(monitor, champion)
        table = pa.Table.from_pylist(flights, self.schema)
        columns = [name for name in table.column_names if name not in monitor.columns.exclude]

        def batches(wanted: Any = None) -> list[pa.RecordBatch]:
            return table.select(list(wanted or columns)).combine_chunks().to_batches()

        census = duplicate_keys(monitor, suite, batches)
        check = RecordCheck(monitor, self.night, suite, census)
        (batch,) = batches()
        checked = check.check(batch, 0)
        rate = training.flag_rate(monitor, manifest["typical_partition"])
        scored = score_batch(monitor, self.night, detector, checked.accepted, rate)
        kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
        rules = {(r.expectation, r.column): phrase(r.expectation, r.kwargs) for r in check.results()}
        accepted = checked.accepted.select([name for name in checked.accepted.column_names if name in kinds])
        about = Night("flights", self.night, accepted, accepted.num_rows, rate, kinds, rules)
        flagged = anomalies(monitor, detector, [scored.flagged], detector.threshold(rate))
        return find(about, flagged, checked.quarantined)


if __name__ == "__main__":
    main()

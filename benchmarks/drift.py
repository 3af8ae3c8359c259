"""What a table that changes does to the records flagged, with and without the refresh of p-values between trainings.

Deliveries, made up: four kinds, numbers that follow from one another, a depot that follows from nothing. A detector is
fitted on 28 nights and scores the 28 nights after them; production trains every week, so that the first week is its
daily bread and the others are what comes when training fails. In every night some records are made wrong by exchanging
one field with another record's (three, where nothing else is said). For each week the script prints the honest records
flagged over those that were asked for, and the share of the wrong ones that is flagged.

    python benchmarks/drift.py [--rates 0.01,0.001] [--seed 0] [--out drift.csv]

- nothing: the nights are like the window.
- shift: `minutes` grows by .02 of its standard deviation a night.
- shift since the window began: the same, but the window has shifted too.
- shift, 10 wrong a night: the first, with more exchanged fields.
- share: the rarest depot, 3 % of the records, gains .3 points a night.
- season: `temperature` falls as from September on, 7 degrees in the end.
- jump: `minutes` is .3 standard deviations higher from the eighth night on.
- broken night: half of the records of the eighth night have `minutes` in hours.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from pipeline.detector import Detector
from pipeline.refreshing import LATEST, UNCHANGED, Refresh, body, body_power

NIGHTS = 28
TRAINED = 300
SCORED = 500
WRONG = 3
EVENT = 7
KINDS = np.array(["letter", "parcel", "pallet", "express"])
DEPOTS = np.array(["north", "south", "west"])
EXCHANGED = ("kind", "minutes", "price", "weight", "cooling")
SPREAD_OF_MINUTES = 75.0

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Change:
    """A night's change of minutes (in standard deviations), of the rarest depot's share, of degrees, of a unit."""

    minutes: float = 0.0
    depot: float = 0.0
    degrees: float = 0.0
    broken: bool = False


@dataclass(frozen=True)
class Scenario:
    """How the nights after the window change, the night after it being 0, and how many records a night are wrong."""

    name: str
    change: Callable[[int], Change]
    wrong: int = WRONG
    in_window: bool = False


SCENARIOS = (
    Scenario("nothing", lambda night: Change()),
    Scenario("shift", lambda night: Change(minutes=0.02 * (night + 1))),
    Scenario("shift since the window began", lambda night: Change(minutes=0.02 * (night + NIGHTS)), in_window=True),
    Scenario("shift, 10 wrong a night", lambda night: Change(minutes=0.02 * (night + 1)), wrong=10),
    Scenario("share", lambda night: Change(depot=0.003 * (night + 1))),
    Scenario("season", lambda night: Change(degrees=-15 * np.sin(2 * np.pi * (night + 1) / 365))),
    Scenario("jump", lambda night: Change(minutes=0.3 * (night >= EVENT))),
    Scenario("broken night", lambda night: Change(broken=night == EVENT)),
)


def deliveries(night: int, rows: int, draw: np.random.Generator, change: Change) -> Columns:
    """The records of one night."""
    kind = draw.choice(4, rows, p=[0.45, 0.35, 0.15, 0.05])
    distance = draw.gamma(2.0, 60.0, rows)
    temperature = draw.normal(12.0 + change.degrees, 4.0, rows)
    weight = np.exp(draw.normal(np.array([-2.0, 1.5, 5.0, 0.5])[kind], 0.5))
    minutes = 10 + distance * np.array([0.9, 0.8, 1.1, 0.6])[kind] + draw.normal(0, 25.0, rows)
    minutes += change.minutes * SPREAD_OF_MINUTES
    if change.broken:
        minutes[: rows // 2] /= 60
    price = 2 + 0.3 * weight + 0.05 * distance * np.array([1, 1, 2, 3])[kind] + draw.normal(0, 0.5, rows)
    rarest = 0.03 + change.depot
    return {
        "night": np.full(rows, np.datetime64("2024-02-01") + night),
        "kind": KINDS[kind],
        "depot": draw.choice(DEPOTS, rows, p=[0.6 - rarest, 0.4, rarest]),
        "hour": draw.normal(np.array([8.0, 11.0, 15.0, 19.0])[kind], 1.5).round(2),
        "distance": distance.round(1),
        "temperature": temperature.round(1),
        "weight": weight.round(3),
        "minutes": minutes.round(1),
        "price": price.round(2),
        "cooling": (np.maximum(0.5 * (temperature - 8.0), 0) + draw.gamma(2.0, 0.5, rows)).round(2),
    }


def exchange(night: Columns, wrong: int, draw: np.random.Generator) -> np.ndarray:
    """Give some records one field of another that differs by a standard deviation or more; which ones, bool (n,)."""
    chosen = draw.permutation(len(night["kind"]))[:wrong]
    for row in chosen:
        column = night[draw.choice(EXCHANGED)]
        far = column != column[row] if column is night["kind"] else np.abs(column - column[row]) >= column.std()
        column[row] = draw.choice(column[far])
    return np.isin(np.arange(len(night["kind"])), chosen)


def nights_of(scenario: Scenario, detector: Detector, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The p-values of each night as trained, float64 (n,), and which of its records are wrong."""
    draw = np.random.default_rng(seed + 1)
    found = []
    for night in range(NIGHTS):
        columns = deliveries(night, SCORED, draw, scenario.change(night))
        wrong = exchange(columns, scenario.wrong, draw)
        found.append((detector.score(pa.table(columns)).p_value, wrong))
    return found


def fitted(scenario: Scenario, seed: int) -> Detector:
    """The detector of production, fitted on the window of the scenario."""
    draw = np.random.default_rng(seed)
    change = scenario.change if scenario.in_window else lambda night: Change()
    window = [deliveries(night, TRAINED, draw, change(night)) for night in range(-NIGHTS, 0)]
    table = pa.table({name: np.concatenate([night[name] for night in window]) for name in window[0]})
    return Detector(anchor="night", seed=seed).fit(table)


def refreshes(nights: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[Refresh]:
    """What production refreshes each night by: the latest nights before it."""
    powers: list[float] = []
    for p_values, _ in nights:
        yield Refresh.of(powers[-LATEST:])
        power = body_power(body(p_values))
        powers += [power] if power is not None else []


def by_week(
    nights: list[tuple[np.ndarray, np.ndarray]], applied: list[Refresh], rate: float
) -> tuple[list[float], list[float]]:
    """For each week: honest records flagged over asked for, and the share of the wrong ones that is flagged."""
    honest, caught = [], []
    for week in range(0, NIGHTS, 7):
        of_week = list(zip(nights, applied, strict=True))[week : week + 7]
        flagged = np.concatenate([refresh(p) <= rate for (p, _), refresh in of_week])
        wrong = np.concatenate([wrong for (_, wrong), _ in of_week])
        honest.append(float(flagged[~wrong].mean() / rate))
        caught.append(float(flagged[wrong].mean()))
    return honest, caught


def main() -> None:
    """Print a table for each rate and, with --out, keep it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="0.01,0.001")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    print(environment())
    print(f"{'':28} {'':9} {'rate':>5}  {'flagged over asked for':27}  {'wrong ones flagged':23}")
    weeks = " ".join(f"{f'week {week}':>6}" for week in range(1, 5))
    print(f"{'scenario':28} {'refresh':9} {'':5}  {weeks}  {weeks.replace('week ', '    ')}")
    steady = fitted(SCENARIOS[0], options.seed)
    rows = []
    for scenario in SCENARIOS:
        nights = nights_of(scenario, fitted(scenario, options.seed) if scenario.in_window else steady, options.seed)
        for rate in map(float, options.rates.split(",")):
            for how, applied in (("without", [UNCHANGED] * NIGHTS), ("with", list(refreshes(nights)))):
                honest, caught = by_week(nights, applied, rate)
                figures = "  ".join(" ".join(f"{figure:6.2f}" for figure in figures) for figures in (honest, caught))
                print(f"{scenario.name:28} {how:9} {rate:5g}  {figures}", flush=True)
                rows.append([scenario.name, how, rate, *honest, *caught])
    if options.out:
        with options.out.open("w", newline="") as file:
            names = [f"{what}_{week}" for what in ("flagged_over_asked", "caught") for week in range(1, 5)]
            csv.writer(file).writerows([["scenario", "refresh", "rate", *names], *rows])


if __name__ == "__main__":
    main()

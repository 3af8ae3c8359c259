"""Whether the reasons are right: one field of real flights is corrupted, and explain has to name it and what it was.

Trains on the 28 nights before 2013-01-31 as an operator would, without hints. Then corrupts one field each of flights
of that night, `--per-column` for every modelled column, by the corruptions that fit the kind of the column
(pipeline/detector/canaries.py).

Counted is a corruption that is flagged at `--rate` and that something in the record contradicts. What does is decided
without the detector: benchmarks/flight_laws.py lists what must agree within one flight (a delay with its two times, a
route with its distance, an aircraft with its carrier ...). The flight keeps every law before it is touched and breaks
one after.

`column first` counts the records whose leading contribution is the corrupted column; `nearer` those in which the
expected value of that column is nearer to the truth than the observed one: a number by difference, a clock around the
circle, an instant in time, a category by being the truth, and nothing else. A column that is not among the reasons has
no expected value, which is never nearer. A text is expected by its length only, so it is judged by that, and not at
all where the length was right. Behind each share stands its 95 % interval (Wilson 1927).

With --data DIR a second table: tables of numbers (*.npz with X and y), half of whose normal rows are trained on and
half corrupted. There a corruption counts when the value is out of the range of the 50 training rows nearest by the
other columns, and the truth in it.

    python benchmarks/reasons.py [--per-column 40] [--rate 0.005] [--seed 0] [--wrong 20] [--data DIR]
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from benchmarks.flight_laws import DAY, Laws, minutes
from benchmarks.planted import flights
from pipeline.detector import Detector, explain
from pipeline.detector.canaries import Canaries, make_canaries
from pipeline.monitor import Kind
from pipeline.records import as_text
from pipeline.results import Contribution

NEIGHBOURS = 50
MOST_ROWS = 3_000
Z = 1.959964

Contradicted = Callable[[pa.Table, pa.Table], np.ndarray]
"""Of n corrupted records and their originals, row by row: which are contradicted, bool (n,)."""


@dataclass(frozen=True)
class Case:
    """One corruption that counts, and what the reasons say of it; `nearer` is None where nothing can be said."""

    column: str
    corruption: str
    truth: str | None
    why: tuple[Contribution, ...]
    nearer: bool | None

    @property
    def first(self) -> bool:
        """Whether the corrupted column leads."""
        return self.why[0].column_name == self.column


def cases(
    detector: Detector, records: pa.Table, contradicted: Contradicted, per_column: int, rate: float, seed: int
) -> tuple[list[Case], Counter[str]]:
    """The cases that count, and how many corruptions were made, contradicted and flagged."""
    kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
    canaries = corrupted(records, kinds, per_column, seed)
    originals = records.take(pa.array(canaries.originals))
    counts = contradicted(canaries.table, originals)
    flagged = detector.score(canaries.table).p_value <= rate
    made = Counter(made=len(counts), contradicted=int(counts.sum()), flagged=int((counts & flagged).sum()))
    places = np.flatnonzero(counts & flagged)
    reasons = explain(detector, canaries.table.take(pa.array(places)))
    found: list[Case] = []
    for place, why in zip(places.tolist(), reasons, strict=True):
        name = canaries.columns[place]
        wrong, truth = (as_text(table.column(name)[place].as_py()) for table in (canaries.table, originals))
        own = next((each for each in why if each.column_name == name), None)
        nearer = own is not None and is_nearer(kinds[name], own.expected, wrong, truth)
        found.append(Case(name, canaries.corruptions[place], truth, why, nearer))
    return found, made


def corrupted(records: pa.Table, kinds: dict[str, Kind], per_column: int, seed: int) -> Canaries:
    """`per_column` canaries of every column, fewer where there are fewer records."""
    each = [make_canaries(records, {name: kind}, per_column, seed) for name, kind in kinds.items()]
    return Canaries(
        pa.concat_tables([canaries.table for canaries in each]),
        np.concatenate([canaries.originals for canaries in each]),
        tuple(name for canaries in each for name in canaries.columns),
        tuple(corruption for canaries in each for corruption in canaries.corruptions),
    )


def is_nearer(kind: Kind, expected: str | None, observed: str | None, truth: str | None) -> bool | None:
    """Whether `expected` is nearer to `truth` than `observed`, all as text; None for a text of the right length."""
    if kind == "text" and None not in (expected, observed, truth):
        return _length_is_nearer(str(expected), str(observed), str(truth))
    if expected == truth or None in (expected, truth) or kind in ("categorical", "boolean"):
        return expected == truth
    return observed is None or _distance(kind, str(expected), str(truth)) < _distance(kind, observed, str(truth))


def _length_is_nearer(expected: str, observed: str, truth: str) -> bool | None:
    about = int("".join(filter(str.isdigit, expected)))
    return None if len(observed) == len(truth) else abs(about - len(truth)) < abs(len(observed) - len(truth))


def _distance(kind: Kind, text: str, truth: str) -> float:
    """How far apart two values are, in the units of their kind: minutes of the circle, seconds, numbers."""
    if kind == "clock":
        apart = (minutes(int(text)) - minutes(int(truth))) % DAY
        return min(apart, DAY - apart)
    if kind == "datetime":
        return abs((dt.datetime.fromisoformat(text) - dt.datetime.fromisoformat(truth)).total_seconds())
    return abs(float(text) - float(truth))


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); 0 to 1 of nothing."""
    if not of:
        return 0.0, 1.0
    share, spread = right / of, Z * Z / of
    centre, half = share + spread / 2, Z * (share * (1 - share) / of + spread / of / 4) ** 0.5
    return (centre - half) / (1 + spread), (centre + half) / (1 + spread)


def by_laws(window: pa.Table) -> Contradicted:
    """Contradicted is a flight that breaks a law; the original breaks none."""
    laws = Laws.of(window.to_pylist())

    def contradicted(wrong: pa.Table, originals: pa.Table) -> np.ndarray:
        pairs = zip(wrong.to_pylist(), originals.to_pylist(), strict=True)
        return np.array([bool(laws.broken(now)) and not laws.broken(before) for now, before in pairs], dtype=bool)

    return contradicted


def by_neighbours(window: pa.Table) -> Contradicted:
    """Contradicted is a value out of the range of the rows nearest by the other columns; the truth is in it."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    rows = _rows(window)
    scaler = StandardScaler().fit(rows)

    def contradicted(wrong: pa.Table, originals: pa.Table) -> np.ndarray:
        now, before = _rows(wrong), _rows(originals)
        found = np.zeros(len(now), dtype=bool)
        for column in range(rows.shape[1]):
            here = np.flatnonzero(now[:, column] != before[:, column])
            if not len(here):
                continue
            others, asked = (np.delete(scaler.transform(each), column, axis=1) for each in (rows, before[here]))
            nearest = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(rows))).fit(others)
            values = rows[nearest.kneighbors(asked, return_distance=False), column]
            low, high = values.min(axis=1), values.max(axis=1)
            inside = [(low <= each[here, column]) & (each[here, column] <= high) for each in (now, before)]
            found[here] = ~inside[0] & inside[1]
        return found

    return contradicted


def _rows(table: pa.Table) -> np.ndarray:
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def numbers(path: Path, seed: int) -> tuple[pa.Table, pa.Table]:
    """Two halves of the normal rows of a set, at most `MOST_ROWS` each, without the columns that never vary."""
    with np.load(path) as given:
        rows = given["X"][given["y"] == 0].astype(np.float64)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))[: 2 * MOST_ROWS]]
    rows = rows[:, rows.std(axis=0) > 0]
    table = pa.table({f"column {i}": column for i, column in enumerate(rows.T)})
    return table[: len(rows) // 2], table[len(rows) // 2 :]


def show(title: str, of: dict[str, list[Case]]) -> None:
    """Print one line for each group of cases."""
    print(f"\n{title:24} {'flagged':>7} {'column first':>24} {'expected nearer':>24}")
    for name, group in of.items():
        said = [case.nearer for case in group if case.nearer is not None]
        print(f"{name:24} {len(group):7} {_share([case.first for case in group]):>24} {_share(said):>24}")


def _share(hits: list[bool]) -> str:
    if not hits:
        return "-"
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} {100 * low:4.0f}-{100 * high:.0f} %"


def grouped(found: Iterable[Case], key: Callable[[Case], str]) -> dict[str, list[Case]]:
    """The cases by `key`, in the order in which the keys appear."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(key(case), []).append(case)
    return groups


def show_wrong(found: list[Case], most: int) -> None:
    """Print some of the cases in which the reasons are wrong, with all that was said."""
    for case in [case for case in found if not case.first or case.nearer is False][:most]:
        print(f"\n{case.column} {case.corruption}, truth {case.truth}")
        for each in case.why:
            print(f"  {each.share:4.0%} {each.column_name:16} {each.observed} expected {each.expected} ({each.reason})")


def on_flights(per_column: int, rate: float, seed: int) -> list[Case]:
    """Train on the flights, measure and print."""
    window, night = flights()
    detector = Detector(anchor="flight_date", seed=seed).fit(window)
    records = pa.Table.from_pylist(night).select(window.column_names).cast(window.schema)
    found, made = cases(detector, records, by_laws(window), per_column, rate, seed)
    print("flights: " + counted(made, rate))
    show("column", grouped(found, lambda case: case.column))
    show("corruption", grouped(found, lambda case: case.corruption))
    show("", {"all": found})
    return found


def on_numbers(paths: list[Path], per_column: int, rate: float, seed: int) -> None:
    """Train on each set of numbers, measure and print."""
    groups: dict[str, list[Case]] = {}
    total: Counter[str] = Counter()
    for path in paths:
        window, records = numbers(path, seed)
        detector = Detector(seed=seed).fit(window)
        found, made = cases(detector, records, by_neighbours(window), per_column, rate, seed)
        groups[path.stem] = found
        total += made
    print("\ntables of numbers: " + counted(total, rate))
    show("table", groups)
    everything = [case for group in groups.values() for case in group]
    show("corruption", grouped(everything, lambda case: case.corruption))
    show("", {"all": everything})


def counted(made: Counter[str], rate: float) -> str:
    """How many corruptions there were and how many count."""
    return (
        f"{made['made']:,} corruptions, {made['contradicted']:,} contradicted by the record, "
        f"{made['flagged']:,} of these flagged at {rate:.1%}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-column", type=int, default=40)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong", type=int, default=0, help="print so many of the wrong reasons")
    parser.add_argument("--data", type=Path, help="a folder of *.npz with X and y")
    options = parser.parse_args()
    print(environment())
    found = on_flights(options.per_column, options.rate, options.seed)
    show_wrong(found, options.wrong)
    if options.data:
        on_numbers(sorted(options.data.glob("*.npz")), options.per_column, options.rate, options.seed)


if __name__ == "__main__":
    main()

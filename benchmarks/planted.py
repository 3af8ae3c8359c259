"""How many planted one-field errors each method finds in a real night of flights, and whether it blames their column.

Trains on the 28 nights before 2013-01-31. Then, for each seed, 42 flights of that night get one wrong field each (seven
of six kinds, those that no expectation catches), and the night's records are ranked by score. `caught` counts the wrong
ones that rank above the fourth record that was not touched: what an analyst finds at the cost of three false alarms.
`column` counts those of the caught whose leading contribution is the corrupted column. No hints: kinds are inferred.

    python benchmarks/planted.py [--methods ensemble,autoencoder,vae,1nn,iforest] [--seeds 3] [--out planted.csv]
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from demo.planting import KINDS, Night
from demo.warehouse import COLUMNS, COPY, READ, records_file
from pipeline.detector import Detector, explain

FIRST, LAST_TRAINED, NIGHT = "2013-01-03", "2013-01-30", "2013-01-31"
OF_EACH_KIND = 7
FALSE_ALARMS = 3
LEFT_OUT = ("year", "month", "day", "flight_id")
METHODS = ("ensemble", "autoencoder", "vae", "1nn", "iforest")

Score = Callable[[pa.Table], np.ndarray]


def flights() -> tuple[pa.Table, list[dict[str, Any]]]:
    """The training window as a table and the night as records."""
    with TemporaryDirectory() as folder, duckdb.connect() as memory, zipfile.ZipFile(records_file()) as archive:
        memory.execute(READ, {"csv": archive.extract("flights.csv", folder), "columns": COLUMNS})
        memory.execute(COPY)
        window = memory.execute(
            "FROM flights WHERE flight_date BETWEEN ? AND ?", [FIRST, LAST_TRAINED]
        ).to_arrow_table()
        night = memory.execute("FROM flights WHERE flight_date = ?", [NIGHT]).to_arrow_table()
    return window.drop_columns(LEFT_OUT), night.to_pylist()


def plant(night: list[dict[str, Any]], seed: int) -> tuple[list[dict[str, Any]], dict[int, set[str]]]:
    """The night with 42 wrong records, and the columns that were changed in each of them by its place."""
    kinds = [kind for kind in KINDS if kind not in ("null where never null", "impossible value")]
    flown = [i for i, f in enumerate(night) if f["air_time"] is not None and f["dep_time"] != f["arr_time"]]
    chance = Random(seed)  # noqa: S311
    among = Night([night[i] for i in flown], chance)
    chosen = chance.sample(flown, OF_EACH_KIND * len(kinds))
    planted, truth = [dict(flight) for flight in night], {}
    for turn, place in enumerate(chosen):
        change = KINDS[kinds[turn % len(kinds)]](night[place], turn // len(kinds) % 5, among)
        planted[place] |= change
        truth[place] = set(change)
    return planted, truth


def peer(name: str, window: pa.Table) -> Score:
    """A scikit-learn method on standardised numbers and one-hot categories, missing numbers at the mean."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import IsolationForest
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import NearestNeighbors
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = ["carrier", "origin", "dest", "tailnum"]
    numbers = [n for n in window.column_names if n not in (*texts, "time_hour", "flight_date")]
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", max_categories=256), texts),
    )
    known = encode.fit_transform(window.to_pandas())
    if name == "iforest":
        forest = IsolationForest(random_state=0).fit(known)
        return lambda table: -forest.score_samples(encode.transform(table.to_pandas()))
    nearest = NearestNeighbors(n_neighbors=1).fit(known)
    return lambda table: nearest.kneighbors(encode.transform(table.to_pandas()))[0][:, 0]


def caught_of(score: np.ndarray, truth: dict[int, set[str]]) -> list[int]:
    """The places of the wrong records that rank above the false alarm that is one too many."""
    order = np.argsort(-score, kind="stable")
    others = np.cumsum([place not in truth for place in order])
    return [
        int(place) for place, alarms in zip(order, others, strict=True) if alarms <= FALSE_ALARMS and place in truth
    ]


def measure(method: str, window: pa.Table, night: list[dict[str, Any]], seeds: int) -> list[dict[str, Any]]:
    """One row a seed: what the method caught of the planted and, where it gives reasons, whether they are right."""
    started = time.perf_counter()
    detector = Detector(method, anchor="flight_date").fit(window) if method in METHODS[:3] else None
    score: Score = peer(method, window) if detector is None else lambda table: detector.score(table).score
    fit_seconds = time.perf_counter() - started
    rows = []
    for seed in range(seeds):
        planted, truth = plant(night, seed)
        table = pa.Table.from_pylist(planted).select(window.column_names).cast(window.schema)
        caught = caught_of(score(table), truth)
        reasons = explain(detector, table.take(pa.array(caught))) if detector and caught else []
        right = sum(why[0].column_name in truth[place] for place, why in zip(caught, reasons, strict=False))
        rows.append(
            {
                "method": method,
                "seed": seed,
                "planted": len(truth),
                "caught": len(caught),
                "column": right if detector else "",
                "fit_seconds": round(fit_seconds, 1),
            }
        )
    return rows


def main() -> None:
    """Print the table and, with --out, keep it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    print(environment())
    window, night = flights()
    print(f"{'method':12} {'seed':>4} {'planted':>7} {'caught':>6} {'column':>6} {'fit s':>6}")
    rows = []
    for method in options.methods.split(","):
        for row in measure(method, window, night, options.seeds):
            rows.append(row)
            print("{method:12} {seed:4} {planted:7} {caught:6} {column:>6} {fit_seconds:6}".format(**row), flush=True)
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

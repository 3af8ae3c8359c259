"""How many wrong records the screen lets pass that the full measure finds, and what it takes to train and to run.

Trains on the 28 nights before 2013-01-31, once for each training seed, with a screen of the detector's own first member
and with one that has a small network of its own. Then plants 42 wrong fields in that night, once for each planting seed
(benchmarks/planted.py), and counts of those that the full measure catches how many have a p-value from the screen of at
most each share. What a screen lets pass is not measured in full, so that it cannot be flagged.

    python benchmarks/screening.py [--trainings 4] [--plantings 3]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from benchmarks.planted import caught_of, flights, plant
from benchmarks.stages import Cost
from pipeline.detector import Detector

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
SCREENS = {"the first member's": False, "its own": True}


def counted(detector: Detector, window: pa.Table, night: list[dict[str, object]], seed: int) -> Counter[float | str]:
    """How many planted errors are `caught` in full, and how many of those the screen has in each of `SHARES`."""
    planted, truth = plant(night, seed)
    table = pa.Table.from_pylist(planted).select(window.column_names).cast(window.schema)
    scores = detector.score(table)
    caught = caught_of(scores.score, truth)
    p_values = screened(detector, scores.matrix)[caught]
    return Counter({"caught": len(caught)} | {share: int((p_values <= share).sum()) for share in SHARES})


def screened(detector: Detector, matrix: np.ndarray) -> np.ndarray:
    """What the screen alone says of encoded records."""
    if detector.screen is None:
        raise ValueError("a detector without a screen")
    return detector.screen.p_values(matrix, detector.memory)


def microseconds(detector: Detector, window: pa.Table) -> float:
    """CPU microseconds a record of the screen alone, on one thread."""
    matrix = detector.encoder.encode(window).matrix
    with threadpool_limits(1):
        screened(detector, matrix[:1000])
        return Cost.of(lambda: screened(detector, matrix)).cpu / len(matrix) * 1e6


def main() -> None:
    """Print a line for each training and the sums for each screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=4)
    parser.add_argument("--plantings", type=int, default=3)
    options = parser.parse_args()
    print(environment())
    window, night = flights()
    shares = " ".join(f"{share:>6.1%}" for share in SHARES)
    print(f"{'screen':20} {'training':>8} {'caught':>6} {shares} {'fit s':>6} {'us':>5}")
    sums = {name: Counter[float | str]() for name in SCREENS}
    for training in range(options.trainings):
        for name, own in SCREENS.items():
            started = time.perf_counter()
            detector = Detector(anchor="flight_date", seed=training, own_screen=own).fit(window)
            seconds = time.perf_counter() - started
            found = sum((counted(detector, window, night, seed) for seed in range(options.plantings)), Counter())
            sums[name] += found
            told = " ".join(f"{found[share]:6}" for share in SHARES)
            cost = f"{seconds:6.1f} {microseconds(detector, window):5.1f}"
            print(f"{name:20} {training:8} {found['caught']:6} {told} {cost}", flush=True)
    for name, found in sums.items():
        print(f"{name:20} {'all':>8} {found['caught']:6} {' '.join(f'{found[share]:6}' for share in SHARES)}")


if __name__ == "__main__":
    main()

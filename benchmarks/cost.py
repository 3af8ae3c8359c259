"""What a fit costs as tables grow, and how many records a second are scored, beside what others take in the same run.

A table of 30 numbers that follow from six hidden ones. Every method gets the same records; fits and scores are timed
one after the other on the same machine, so that the ratios say more than the seconds.

    python benchmarks/cost.py [--methods ensemble,iforest,pyod_ae] [--rows 5000,50000,500000] [--scored 20000]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.detection import OURS, Score, ours, peer
from benchmarks.environment import environment

COLUMNS, HIDDEN = 30, 6


def records(count: int, seed: int) -> np.ndarray:
    """float64 (count, COLUMNS): bent mixtures of `HIDDEN` normal numbers, with a tenth of noise."""
    mixing = np.random.default_rng(0).normal(size=(HIDDEN, COLUMNS))
    draw = np.random.default_rng(seed)
    return np.asarray(np.tanh(draw.normal(size=(count, HIDDEN)) @ mixing) + 0.1 * draw.normal(size=(count, COLUMNS)))


def fitted(method: str, train: np.ndarray) -> Score:
    """The score of a method that was fitted on `train`."""
    return (ours if method in OURS else peer)(method, train, 0)


def main() -> None:
    """Print a line for each method and number of records as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="ensemble,autoencoder,iforest")
    parser.add_argument("--rows", default="5000,50000,500000")
    parser.add_argument("--scored", type=int, default=20_000)
    options = parser.parse_args()
    print(environment())
    print(f"{'method':12} {'records':>8} {'fit seconds':>11} {'scored a second':>15}")
    fresh = records(options.scored, 1)
    for method in options.methods.split(","):
        for rows in (int(each) for each in options.rows.split(",")):
            train = records(rows, 2)
            started = time.perf_counter()
            score = fitted(method, train)
            fit_seconds = time.perf_counter() - started
            score(fresh[:100])
            started = time.perf_counter()
            score(fresh)
            a_second = len(fresh) / (time.perf_counter() - started)
            print(f"{method:12} {rows:8,} {fit_seconds:11.1f} {a_second:15,.0f}", flush=True)


if __name__ == "__main__":
    main()

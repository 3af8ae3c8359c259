"""Weighting held-out scores by recency beside refreshing p-values, where the training window drifts too. No network.

A record's score is the loudest of four columns; one of them is reconstructed by a linear model of two folds, the other
three are noise. That column gains `step` standard deviations a night, through the 28 nights of the window and the 14
after it. `weighted` is the weighted conformal p-value of Barber, Candès, Ramdas and Tibshirani 2023 ("Conformal
prediction beyond exchangeability") with a half-life of seven nights. Prints the records flagged over those that were
asked for at a rate of .001 in the two weeks after training: mean and standard deviation over the repeats.

    python benchmarks/weighting.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from pipeline.refreshing import LATEST, Refresh, body, body_power

WINDOW, AFTER = 28, 14
TRAINED, SCORED = 700, 2_000
HALF_LIFE = 7.0
RATE = 0.001
SLOPES = np.array([0.5, 0.4, 0.3, 0.5, 0.5, 0.0])
NOISE = 0.33


def night(draw: np.random.Generator, rows: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """The other columns with a constant, float64 (rows, 6), and the column that follows from them, (rows,)."""
    others = np.c_[draw.normal(size=(rows, 5)), np.ones(rows)]
    return others, others @ SLOPES + draw.normal(0, NOISE, rows) + shift


def scores(draw: np.random.Generator, step: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Held-out scores of the window, float64 (n,), its first night first, and the scores of each night after it."""
    window = [night(draw, TRAINED, step * at) for at in range(-WINDOW, 0)]
    others, column = (np.concatenate(part) for part in zip(*window, strict=True))
    fold = draw.permutation(len(column)) % 2
    fits = [np.linalg.lstsq(others[fold != of], column[fold != of], rcond=None)[0] for of in (0, 1)]
    errors = column - (others * np.array(fits)[fold]).sum(axis=1)
    scale = errors.std()

    def loudest(error: np.ndarray) -> np.ndarray:
        return np.maximum(np.abs(error) / scale, np.abs(draw.normal(size=(len(error), 3))).max(axis=1))

    after = (night(draw, SCORED, step * at) for at in range(AFTER))
    return loudest(errors), [loudest(column - others @ np.mean(fits, axis=0)) for others, column in after]


def p_values(held_out: np.ndarray, weights: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The weight of a new record and of the held-out scores at least as large, over all weight."""
    order = np.argsort(held_out)
    at_least = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
    return np.asarray((1 + at_least[np.searchsorted(held_out[order], score)]) / (1 + weights.sum()))


def flagged(p_of_nights: list[np.ndarray], refreshed: bool) -> np.ndarray:
    """Flagged over asked for in each week, float64 (2,)."""
    powers: list[float] = []
    shares = []
    for p in p_of_nights:
        shares.append(((Refresh.of(powers[-LATEST:])(p) if refreshed else p) <= RATE).mean())
        power = body_power(body(p))
        powers += [power] if power is not None else []
    return np.reshape(shares, (2, 7)).mean(axis=1) / RATE


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    print(environment())
    age = np.repeat(np.arange(WINDOW)[::-1], TRAINED)
    ways = {"as they are": np.ones(len(age)), "weighted": 0.5 ** (age / HALF_LIFE)}
    effective = ways["weighted"].sum() ** 2 / (ways["weighted"] ** 2).sum()
    print(f"{len(age)} held-out scores, weighted worth {effective:.0f}")
    print(f"{'step':>5} {'held-out scores':16} {'refresh':8} {'week 1':>12} {'week 2':>12}")
    for step in (0.0, 0.01, 0.02):
        found = defaultdict(list)
        draw = np.random.default_rng(0)
        for _ in range(options.repeats):
            held_out, nights = scores(draw, step)
            for name, weights in ways.items():
                p = [p_values(held_out, weights, score) for score in nights]
                for refresh in ("without", "with"):
                    found[name, refresh].append(flagged(p, refresh == "with"))
        for (name, refresh), weeks in found.items():
            figures = zip(np.mean(weeks, axis=0), np.std(weeks, axis=0), strict=True)
            words = " ".join(f"{f'{mean:.2f} ± {spread:.2f}':>12}" for mean, spread in figures)
            print(f"{step:5.2f} {name:16} {refresh:8} {words}", flush=True)


if __name__ == "__main__":
    main()

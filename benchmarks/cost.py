"""What a fit costs as tables grow, and how many records a second are scored, beside what others take in the same run.

A table of 30 numbers that follow from six hidden ones. Every method gets the same records and, since PyTorch and
TensorFlow do not load into one process, each fit has a process of its own, one after the other. Libraries are loaded
before the clock starts; of scoring, which the first time compiles, the best of three times counts. A detector with a
screen scores twice: in full, and as a night is scored, at a rate of 0.1 %; `own_screen` is the ensemble as it is
trained for large nights, with a screen that has a network of its own. The ratios are to the first method, at as many
records: they say more than the seconds.

    python benchmarks/cost.py [--methods pyod_ae,ensemble,own_screen,autoencoder,iforest] [--rows 5000,50000]
        [--scored 20000]

PyOD and PyTorch are in the dependency group `peers`, best in an environment of their own:

    UV_PROJECT_ENVIRONMENT=.venv-peers uv run --frozen --group peers python benchmarks/cost.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import timeit
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.detection import OURS, PYOD, Score, as_table, peer
from benchmarks.environment import environment

COLUMNS, HIDDEN = 30, 6
RATE = 0.001
TIMES = 3
OWN_SCREEN = "own_screen"
LIBRARIES = dict.fromkeys((*OURS, OWN_SCREEN), "keras") | dict.fromkeys(PYOD, "pyod.models.auto_encoder")


@dataclass(frozen=True)
class Cost:
    """The seconds of a fit, and how many records a second it then scores in each way."""

    fit_seconds: float
    scored: Mapping[str, float]


def records(count: int, seed: int) -> np.ndarray:
    """float64 (count, COLUMNS): bent mixtures of `HIDDEN` normal numbers, with a tenth of noise."""
    mixing = np.random.default_rng(0).normal(size=(HIDDEN, COLUMNS))
    draw = np.random.default_rng(seed)
    return np.asarray(np.tanh(draw.normal(size=(count, HIDDEN)) @ mixing) + 0.1 * draw.normal(size=(count, COLUMNS)))


def fitted(method: str, train: np.ndarray) -> dict[str, Score]:
    """The ways in which a method that was fitted on `train` scores records, by name."""
    if method not in (*OURS, OWN_SCREEN):
        return {method: peer(method, train, 0)}
    from pipeline.detector import Detector

    own = method == OWN_SCREEN
    detector = Detector("ensemble" if own else method, seed=0, own_screen=own).fit(as_table(train))
    in_full = {method: lambda x: detector.score(as_table(x)).score}
    if detector.screen is None:
        return in_full
    return in_full | {f"{method}, screened": lambda x: detector.score(as_table(x), RATE).score}


def cost_of(method: str, rows: int, scored: int) -> Cost:
    """What a fit on `rows` records costs in this process, and scoring `scored` others."""
    import_module(LIBRARIES.get(method, "sklearn.ensemble"))
    train, fresh = records(rows, 2), records(scored, 1)
    started = time.perf_counter()
    ways = fitted(method, train)
    fit_seconds = time.perf_counter() - started
    return Cost(fit_seconds, {way: scored / least_seconds(score, fresh) for way, score in ways.items()})


def least_seconds(score: Score, fresh: np.ndarray) -> float:
    """What it takes to score `fresh`, the best of `TIMES`."""
    return min(timeit.repeat(lambda: score(fresh), number=1, repeat=TIMES))


def main() -> None:
    """Print a line for each number of records and way of scoring as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="pyod_ae,ensemble,own_screen,autoencoder,iforest")
    parser.add_argument("--rows", default="5000,50000")
    parser.add_argument("--scored", type=int, default=20_000)
    options = parser.parse_args()
    methods = options.methods.split(",")
    peers = [method for method in methods if method in PYOD]
    if peers and find_spec("pyod") is None:
        parser.error(f"{peers[0]} needs PyOD, of the dependency group `peers`; --methods without it runs as well")
    print(environment(*(("pyod", "torch") if peers else ())))
    first = methods[0]
    ratio = f"{'x ' + first:>13}"
    print(f"{'method':20} {'records':>8} {'fit seconds':>11} {ratio} {'scored a second':>15} {ratio}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for rows in map(int, options.rows.split(",")):
            costs: dict[str, Cost] = {}
            for method in methods:
                cost = costs[method] = processes.submit(cost_of, method, rows, options.scored).result()
                fit = f"{cost.fit_seconds:11.1f} {cost.fit_seconds / costs[first].fit_seconds:13.2f}"
                for way, a_second in cost.scored.items():
                    scored = f"{a_second:15,.0f} {a_second / costs[first].scored[first]:13.3f}"
                    print(f"{way:20} {rows:8,} {fit} {scored}", flush=True)


if __name__ == "__main__":
    main()

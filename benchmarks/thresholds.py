"""How well thresholds keep their word: the rate of flags among fresh normal records over the rate asked for.

Each labelled set trains as in `benchmarks/detection.py` (half of its normal records, at most `--max-rows` records); all
its other normal records, at most `--fresh`, are fresh. The detector gives its calibration scores and those of the fresh
records; from these every rate and every calibration is judged, so that a set and a seed cost one fit. `--score memory`
takes the distance to the nearest training record instead of the detector: seconds, for work on the calibration itself.

A set is within a factor of 2 when its seeds together flagged between half and twice the records asked for. Of a rate
kept to the letter the count still scatters: a set can tell only where `FEWEST_EXPECTED` flags are expected, and is
compatible when an exact binomial interval of its rate (Clopper and Pearson 1934, 95 %) reaches into the factor of 2.

    python benchmarks/thresholds.py --data DIR [--sets N] [--seeds 1] [--rates 0.001,...] [--score memory] [--keep DIR]

DIR holds *.npz files with the arrays X (records, columns) and y (1 for an anomaly). `--keep` names a folder in which
scores are kept, and from which they are taken when they are there: delete it when the detector has changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.detection import split
from benchmarks.environment import environment
from pipeline.calibration import Conformal, ParetoTail, pareto

RATES = "0.001,0.002,0.005,0.01,0.02,0.05"
FEWEST_CALIBRATION = 400
FEWEST_EXPECTED = 10
FACTOR = 2.0
CONFIDENCE = 0.95


def records(path: Path, seed: int, most: int, fresh: int) -> tuple[np.ndarray, np.ndarray]:
    """Training records as `detection.split` draws them, and at most `fresh` of the other normal records."""
    with np.load(path) as arrays:
        x, y = arrays["X"].astype(np.float64), arrays["y"].ravel()
    train = split(np.arange(len(y)), y, seed, most)[0]
    rest = np.setdiff1d(np.flatnonzero(y == 0), train)
    return x[train], x[np.random.default_rng(seed).permutation(rest)[:fresh]]


def detector_scores(train: np.ndarray, fresh: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The ascending out-of-bag scores by which the detector calibrates itself, and its scores of the fresh records."""
    from pipeline.detector import Detector

    def table(x: np.ndarray) -> pa.Table:
        return pa.table({f"c{i:03d}": column for i, column in enumerate(x.T)})

    detector = Detector(seed=seed).fit(table(train))
    return detector.calibration.scores, detector.score(table(fresh)).score


def memory_scores(train: np.ndarray, fresh: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Surprises, in nats, of the distance to the nearest training record: training records' ascending, fresh ones'."""
    from sklearn.neighbors import NearestNeighbors

    from pipeline.calibration import TailSurprise

    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale < 1e-12] = 1.0
    index = NearestNeighbors(n_neighbors=1).fit((train - mean) / scale)
    held_out = index.kneighbors()[0][:, 0]
    surprise = TailSurprise.fit(held_out)
    return np.sort(surprise(held_out)), surprise(index.kneighbors((fresh - mean) / scale)[0][:, 0])


SCORES = {"detector": detector_scores, "memory": memory_scores}


def kept_scores(path: Path, seed: int, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Calibration and fresh scores of a set, from the folder `--keep` when it holds them."""
    file = options.keep / f"{options.score}_{path.stem}_{seed}.npz" if options.keep else None
    if file is not None and file.exists():
        with np.load(file) as arrays:
            return arrays["calibration"], arrays["fresh"]
    calibration, fresh = SCORES[options.score](*records(path, seed, options.max_rows, options.fresh), seed)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, calibration=calibration, fresh=fresh)
    return calibration, fresh


def by_rank(scores: np.ndarray, rate: float) -> float:
    """Plain split-conformal: infinite where no rank reaches."""
    k = int(np.floor(rate * (len(scores) + 1) + 1e-9))
    return float(np.nextafter(scores[-k], np.inf)) if k else np.inf


def by_rank_then_tail(scores: np.ndarray, rate: float) -> float:
    """Ranks as far as there are any, the fitted tail beyond the last one."""
    needed = Conformal.records_needed(rate)
    return by_rank(scores, rate) if len(scores) >= needed else Conformal(scores).threshold(rate)


def by_tail(scores: np.ndarray, rate: float, exponential: bool = False) -> float:
    """The fitted tail for every rate: generalised Pareto or exponential beyond the highest tenth."""
    start = scores[-max(len(scores) // 10, 1)]
    excesses = scores[scores > start] - start
    if len(excesses) == 0:
        return float(start)
    scale, shape = (float(excesses.mean()), 0.0) if exponential else pareto(excesses)
    share = (len(excesses) + 1) / (len(scores) + 1)
    tail = ParetoTail(float(start), share, scale, shape, len(excesses), len(excesses))
    return tail.start + tail.excess(rate)


CALIBRATIONS: dict[str, Callable[[np.ndarray, float], float]] = {
    "tablewatch": lambda scores, rate: Conformal(scores).threshold(rate),
    "ranks": by_rank,
    "ranks, then tail": by_rank_then_tail,
    "tail": by_tail,
    "exponential tail": lambda scores, rate: by_tail(scores, rate, exponential=True),
}


def rate_interval(flagged: int, fresh: int) -> tuple[float, float]:
    """The rates that `flagged` of `fresh` records are compatible with (Clopper and Pearson 1934)."""
    edge = (1 - CONFIDENCE) / 2
    low = beta.ppf(edge, flagged, fresh - flagged + 1) if flagged else 0.0
    high = beta.ppf(1 - edge, flagged + 1, fresh - flagged) if flagged < fresh else 1.0
    return float(low), float(high)


def verdict(flagged: int, fresh: int, rate: float) -> dict[str, float | bool]:
    """What `flagged` of `fresh` records say of a threshold that was asked for `rate`."""
    low, high = rate_interval(flagged, fresh)
    ratio = flagged / (fresh * rate)
    return {
        "ratio": ratio,
        "tells": fresh * rate >= FEWEST_EXPECTED,
        "within": 1 / FACTOR <= ratio <= FACTOR,
        "compatible": low <= FACTOR * rate and high >= rate / FACTOR,
    }


def measure(path: Path, seed: int, rates: list[float], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each calibration and rate of one set and seed."""
    scores, fresh = kept_scores(path, seed, options)
    for name, threshold in CALIBRATIONS.items():
        for rate in rates:
            flagged = int((fresh >= threshold(scores, rate)).sum())
            row = {"dataset": path.stem, "seed": seed, "calibration": name, "rate": rate, "n_calibration": len(scores)}
            yield row | {"n_fresh": len(fresh), "flagged": flagged}


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each set, calibration and rate, its seeds' counts together, with its verdict."""
    sums = {"n_calibration": "min", "n_fresh": "sum", "flagged": "sum"}
    found = rows.groupby(["calibration", "rate", "dataset"], sort=False).agg(sums).reset_index()
    told = [verdict(f, n, r) for f, n, r in zip(found["flagged"], found["n_fresh"], found["rate"], strict=True)]
    return found.join(pd.DataFrame(told))


def summary(rows: pd.DataFrame) -> str:
    """For each calibration and rate, what the sets with enough calibration records say.

    `mean` is over all their records; `least`, `most` and `within` are of the sets that can tell.
    """
    sets = judged(rows)
    sets = sets[sets["n_calibration"] >= FEWEST_CALIBRATION]
    lines = [f"{'calibration':16} {'rate':>6} {'sets':>4} {'mean':>5} tell {'least':>5} {'most':>5} within compatible"]
    for (name, rate), group in sets.groupby(["calibration", "rate"], sort=False):
        tell = group[group["tells"]]
        mean = group["flagged"].sum() / (group["n_fresh"].sum() * rate)
        ratios = f"{tell['ratio'].min():5.2f} {tell['ratio'].max():5.2f} {tell['within'].mean():6.0%}"
        compatible = f"{group['compatible'].mean():10.0%}"
        lines.append(f"{name:16} {rate:6.3f} {len(group):4} {mean:5.2f} {len(tell):4} {ratios} {compatible}")
    for name, group in sets.groupby("calibration", sort=False):
        told, compatible = group[group["tells"]]["within"], group["compatible"]
        lines.append(f"{name}: within {told.sum()} of {len(told)}, compatible {compatible.sum()} of {len(compatible)}")
    return "\n".join(lines)


def main() -> None:
    """Measure the sets one after the other, then print what they say together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", type=int, help="only the first N sets")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rates", default=RATES)
    parser.add_argument("--score", choices=SCORES, default="detector")
    parser.add_argument(
        "--max-rows", type=int, default=10_000, help="records of a set that are split, as in detection.py"
    )
    parser.add_argument("--fresh", type=int, default=20_000, help="fresh records of a set at most")
    parser.add_argument("--keep", type=Path, help="a folder for scores")
    parser.add_argument("--out", type=Path, help="a CSV file for the counts")
    options = parser.parse_args()
    print(environment())
    rates = [float(rate) for rate in options.rates.split(",")]
    rows: list[dict[str, Any]] = []
    for path in sorted(options.data.glob("*.npz"))[: options.sets]:
        for seed in range(options.seeds):
            new = list(measure(path, seed, rates, options))
            rows += new
            ours = " ".join(f"{row['flagged'] / (row['n_fresh'] * row['rate']):5.2f}" for row in new[: len(rates)])
            print(f"{path.stem:20} {seed} {new[0]['n_calibration']:6} {new[0]['n_fresh']:6}  {ours}", flush=True)
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False)
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()

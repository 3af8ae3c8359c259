"""What anomalies among the training records cost, with and without trimming.

As `benchmarks/detection.py`, but some of a set's anomalies, up to half of them, are put among the training records, as
many as make up the share asked for (a set with too few anomalies gets what it can), and are no longer tested. The test
records are the same for every share. `flagged` is the share of the normal test records flagged at 1 %.

    python benchmarks/contamination.py --data DIR [--sets a,b] [--shares 0,0.01,0.05,0.1] [--seeds 3] [--max-rows 10000]
        [--out FILE.csv]

DIR holds *.npz files with the arrays X (records, columns) and y (1 for an anomaly).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.detection import split
from benchmarks.environment import environment
from pipeline.detector import Detector
from pipeline.detector.trimming import trimmed

RATE = 0.01
FIGURES = ("auc_roc", "auc_pr", "flagged")


def contaminated(
    train: np.ndarray, test: np.ndarray, anomalous: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training records and which of them are anomalies, test records and which of them are."""
    draw = np.random.default_rng(seed)
    spare = draw.permutation(np.flatnonzero(anomalous))[: int(anomalous.sum()) // 2]
    among = spare[: round(share / (1 - share) * len(train))]
    mixed = np.concatenate([train, test[among]])
    order = draw.permutation(len(mixed))
    left = np.setdiff1d(np.arange(len(test)), spare)
    return mixed[order], order >= len(train), test[left], anomalous[left]


def set_aside(fitted: Detector, train: pa.Table) -> np.ndarray:
    """Which training records were not learned from."""
    aside = np.full(train.num_rows, fitted.trim)
    if fitted.trim:
        aside[trimmed(fitted.encoder.encode(train).matrix, fitted.network.spec, fitted.seed)[0]] = False
    return aside


def table(x: np.ndarray) -> pa.Table:
    """A table with the columns of the matrix."""
    return pa.table({f"c{i:03d}": column for i, column in enumerate(x.T)})


def measure(path: Path, share: float, seed: int, most: int) -> Iterator[dict[str, Any]]:
    """A row of the result without trimming and one with it."""
    with np.load(path) as arrays:
        parts = split(arrays["X"].astype(np.float64), arrays["y"].ravel(), seed, most)
    train, wrong, test, anomalous = contaminated(*parts, share, seed)
    for trim in (False, True):
        fitted = Detector(seed=seed, trim=trim).fit(table(train))
        score = fitted.score(table(test)).score
        aside = set_aside(fitted, table(train))
        yield {
            "dataset": path.stem,
            "share": share,
            "trimmed": trim,
            "seed": seed,
            "n_train": len(train),
            "anomalies_in_training": int(wrong.sum()),
            "set_aside": float(aside.mean()),
            "found": float(aside[wrong].mean()) if wrong.any() else np.nan,
            "auc_roc": float(roc_auc_score(anomalous, score)),
            "auc_pr": float(average_precision_score(anomalous, score)),
            "flagged": float((score[~anomalous] >= fitted.threshold(RATE)).mean()),
        }


def summary(rows: pd.DataFrame) -> str:
    """The mean over sets of each figure at each share, without and with trimming."""
    by_set = rows.groupby(["share", "trimmed", "dataset"]).mean(numeric_only=True)
    means = by_set.groupby(["share", "trimmed"]).mean()
    return str(means[["set_aside", "found", *FIGURES]].round(4).to_string())


def main() -> None:
    """Measure every set at every share, printing each row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", help="names of files, without their ending; all when left out")
    parser.add_argument("--shares", default="0,0.01,0.05,0.1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-rows", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    print(environment())
    names = options.sets.split(",") if options.sets else [path.stem for path in sorted(options.data.glob("*.npz"))]
    rows: list[dict[str, Any]] = []
    for name in names:
        for share in map(float, options.shares.split(",")):
            for seed in range(options.seeds):
                for row in measure(options.data / f"{name}.npz", share, seed, options.max_rows):
                    rows.append(row)
                    line = (
                        "{dataset:20} {share:4} trimmed={trimmed:1} {seed} {set_aside:.3f} {found:.3f} {auc_roc:.3f} "
                    )
                    print((line + "{auc_pr:.3f} {flagged:.4f}").format(**row), flush=True)
                    if options.out:
                        pd.DataFrame(rows).to_csv(options.out, index=False)
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()

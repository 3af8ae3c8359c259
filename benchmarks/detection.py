"""How well each method tells anomalies from normal records on labelled tables of numbers.

The protocol of ADBench in its semi-supervised form, as in Livernoche et al. 2024 ("On diffusion modeling for anomaly
detection"): half of a set's normal records train, drawn at random; the rest and all anomalies test. At most
`--max-rows` records a set, stratified, with at least 30 anomalies kept. The peers get columns standardised by the
training records; `ensemble`, `autoencoder` and `vae` go through the public Detector as production does. F1 is taken at
the true count.

    python benchmarks/detection.py --data DIR [--methods a,b] [--seeds 3] [--max-rows 10000] --out FILE.csv

DIR holds *.npz files with the arrays X (records, columns) and y (1 for an anomaly).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import wilcoxon
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment

OURS = ("ensemble", "autoencoder", "vae")
PEERS = ("1nn", "knn5", "gmm5", "iforest", "lof", "ocsvm", "pca")
PYOD = ("ecod", "pyod_ae", "pyod_vae")
FEWEST_ANOMALIES = 30
FIGURES = ("auc_roc", "auc_pr", "f1")

Score = Callable[[np.ndarray], np.ndarray]


def split(x: np.ndarray, y: np.ndarray, seed: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training records, test records, and which of the test records are anomalies."""
    draw = np.random.default_rng(seed)
    anomalies, normal = (draw.permutation(np.flatnonzero(y == label)) for label in (1, 0))
    if len(y) > most:
        kept = min(len(anomalies), max(FEWEST_ANOMALIES, round(most * len(anomalies) / len(y))))
        anomalies, normal = anomalies[:kept], normal[: most - kept]
    half = len(normal) // 2
    test = np.concatenate([normal[half:], anomalies])
    return x[normal[:half]], x[test], np.arange(len(test)) >= len(test) - len(anomalies)


def as_table(x: np.ndarray) -> pa.Table:
    """A table with the columns of a matrix."""
    return pa.table({f"c{i:03d}": column for i, column in enumerate(x.T)})


def ours(model: str, train: np.ndarray, seed: int) -> Score:
    """The detector that production uses, on a table with the columns of the matrix."""
    from pipeline.detector import Detector

    detector = Detector(model, seed=seed).fit(as_table(train))
    return lambda x: detector.score(as_table(x)).score


def peer(name: str, train: np.ndarray, seed: int) -> Score:
    """A method of scikit-learn or, where it is installed, PyOD, with its defaults."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale < 1e-12] = 1.0
    fitted = _PEERS[name]((train - mean) / scale, seed)
    return lambda x: fitted((x - mean) / scale)


def _nearest(train: np.ndarray, k: int) -> Score:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(k, len(train))).fit(train)
    return lambda x: index.kneighbors(x)[0][:, -1]


def _mixture(train: np.ndarray, seed: int) -> Score:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(min(5, len(train)), random_state=seed, reg_covar=1e-3).fit(train)
    return lambda x: -mixture.score_samples(x)


def _forest(train: np.ndarray, seed: int) -> Score:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=seed).fit(train)
    return lambda x: -forest.score_samples(x)


def _local(train: np.ndarray, seed: int) -> Score:
    from sklearn.neighbors import LocalOutlierFactor

    factor = LocalOutlierFactor(n_neighbors=min(20, len(train) - 1), novelty=True).fit(train)
    return lambda x: -factor.score_samples(x)


def _one_class(train: np.ndarray, seed: int) -> Score:
    from sklearn.svm import OneClassSVM

    machine = OneClassSVM().fit(train)
    return lambda x: -machine.score_samples(x)


def _components(train: np.ndarray, seed: int) -> Score:
    """Reconstruction error from the components that hold 95 % of the variance."""
    from sklearn.decomposition import PCA

    components = PCA(0.95, svd_solver="full").fit(train)
    return lambda x: ((x - components.inverse_transform(components.transform(x))) ** 2).sum(axis=1)


def _pyod(name: str, train: np.ndarray, seed: int) -> Score:
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.ecod import ECOD
    from pyod.models.vae import VAE

    makers: dict[str, Callable[[], Any]] = {
        "ecod": ECOD,
        "pyod_ae": lambda: AutoEncoder(random_state=seed, verbose=0),
        "pyod_vae": lambda: VAE(random_state=seed, verbose=0),
    }
    fitted = makers[name]()
    fitted.fit(train)
    return fitted.decision_function


_PEERS: dict[str, Callable[[np.ndarray, int], Score]] = {
    "1nn": lambda train, seed: _nearest(train, 1),
    "knn5": lambda train, seed: _nearest(train, 5),
    "gmm5": _mixture,
    "iforest": _forest,
    "lof": _local,
    "ocsvm": _one_class,
    "pca": _components,
    **{name: (lambda train, seed, name=name: _pyod(name, train, seed)) for name in PYOD},
}


def f1_at_true_count(anomalous: np.ndarray, score: np.ndarray) -> float:
    """Precision, which is then recall too, among as many of the highest scores as there are anomalies."""
    top = np.argsort(-score, kind="stable")[: anomalous.sum()]
    return float(anomalous[top].mean())


def measure(path: Path, method: str, seed: int, most: int) -> dict[str, Any]:
    """One row of the result."""
    with np.load(path) as arrays:
        train, test, anomalous = split(arrays["X"].astype(np.float64), arrays["y"].ravel(), seed, most)
    started = time.perf_counter()
    score = (ours if method in OURS else peer)(method, train, seed)
    fitted = time.perf_counter()
    scores = score(test)
    ended = time.perf_counter()
    return {
        "dataset": path.stem,
        "method": method,
        "seed": seed,
        "n_train": len(train),
        "n_test": len(test),
        "n_columns": train.shape[1],
        "n_anomalies": int(anomalous.sum()),
        "auc_roc": float(roc_auc_score(anomalous, scores)),
        "auc_pr": float(average_precision_score(anomalous, scores)),
        "f1": f1_at_true_count(anomalous, scores),
        "fit_seconds": fitted - started,
        "score_seconds": ended - fitted,
    }


def summary(rows: pd.DataFrame) -> str:
    """Mean, median and average rank of each method, and the first method's Wilcoxon test against each other one."""
    by_set = rows.groupby(["method", "dataset"])[list(FIGURES)].mean()
    titles = " ".join(f"{figure + ' mean':>13} {'median':>6} {'rank':>5}" for figure in FIGURES[:2])
    lines = [f"{'method':12} {titles}  p (PR)"]
    first = rows["method"].iloc[0]
    tables = {figure: by_set[figure].unstack("method").dropna() for figure in FIGURES}
    for method in dict.fromkeys(rows["method"]):
        cells = []
        for figure in FIGURES[:2]:
            table = tables[figure]
            rank = table.rank(axis=1, ascending=False)[method].mean()
            cells.append(f"{table[method].mean():13.3f} {table[method].median():6.3f} {rank:5.2f}")
        pairs = tables["auc_pr"]
        test = "" if method == first or len(pairs) < 2 else f"{wilcoxon(pairs[first], pairs[method]).pvalue:8.3f}"
        lines.append(f"{method:12} " + " ".join(cells) + test)
    return "\n".join(lines)


def main() -> None:
    """Measure every method on every set, keeping each row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", default=",".join(OURS + PEERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-rows", type=int, default=10_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print(environment())
    rows: list[dict[str, Any]] = []
    for path in sorted(options.data.glob("*.npz")):
        for method in options.methods.split(","):
            for seed in range(options.seeds):
                rows.append(measure(path, method, seed, options.max_rows))
                pd.DataFrame(rows).to_csv(options.out, index=False)
                line = "{dataset:20} {method:12} {seed} {auc_roc:.3f} {auc_pr:.3f} {fit_seconds:6.1f}"
                print(line.format(**rows[-1]), flush=True)
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()

"""Two measures of the distance between distributions: the population stability index and Kolmogorov and Smirnov's."""

from __future__ import annotations

import numpy as np

GROUPS = 10
SCORE_BINS = 1_000
FEWEST_RECORDS = 50
"""With fewer records a partition tells nothing of a distribution."""


def psi(window: np.ndarray, partition: np.ndarray) -> float:
    """The population stability index of two counts (groups,) of the same groups, at least 0 and finite.

    sum((a - e) ln(a / e)) over the shares of the groups, that is the symmetric divergence of Kullback and Leibler
    (1951); half a record is added to every group, so that an empty one is no infinity. Among samples of one
    distribution it is about (groups - 1) (1 / n + 1 / m) for n and m records (Yurdakul 2018), which is taken off.
    """
    there = (window + partition) > 0
    n, m = float(window.sum()), float(partition.sum())
    if not (n and m):
        return 0.0
    expected, found = ((counts[there] + 0.5) / (counts.sum() + 0.5 * there.sum()) for counts in (window, partition))
    raw = float(((found - expected) * np.log(found / expected)).sum())
    return max(raw - (int(there.sum()) - 1) * (1 / n + 1 / m), 0.0)


def ks(window: np.ndarray, partition: np.ndarray) -> float:
    """The largest distance of two distribution functions, from counts (bins,) of ascending bins; in 0..1.

    What `scipy.stats.ks_2samp` tells of records of which only the bins are known. Counts add up over the batches of a
    partition; records would have to be kept.
    """
    if not (window.sum() and partition.sum()):
        return 0.0
    return float(np.abs(np.cumsum(window) / window.sum() - np.cumsum(partition) / partition.sum()).max())


def score_edges(calibration_scores: np.ndarray) -> np.ndarray:
    """Ascending scores of held-out records between `SCORE_BINS` equally frequent bins, float64 (SCORE_BINS - 1,)."""
    shares = np.arange(1, SCORE_BINS) / SCORE_BINS
    return np.asarray(np.quantile(calibration_scores, shares, method="inverted_cdf"))


def score_counts(edges: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How many of `scores` (n,) lie in each bin, int64 (SCORE_BINS,), to be added up over batches."""
    return np.bincount(np.searchsorted(edges, scores, side="left"), minlength=SCORE_BINS)


def score_drift(window: np.ndarray, partition: np.ndarray) -> dict[str, float]:
    """`score_psi` over ten equally frequent groups and `score_ks`, from `score_counts` of calibration and partition.

    Nothing of too few records.
    """
    if min(window.sum(), partition.sum()) < FEWEST_RECORDS:
        return {}
    of_window, of_partition = (counts.reshape(GROUPS, -1).sum(axis=1) for counts in (window, partition))
    return {"score_psi": psi(of_window, of_partition), "score_ks": ks(window, partition)}

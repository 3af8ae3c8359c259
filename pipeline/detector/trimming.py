"""Training records that may be anomalies themselves: which to set aside, and how far each is from being one of many."""

from __future__ import annotations

import numpy as np

from models import Spec
from pipeline.detector.memory import as_remembered

REFERENCE = 1_000
NEIGHBOURS = 0.1
FEWEST_NEIGHBOURS = 5
FEWEST_RECORDS = 50
FAR = 2.5
MOST = 0.15
HALVES = 3
RIDGE = 1e-3
SMALLEST = 1e-6
BLOCK = 8_192
DISTRUST = 0.25


def trimmed(matrix: np.ndarray, spec: Spec, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of `matrix` (n, slots) are kept for fitting (k,), and how little each is trusted as a neighbour (n,).

    The latter is added to squared distances: what is far from a tenth of the window is no good neighbour.
    """
    reach = reaches(matrix, spec, seed)
    return np.flatnonzero(~suspects(matrix, spec, reach, seed)), DISTRUST * reach


def reaches(matrix: np.ndarray, spec: Spec, seed: int) -> np.ndarray:
    """The squared distance within which each record of `matrix` (n, slots) has a tenth of all records, float64 (n,).

    It is the k-th neighbour's (Ramaswamy et al. 2000) with k beyond the size of most clumps of anomalies, which would
    vouch for each other, taken among a thousand records drawn at random. Distances are the memory's.
    """
    rows = as_remembered(matrix, spec)
    drawn = rows[np.random.default_rng(seed).permutation(len(rows))[:REFERENCE]]
    nth = min(max(round(NEIGHBOURS * len(drawn)), FEWEST_NEIGHBOURS), len(drawn) - 1)
    square = (drawn**2).sum(axis=1)
    found = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        distances = (block**2).sum(axis=1)[:, None] + square - 2.0 * block @ drawn.T
        found[start : start + BLOCK] = np.partition(distances, nth, axis=1)[:, nth]
    return np.maximum(found, 0.0)


def suspects(matrix: np.ndarray, spec: Spec, reach: np.ndarray, seed: int) -> np.ndarray:
    """Which records of `matrix` (n, slots) are set aside before fitting, bool (n,); `reach` (n,) is that of `reaches`.

    Set aside is what lies more than `FAR` robust standard deviations above the median by any of three measures: how
    soon an Isolation Forest isolates it (Liu et al. 2008), the logarithm of its reach, the logarithm of its Mahalanobis
    distance from the inner half (Rousseeuw and Van Driessen 1999). How many that are the window decides, up to `MOST`.
    Nothing is set aside from a table with categories, where what is rare is seldom wrong, nor from a tiny window. The
    calibration keeps all records: left out, the honest ones among the suspects would raise the false-alarm rate.
    """
    numbers = as_remembered(matrix, spec)[:, : len(spec.number_slots)]
    nobody = np.zeros(len(matrix), dtype=bool)
    if len(matrix) < FEWEST_RECORDS or not spec.numbers_only or not numbers.any():
        return nobody
    isolation = _isolation(numbers, seed)
    measures = (isolation, np.log(np.maximum(reach, SMALLEST)), _log_mahalanobis(numbers, isolation))
    farthest = np.max([_robust_z(measure) for measure in measures], axis=0)
    worst = np.argsort(-farthest, kind="stable")[: int(MOST * len(matrix))]
    nobody[worst] = farthest[worst] > FAR
    return nobody


def _isolation(numbers: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    return np.asarray(-IsolationForest(random_state=seed).fit(numbers).score_samples(numbers))


def _log_mahalanobis(numbers: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The logarithm of the squared distance from the half found by concentration steps from the half low in `start`."""
    # MinCovDet of scikit-learn finds no more of them, takes 60 times as long and warns where columns depend on another.
    measure = start
    for _ in range(HALVES):
        inner = numbers[measure <= np.median(measure)].astype(np.float64)
        away = numbers - inner.mean(axis=0)
        spread = np.atleast_2d(np.cov(inner.T)) + RIDGE * np.eye(numbers.shape[1])
        measure = np.einsum("ij,ij->i", away, np.linalg.solve(spread, away.T).T)
    return np.asarray(np.log(np.maximum(measure, SMALLEST)))


def _robust_z(values: np.ndarray) -> np.ndarray:
    """How many robust standard deviations (1.4826 median absolute deviations) each value is above the median.

    Where more than half the values are the same, none stands out.
    """
    away = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(away)))
    return away / spread if spread > SMALLEST else np.zeros(len(values))

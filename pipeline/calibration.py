"""Errors to p-values, p-values to a threshold. Pure.

Split-conformal prediction (Vovk et al. 2005; Bates et al. 2023, "Testing for outliers with conformal p-values"): the
p-value of a score is its rank among the scores of records that the model never saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KNOTS = 512
TAIL_FROM = 0.98
TAIL_RECORDS = 20
SMALLEST = 1e-12


@dataclass(frozen=True)
class TailSurprise:
    """The surprise -log P(error >= e) of an error among held-out errors of normal records, in nats.

    Empirical below the tail; above it the log error is exponential beyond `start` with mean excess `excess`, that is a
    Pareto tail of the error (Hill 1975), so that a larger error is always the greater surprise.
    `knots` are ascending log errors, `surprises` theirs; `tail` is the surprise at `start`.
    """

    knots: np.ndarray
    surprises: np.ndarray
    start: float
    tail: float
    excess: float

    @classmethod
    def fit(cls, errors: np.ndarray) -> TailSurprise:
        """Learn from `errors` (n,), float, non-negative; NaN are left out. Few errors make a longer tail."""
        logs = np.sort(np.log(np.maximum(errors[np.isfinite(errors)].astype(np.float64), SMALLEST)))
        if len(logs) == 0:
            logs = np.array([np.log(SMALLEST)])
        n = len(logs)
        above = max(min(TAIL_RECORDS, n // 2), round((1 - TAIL_FROM) * n), 1)
        start = logs[n - above]
        excess = max(float((logs[n - above :] - start).mean()), 1e-3)
        ranks = np.unique(np.linspace(0, n - above, KNOTS).round().astype(int))
        knots = np.unique(logs[ranks])
        surprises = -np.log((n - np.searchsorted(logs, knots, side="left")) / n)
        return cls(knots, surprises, float(start), float(-np.log(above / n)), excess)

    def __call__(self, errors: np.ndarray) -> np.ndarray:
        """The surprise of each of `errors`, float64 of the same shape; NaN (no error) is no surprise."""
        logs = np.log(np.maximum(np.nan_to_num(errors.astype(np.float64), nan=0.0), SMALLEST))
        body = np.interp(logs, self.knots, self.surprises)
        return np.where(logs > self.start, self.tail + (logs - self.start) / self.excess, np.minimum(body, self.tail))

    def inverse(self, surprise: np.ndarray) -> np.ndarray:
        """The error that is a `surprise` of so many nats, float64 of the same shape."""
        body = np.interp(surprise, self.surprises, self.knots)
        beyond = self.start + (surprise - self.tail) * self.excess
        return np.asarray(np.exp(np.where(surprise > self.tail, beyond, body)))

    def to_array(self) -> np.ndarray:
        """float64 (3 + 2 KNOTS,): a plain array for the bundle."""
        pad = KNOTS - len(self.knots)
        edge = [np.pad(a, (0, pad), constant_values=np.nan) for a in (self.knots, self.surprises)]
        return np.concatenate([[self.start, self.tail, self.excess], *edge])

    @classmethod
    def from_array(cls, array: np.ndarray) -> TailSurprise:
        """The inverse of `to_array`."""
        knots, surprises = array[3:].reshape(2, -1)
        there = ~np.isnan(knots)
        return cls(knots[there], surprises[there], *(float(v) for v in array[:3]))


@dataclass(frozen=True)
class Conformal:
    """p-values of scores by their rank among `scores`, the ascending scores of held-out normal records."""

    scores: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray) -> Conformal:
        """Learn from the held-out `scores` (n,). Raises ValueError on an empty or non-finite set."""
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ValueError("a calibration set needs finite scores")
        return cls(np.sort(scores.astype(np.float64)))

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """(1 + #{held-out >= score}) / (n + 1), float64 in (0, 1] (Bates et al. 2023, eq. 2)."""
        at_least = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        return np.asarray((1.0 + at_least) / (len(self.scores) + 1.0))

    def threshold(self, rate: float) -> float:
        """The score that fresh normal records exceed with a chance of at most `rate`; infinite with too few of them."""
        k = int(np.floor(rate * (len(self.scores) + 1) + 1e-9))
        return float(self.scores[-k]) if k >= 1 else float("inf")

    @staticmethod
    def records_needed(rate: float) -> int:
        """How many held-out records can promise `rate`: 1 / rate - 1, rounded up."""
        return int(np.ceil(1.0 / rate - 1e-9)) - 1


def log_sum_exp(surprises: np.ndarray, axis: int = -1) -> np.ndarray:
    """Smooth maximum: one loud voice is heard whatever the others say."""
    top = surprises.max(axis=axis, keepdims=True)
    return np.asarray(np.squeeze(top, axis) + np.log(np.exp(surprises - top).sum(axis=axis)))

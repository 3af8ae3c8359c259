"""Errors to p-values, p-values to a threshold. Pure.

Split-conformal prediction (Vovk et al. 2005; Bates et al. 2023, "Testing for outliers with conformal p-values"): the
p-value of a score is its rank among the scores of records that the model never saw. Where these grow few, peaks over
a threshold (Davison and Smith 1990) go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta, genpareto, norm

KNOTS, GRID = 512, 4_096
TAIL_FROM = 0.98
TAIL_RECORDS = 20
SMALLEST, LARGEST = 1e-12, np.finfo(np.float64).max
BY_RANK = 20
TAIL_SHARE = 0.1
SHAPE_SPREAD = 0.1
LARGEST_SHAPE = 0.5
SMALLEST_SCALE = 1e-6
CONFIDENCE = 0.9


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
    def fit(cls, errors: np.ndarray) -> Self:
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
        logs = np.log(np.clip(np.fmax(errors, SMALLEST, dtype=np.float64), None, LARGEST))
        body = np.interp(logs, self.knots, self.surprises)
        beyond = self.tail + (logs - self.start) / self.excess
        return np.asarray(np.where(logs > self.start, beyond, np.minimum(body, self.tail)))

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
    def from_array(cls, array: np.ndarray) -> Self:
        """The inverse of `to_array`."""
        knots, surprises = array[3:].reshape(2, -1)
        there = ~np.isnan(knots)
        return cls(knots[there], surprises[there], *(float(v) for v in array[:3]))


class EvenSurprise(TailSurprise):
    """The same read off an even grid of log errors, where a place is found by division instead of a search.

    Some hundredths of a nat from `TailSurprise` at most, in a fifth of its time.
    """

    @cached_property
    def _lines(self) -> tuple[float, float, np.ndarray, np.ndarray]:
        """The grid's first log error and places a nat; of each place the line `base + slope * log error`."""
        low = float(self.knots[0])
        logs = np.linspace(low, max(self.start, np.nextafter(low, np.inf)), GRID + 1)
        found = np.minimum(np.interp(logs, self.knots, self.surprises), self.tail)
        found[-1] = self.tail
        slope = np.append(np.diff(found) / np.diff(logs).clip(SMALLEST), 1.0 / self.excess)
        return low, GRID / max(logs[-1] - low, SMALLEST), found - slope * logs, slope

    def __call__(self, errors: np.ndarray) -> np.ndarray:
        """As `TailSurprise` does."""
        low, places, base, slope = self._lines
        logs = np.minimum(np.fmax(errors, SMALLEST, dtype=np.float64), LARGEST)
        np.maximum(np.log(logs, out=logs), low, out=logs)
        at = logs - low
        at *= places
        at = np.minimum(at, GRID, out=at).astype(np.intp)
        found = slope.take(at)
        found *= logs
        found += base.take(at)
        return np.asarray(found)


@dataclass(frozen=True)
class ParetoTail:
    """The chance that a normal record scores above s, for s beyond `start`: generalised Pareto (Pickands 1975).

    P(score > s) = share (1 + shape (s - start) / scale)^(-1 / shape), which falls exponentially where `shape` is 0.
    `share` is the chance to score above `start`, judged by `above` records; `scale` is in the scores' own nats;
    `excesses` records told scale and shape.
    """

    start: float
    share: float
    scale: float
    shape: float
    above: int
    excesses: int

    @classmethod
    def fit(cls, scores: np.ndarray) -> ParetoTail:
        """Learn from the ascending `scores` (n,): scale and shape from the highest tenth, the share by rank.

        Scores are surprises, so that their tail is near exponential: the shape has a normal prior around 0 and is not
        negative, because no score is the highest possible (a prior on the shape after Coles and Dixon 1999).
        """
        n = len(scores)
        few = max(min(BY_RANK, n // 2), 1)
        start, low = float(scores[-few]), float(scores[-max(round(TAIL_SHARE * n), few)])
        excesses = scores[scores > low] - low
        scale, shape = pareto(excesses) if len(excesses) else (1.0, 0.0)
        above = int((scores > start).sum()) + 1
        scale = max(scale + shape * (start - low), SMALLEST_SCALE)
        return cls(start, above / (n + 1), scale, shape, above, max(len(excesses), 1))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The chance of a score above each of `scores`, float64 of the same shape, positive; at most `share`."""
        chance = self.share * genpareto.sf(np.maximum(scores - self.start, 0.0), self.shape, scale=self.scale)
        return np.asarray(np.maximum(chance, np.finfo(np.float64).tiny))

    def excess(self, rate: float) -> float:
        """How far beyond `start` a share of `rate` is left; 0 for a rate above `share`."""
        return float(genpareto.isf(min(rate / self.share, 1.0), self.shape, scale=self.scale))

    def spread(self, rate: float) -> float:
        """The standard error of the log of the rate that is met where `rate` was asked for (delta method).

        From the Fisher information of scale and shape (Smith 1984), to which the prior of the shape adds its own. The
        error of the share comes on top undiminished: both errors lean on the same highest records, and go together.
        """
        x, shape = self.excess(rate) / self.scale, max(self.shape, 1e-4)
        grown = np.log1p(shape * x)
        slope = np.array([x / (1 + shape * x), grown / shape**2 - x / (shape * (1 + shape * x))])
        known = np.array([[1 + shape, 1.0], [1.0, 2.0]]) * self.excesses / ((1 + shape) * (1 + 2 * shape))
        known[1, 1] += 1 / SHAPE_SPREAD**2
        return float(self.above**-0.5 + np.sqrt(slope @ np.linalg.solve(known, slope)))


@dataclass(frozen=True)
class Conformal:
    """p-values of scores by their rank among `scores`, the ascending scores of held-out normal records.

    The rank of the last few is a matter of luck (the share above the k-th highest scatters by 1 / sqrt(k)), and above
    the highest there is none: beyond the `BY_RANK` highest a fitted tail stands in for ranks.
    """

    scores: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray) -> Conformal:
        """Learn from the held-out `scores` (n,). Raises ValueError on an empty or non-finite set."""
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ValueError("a calibration set needs finite scores")
        return cls(np.sort(scores.astype(np.float64)))

    @cached_property
    def tail(self) -> ParetoTail:
        """What stands in for ranks: the same for the same scores."""
        return ParetoTail.fit(self.scores)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """(1 + #{held-out >= score}) / (n + 1) (Bates et al. 2023, eq. 2), then the tail; float64 (n,) in (0, 1]."""
        at_least = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        found = np.asarray((1.0 + at_least) / (len(self.scores) + 1.0))
        beyond = np.asarray(scores) > self.tail.start
        found[beyond] = self.tail(np.asarray(scores)[beyond])
        return found

    def score_at(self, p_values: np.ndarray) -> np.ndarray:
        """The held-out scores whose p-values are nearest to each of `p_values` (n,) by rank, float64 (n,)."""
        at_least = np.rint(np.asarray(p_values) * (len(self.scores) + 1.0)).astype(int) - 1
        return np.asarray(self.scores[len(self.scores) - np.clip(at_least, 1, len(self.scores))])

    def threshold(self, rate: float) -> float:
        """The least score whose p-value is at most `rate` (below 1); always finite."""
        low, high = self.scores[0], np.nextafter(self.tail.start + self.tail.excess(rate / 2), np.inf)
        while low < (middle := low + (high - low) / 2) < high:
            low, high = (low, middle) if self.p_values(middle) <= rate else (middle, high)
        return float(high)

    def rates_met(self, rate: float) -> tuple[float, float]:
        """Between which rates the one lies that `threshold(rate)` meets, at `CONFIDENCE`.

        By rank it is a beta distribution (Vovk 2012, "Conditional validity"), in the tail log-normal.
        """
        n, edge = len(self.scores), (1 - CONFIDENCE) / 2
        if rate >= self.tail.share:
            k = int(np.floor(rate * (n + 1) + 1e-9))
            low, high = beta.ppf([edge, 1 - edge], k, n + 1 - k)
        else:
            low, high = rate * np.exp(norm.ppf([edge, 1 - edge]) * self.tail.spread(rate))
        return float(low), float(min(high, 1.0))

    @staticmethod
    def records_needed(rate: float) -> int:
        """How many held-out records can promise `rate`: 1 / rate - 1, rounded up."""
        return int(np.ceil(1.0 / rate - 1e-9)) - 1


def pareto(excesses: np.ndarray) -> tuple[float, float]:
    """Scale and shape of the generalised Pareto distribution of `excesses` (n,), positive, at the posterior's mode."""
    mean = excesses.mean()

    def loss(at: np.ndarray) -> float:
        log_scale, shape = at
        likelihood = genpareto.logpdf(excesses / mean, shape, scale=np.exp(log_scale)).sum()
        return float((shape / SHAPE_SPREAD) ** 2 / 2 - likelihood)

    best = minimize(loss, [0.0, 0.0], method="L-BFGS-B", bounds=[(-20.0, 20.0), (0.0, LARGEST_SHAPE)]).x
    return float(np.exp(best[0]) * mean), float(best[1])


def log_sum_exp(surprises: np.ndarray, axis: int = -1) -> np.ndarray:
    """Smooth maximum: one loud voice is heard whatever the others say."""
    top = surprises.max(axis=axis, keepdims=True)
    return np.asarray(np.squeeze(top, axis) + np.log(np.exp(surprises - top).sum(axis=axis)))

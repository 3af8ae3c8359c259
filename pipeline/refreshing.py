"""Refreshing p-values between trainings, so that a normal that slowly moves is no flood of anomalies. Pure.

Among records like those of the training window a share p has a p-value of at most p. As normal moves away, small
p-values become more frequent: a share p ** power, with a power below 1 (the alternatives of Lehmann 1953). Raising a
p-value to that power makes it the share of today's records again. The power is read off the body of the p-values, never
off their tail, where the anomalies are; so there it is not trusted either, and the tail grows as the edge of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BODY = 0.1
TAIL = BODY**2
FEWEST_RECORDS = 200
LATEST = 7
FEWEST_PARTITIONS = 3
LEAST_POWER = 0.75


def body(p_values: np.ndarray) -> np.ndarray:
    """How many of `p_values` (n,) lie in (TAIL, BODY] and above: int64 (2,), to be added up over batches."""
    below = (p_values > TAIL) & (p_values <= BODY)
    return np.array([below.sum(), (p_values > BODY).sum()])


def body_power(counts: np.ndarray) -> float | None:
    """The power of a partition from its `body`, 1.0 where nothing has moved; None when it has too few records.

    With P(p <= x) = x ** power the two counts are as BODY ** power to 1, whatever lies in the tail: so many
    anomalies as there may be, they do not count.
    """
    between, above = counts
    if between + above < FEWEST_RECORDS or not (between and above):
        return None
    return float(np.log(between / above) / np.log(BODY))


@dataclass(frozen=True)
class Refresh:
    """To which power the p-values of a partition are raised: `wanted` before it is bounded, from so many `partitions`.

    The power is at most 1, so that no record becomes more suspect for a calm week, and at least LEAST_POWER, so that
    no p-value grows more than TAIL ** (LEAST_POWER - 1), that is 3.2 times.
    """

    wanted: float = 1.0
    partitions: int = 0

    @classmethod
    def of(cls, powers: Sequence[float]) -> Refresh:
        """From the powers of up to LATEST recent partitions, in any order.

        It is as strong as more than two thirds of them agree on, so that two broken nights out of seven change nothing.
        """
        if len(powers) < FEWEST_PARTITIONS:
            return cls()
        return cls(sorted(powers)[2 * len(powers) // 3], len(powers))

    @property
    def power(self) -> float:
        return min(max(self.wanted, LEAST_POWER), 1.0)

    @property
    def bounded(self) -> bool:
        """Whether the table has moved further than a refresh may follow."""
        return self.wanted < LEAST_POWER

    @property
    def times(self) -> float:
        """How many times as large a p-value in the tail becomes."""
        return float(TAIL ** (self.power - 1.0))

    def __call__(self, p_values: np.ndarray) -> np.ndarray:
        """The refreshed p-values, float64 of the same shape and order, none smaller than before."""
        return np.asarray(np.minimum(p_values**self.power, p_values * self.times))

    def before(self, rate: float) -> float:
        """The p-value that is `rate` once refreshed."""
        return max(float(rate ** (1.0 / self.power)), rate / self.times)


UNCHANGED = Refresh()

"""Numbers that grow from partition to partition, such as order numbers: the level of a partition is foretold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.encoding.reading import DAY
from pipeline.encoding.scales import power_below

FEWEST_PARTITIONS = 7
FEWEST_STEPS = 3
STEADY = 0.9
RECENT = 14
LARGEST_CALENDAR_NUMBER = 366
AWAY = 0.5
"""The share of the pace by which growth beyond the window may differ before a number is out of range."""


@dataclass(frozen=True)
class Growth:
    """The levels of the window's partitions and the pace at which they rise or fall.

    A partition's level is foretold from the last partition before it, in training as in scoring, so that what a number
    is away from it means the same in both. `times` are days since 1970, `levels` medians, `pace` and `doubt` (by how
    much slopes between partitions differ from the pace, as a median) are a day's, `step` is the usual number of days
    from one partition to the next, `unit` the usual distance of a number from the foretold level.
    """

    times: list[float]
    levels: list[float]
    pace: float
    doubt: float
    step: float
    unit: float

    @classmethod
    def find(cls, numbers: np.ndarray, anchor: np.ndarray | None) -> Growth | None:
        """Growth, where the partitions' medians hardly ever turn and rise by more than a partition's own spread.

        `numbers` is float64 (n,) with NaN, `anchor` each record's partition in seconds since 1970. The pace is the
        median slope between pairs of recent partitions (Sen 1968), which a dirty partition does not move.
        """
        if anchor is None:
            return None
        there = ~np.isnan(numbers) & ~np.isnan(anchor)
        seen, (times, at) = numbers[there], np.unique(anchor[there] / DAY, return_inverse=True)
        if len(times) < FEWEST_PARTITIONS:
            return None
        low, levels, high = _quantiles(seen, at)
        rise = levels[-1] - levels[0]
        steps = np.diff(levels) * np.sign(rise)
        steady = (steps >= 0).mean() >= STEADY and (steps > 0).sum() >= FEWEST_STEPS
        if not steady or abs(rise) <= np.median(high - low) or _is_calendar(low, levels, high):
            return None
        pace = float(np.median(_slopes(times[-RECENT:], levels[-RECENT:])))
        doubt = float(np.median(np.abs(_slopes(times[-4 * RECENT :], levels[-4 * RECENT :]) - pace)))
        found = cls(times.tolist(), levels.tolist(), pace, doubt, float(np.median(np.diff(times))), 1.0)
        distance = float(np.median(np.abs(seen - found._level(anchor[there]))))
        return replace(found, unit=distance or abs(pace)) if pace else None

    def coarse(self) -> Growth:
        """The same without a median in full: levels to the power of ten below their usual distance."""
        step = power_below(self.unit)
        return replace(self, levels=[round(level / step) * step for level in self.levels])

    def relative(self, numbers: np.ndarray, anchor: np.ndarray) -> np.ndarray:
        """How far numbers are from the foretold level; a distance counts the less, the less sure that level is."""
        return np.asarray((numbers - self._level(anchor)) / self._width(anchor))

    def absolute(self, distances: np.ndarray, anchor: np.ndarray) -> np.ndarray:
        """What `relative` made of numbers back in the column's units."""
        return np.asarray(distances * self._width(anchor) + self._level(anchor))

    def room(self, anchor: np.ndarray) -> np.ndarray:
        """How far beyond the distances of the window a number may be: a step's growth, and more as time goes on."""
        return np.asarray(abs(self.pace) * (self.step + AWAY * self._beyond(anchor)) / self._width(anchor))

    def _level(self, anchor: np.ndarray) -> np.ndarray:
        before, days = self._before(anchor)
        return np.asarray(np.array(self.levels)[before] + self.pace * days)

    def _width(self, anchor: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 + self.doubt / self.unit * self._beyond(anchor))

    def _beyond(self, anchor: np.ndarray) -> np.ndarray:
        """The days, beyond the usual step, to the partition from which the level is foretold."""
        days = self._before(anchor)[1]
        return np.where(days < 0, -days, np.maximum(days - self.step, 0.0))

    def _before(self, anchor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place of the last partition before each record's (else of the first), and the days from it."""
        days, times = anchor / DAY, np.array(self.times)
        before = np.maximum(np.searchsorted(times, days) - 1, 0)
        return before, np.nan_to_num(days - times[before])


def _quantiles(seen: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tenth, fiftieth and ninetieth percentile of the numbers of each partition `at` (0, 1, ...)."""
    ordered = seen[np.lexsort((seen, at))]
    counts = np.bincount(at)
    starts = np.cumsum(counts) - counts
    low, middle, high = (ordered[starts + ((counts - 1) * share).astype(int)] for share in (0.1, 0.5, 0.9))
    return low, middle, high


def _slopes(times: np.ndarray, levels: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(len(times), 1)
    return np.asarray((levels[second] - levels[first]) / (times[second] - times[first]))


def _is_calendar(low: np.ndarray, levels: np.ndarray, high: np.ndarray) -> bool:
    """Whether these are days of a month, weeks of a year and such, which begin anew instead of growing on."""
    whole = bool((levels % 1 == 0).all() and (low == high).all())
    return whole and bool(levels.min() >= 0 and levels.max() <= LARGEST_CALENDAR_NUMBER)

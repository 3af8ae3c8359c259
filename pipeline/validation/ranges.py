"""Ranges from a sample that holds a few bad values too: generous, for what breaks them is quarantined. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_DOMINANT = 0.9  # a value as common as this says nothing of the spread of the others
_MIN_VALUES, _MIN_DISTINCT, _MIN_SIDE = 100, 10, 50
_WILD_SHARE = 0.001
_REACH = 10
_RECURS = 3
_WALL_ZEROS, _WALL_SKEW = 10, 3


def numeric_range(values: Values) -> tuple[float, float]:
    """Bounds for a column from its finite values; infinite on a side for which they are no evidence.

    Each side reaches ten times as far from the median as its farthest values do, the wildest one in a thousand left
    out, or farther where the tail is heavy. A far value that recurs is ordinary. The lower bound is exactly 0 where
    zero is seen to be a wall: values pile up at it or stretch away from it, and none is below.
    """
    bulk = _without_dominant(values)
    if len(bulk) < _MIN_VALUES or len(np.unique(bulk)) < _MIN_DISTINCT:
        return (0.0 if _piles_up_at_zero(values) else -math.inf), math.inf
    centre = float(np.median(bulk))
    below, above = centre - bulk[bulk < centre], bulk[bulk > centre] - centre
    low, high = _with_recurring(values, centre - _reach(below), centre + _reach(above))
    stretches = len(below) > 0 and _farthest(above) >= _WALL_SKEW * _farthest(below)
    if low < 0 <= values.min() and (stretches or _piles_up_at_zero(values)):
        low = 0.0
    return low, high


def wide_range(values: Values, margin: float) -> tuple[float, float]:
    """Bounds ten times the spread of the ordinary values away from them, and a margin more."""
    ends = np.sort(values)
    left_out = math.ceil(_WILD_SHARE * len(values))
    low, high = float(ends[left_out]), float(ends[-1 - left_out])
    room = _REACH * (high - low) + margin
    return _with_recurring(values, low - room, high + room)


def outward(value: float, up: bool) -> float:
    """The bound in three significant digits, never tighter than it was."""
    if not math.isfinite(value) or abs(value) < 1e-290:
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    rounded = (math.ceil if up else math.floor)(value / step) * step
    return float(f"{rounded:.12g}")


def _without_dominant(values: Values) -> Values:
    """The values without one that nearly all of them share, and again: few records say how the column varies."""
    while len(values):
        distinct, counts = np.unique(values, return_counts=True)
        if counts.max() <= _DOMINANT * len(values):
            break
        values = values[values != distinct[counts.argmax()]]
    return values


def _piles_up_at_zero(values: Values) -> bool:
    return bool(values.min() == 0 and (values == 0).sum() >= _WALL_ZEROS and (values > 0).sum() >= _MIN_VALUES)


def _reach(distances: Values) -> float:
    if len(distances) < _MIN_SIDE:
        return math.inf
    farthest = _farthest(distances)
    with np.errstate(over="ignore"):
        return float(farthest * max(_REACH, farthest / np.median(distances)))


def _farthest(distances: Values) -> float:
    """The largest distance but for the wildest one in a thousand, and at least for one."""
    left_out = math.ceil(_WILD_SHARE * len(distances))
    return float(np.sort(distances)[-1 - left_out]) if len(distances) > left_out else 0.0


def _with_recurring(values: Values, low: float, high: float) -> tuple[float, float]:
    distinct, counts = np.unique(values[(values < low) | (values > high)], return_counts=True)
    ordinary = distinct[counts >= _RECURS]
    return min([low, *ordinary.tolist()]), max([high, *ordinary.tolist()])

"""What the profiles of past partitions teach about the next one. Pure.

An error only where scoring would be meaningless, so that a holiday or a blizzard warns and is scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.validation.profile import Profile, metric
from pipeline.validation.suite import DISTINCT, FILLED, MEAN, MEDIAN, ROW_COUNT, UNIQUE_SHARE, Spec, learned

MIN_PARTITIONS = 7
_MIN_RECORDS = 100  # in the median partition: of fewer, a column may be all null by chance
_FAR_ROWS = 20
_MOSTLY_NULL = 0.95

Values = npt.NDArray[np.float64]


def learn_partition(
    averaged: Sequence[str], counted: Sequence[str], sensitive: Sequence[str], profiles: Sequence[Profile]
) -> list[Spec]:
    """The partition expectations that a history of profiles teaches: none from fewer than MIN_PARTITIONS.

    Of the `averaged` columns mean and median, of the `counted` ones the number of distinct values. Of a sensitive
    column neither mean nor median is learned: a median is somebody's value.
    """
    history = [profile for profile in profiles if profile["rows"]]
    if len(history) < MIN_PARTITIONS:
        return []
    specs = _row_count(history)
    for column in [*averaged, *counted]:
        specs += _filled(column, history)
        if _is_unique(column, history):
            specs += _usual(UNIQUE_SHARE, column, history)
        elif column in counted:
            specs += _usual(DISTINCT, column, history)
        elif column not in sensitive:
            specs += _usual(MEAN, column, history) + _usual(MEDIAN, column, history)
    return specs


def _series(kind: str, column: str | None, history: Sequence[Profile]) -> Values:
    return np.array([metric(kind, column, profile) for profile in history])


def _row_count(history: Sequence[Profile]) -> list[Spec]:
    rows = _series(ROW_COUNT, None, history)
    low, high = _room(rows, noise=3 * math.sqrt(np.median(rows)))
    far_low, far_high = max(1, math.floor(rows.min() / _FAR_ROWS)), math.ceil(rows.max() * _FAR_ROWS)
    return [
        learned("partition", ROW_COUNT, "error", min_value=far_low, max_value=far_high),
        learned("partition", ROW_COUNT, "warning", min_value=max(far_low, math.floor(low)), max_value=math.ceil(high)),
    ]


def _filled(column: str, history: Sequence[Profile]) -> list[Spec]:
    filled, rows = _series(FILLED, column, history), float(np.median(_series(ROW_COUNT, None, history)))
    if np.isnan(filled).any():
        return []
    share = float(np.median(filled))
    low, high = _room(filled, noise=5 * math.sqrt(share * (1 - share) / rows) + 5 / rows)
    bounds = {"min_value": round(max(low, 0), 4), "max_value": round(min(high, 1), 4)}
    specs = [learned("partition", FILLED, "warning", column=column, **bounds)]
    if share > 0.5 and filled.min() > 1 - _MOSTLY_NULL and rows >= _MIN_RECORDS:
        limit = round(1 - _MOSTLY_NULL, 4)
        specs.append(learned("partition", FILLED, "error", column=column, min_value=limit, strict_min=True))
    return specs


def _is_unique(column: str, history: Sequence[Profile]) -> bool:
    return bool((_series(UNIQUE_SHARE, column, history) >= 0.999).all())


def _usual(kind: str, column: str, history: Sequence[Profile]) -> list[Spec]:
    """A warning outside what the history shows, with room; nothing where a partition had no such metric."""
    values = _series(kind, column, history)
    if not np.isfinite(values).all():
        return []
    low, high = _room(values, noise=0.0)
    if kind == DISTINCT:
        low, high = max(math.floor(low), 0), math.ceil(high)
    return [learned("partition", kind, "warning", column=column, min_value=_short(low), max_value=_short(high))]


def _room(values: Values, noise: float) -> tuple[float, float]:
    """The range of the ordinary values and as much again on both sides; a wild partition of the history is left out."""
    low, high = np.quantile(values, [0.05, 0.95])
    reach = 3 * (high - low)
    usual = values[(values >= low - reach) & (values <= high + reach)]
    room = max(float(np.ptp(usual)), noise, 0.02 * abs(float(np.median(usual))))
    return float(usual.min()) - room, float(usual.max()) + room


def _short(value: float) -> float | int:
    """Six significant digits: a bound that people can read."""
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short

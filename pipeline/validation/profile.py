"""A partition's profile, one row of metrics, as the numbers that partition expectations ask for. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.validation.suite import DISTINCT, FILLED, MEAN, MEDIAN, ROW_COUNT, ROW_COUNT_EQUAL, UNIQUE_SHARE

Profile = Mapping[str, float | int | str | None]

_DIRECT = {MEAN: "mean", MEDIAN: "median", DISTINCT: "distinct"}


def metric_names(kind: str, column: str | None) -> list[str]:
    """The metrics of a profile, beside its number of rows, from which `metric` answers."""
    if kind in (ROW_COUNT, ROW_COUNT_EQUAL):
        return []
    if kind in _DIRECT:
        return [f"{column}.{_DIRECT[kind]}"]
    return [f"{column}.null_share", *([f"{column}.distinct"] if kind == UNIQUE_SHARE else [])]


def metric(kind: str, column: str | None, profile: Profile) -> float:
    """The number that answers a partition expectation of that type; NaN where the profile has none."""
    if kind in (ROW_COUNT, ROW_COUNT_EQUAL):
        return _number(profile, "rows")
    if kind in _DIRECT:
        return _number(profile, f"{column}.{_DIRECT[kind]}")
    filled = 1 - _number(profile, f"{column}.null_share")
    if kind == FILLED:
        return filled
    if kind == UNIQUE_SHARE:
        values = _number(profile, "rows") * filled
        return _number(profile, f"{column}.distinct") / values if values else math.nan
    raise KeyError(kind)


def _number(profile: Profile, name: str) -> float:
    value = profile.get(name)
    return math.nan if value is None or isinstance(value, str) else float(value)

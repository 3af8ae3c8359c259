"""The place of a text on a line, where it has one: a number, a time of day, a date or an instant."""

from __future__ import annotations

import datetime as dt
import math
import re

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?")


def place(text: str | None) -> float:
    """The number that a text is, or the seconds that its time of day, date or instant stands for; else NaN."""
    if text is None:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        return _of_time(text)
    return number if math.isfinite(number) else math.nan


def _of_time(text: str) -> float:
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds or 0)
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return instant.replace(tzinfo=instant.tzinfo or dt.UTC).timestamp()

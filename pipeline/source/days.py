"""Partition keys and the records they name: ISO dates as filters that an engine can push down to indexes."""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError

KEY_COLUMN, ROWS_COLUMN = "tablewatch:key", "tablewatch:rows"
_ONE_DAY = dt.timedelta(days=1)
_HOUR = dt.timedelta(hours=1)


def _day(key: str | None) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(key or "")
    except ValueError:
        return None
    # The first and the last year have days that no time zone can be applied to.
    return day if day.isoformat() == key and dt.MINYEAR < day.year < dt.MAXYEAR else None


def spans(days: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Sorted days as half-open spans: the first day, the day after the last."""
    merged: list[tuple[dt.date, dt.date]] = []
    for day in days:
        if merged and merged[-1][1] == day:
            merged[-1] = (merged[-1][0], day + _ONE_DAY)
        else:
            merged.append((day, day + _ONE_DAY))
    return merged


@dataclass(frozen=True)
class Days:
    """The days of a partition column: dates, naive times (of `zone`), zoned times (moved to `zone`) or ISO text.

    Naive times are already of the zone, so only zoned ones are moved. Of text the first ten characters count.
    """

    column: str
    zone: ZoneInfo
    monitor: str

    def of(self, keys: Iterable[str]) -> tuple[dt.date, ...]:
        """The days of some partition keys, sorted, each once. ConfigurationError for a key that is not an ISO date."""
        days = {key: _day(key) for key in keys}
        for key, day in days.items():
            if day is None:
                mend = "write an ISO date such as 2013-02-03"
                raise ConfigurationError(f"{self.monitor}: {key!r} is not a partition; {mend}")
        return tuple(sorted({day for day in days.values() if day}))

    def within(self, table: Any, days: Sequence[dt.date]) -> Any:
        """Whether a record is of one of the days; the bare column is compared, so that indexes and row groups serve."""
        column = self._of(table)
        edges = ((self._edge(column, first), self._edge(column, last)) for first, last in spans(days))
        inside = functools.reduce(operator.or_, ((column >= first) & (column < last) for first, last in edges))
        if column.type().is_string():
            # A database may sort text by a language's rules; the range alone would then let other text through.
            inside &= column.left(10).isin([day.isoformat() for day in days])
        return inside

    def label(self, table: Any, days: Sequence[dt.date]) -> Any:
        """The partition key of each record that is of one of the days."""
        import ibis

        return ibis.cases(*((self.within(table, [day]), day.isoformat()) for day in days))

    def census(self, table: Any) -> Any:
        """Records counted by a text from which `tally` tells the partition."""
        column = self._of(table)
        if column.type().is_string():
            text = column.left(10)
        elif column.type().is_timestamp() and column.type().timezone:
            text = column.truncate("h" if self._whole_hours else "m").cast("string")
        elif column.type().is_timestamp():
            text = column.date().cast("string")
        else:
            text = column.cast("string")
        return table.group_by(text.name(KEY_COLUMN)).aggregate(**{ROWS_COLUMN: table.count()})

    def tally(self, rows: Iterable[dict[str, Any]]) -> dict[str, int]:
        """Rows of `census` as records a key, sorted by key; "" for what is not a day."""
        counts: Counter[str] = Counter()
        for row in rows:
            counts[self._key(row[KEY_COLUMN])] += row[ROWS_COLUMN]
        return dict(sorted(counts.items()))

    def _of(self, table: Any) -> Any:
        column = table[self.column]
        dtype = column.type()
        if not (dtype.is_date() or dtype.is_timestamp() or dtype.is_string()):
            mend = "partition by a date, a time or ISO text"
            raise ConfigurationError(f"{self.monitor}: column {self.column!r} is {dtype}, which tells no day; {mend}")
        return column

    def _key(self, text: str | None) -> str:
        if text and len(text) > 10:
            try:
                instant = dt.datetime.fromisoformat(text)
                text = instant.replace(tzinfo=instant.tzinfo or dt.UTC).astimezone(self.zone).date().isoformat()
            except (ValueError, OverflowError):
                return ""
        return text if text and _day(text) else ""

    def _edge(self, column: Any, day: dt.date) -> Any:
        """The first value of the column's type that is of the day."""
        import ibis

        dtype = column.type()
        if dtype.is_string():
            return ibis.literal(day.isoformat())
        if dtype.is_date():
            return ibis.literal(day, type=dtype)
        midnight = dt.datetime.combine(day, dt.time())
        if dtype.timezone:
            midnight = midnight.replace(tzinfo=self.zone).astimezone(dt.UTC)
        return ibis.literal(midnight, type=dtype)

    @property
    def _whole_hours(self) -> bool:
        """Whether days of the zone always begin on a full hour of UTC, so that hours can be counted, not minutes."""
        moments = (dt.datetime(year, month, 1, tzinfo=self.zone) for year in range(1970, 2038) for month in (1, 7))
        return not any((moment.utcoffset() or dt.timedelta()) % _HOUR for moment in moments)

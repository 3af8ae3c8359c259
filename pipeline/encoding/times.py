"""Times of day and instants to points on circles and back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.encoding.cells import (
    Cell,
    Events,
    Fitted,
    as_numbers,
    chance,
    count_nulls,
    is_null,
    nowhere,
    standardised,
)
from pipeline.encoding.kinds import CLOCK_TEXT, valid_hhmm
from pipeline.monitor import Kind

DAY = 86_400.0
WRITABLE = (-62_135_596_800.0, 253_402_300_799.0)
"""The years 1 to 9999, in seconds since 1970: a far date such as 9999-12-31 must not be carried beyond them."""


@dataclass(frozen=True)
class ClockEncoder(Fitted):
    """A time of day as a point on the circle, from hhmm numbers, hh:mm texts or times."""

    kind: ClassVar[Kind] = "clock"
    form: str
    invalid: int

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> ClockEncoder:
        form = "time" if pt.is_time(values.type) else "hhmm"
        if pt.is_string(values.type) or pt.is_large_string(values.type):
            form = "text"
        minutes = _minutes(values)
        return cls(len(values), count_nulls(values), form, int((np.isnan(minutes) & ~is_null(values)).sum()))

    @property
    def cells(self) -> list[Cell]:
        return [Cell(2, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        return self.with_presence(_circle(_minutes(values) / 1440.0), values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        impossible = np.isnan(_minutes(values)) & ~is_null(values)
        return Events(nowhere(values), impossible, self.unexpected_null(values))

    def rarity(self, event: str) -> float:
        return chance(self.invalid if event == "out_of_range" else 0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        minutes = np.round(_angle(cells[0]) * 1440).astype(int) % 1440
        return self.absent_as_none([self._written(minute // 60, minute % 60) for minute in minutes.tolist()], cells[1:])

    def _written(self, hour: int, minute: int) -> int | str | dt.time:
        if self.form == "hhmm":
            return hour * 100 + minute
        return dt.time(hour, minute) if self.form == "time" else f"{hour:02d}:{minute:02d}"


def _minutes(values: pa.ChunkedArray) -> np.ndarray:
    """Minutes after midnight, float64; NaN where there is no valid time of day."""
    kind = values.type
    if pt.is_time(kind):
        unit = {"s": 60.0, "ms": 6e4, "us": 6e7, "ns": 6e10}[kind.unit]
        whole = values.cast(pa.int32() if pt.is_time32(kind) else pa.int64())
        return np.asarray(whole.cast(pa.float64()).to_numpy() / unit)
    if pt.is_string(kind) or pt.is_large_string(kind):
        parts = pc.extract_regex(values, CLOCK_TEXT)
        hours, minutes = (as_numbers(pc.struct_field(parts, name)) for name in ("hour", "minute"))
        return np.asarray(np.where(hours * 60 + minutes <= 1440, hours * 60 + minutes, np.nan))
    numbers = as_numbers(values)
    return np.asarray(np.where(valid_hhmm(numbers), numbers // 100 * 60 + numbers % 100, np.nan))


def _circle(turns: np.ndarray) -> np.ndarray:
    """float32 (n, 2): sine and cosine of a position in turns, scaled to unit variance; NaN stays NaN."""
    angle = 2 * np.pi * turns
    return np.asarray(np.sqrt(2) * np.stack([np.sin(angle), np.cos(angle)], axis=1), dtype=np.float32)


def _angle(cell: np.ndarray) -> np.ndarray:
    """Turns in 0..1 from a reconstructed circle cell."""
    return np.asarray(np.arctan2(cell[:, 0], cell[:, 1]) / (2 * np.pi) % 1.0)


@dataclass(frozen=True)
class DatetimeEncoder(Fitted):
    """An instant: days from its partition (which stays put as time goes on), time of day and weekday on circles."""

    kind: ClassVar[Kind] = "datetime"
    mean: float
    scale: float
    low: float
    high: float
    hours: bool
    instant: str

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> DatetimeEncoder:
        days = _days(values, anchor)
        seen = days[~np.isnan(days)]
        if len(seen) == 0:
            return cls(len(values), len(values), 0.0, 1.0, 0.0, 0.0, False, str(values.type))
        seconds = _seconds(values)
        spread = float(seen.std())
        return cls(
            len(values),
            count_nulls(values),
            float(seen.mean()),
            spread if spread > 1e-9 else 1.0,
            float(seen.min()),
            float(seen.max()),
            bool(np.nanmax(seconds % DAY) > 0),
            str(values.type),
        )

    @property
    def cells(self) -> list[Cell]:
        return [Cell(1, 0), *([Cell(2, 0)] if self.hours else []), Cell(2, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        seconds = _seconds(values)
        z = standardised(_days(values, anchor), self.mean, self.scale)[:, None]
        hour = [_circle(seconds / DAY)] if self.hours else []
        weekday = _circle(np.floor(seconds / DAY) / 7.0)
        return self.with_presence(np.concatenate([z, *hour, weekday], axis=1), values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        days = _days(values, anchor)
        room = max(1.0, self.high - self.low)
        with np.errstate(invalid="ignore"):
            outside = (days < self.low - room) | (days > self.high + room)
        if self.nulls == self.records:
            outside = ~is_null(values)
        return Events(nowhere(values), outside, self.unexpected_null(values))

    def rarity(self, event: str) -> float:
        return chance(0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        days = np.clip(cells[0][:, 0].astype(np.float64) * self.scale + self.mean, self.low, self.high)
        seconds = days * DAY + (0.0 if anchor is None else anchor)
        of_day = np.round(_angle(cells[1]) * 1440) * 60 if self.hours else 0.0
        seconds = np.clip(np.round((seconds - of_day) / DAY) * DAY + of_day, *WRITABLE)
        zone = dt.UTC if "tz=" in self.instant else None
        moments = [dt.datetime.fromtimestamp(s, dt.UTC).replace(tzinfo=zone) for s in seconds.tolist()]
        found: list[Any] = [m.date() if self.instant.startswith("date") else m for m in moments]
        return self.absent_as_none(found, cells[1 + self.hours + 1 :])


def _seconds(values: pa.ChunkedArray) -> np.ndarray:
    """Seconds since 1970 in UTC (a naive time as it stands), float64, NaN for null."""
    if pt.is_date(values.type):
        return np.asarray(as_numbers(values.cast(pa.date32()).cast(pa.int32())) * DAY)
    if not pt.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
    return np.asarray(
        as_numbers(values.cast(pa.int64())) / {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[values.type.unit]
    )


def _days(values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
    seconds = _seconds(values)
    return np.asarray((seconds if anchor is None else seconds - anchor) / DAY)

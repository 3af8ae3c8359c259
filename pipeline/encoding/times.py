"""Instants to their distance from the partition, their hour and weekday, and back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.encoding.cells import Cell, Events, Fitted, chance, nowhere
from pipeline.encoding.clocks import circle, turns
from pipeline.encoding.reading import DAY, as_seconds, count_nulls, is_null
from pipeline.encoding.scales import Scale
from pipeline.monitor import Kind

WRITABLE = (-62_135_596_800.0, 253_402_300_799.0)
"""The years 1 to 9999, in seconds since 1970: a far date such as 9999-12-31 must not be carried beyond them."""


@dataclass(frozen=True)
class DatetimeEncoder(Fitted):
    """An instant: days from its partition (which stays put as time goes on), time of day and weekday on circles.

    The time of day and the weekday are those of the column's timezone. `weekdays` are those on which a partition of the
    window lies: of another nothing was learned, and a partition on it counts as one of the latest of them before it.
    """

    kind: ClassVar[Kind] = "datetime"
    misfits: int
    scale: Scale
    hours: bool
    date: bool
    zone: str | None
    weekdays: list[int] = field(default_factory=lambda: list(range(7)))

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> DatetimeEncoder:
        days = _days(values, anchor)
        seen = days[~np.isnan(days)]
        zone = values.type.tz if pt.is_timestamp(values.type) else None
        of_day = as_seconds(values, zone) % DAY
        return cls(
            len(values),
            count_nulls(values) if len(seen) else len(values),
            int(_misread(values).sum()),
            Scale.fit(seen),
            bool((of_day > 0).any()),
            pt.is_date(values.type),
            zone,
            *([] if anchor is None else [np.unique(_weekdays(anchor[np.isfinite(anchor)])).astype(int).tolist()]),
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**{**state, "scale": Scale(**state["scale"])})

    def discreet(self) -> Self:
        return replace(self, scale=self.scale.coarse())

    @property
    def cells(self) -> list[Cell]:
        return [Cell(1, 0), *([Cell(2, 0)] if self.hours else []), Cell(2, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        shown = as_seconds(values, self.zone) / DAY
        z = self.scale.standardised(_days(values, anchor))[:, None]
        hour = [circle(shown % 1.0)] if self.hours else []
        weekday = circle((np.floor(shown) - self._days_past(anchor)) / 7.0)
        return self.with_presence(np.concatenate([z, *hour, weekday], axis=1), values)

    def _days_past(self, anchor: np.ndarray | None) -> np.ndarray:
        """How many days each partition is past the latest weekday that the window had, float64 (n,) or 0."""
        if anchor is None or not self.weekdays:
            return np.zeros(())
        past = (np.arange(7)[:, None] - self.weekdays) % 7
        of_weekday = np.append(past.min(axis=1).astype(float), np.nan)
        return np.asarray(of_weekday[np.nan_to_num(_weekdays(anchor), nan=7).astype(int)])

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        days = _days(values, anchor)
        room = max(1.0, self.scale.high - self.scale.low)
        outside = (days < self.scale.low - room) | (days > self.scale.high + room)
        if self.nulls == self.records:
            outside = ~is_null(values)
        return Events(nowhere(values), outside, self.unexpected_null(values), self.misread(values))

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        return _misread(values)

    def rarity(self, event: str) -> float:
        return chance({"out_of_range": self.scale.strays, "unexpected_type": self.misfits}.get(event, 0), self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        seconds = self.scale.restored(cells[0][:, 0]) * DAY + (0.0 if anchor is None else anchor)
        of_day = np.round(turns(cells[1]) * 1440) * 60 if self.hours else np.zeros(len(seconds))
        seconds = np.clip(_nearest(np.clip(seconds, *WRITABLE), of_day, self.zone), *WRITABLE)
        moments = [dt.datetime.fromtimestamp(s, dt.UTC) for s in seconds.tolist()]
        if self.zone is None:
            moments = [moment.replace(tzinfo=None) for moment in moments]
        found: list[Any] = [moment.date() for moment in moments] if self.date else moments
        return self.absent_as_none(found, cells[1 + self.hours + 1 :])


def _days(values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
    seconds = as_seconds(values)
    return np.asarray((seconds if anchor is None else seconds - anchor) / DAY)


def _weekdays(anchor: np.ndarray) -> np.ndarray:
    """The weekday of each partition, float64 (n,), 0 to 6 from Thursday on."""
    return np.asarray(np.floor(anchor / DAY) % 7)


def _misread(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(np.isnan(as_seconds(values)) & ~is_null(values))


def _nearest(seconds: np.ndarray, of_day: np.ndarray, zone: str | None) -> np.ndarray:
    """The instants nearest to `seconds` at which clocks show `of_day`, all in seconds (n,)."""
    if zone is None:
        return np.asarray(np.round((seconds - of_day) / DAY) * DAY + of_day)
    utc = pa.array(np.round(seconds).astype(np.int64)).cast(pa.timestamp("s", zone))
    shown = pc.local_timestamp(utc).cast(pa.int64()).to_numpy().astype(float)
    wanted = pa.array(_nearest(shown, of_day, None).astype(np.int64)).cast(pa.timestamp("s"))
    # In the night in which clocks go back an hour they show one time twice.
    early, late = (
        pc.assume_timezone(wanted, zone, ambiguous=which, nonexistent=which).cast(pa.int64()).to_numpy()
        for which in ("earliest", "latest")
    )
    return np.asarray(np.where(np.abs(early - seconds) <= np.abs(late - seconds), early, late).astype(float))

"""Times of day to points on a circle and back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.encoding.cells import Cell, Events, Fitted, chance, nowhere
from pipeline.encoding.kinds import CLOCK_TEXT, looks_like_hhmmss, valid_hhmm, valid_hhmmss
from pipeline.encoding.reading import DAY, TICKS, as_numbers, count_nulls, is_null, is_number, is_text, raw_numbers
from pipeline.monitor import Kind


@dataclass(frozen=True)
class ClockEncoder(Fitted):
    """A time of day as a point on the circle, from hhmm or hhmmss numbers, hh:mm texts or times."""

    kind: ClassVar[Kind] = "clock"
    form: str
    invalid: int
    misfits: int

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> ClockEncoder:
        form = _form(values)
        impossible, misfits = _wrong(values, form)
        return cls(len(values), count_nulls(values), form, int(impossible.sum()), int(misfits.sum()))

    @property
    def cells(self) -> list[Cell]:
        return [Cell(2, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        return self.with_presence(circle(_seconds(values, self.form) / DAY), values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        impossible, misfits = _wrong(values, self.form)
        return Events(nowhere(values), impossible, self.unexpected_null(values), misfits)

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        return np.asarray(np.logical_or(*_wrong(values, self.form)))

    def rarity(self, event: str) -> float:
        return chance({"out_of_range": self.invalid, "unexpected_type": self.misfits}.get(event, 0), self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        second = 1 if self.form == "hhmmss" else 60
        seconds = np.round(turns(cells[0]) * DAY / second).astype(int) * second % int(DAY)
        return self.absent_as_none(
            [self._written(s // 3600, s // 60 % 60, s % 60) for s in seconds.tolist()], cells[1:]
        )

    def _written(self, hour: int, minute: int, second: int) -> int | str | dt.time:
        match self.form:
            case "hhmm":
                return hour * 100 + minute
            case "hhmmss":
                return hour * 10_000 + minute * 100 + second
            case "time":
                return dt.time(hour, minute)
            case _:
                return f"{hour:02d}:{minute:02d}"


def _form(values: pa.ChunkedArray) -> str:
    if pt.is_time(values.type):
        return "time"
    if is_text(values.type):
        return "text"
    return "hhmmss" if looks_like_hhmmss(as_numbers(values)) else "hhmm"


def _wrong(values: pa.ChunkedArray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Which values are impossible as a time of day, and which cannot be one at all by their type."""
    wrong = np.isnan(_seconds(values, form)) & ~is_null(values)
    kind = values.type
    if is_text(kind) and form.startswith("hhmm"):
        misfit = np.isnan(raw_numbers(values))
    else:
        misfit = np.full(len(values), not (is_text(kind) or is_number(kind) or pt.is_time(kind)))
    return wrong & ~misfit, wrong & misfit


def _seconds(values: pa.ChunkedArray, form: str) -> np.ndarray:
    """Seconds after midnight, float64; NaN where there is no valid time of day."""
    kind = values.type
    if pt.is_time(kind):
        whole = values.cast(pa.int32() if pt.is_time32(kind) else pa.int64())
        return np.asarray(whole.cast(pa.float64()).to_numpy() / TICKS[kind.unit])
    if pt.is_boolean(kind) or pt.is_duration(kind):
        return np.full(len(values), np.nan)
    seconds = _number_seconds(as_numbers(values), form)
    if is_text(kind):
        written = _text_seconds(values)
        return written if form == "text" else np.where(np.isnan(written), seconds, written)
    return seconds


def _text_seconds(values: pa.ChunkedArray) -> np.ndarray:
    parts = pc.extract_regex(values, CLOCK_TEXT)
    hours, minutes = (as_numbers(pc.struct_field(parts, name)) for name in ("hour", "minute"))
    return np.asarray(np.where(hours * 60 + minutes <= 1440, hours * 3600 + minutes * 60, np.nan))


def _number_seconds(numbers: np.ndarray, form: str) -> np.ndarray:
    if form == "hhmmss":
        of_minute = numbers // 100 % 100 * 60 + numbers % 100
        return np.asarray(np.where(valid_hhmmss(numbers), numbers // 10_000 * 3600 + of_minute, np.nan))
    return np.asarray(np.where(valid_hhmm(numbers), numbers // 100 * 3600 + numbers % 100 * 60, np.nan))


def circle(turned: np.ndarray) -> np.ndarray:
    """float32 (n, 2): sine and cosine of a position in turns, scaled to unit variance; NaN stays NaN."""
    angle = 2 * np.pi * turned
    return np.asarray(np.sqrt(2) * np.stack([np.sin(angle), np.cos(angle)], axis=1), dtype=np.float32)


def turns(cell: np.ndarray) -> np.ndarray:
    """Turns in 0..1 from a reconstructed circle cell."""
    return np.asarray(np.arctan2(cell[:, 0], cell[:, 1]) / (2 * np.pi) % 1.0)

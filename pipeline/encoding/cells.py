"""What the encoders share: cells, events, and values as numbers or texts.

A *cell* is what the model reconstructs: a vector of numbers, or the level of a category. One column may have several
cells (a datetime has its distance from the partition, its time of day and its weekday); they are hidden together and
count as one column. A missing number is NaN, an unseen or missing level is -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.monitor import Kind

# Its square is still finite in float32: an infinite error would spread to the record's other cells as NaN.
FARTHEST = 1e12
# The sum of its squares is still finite in float64.
WIDEST = 1e140


class Cell(NamedTuple):
    """`width` numbers with a squared error, or (levels > 0) one level with a cross-entropy."""

    width: int
    levels: int


class Events(NamedTuple):
    """Facts about single values that need no model: boolean arrays of one entry a record."""

    unseen: np.ndarray
    out_of_range: np.ndarray
    unexpected_null: np.ndarray


class ColumnEncoder(Protocol):
    """The fitted encoder of one column; its fields are JSON values."""

    kind: ClassVar[Kind]

    @property
    def cells(self) -> list[Cell]:
        """The cells this column is encoded into."""

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        """float32 (n, sum of the widths); `anchor` is each record's partition in seconds since 1970, float64 (n,)."""

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        """Which values are unseen, out of range or unexpectedly null."""

    def rarity(self, event: str) -> float:
        """How often a normal record shows `event` here, estimated from the training window."""

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        """Python values in the column's units from reconstructed cells: (n, width) numbers or (n, levels) logits."""


def chance(count: int, records: int) -> float:
    return (count + 1) / (records + 1)


def as_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """float64 (n,), null and non-finite values as NaN, held within `WIDEST`."""
    if pt.is_boolean(values.type):
        values = values.cast(pa.int8())
    plain = values.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(plain), np.clip(plain, -WIDEST, WIDEST), np.nan)


def is_null(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.is_null(values, nan_is_null=True))


def count_nulls(values: pa.ChunkedArray) -> int:
    return int(is_null(values).sum())


def standardised(numbers: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """float32 of the same shape, in standard deviations; what is further out than `FARTHEST` stays there."""
    with np.errstate(over="ignore"):
        return np.clip((numbers - mean) / scale, -FARTHEST, FARTHEST).astype(np.float32)


def nowhere(values: pa.ChunkedArray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


@dataclass(frozen=True)
class Fitted:
    """What every encoder remembers of the training window."""

    records: int
    nulls: int

    @property
    def presence(self) -> list[Cell]:
        """A cell that says whether the value is there, when both were seen in training."""
        return [Cell(1, 2)] if 0 < self.nulls < self.records else []

    def with_presence(self, numbers: np.ndarray, values: pa.ChunkedArray) -> np.ndarray:
        if not self.presence:
            return numbers
        return np.concatenate([numbers, 1.0 - is_null(values)[:, None]], axis=1).astype(np.float32)

    def unexpected_null(self, values: pa.ChunkedArray) -> np.ndarray:
        return is_null(values) if self.nulls == 0 else nowhere(values)

    def absent_as_none(self, values: list[Any], presence: list[np.ndarray]) -> list[Any]:
        """None where a presence cell expects no value, or where none was ever seen."""
        if self.nulls == self.records:
            return [None] * len(values)
        if not presence:
            return values
        present = presence[0].argmax(axis=1) == 1
        return [value if there else None for value, there in zip(values, present, strict=True)]


def as_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The text of each value; a whole number in a float column (as nulls make of integers) reads as the integer."""
    if pt.is_floating(values.type):
        return _float_texts(values.cast(pa.float64()))
    if not _casts_to_text(values.type):
        return pa.chunked_array([pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())])
    return values.cast(pa.string())


def _float_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for NaN. Each value is read by itself: its text must not depend on what else is in the batch."""
    whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
    integers = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.string())
    return pc.if_else(pc.is_null(values, nan_is_null=True), None, pc.coalesce(integers, values.cast(pa.string())))


def _casts_to_text(kind: pa.DataType) -> bool:
    if pt.is_decimal(kind) or pt.is_interval(kind):
        return False
    return bool(pt.is_primitive(kind) or pt.is_string(kind) or pt.is_large_string(kind))

"""What the encoders share: cells, events, and what is remembered of nulls.

A *cell* is what the model reconstructs: a vector of numbers, or the level of a category. One column may have several
cells (a datetime has its distance from the partition, its time of day and its weekday); they are hidden together and
count as one column. A missing number is NaN, an unseen or missing level is -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa

from pipeline.encoding.reading import is_null
from pipeline.monitor import Kind


class Cell(NamedTuple):
    """`width` numbers with a squared error, or (levels > 0) one level with a cross-entropy."""

    width: int
    levels: int


class Events(NamedTuple):
    """Facts about single values that need no model: boolean arrays of one entry a record."""

    unseen: np.ndarray
    out_of_range: np.ndarray
    unexpected_null: np.ndarray
    unexpected_type: np.ndarray


class ColumnEncoder(Protocol):
    """The fitted encoder of one column; its fields are JSON values."""

    kind: ClassVar[Kind]

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The encoder whose fields `dataclasses.asdict` gave."""

    @property
    def cells(self) -> list[Cell]:
        """The cells this column is encoded into."""

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        """float32 (n, sum of the widths); `anchor` is each record's partition in seconds since 1970, float64 (n,)."""

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        """Which values are unseen, out of range, unexpectedly null or not of the column's kind."""

    def read(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> tuple[np.ndarray, Events]:
        """Both what `encode` and what `events` gives, which may look at the same."""

    def discreet(self) -> Self:
        """The same encoder of a sensitive column: it keeps no value of a record, and extremes and medians coarsely."""

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        """Which values, bool (n,), are there but cannot be what the column's kind says."""

    def rarity(self, event: str) -> float:
        """How often a normal record shows `event` here, estimated from the training window."""

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        """Python values in the column's units from reconstructed cells: (n, width) numbers or (n, levels) logits."""


def chance(count: int, records: int) -> float:
    return (count + 1) / (records + 1)


def nowhere(values: pa.ChunkedArray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


@dataclass(frozen=True)
class Fitted:
    """What every encoder remembers of the training window."""

    records: int
    nulls: int

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)

    def read(self: ColumnEncoder, values: pa.ChunkedArray, anchor: np.ndarray | None) -> tuple[np.ndarray, Events]:
        return self.encode(values, anchor), self.events(values, anchor)

    def discreet(self) -> Self:
        return self

    @property
    def presence(self) -> list[Cell]:
        """A cell that says whether the value is there, when both were seen in training."""
        return [Cell(1, 2)] if 0 < self.nulls < self.records else []

    def with_presence(self, numbers: np.ndarray, values: pa.ChunkedArray) -> np.ndarray:
        if not self.presence:
            return numbers
        return np.concatenate([numbers, 1.0 - is_null(values)[:, None]], axis=1).astype(np.float32)

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        return nowhere(values)

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

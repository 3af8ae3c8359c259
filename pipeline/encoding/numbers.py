"""Numbers to standardised cells and back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from pipeline.encoding.cells import Cell, Events, Fitted, chance, nowhere
from pipeline.encoding.growth import Growth
from pipeline.encoding.reading import as_numbers, count_nulls, is_null, raw_numbers
from pipeline.encoding.scales import Scale
from pipeline.monitor import Kind

ENDLESS = -1
"""The `decimals` of a column whose numbers are written to seven significant digits."""
LONGEST = 86_399_999_999_999.0
"""The seconds of the longest duration that Python writes."""


@dataclass(frozen=True)
class NumericEncoder(Fitted):
    """A number: standardised, after an inverse hyperbolic sine where the column is heavy-tailed.

    A column that grows with the partitions is encoded by its distance from the level foretold for the partition.
    """

    kind: ClassVar[Kind] = "numeric"
    misfits: int
    scale: Scale
    growth: Growth | None
    decimals: int
    duration: bool

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> NumericEncoder:
        """Standardise by mean and standard deviation; a column with far heavier tails than normal is bent first."""
        numbers = as_numbers(values)
        there = ~np.isnan(numbers)
        growth = Growth.find(numbers, anchor)
        return cls(
            len(values),
            count_nulls(values) if there.any() else len(values),
            int(_misread(values).sum()),
            Scale.fit(_relative(growth, numbers, anchor)[there]),
            growth,
            0 if pt.is_integer(values.type) else _decimals(numbers[there]),
            pt.is_duration(values.type),
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        growth = state["growth"] and Growth(**state["growth"])
        return cls(**{**state, "scale": Scale(**state["scale"]), "growth": growth})

    def discreet(self) -> Self:
        return replace(self, scale=self.scale.coarse(), growth=self.growth and self.growth.coarse())

    @property
    def cells(self) -> list[Cell]:
        return [Cell(1, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        z = self.scale.standardised(_relative(self.growth, as_numbers(values), anchor))
        return self.with_presence(z[:, None], values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        distances = _relative(self.growth, raw_numbers(values), anchor)
        more = 0.0 if self.growth is None or anchor is None else self.growth.room(anchor)
        room = 0.1 * (self.scale.high - self.scale.low) + more
        outside = (distances < self.scale.low - room) | (distances > self.scale.high + room)
        if self.nulls == self.records:
            outside = ~is_null(values)
        return Events(nowhere(values), outside, self.unexpected_null(values), self.misread(values))

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        return _misread(values)

    def rarity(self, event: str) -> float:
        return chance({"out_of_range": self.scale.strays, "unexpected_type": self.misfits}.get(event, 0), self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        numbers = self.scale.restored(cells[0][:, 0])
        if self.growth is not None and anchor is not None:
            numbers = self.growth.absolute(numbers, anchor)
        written: list[Any] = [self._written(number) for number in numbers.tolist()]
        if self.duration:
            written = [dt.timedelta(seconds=min(max(number, -LONGEST), LONGEST)) for number in written]
        return self.absent_as_none(written, cells[1:])

    def _written(self, number: float) -> int | float:
        if self.decimals == ENDLESS:
            return float(f"{number:.7g}")
        return round(number, self.decimals) if self.decimals else round(number)


def _relative(growth: Growth | None, numbers: np.ndarray, anchor: np.ndarray | None) -> np.ndarray:
    return numbers if growth is None or anchor is None else growth.relative(numbers, anchor)


def _misread(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(np.isnan(raw_numbers(values)) & ~is_null(values))


def _decimals(seen: np.ndarray) -> int:
    """The number of decimals in which the column is written; `ENDLESS` above 5."""
    sample = seen[:1000]
    with np.errstate(over="ignore"):
        return next((d for d in range(6) if np.allclose(np.round(sample, d), sample, rtol=1e-7, atol=0)), ENDLESS)

"""Numbers to standardised cells and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
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
from pipeline.monitor import Kind

ENDLESS = -1
"""The `decimals` of a column whose numbers are written to seven significant digits."""


@dataclass(frozen=True)
class NumericEncoder(Fitted):
    """A number: standardised, after an inverse hyperbolic sine where the column is heavy-tailed."""

    kind: ClassVar[Kind] = "numeric"
    low: float
    high: float
    centre: float
    knee: float
    mean: float
    scale: float
    decimals: int

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> NumericEncoder:
        """Standardise by mean and standard deviation; a column with far heavier tails than normal is bent first."""
        numbers = as_numbers(values)
        seen = numbers[~np.isnan(numbers)]
        if len(seen) == 0:
            return cls(len(values), len(values), 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0)
        knee = _knee(seen)
        centre = float(np.median(seen))
        bent = _bend(seen, centre, knee)
        spread = float(bent.std())
        return cls(
            len(values),
            count_nulls(values),
            float(seen.min()),
            float(seen.max()),
            centre,
            knee,
            float(bent.mean()),
            spread if spread > 1e-14 * abs(centre) else 1.0,
            _decimals(seen) if not pt.is_integer(values.type) else 0,
        )

    @property
    def cells(self) -> list[Cell]:
        return [Cell(1, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        z = standardised(_bend(as_numbers(values), self.centre, self.knee), self.mean, self.scale)
        return self.with_presence(z[:, None], values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        plain = values.cast(pa.float64(), safe=False).to_numpy()
        room = 0.1 * (self.high - self.low)
        with np.errstate(invalid="ignore"):
            outside = (plain < self.low - room) | (plain > self.high + room)
        if self.nulls == self.records:
            outside = ~is_null(values)
        return Events(nowhere(values), outside, self.unexpected_null(values))

    def rarity(self, event: str) -> float:
        return chance(0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        bent = cells[0][:, 0].astype(np.float64) * self.scale + self.mean
        numbers = np.clip(_unbend(bent, self.centre, self.knee), self.low, self.high)
        return self.absent_as_none([self._written(number) for number in numbers.tolist()], cells[1:])

    def _written(self, number: float) -> int | float:
        if self.decimals == ENDLESS:
            return float(f"{number:.7g}")
        return round(number, self.decimals) if self.decimals else round(number)


def _knee(seen: np.ndarray) -> float:
    """The spread beyond which a heavy tail is bent; 0 where the tails are ordinary."""
    q = np.quantile(seen, [0.001, 0.25, 0.75, 0.999])
    middle = q[2] - q[1]
    if middle <= 0 or len(seen) < 100:
        return 0.0
    return float(middle) if (q[3] - q[0]) > 20 * middle else 0.0


def _bend(x: np.ndarray, centre: float, knee: float) -> np.ndarray:
    return np.asarray(np.arcsinh((x - centre) / knee)) if knee > 0 else x - centre


def _unbend(x: np.ndarray, centre: float, knee: float) -> np.ndarray:
    return np.asarray(np.sinh(np.clip(x, -700, 700)) * knee + centre if knee > 0 else x + centre)


def _decimals(seen: np.ndarray) -> int:
    """The number of decimals in which the column is written; `ENDLESS` above 5."""
    sample = seen[:1000]
    with np.errstate(over="ignore"):
        return next((d for d in range(6) if np.allclose(np.round(sample, d), sample, rtol=1e-7, atol=0)), ENDLESS)

"""The scale of a number: its standard deviation, after an inverse hyperbolic sine where the tails are heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

# Its square is still finite in float32: an infinite error would spread to the record's other cells as NaN.
FARTHEST = 1e12
HEAVY = 20.0
"""So many interquartile ranges hold all but the far ends of an ordinary column."""
STRAIGHT = 10.0
"""Heavy tails are bent beyond so many interquartile ranges; sooner, and what is improbable out there looks common."""
BLOWN = 10.0
FEW = 0.05
"""A few absurd values, at most this share, raise the standard deviation at least so many times."""
GENTLE = 3.0
"""So many interquartile ranges away a column with a few absurd values begins to be bent."""


@dataclass(frozen=True)
class Scale:
    """How numbers are standardised, strictly increasing and without end; `low` to `high` is where they were.

    `strays` counts the absurd values of the window, which lie outside.
    """

    low: float
    high: float
    centre: float
    knee: float
    mean: float
    spread: float
    strays: int

    @classmethod
    def fit(cls, seen: np.ndarray) -> Scale:
        """From float64 (n,) without NaN: by mean and standard deviation; what is far heavier than normal is bent."""
        if len(seen) == 0:
            return cls(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0)
        knee, ordinary = _knee(seen)
        centre = float(np.median(seen))
        bent = _bend(seen, centre, knee)
        deviation = float(bent[ordinary].std())
        return cls(
            float(seen[ordinary].min()),
            float(seen[ordinary].max()),
            centre,
            knee,
            float(bent[ordinary].mean()),
            deviation if deviation > 1e-14 * abs(centre) else 1.0,
            int((~ordinary).sum()),
        )

    def coarse(self) -> Scale:
        """The same without a value of a record in full.

        The median is kept to the power of ten below the standard deviation, the ends to a hundredth of their distance
        from it, outward.
        """
        bend = self.knee if self.knee > 0 else 1.0
        step = power_below(self.spread * bend)
        centre = round(self.centre / step) * step
        return replace(
            self,
            low=centre - _rounded_up(centre - self.low),
            high=centre + _rounded_up(self.high - centre),
            centre=centre,
            mean=self.mean + (self.centre - centre) / bend,
        )

    def standardised(self, numbers: np.ndarray) -> np.ndarray:
        """float32 of the same shape, in standard deviations; what is further out than `FARTHEST` stays there."""
        with np.errstate(over="ignore"):
            z = (_bend(numbers, self.centre, self.knee) - self.mean) / self.spread
        return np.clip(z, -FARTHEST, FARTHEST).astype(np.float32)

    def restored(self, z: np.ndarray) -> np.ndarray:
        """The number, float64, within what was seen."""
        bent = z.astype(np.float64) * self.spread + self.mean
        return np.asarray(np.clip(_unbend(bent, self.centre, self.knee), self.low, self.high))


def power_below(size: float) -> float:
    """The largest power of ten that is not above `size`, which is above 0; 1e-300 for what is next to nothing."""
    return float(10.0 ** math.floor(math.log10(max(size, 1e-300))))


def _rounded_up(distance: float) -> float:
    """Two digits of a distance, never less than it."""
    if distance == 0:
        return 0.0
    step = power_below(abs(distance)) / 10
    return math.ceil(distance / step) * step


def _knee(seen: np.ndarray) -> tuple[float, np.ndarray]:
    """The spread beyond which a heavy tail is bent, 0 where the tails are ordinary, and which values are not absurd."""
    q = np.quantile(seen, [0.001, 0.25, 0.75, 0.999])
    middle, most = float(q[2] - q[1]), float(q[3] - q[0])
    everywhere = np.ones(len(seen), dtype=bool)
    if middle > 0 and len(seen) >= 100 and most > HEAVY * middle:
        return STRAIGHT * middle, everywhere
    # Where half of the values are one value, ordinary columns too have rare values far from it.
    typical, reach = (middle, HEAVY) if middle > 0 else (most, 50 * HEAVY)
    ordinary = np.abs(seen - np.median(seen)) <= reach * typical
    few = typical > 0 and 0 < (~ordinary).mean() <= FEW
    if few and seen.std() > BLOWN * seen[ordinary].std():
        return GENTLE * typical, ordinary
    return 0.0, everywhere


def _bend(x: np.ndarray, centre: float, knee: float) -> np.ndarray:
    return np.asarray(np.arcsinh((x - centre) / knee)) if knee > 0 else x - centre


def _unbend(x: np.ndarray, centre: float, knee: float) -> np.ndarray:
    return np.asarray(np.sinh(np.clip(x, -700, 700)) * knee + centre if knee > 0 else x + centre)

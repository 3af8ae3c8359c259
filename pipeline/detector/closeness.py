"""How close made-up records come to real ones, so that none of them is a real one in disguise."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pipeline.detector.points import points
from pipeline.encoding import Encoder

SHARED = 5
"""A combination of values that so many records have in common is nobody's own."""
LOWEST = 0.01
SAMPLE = 2_000
REACH = 10.0
SAME = 1e-9
BLOCK = 4_096


class Closeness:
    """The records of a window, and how close the closest of them are to each other.

    The squared distance of two records adds the squared differences of their numbers, in standard deviations and
    clipped at ten, and 1 for each category that differs (the distance to the closest record, as Platzer & Reutterer
    2021 use it). Texts do not count: they are made up.
    """

    def __init__(self, encoder: Encoder, window: np.ndarray, seed: int = 0) -> None:
        """`window` is float32 (m, slots), encoded by `encoder`."""
        kinds = [column.kind for column in encoder.columns.values()]
        cells = [cell for cell, column in enumerate(encoder.column_of_cell) if kinds[column] != "text"]
        places = [(encoder.starts[cell], encoder.cells[cell]) for cell in cells]
        self._numbers = [at + each for at, cell in places if not cell.levels for each in range(cell.width)]
        self._levels = [(at, cell.levels) for at, cell in places if cell.levels]
        self._window = window
        self._alike = Counter(self._keys(window))
        some = window[np.random.default_rng(seed).permutation(len(window))[:SAMPLE]]
        apart = self.nearest(some, different=True)
        apart = apart[np.isfinite(apart)]
        self.least = float(np.quantile(apart, LOWEST)) if len(apart) else 0.0
        """The distance to another record that only 1 % of the window's records fall short of."""

    def allowed(self, matrix: np.ndarray) -> np.ndarray:
        """Which made-up records (n, slots) may stand, bool (n,).

        One that equals a record of the window only where at least `SHARED` of them are alike; any other only if it is
        as far from the nearest as the closest of them are from each other.
        """
        alike = np.array([self._alike[key] for key in self._keys(matrix)])
        far = self.nearest(matrix) >= self.least * (1.0 - SAME)
        return np.where(alike > 0, alike >= SHARED, far)

    def nearest(self, matrix: np.ndarray, different: bool = False) -> np.ndarray:
        """The distance of each record (n, slots) to the nearest of the window or, if `different`, to the nearest that
        is not the same, float64 (n,); infinite if there is none."""
        own = self._points(matrix)
        square = (own**2).sum(axis=1)[:, None]
        least = np.full(len(matrix), np.inf)
        for start in range(0, len(self._window), BLOCK):
            there = self._points(self._window[start : start + BLOCK])
            apart = square - 2.0 * own @ there.T + (there**2).sum(axis=1)
            if different:
                apart[apart < SAME] = np.inf
            least = np.minimum(least, apart.min(axis=1))
        return np.asarray(np.sqrt(np.maximum(least, 0.0)))

    def _points(self, matrix: np.ndarray) -> np.ndarray:
        """float64 rows whose squared Euclidean distance is the one meant."""
        numbers = np.clip(np.nan_to_num(matrix[:, self._numbers], nan=0.0), -REACH, REACH).astype(np.float64)
        return points(numbers, [(matrix[:, at], levels) for at, levels in self._levels])

    def _keys(self, matrix: np.ndarray) -> list[bytes]:
        """What is the same for records that are equal in every column that counts."""
        counted = matrix[:, [*self._numbers, *(at for at, _ in self._levels)]]
        plain = np.where(np.isnan(counted), np.float32(np.inf), counted) + np.float32(0.0)
        return [row.tobytes() for row in np.ascontiguousarray(plain)]

"""The memory member: a record is reconstructed as its nearest training record."""

from __future__ import annotations

import numpy as np

from models import Spec
from pipeline.detector.points import drawn_in, points

BLOCK = 256
"""So many records are compared at once: what comes of it stays in a processor's cache."""


class Memory:
    """Up to a few thousand training records, encoded; `rows` is float32 (m, slots).

    The squared distance adds the squared differences of the numbers (in standard deviations, by their logarithm beyond
    `STRAIGHT`, so that one wild number does not hide what all others say) and `MISMATCH` for each level that differs.
    """

    def __init__(self, rows: np.ndarray, spec: Spec, distrust: np.ndarray | None = None) -> None:
        self.rows = rows
        self.distrust = np.zeros(len(rows)) if distrust is None else distrust
        self.spec = spec
        self._points = as_remembered(rows, spec)
        # One product gives the squared distance but for the record's own square, which is the same for all of them.
        square = (self._points**2).sum(axis=1) + self.distrust
        self._sides = np.concatenate([-2.0 * self._points.T, square[None].astype(np.float32)])

    def distances(self, matrix: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Squared distance of each row of `matrix` (n, slots) to its nearest remembered record, float64 (n,).

        `own` (n,) holds the place in the memory of the row itself, -1 if it is not there; a record is no neighbour of
        its own.
        """
        found = np.empty(len(matrix))
        for start in range(0, len(matrix), BLOCK):
            part = slice(start, start + BLOCK)
            here = as_remembered(matrix[part], self.spec)
            square = np.concatenate([here, np.ones((len(here), 1), np.float32)], axis=1) @ self._sides
            if own is not None:
                there = np.flatnonzero(own[part] >= 0)
                square[there, own[part][there]] = np.inf
            # Taken anew for the nearest: what is left of the sum above may be nothing but rounding.
            nearest = square.argmin(axis=1)
            found[part] = ((here - self._points[nearest]) ** 2).sum(axis=1) + self.distrust[nearest]
        return found


def as_remembered(matrix: np.ndarray, spec: Spec) -> np.ndarray:
    """Rows of `matrix` (n, slots) whose squared Euclidean distance is the memory's, float32 (n, width)."""
    levels = [(matrix[:, spec.starts[cell]], spec.levels[cell]) for cell in spec.category_cells]
    return points(numbers_as_remembered(matrix, spec), levels)


def numbers_as_remembered(matrix: np.ndarray, spec: Spec) -> np.ndarray:
    """The numbers of `as_remembered`: missing ones at the mean, far ones drawn in, float32 (n, numbers)."""
    return drawn_in(np.nan_to_num(matrix[:, list(spec.number_slots)], nan=0.0))

"""The records that are most like a flagged one, when what was wrong with it is left out."""

from __future__ import annotations

import numpy as np

from models import Spec
from pipeline.detector.memory import BLOCK, numbers_as_remembered
from pipeline.detector.points import MISMATCH


def nearest(
    spec: Spec, records: np.ndarray, among: np.ndarray, hidden: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places in `among` (m, slots) of the `most` nearest to each of `records` (n, slots), and their distances.

    `hidden`, bool (n, columns), says which columns of each record do not count. The distance is the memory's, not
    squared. Both answers are (n, min(most, m)), intp and float64, the nearest first.
    """
    counts = ~hidden[:, [spec.columns[spec.number_cells[at]] for at in spec.cell_of_number]]
    here, levels = numbers_as_remembered(records, spec), _levels(records, spec)
    told = ~hidden[:, [spec.columns[cell] for cell in spec.category_cells]]
    seen = here * counts
    squares = np.empty((len(records), len(among)), np.float32)
    for start in range(0, len(among), BLOCK):
        part = slice(start, start + BLOCK)
        there, others = numbers_as_remembered(among[part], spec), _levels(among[part], spec)
        squares[:, part] = counts.astype(np.float32) @ (there**2).T - 2.0 * seen @ there.T
        for at in range(told.shape[1]):
            squares[:, part] += MISMATCH * ((levels[:, at, None] != others[:, at]) & told[:, at, None])
    found = min(most, len(among))
    places = np.argpartition(squares, found - 1, axis=1)[:, :found] if found else np.zeros((len(records), 0), np.intp)
    # Taken anew for the few: what is left of the sum above may be nothing but rounding.
    there, others = numbers_as_remembered(among, spec)[places], _levels(among, spec)[places]
    apart = (((there - here[:, None]) * counts[:, None]) ** 2).sum(axis=2, dtype=np.float64)
    distances = np.sqrt(apart + MISMATCH * ((others != levels[:, None]) & told[:, None]).sum(axis=2))
    order = np.lexsort((places, distances), axis=1)
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _levels(matrix: np.ndarray, spec: Spec) -> np.ndarray:
    """The level of each category, -1 where it was never seen, float32 (n, categories)."""
    return matrix[:, [spec.starts[cell] for cell in spec.category_cells]]

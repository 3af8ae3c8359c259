"""The records that are most like a flagged one, when what was wrong with it is left out."""

from __future__ import annotations

import numpy as np

from models import Spec
from pipeline.detector.memory import BLOCK, as_remembered


def nearest(
    spec: Spec, records: np.ndarray, among: np.ndarray, hidden: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places in `among` (m, slots) of the `most` nearest to each of `records` (n, slots), and their distances.

    `hidden`, bool (n, columns), says which columns of each record do not count. The distance is the memory's, not
    squared. Both answers are (n, min(most, m)), intp and float64, the nearest first.
    """
    counts = ~hidden[:, _column_of_dimension(spec)]
    here = as_remembered(records, spec)
    seen = here * counts
    squares = np.empty((len(records), len(among)), np.float32)
    for start in range(0, len(among), BLOCK):
        part = slice(start, start + BLOCK)
        there = as_remembered(among[part], spec)
        squares[:, part] = counts.astype(np.float32) @ (there**2).T - 2.0 * seen @ there.T
    found = min(most, len(among))
    places = np.argpartition(squares, found - 1, axis=1)[:, :found] if found else np.zeros((len(records), 0), np.intp)
    # Taken anew for the few: what is left of the sum above may be nothing but rounding.
    there = as_remembered(among[places.ravel()], spec).reshape(*places.shape, here.shape[1])
    distances = np.sqrt((((there - here[:, None]) * counts[:, None]) ** 2).sum(axis=2, dtype=np.float64))
    order = np.lexsort((places, distances), axis=1)
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _column_of_dimension(spec: Spec) -> np.ndarray:
    """The column that each dimension of `as_remembered` belongs to, intp (width,)."""
    numbers = [spec.columns[spec.number_cells[at]] for at in spec.cell_of_number]
    levels = [spec.columns[cell] for cell in spec.category_cells for _ in range(spec.levels[cell] + 1)]
    return np.array(numbers + levels, dtype=np.intp)

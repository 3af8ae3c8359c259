"""The reconstruction error of a cell in NumPy: by how many nats it is less likely than the most likely one.

`models.losses.cell_errors` is the definition; tests hold this to it.
"""

from __future__ import annotations

import math

import numpy as np

from models.spec import SMALLEST_LOG_SCALE, Spec

LOG_COSH = (1 / 4, -1 / 96, 1 / 1440, -17 / 322560, 31 / 7257600, -691 / 1916006400)
"""2 log cosh(z / 2) as a series in z^2, of which at z = 1 the next term is 1e-7 of the sum."""


def cell_errors(spec: Spec, record: np.ndarray, output: np.ndarray) -> np.ndarray:
    """float32 (cells, n) of records (slots, n) and the output (output width, n) of a scaled or blunt network.

    A missing number (NaN) has no error.
    """
    errors = np.empty((len(spec.widths), record.shape[1]), dtype=np.float32)
    if spec.number_cells:
        errors[list(spec.number_cells)] = _of_numbers(spec, record, output)
    for cell in spec.category_cells:
        logits = output[slice(*spec.outputs[cell])]
        errors[cell] = level_shortfall(record[spec.starts[cell]].astype(np.int32), logits)
    return errors


def _of_numbers(spec: Spec, record: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The errors of cells of numbers (number cells, n): the mean of those of their numbers."""
    count = len(spec.number_slots)
    z = record[list(spec.number_slots)]
    missing = np.isnan(z)
    z -= output[:count]
    np.abs(z, out=z)
    if spec.scaled:
        z *= np.exp(-np.maximum(output[count : 2 * count], np.float32(SMALLEST_LOG_SCALE)))
    z[missing] = 0.0
    errors = logistic_shortfall(z)
    if count == len(spec.number_cells):
        return errors
    first = [spec.cell_of_number.index(at) for at in range(len(spec.number_cells))]
    widths = np.array([spec.widths[cell] for cell in spec.number_cells], dtype=np.float32)
    return np.asarray(np.add.reduceat(errors, first, axis=0) / widths[:, None])


def logistic_shortfall(z: np.ndarray) -> np.ndarray:
    """2 log cosh(z / 2) of `z` float32, how many scales a number is from its location; of the same shape."""
    square = np.square(np.minimum(z, np.float32(1.0)))
    # Near the location the difference of two densities is all rounding.
    near = np.zeros_like(z)
    for term in reversed(LOG_COSH):
        near += np.float32(term)
        near *= square
    far = z + np.float32(2.0) * np.log(np.float32(1.0) + np.exp(-z)) - np.float32(2.0 * math.log(2.0))
    return np.where(z < 1.0, near, far)


def level_shortfall(level: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """How far the logit of `level` int (n,) is below the highest of `logits` (levels, n), that of -1 the lowest."""
    seen = logits[np.maximum(level, 0), np.arange(len(level))]
    if (level < 0).any():
        seen = np.where(level < 0, logits.min(axis=0), seen)
    return np.asarray(logits.max(axis=0) - seen)

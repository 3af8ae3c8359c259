"""Encoded records as points, for whatever measures how far they are from each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.spec import STRAIGHT

MISMATCH = 1.0


def points(numbers: np.ndarray, categories: Iterable[tuple[np.ndarray, int]]) -> np.ndarray:
    """Rows whose squared Euclidean distance is that of `numbers` (n, width) and `MISMATCH` for each level that differs.

    `categories` are the levels (n,) of each category, -1 where never seen, and how many there are. The dtype is that of
    `numbers`.
    """
    side = numbers.dtype.type((MISMATCH / 2) ** 0.5)
    marks = [one_hot(levels, count).astype(numbers.dtype) * side for levels, count in categories]
    return np.concatenate([numbers, *marks], axis=1)


def one_hot(levels: np.ndarray, count: int) -> np.ndarray:
    """A mark in one of `count` + 1 places for each of `levels` (n,), the first for what was never seen, float32."""
    return np.asarray(np.eye(count + 1, dtype=np.float32)[levels.astype(int) + 1])


def drawn_in(numbers: np.ndarray) -> np.ndarray:
    """Numbers as they are up to `STRAIGHT`, beyond by their logarithm: increasing without end, blown up by nothing."""
    found = numbers.copy()
    far = np.abs(numbers) > STRAIGHT
    beyond = numbers[far]
    found[far] = np.sign(beyond) * STRAIGHT * (1.0 + np.log(np.abs(beyond) / STRAIGHT))
    return found

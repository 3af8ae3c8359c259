"""The nearest records by what is not hidden, against the distance written out."""

from __future__ import annotations

import numpy as np
import pytest

from models import Spec
from pipeline.detector import neighbours
from pipeline.detector.neighbours import nearest

# A number, a category of three levels, a column of two cells: a vector of two numbers and a category.
SPEC = Spec("ensemble", (1, 1, 2, 1), (0, 3, 0, 2), (0, 1, 2, 2), scaled=True)
NUMBERS, CATEGORIES = (0, 2, 3), (1, 4)
COLUMN_OF_SLOT = np.array([0, 1, 2, 2, 2])


def records(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 1, (n, 5)).astype("float32")
    found[:, 1], found[:, 4] = draw.integers(-1, 3, n), draw.integers(-1, 2, n)
    found[draw.random(n) < 0.1, 0] = np.nan
    return found


def plainly(one: np.ndarray, other: np.ndarray, hidden: np.ndarray) -> float:
    """Numbers in standard deviations, a missing one at the mean, 1 for another category."""
    counts = ~hidden[COLUMN_OF_SLOT]
    differ = np.nan_to_num(one) - np.nan_to_num(other)
    differ[list(CATEGORIES)] = differ[list(CATEGORIES)] != 0
    return float(np.sqrt((differ[counts] ** 2).sum()))


def test_the_nearest_by_the_columns_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    ours, among = records(20), records(50, seed=1)
    hidden = np.random.default_rng(2).random((20, 3)) < 0.4
    places, distances = nearest(SPEC, ours, among, hidden, 3)
    for row in range(20):
        expected = np.array([plainly(ours[row], other, hidden[row]) for other in among])
        np.testing.assert_allclose(distances[row], np.sort(expected)[:3], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(expected[places[row]], distances[row], rtol=1e-4, atol=1e-5)


def test_what_is_hidden_changes_nothing() -> None:
    ours, among = records(1), records(200, seed=1)
    hidden = np.array([[True, False, False]])
    wild = ours.copy()
    wild[0, 0] = 1e9
    np.testing.assert_array_equal(nearest(SPEC, ours, among, hidden, 5), nearest(SPEC, wild, among, hidden, 5))
    assert nearest(SPEC, wild, among, ~hidden, 5)[1].min() > 5


@pytest.mark.parametrize("there", [0, 2])
def test_of_few_records_all_are_neighbours(there: int) -> None:
    places, distances = nearest(SPEC, records(4), records(there, seed=1), np.zeros((4, 3), bool), 3)
    assert places.shape == distances.shape == (4, there)
    assert [sorted(row) for row in places.tolist()] == [list(range(there))] * 4


def test_of_equal_ones_the_first_comes_first() -> None:
    ours = records(2)
    places, distances = nearest(SPEC, ours, np.repeat(ours, 2, axis=0), np.zeros((2, 3), bool), 2)
    assert places.tolist() == [[0, 1], [2, 3]] and (distances == 0).all()

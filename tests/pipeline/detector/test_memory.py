"""The memory: the nearest remembered record."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from models import Spec
from models.layers import drawn_in
from pipeline.detector import memory as memory_module
from pipeline.detector.memory import Memory

SPEC = Spec("ensemble", (1, 1, 2), (0, 3, 0), (0, 1, 2), scaled=True)


def records(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 2, (n, 4)).astype("float32")
    found[:, 1] = draw.integers(-1, 3, n)
    found[draw.random(n) < 0.1, 0] = np.nan
    found[draw.random(n) < 0.05, 3] = 1e6
    return found


def plainly(one: np.ndarray, other: np.ndarray) -> float:
    """The squared distance written out: numbers drawn in, a missing one at the mean, 1 for another category."""
    numbers = [ops.convert_to_numpy(drawn_in(np.nan_to_num(row[[0, 2, 3]]))) for row in (one, other)]
    return float(((numbers[0] - numbers[1]) ** 2).sum() + (one[1] != other[1]))


def test_the_distance_is_to_the_nearest_remembered_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "BLOCK", 7)
    rows, later = records(40), records(25, seed=1)
    expected = [min(plainly(one, row) for row in rows) for one in later]
    np.testing.assert_allclose(Memory(rows, SPEC).distances(later), expected, rtol=1e-4, atol=1e-5)


def test_a_record_is_no_neighbour_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "BLOCK", 7)
    rows = records(40)
    own = np.where(np.arange(40) % 2, np.arange(40), -1)
    expected = [min(plainly(row, other) for j, other in enumerate(rows) if j != own[i]) for i, row in enumerate(rows)]
    np.testing.assert_allclose(Memory(rows, SPEC).distances(rows, own), expected, rtol=1e-4, atol=1e-5)


def test_p15_the_distance_of_a_remembered_record_is_nothing_in_any_batch() -> None:
    rows = records(200) * np.array([50, 1, 1, 1], "float32")
    memory = Memory(rows, SPEC)
    assert (memory.distances(rows) == 0).all()
    assert all(memory.distances(rows[i : i + 1])[0] == 0 for i in range(20))


def test_a_level_counts_one_and_a_number_its_square_up_to_the_bend() -> None:
    memory = Memory(np.array([[0, 0, 0, 0], [0, 1, 0, 0]], "float32"), SPEC)
    found = memory.distances(np.array([[0, 2, 0, 0], [0, -1, 0, 0], [4, 0, 0, 0], [5, 2, 0, -5]], "float32"))
    np.testing.assert_allclose(found, [1.0, 1.0, 16.0, 51.0], rtol=1e-6)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_p18_a_number_further_out_is_further_away_and_does_not_drown_the_rest(side: float) -> None:
    memory = Memory(records(40), SPEC)
    far = np.repeat(records(1, seed=1), 60, axis=0)
    far[:, 0] = side * np.geomspace(8, 1e12, 60)
    found = memory.distances(far)
    assert (np.diff(found) > 0).all()
    assert found[-1] < 140**2
    other = far.copy()
    other[:, 2] += 20.0
    assert (memory.distances(other) > found + 1).all()


def test_a_distrusted_record_is_as_much_further_away() -> None:
    rows = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [3, 0, 0, 0]], "float32")
    later = np.array([[0, 0, 0, 0], [0.9, 0, 0, 0], [3, 0, 0, 0]], "float32")
    found = Memory(rows, SPEC, np.array([0.5, 0.0, 9.0])).distances(later)
    np.testing.assert_allclose(found, [0.5, 0.01, 4.0], rtol=1e-4)


def test_p16_the_rows_are_not_changed() -> None:
    rows, later = records(10), records(5, seed=1)
    before = rows.copy(), later.copy()
    Memory(rows, SPEC).distances(later)
    np.testing.assert_array_equal(rows, before[0])
    np.testing.assert_array_equal(later, before[1])

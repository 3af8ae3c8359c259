"""What is too close to a record of the window, and what is nobody's own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector.closeness import SHARED, Closeness
from pipeline.encoding import Encoder


def closeness(table: pa.Table, **kinds: str) -> tuple[Closeness, Encoder]:
    encoder = Encoder.fit(table, kinds)  # type: ignore[arg-type]
    return Closeness(encoder, encoder.encode(table).matrix), encoder


def spread(n: int = 400) -> pa.Table:
    draw = np.random.default_rng(0)
    return pa.table({"x": draw.normal(0, 1, n), "y": draw.normal(5, 3, n), "shop": draw.choice(["a", "b"], n)})


def test_no_record_of_the_window_is_allowed_and_none_next_to_one() -> None:
    table = spread()
    close, encoder = closeness(table)
    matrix = encoder.encode(table).matrix
    assert close.least > 0
    assert not close.allowed(matrix).any()
    # A hundredth of the least distance away: not the same, yet too close.
    near = matrix.copy()
    near[:, 0] += close.least / 100
    assert not close.allowed(near).any()
    far = matrix.copy()
    far[:, 0] += 5
    assert close.allowed(far).all()


def test_the_least_distance_is_the_lowest_percentile_between_neighbours() -> None:
    table = spread()
    close, encoder = closeness(table)
    matrix = encoder.encode(table).matrix.astype(np.float64)
    plain = np.column_stack([matrix[:, :2], matrix[:, 2] == 1, matrix[:, 2] == 2])
    plain[:, 2:] *= 0.5**0.5
    apart = np.linalg.norm(plain[:, None] - plain[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert close.least == pytest.approx(np.quantile(apart.min(axis=1), 0.01), rel=1e-5)
    assert close.nearest(encoder.encode(table).matrix, different=True) == pytest.approx(apart.min(axis=1), rel=1e-4)


def test_another_category_is_one_away_and_missing_is_not_the_mean() -> None:
    table = pa.table({"shop": ["a", "b"] * 20, "x": [1.0, None] * 20})
    close, encoder = closeness(table, shop="categorical")
    swapped = encoder.encode(pa.table({"shop": ["b"], "x": [1.0]})).matrix
    assert close.nearest(swapped)[0] == pytest.approx(1)


def test_a_combination_that_many_share_is_nobodys_own() -> None:
    shared = {"shop": ["a"] * SHARED + ["b"] * (SHARED - 1) + ["c"] * 50, "size": [1] * (2 * SHARED + 49)}
    close, encoder = closeness(pa.table(shared), shop="categorical", size="categorical")
    made = encoder.encode(pa.table({"shop": ["a", "b"], "size": [1, 1]})).matrix
    assert close.allowed(made).tolist() == [True, False]


def test_a_window_of_one_combination_allows_it() -> None:
    close, encoder = closeness(pa.table({"shop": ["a"] * 30, "x": [1.0] * 30}))
    assert close.least == 0
    assert close.allowed(encoder.encode(pa.table({"shop": ["a"], "x": [1.0]})).matrix).all()


def test_texts_do_not_count_for_they_are_made_up() -> None:
    table = spread().append_column("note", pa.array([f"note {i}" for i in range(400)]))
    close, encoder = closeness(table)
    other = table.set_column(3, "note", pa.array([f"quite another text {i}" for i in range(400)]))
    assert not close.allowed(encoder.encode(other).matrix).any()


def test_two_nulls_are_the_same_whatever_their_bits() -> None:
    table = pa.table({"x": [1.0, None, 3.0, 4.0] * 10, "shop": [f"s{i}" for i in range(40)]})
    encoder = Encoder.fit(table, {"shop": "text"})
    matrix = encoder.encode(table).matrix
    other = matrix.copy()
    other[np.isnan(other)] = -np.float32(np.nan)
    close = Closeness(encoder, matrix)
    assert close.allowed(other).tolist() == close.allowed(matrix).tolist() == [True] * 40

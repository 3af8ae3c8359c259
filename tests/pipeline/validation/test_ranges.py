from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.validation.ranges import numeric_range, outward, wide_range

RNG = np.random.default_rng(7)
HONEST: dict[str, Callable[[np.random.Generator, int], npt.NDArray[np.float64]]] = {
    "normal": lambda rng, n: rng.normal(1000, 10, n),
    "uniform": lambda rng, n: rng.uniform(-5, 5, n),
    "exponential": lambda rng, n: rng.exponential(3, n),
    "lognormal": lambda rng, n: rng.lognormal(0, 3, n),
    "pareto": lambda rng, n: rng.pareto(1, n),
    "counts": lambda rng, n: rng.poisson(4, n).astype(float),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.97, 0, rng.gamma(2, 50, n)),
    "returns": lambda rng, n: rng.standard_t(3, n),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_new_values_are_almost_never_outside(name: str) -> None:
    window = HONEST[name](np.random.default_rng(1), 20_000)
    low, high = numeric_range(window)
    new = HONEST[name](np.random.default_rng(2), 200_000)
    assert ((new < low) | (new > high)).mean() < 1 / 20_000


@pytest.mark.parametrize("name", HONEST)
def test_one_wild_value_in_the_window_matters_little(name: str) -> None:
    window = HONEST[name](np.random.default_rng(1), 20_000)
    _, clean = numeric_range(window)
    _, poisoned = numeric_range(np.append(window, [1e12]))
    assert clean <= poisoned < 2 * clean


def test_a_wild_value_is_outside() -> None:
    low, high = numeric_range(RNG.normal(0, 1, 5_000))
    assert -100 < low < -10
    assert 10 < high < 100


def test_a_far_value_that_recurs_is_ordinary() -> None:
    window = np.append(RNG.normal(50, 5, 5_000), [-999.0] * 3 + [99_999.0])
    low, high = numeric_range(window)
    assert low == -999
    assert high < 99_999


@pytest.mark.parametrize(
    ("values", "wall"),
    [
        (RNG.exponential(3, 5_000), True),  # stretches away from zero
        (RNG.poisson(2, 5_000).astype(float), True),  # piles up at zero
        (RNG.integers(0, 2, 5_000).astype(float), True),  # a flag, of which no other bound is known
        (RNG.normal(30, 8, 5_000).clip(1), False),  # temperatures: a colder day may come
    ],
)
def test_the_lower_bound_is_zero_only_where_zero_is_seen_to_be_a_wall(values: np.ndarray, wall: bool) -> None:
    low, _ = numeric_range(values)
    assert (low == 0) == wall
    assert low <= 0


def test_one_negative_value_shows_that_zero_is_no_wall() -> None:
    low, _ = numeric_range(np.append(RNG.exponential(3, 5_000), [-0.5]))
    assert low < 0


@pytest.mark.parametrize("values", [[2013.0], [1.0, 2.0], [0.0]])
def test_too_few_distinct_values_are_no_evidence(values: list[float]) -> None:
    assert numeric_range(np.array(values * 2_000)) == (-math.inf, math.inf)


def test_values_that_nearly_all_records_share_say_nothing_of_the_others() -> None:
    window = np.append(np.zeros(50_000), RNG.uniform(1, 500, 60))
    _, high = numeric_range(window)
    assert high == math.inf


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_range_is_never_upside_down_and_holds_the_ordinary(values: list[float]) -> None:
    window = np.tile(values, 60)
    low, high = numeric_range(window)
    assert low <= window.min() <= window.max() <= high


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_outward_never_tightens(value: float) -> None:
    assert outward(value, up=True) >= value or outward(value, up=True) == pytest.approx(value, rel=1e-9)
    assert outward(value, up=False) <= value or outward(value, up=False) == pytest.approx(value, rel=1e-9)


def test_rounding_outward_keeps_three_digits() -> None:
    assert outward(41_234.5, up=True) == 41_300
    assert outward(-41_234.5, up=False) == -41_300
    assert outward(0.0, up=True) == 0
    assert outward(500.0, up=True) == 500


def test_a_wide_range_leaves_a_wild_value_out_but_keeps_one_that_recurs() -> None:
    values = np.append(RNG.uniform(0, 28, 5_000), [-50_000.0, 9_999_999.0, 9_999_999.0, 9_999_999.0])
    low, high = wide_range(values, margin=100)
    assert -50_000 < low < -300
    assert high == 9_999_999

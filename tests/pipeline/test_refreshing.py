"""The body of the p-values says how far normal has moved; anomalies, broken nights and calm weeks say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.refreshing import (
    BODY,
    FEWEST_PARTITIONS,
    FEWEST_RECORDS,
    LATEST,
    LEAST_POWER,
    TAIL,
    UNCHANGED,
    Refresh,
    body,
    body_power,
)

powers = st.lists(st.floats(0.05, 3.0), max_size=LATEST)


def drifted(power: float, n: int = 200_000, seed: int = 0) -> np.ndarray:
    """p-values of which a share p ** power is at most p."""
    return np.random.default_rng(seed).random(n) ** (1 / power)


@pytest.mark.parametrize("power", [0.6, 0.8, 1.0, 1.2])
def test_the_power_of_drifted_p_values_is_found_and_makes_them_uniform_again(power: float) -> None:
    p = drifted(power)
    found = body_power(body(p))
    assert found == pytest.approx(power, abs=0.01)
    for rate in (0.001, 0.01, 0.1):
        assert (p**found <= rate).mean() == pytest.approx(rate, rel=0.15)


def test_the_body_is_counted_batch_by_batch_with_its_edges() -> None:
    p = np.array([0.001, TAIL, 0.02, BODY, np.nextafter(BODY, 1), 0.5, 1.0])
    assert body(p).tolist() == [2, 3]
    assert (body(p[:3]) + body(p[3:])).tolist() == [2, 3]
    assert body(p[:0]).tolist() == [0, 0]


def test_anomalies_are_not_learned_however_many_they_are() -> None:
    normal = drifted(1.0, 900)
    with_anomalies = np.concatenate([normal, np.full(900, TAIL), np.full(5, 1e-9)])
    assert body_power(body(with_anomalies)) == body_power(body(normal))


@pytest.mark.parametrize("counts", [(0, 0), (0, 1_000), (1_000, 0), (19, FEWEST_RECORDS - 20)])
def test_too_few_records_have_no_power(counts: tuple[int, int]) -> None:
    assert body_power(np.array(counts)) is None


def test_just_enough_records_have_a_power() -> None:
    assert body_power(np.array([20, FEWEST_RECORDS - 20])) == pytest.approx(np.log10(9))


def test_a_refresh_takes_enough_partitions() -> None:
    assert Refresh.of([]) == UNCHANGED
    assert Refresh.of([0.8] * (FEWEST_PARTITIONS - 1)) == UNCHANGED
    assert Refresh.of([0.8] * FEWEST_PARTITIONS) == Refresh(0.8, FEWEST_PARTITIONS)


def test_two_broken_nights_of_a_week_change_nothing_and_five_are_the_new_normal() -> None:
    assert Refresh.of([0.2, 1.0, 1.0, 0.1, 1.0, 1.0, 1.0]).power == 1.0
    assert Refresh.of([0.2, 0.2, 0.2, 0.2, 1.0, 1.0, 1.0]).power == 1.0
    assert Refresh.of([1.0, 0.8, 0.8, 0.8, 0.8, 0.8, 1.0]).power == 0.8
    assert Refresh.of([0.8, 0.8, 1.0]).power == 1.0


def test_a_slow_shift_is_followed_with_what_more_than_two_thirds_agree_on() -> None:
    assert Refresh.of([0.99, 0.97, 0.95, 0.93, 0.91, 0.89, 0.87]).power == 0.95


def test_a_stationary_table_is_flagged_at_the_rate_asked_for() -> None:
    draw = np.random.default_rng(0)
    weeks = [Refresh.of([body_power(body(night)) or 0.0 for night in draw.random((LATEST, 900))]) for _ in range(300)]
    assert np.mean([week.before(0.001) for week in weeks]) == pytest.approx(0.001, rel=0.06)


@given(powers)
def test_a_refresh_is_bounded_and_its_order_does_not_matter(found: list[float]) -> None:
    refresh = Refresh.of(found)
    assert LEAST_POWER <= refresh.power <= 1.0
    assert refresh == Refresh.of(found[::-1])
    assert refresh.bounded == (refresh.wanted < LEAST_POWER)


@given(powers, st.floats(1e-12, 0.5))
def test_no_p_value_becomes_smaller_and_none_changes_its_rank(found: list[float], rate: float) -> None:
    refresh = Refresh.of(found)
    p = np.sort(np.append(np.logspace(-12, 0, 50), rate))
    after = refresh(p)
    assert (after >= p).all() and (np.diff(after) >= 0).all() and after[-1] == 1.0
    assert (after <= p * refresh.times).all() and refresh.times <= TAIL ** (LEAST_POWER - 1)
    assert refresh(np.array([refresh.before(rate)]))[0] == pytest.approx(rate)


def test_the_bound_is_told_only_when_it_is_passed() -> None:
    assert not Refresh.of([LEAST_POWER] * 7).bounded
    assert Refresh.of([LEAST_POWER - 0.01] * 7).bounded
    assert Refresh.of([LEAST_POWER - 0.01] * 7).power == LEAST_POWER
    assert not Refresh.of([0.1] * 4 + [1.0] * 3).bounded


def test_the_body_becomes_uniform_and_the_tail_grows_as_the_edge_of_the_body() -> None:
    refresh = Refresh(0.8, 7)
    body_values = np.array([0.02, 0.1, 0.5])
    np.testing.assert_allclose(refresh(body_values), body_values**0.8)
    np.testing.assert_allclose(refresh(np.array([1e-9, 0.001, TAIL])), np.array([1e-9, 0.001, TAIL]) * TAIL**-0.2)
    assert refresh.before(0.001) == pytest.approx(0.001 * TAIL**0.2)
    assert refresh.before(0.2) == pytest.approx(0.2 ** (1 / 0.8))

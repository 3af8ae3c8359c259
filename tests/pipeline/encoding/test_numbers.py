"""Numbers: standardised, monotone, finite, and back in their own units."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoding import EVENTS, Encoder

OUT_OF_RANGE, UNEXPECTED_NULL = EVENTS.index("out_of_range"), EVENTS.index("unexpected_null")


def fit(values: Any, type_: pa.DataType | None = None) -> Encoder:
    return Encoder.fit(table(values, type_), {"x": "numeric"})


def table(values: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def test_an_ordinary_column_is_standardised_by_mean_and_deviation() -> None:
    values = np.random.default_rng(0).normal(20.0, 4.0, 1_000)

    found = fit(values).encode(table(values)).matrix[:, 0]

    np.testing.assert_allclose(found, (values - values.mean()) / values.std(), atol=1e-5)


def test_a_heavy_tail_is_bent_and_stays_in_order() -> None:
    values = np.exp(np.random.default_rng(0).normal(0, 2.5, 5_000))
    encoder = fit(values)
    further = np.geomspace(1e-3, 1e15, 300)

    inside = encoder.encode(table(values)).matrix[:, 0]
    outside = encoder.encode(table(further)).matrix[:, 0]

    assert encoder.columns["x"].scale.knee > 0  # type: ignore[attr-defined]
    assert np.abs(inside).max() < np.abs((values - values.mean()) / values.std()).max() / 2
    assert (np.diff(inside[np.argsort(values)]) >= 0).all()
    assert (np.diff(outside) >= 0).all()
    assert (np.diff(outside[further > 1]) > 0).all()


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=10),
)
def test_p08_every_number_is_encoded_finite_and_in_order(seen: list[float], later: list[float]) -> None:
    encoder = fit(seen)
    state = json.dumps(encoder.to_state(), allow_nan=False)

    found = Encoder.from_state(json.loads(state)).encode(table(sorted(later))).matrix[:, 0]

    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()


@given(st.lists(st.sampled_from([None, float("nan"), float("inf"), float("-inf"), 1.0, 2.0, 1e308]), min_size=1))
def test_p08_what_is_no_number_is_missing_or_out_of_range(values: list[float | None]) -> None:
    found = fit([1.0, 2.0, 3.0]).encode(table(values, pa.float64()))

    plain = np.array([np.nan if v is None else v for v in values])
    assert (np.isnan(found.matrix[:, 0]) == ~np.isfinite(plain)).all()
    assert (found.events[:, 0, OUT_OF_RANGE] == (np.abs(plain) > 100)).all()
    assert (found.events[:, 0, UNEXPECTED_NULL] == np.isnan(plain)).all()


def test_nulls_that_were_seen_have_a_presence_cell() -> None:
    values = [1.0, None, 3.0, float("nan"), 5.0]
    encoder = fit(values)

    found = encoder.encode(table(values))

    assert [tuple(cell) for cell in encoder.cells] == [(1, 0), (1, 2)]
    assert found.matrix[:, 1].tolist() == [1, 0, 1, 0, 1]
    assert not found.events.any()


@pytest.mark.parametrize("values", [[7.0] * 5, [0.1] * 7, [0.0] * 3, [1e-30] * 4, [2**62] * 4], ids=str)
def test_p03_a_constant_column_is_zero_and_any_deviation_is_out_of_range(values: list[float]) -> None:
    encoder = fit(values)

    same, other = encoder.encode(table(values)), encoder.encode(table([values[0] * 1.001 + 1e-3], pa.float64()))

    assert (same.matrix == 0).all() and not same.events.any()
    assert other.matrix[0, 0] > 0 and other.events[0, 0, OUT_OF_RANGE]


def test_p03_any_value_in_a_column_of_nulls_is_out_of_range() -> None:
    encoder = fit([None, None], pa.float64())
    found = encoder.encode(table([None, 0.0, 1.0], pa.float64()))
    assert found.events[:, 0, OUT_OF_RANGE].tolist() == [False, True, True]
    assert not found.events[:, 0, UNEXPECTED_NULL].any()


def test_a_tenth_of_the_range_is_allowed_beyond_it() -> None:
    encoder = fit(np.linspace(0, 100, 50))
    later = [-10.1, -9.9, 50.0, 109.9, 110.1]
    assert encoder.encode(table(later)).events[:, 0, OUT_OF_RANGE].tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([3, -4, 500, 7], pa.int16()),
        ([2**40, 2**40 + 2**30, 2**39], pa.int64()),
        ([1.5, 2.25, -3.75, 0.0], pa.float64()),
        ([0.1, 0.2, 0.3], pa.float32()),
        ([1e-9, 2e-9, 3.5e-9], pa.float64()),
        ([0.00001, 0.00005], pa.float64()),
        ([123456.78, 0.01], pa.float64()),
        ([Decimal("10.25"), Decimal("99.50")], pa.decimal128(12, 2)),
        ([1.0, 2.0, None], pa.float64()),
        ([4, None, 6], pa.int64()),
    ],
    ids=str,
)
def test_round_trip_in_the_columns_own_units(values: list[Any], type_: pa.DataType, round_trip: Any) -> None:
    found = round_trip(table(values * 3, type_), "x", kinds={"x": "numeric"})

    there = [v for v in values * 3 if v is not None]
    assert [v is None for v in found] == [v is None for v in values * 3]
    assert [v for v in found if v is not None] == pytest.approx([float(v) for v in there], rel=1e-6)
    assert {type(v) for v in found if v is not None} == {int if all(v == int(v) for v in there) else float}


def test_a_heavy_tail_comes_back(round_trip: Any) -> None:
    values = np.round(np.exp(np.random.default_rng(1).normal(0, 3, 500)), 2)
    assert round_trip(table(values), "x") == pytest.approx(values.tolist(), rel=1e-4, abs=0.01)


def test_what_is_expected_was_possible_in_training() -> None:
    encoder = fit([1, 2, 3])
    assert encoder.decode("x", [np.array([[-50.0], [50.0]])], table([1, 2])) == [1, 3]


def test_p09_huge_integers_do_not_wrap() -> None:
    values = [2**62 + i * 2**50 for i in range(50)]
    found = fit(values).encode(table([*values, 2**63 - 1, -(2**63)])).matrix[:, 0]
    assert (np.diff(found[:50]) > 0).all()
    assert found[50] > found[49] and found[51] < found[0]
    unsigned = fit([2**64 - 1 - i for i in range(50)], pa.uint64())
    assert unsigned.columns["x"].scale.high == pytest.approx(2.0**64)  # type: ignore[attr-defined]


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_unit_of_a_column_does_not_matter(factor: float) -> None:
    values = np.random.default_rng(2).normal(3, 1, 200)
    np.testing.assert_allclose(
        fit(values * factor).encode(table(values * factor)).matrix, fit(values).encode(table(values)).matrix, atol=1e-5
    )


@pytest.mark.parametrize("absurd", [[1e6], [1e6] * 5, [-1e9, 1e6, 1e300]], ids=str)
def test_a_few_absurd_values_do_not_blind_a_column(absurd: list[float]) -> None:
    values = np.random.default_rng(0).normal(0, 1, 10_000)
    clean, encoder = fit(values), fit(np.concatenate([values, absurd]))
    probe = table([0.0, 3.0, 5.0, 8.0, 20.0, 1e3, 1e6])

    found, expected = encoder.encode(probe), clean.encode(probe)

    assert (np.abs(found.matrix[:4, 0]) > 0.6 * np.abs(expected.matrix[:4, 0]) - 0.1).all()
    assert (np.diff(found.matrix[:, 0]) > 0).all()
    assert found.events[:, 0, OUT_OF_RANGE].tolist() == expected.events[:, 0, OUT_OF_RANGE].tolist()
    assert encoder.rarities()[0, OUT_OF_RANGE] == pytest.approx((len(absurd) + 1) / (10_001 + len(absurd)))


def test_an_absurd_value_among_zeros_does_not_blind_a_column() -> None:
    values = np.random.default_rng(0).choice([0.0, 1.0, 2.0], 5_000, p=[0.9, 0.05, 0.05])
    z = fit([*values, 1e6]).encode(table([0.0, 1.0, 2.0])).matrix[:, 0]
    assert (np.diff(z) > 0.5).all()


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(5, 2, 3_000),
        np.random.default_rng(0).exponential(5, 3_000),
        np.random.default_rng(0).choice([0, 0, 0, 0, 1], 3_000),
        np.where(np.arange(3_000) % 1_500 == 0, 30.0, np.random.default_rng(0).choice([0.0, 0.0, 0.0, 1.0], 3_000)),
        [1.0, 2.0, 3.0, 1e6],
        np.arange(50.0) ** 3,
    ],
    ids=["normal", "exponential", "flags", "rare spikes", "four values", "cubes"],
)
def test_the_scale_of_an_ordinary_column_is_its_standard_deviation(values: Any) -> None:
    plain = np.asarray(values, dtype=float) - np.median(values)
    found = fit(values).encode(table(values))
    np.testing.assert_array_equal(found.matrix[:, 0], ((plain - plain.mean()) / plain.std()).astype(np.float32))
    assert not found.events.any()


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=60),
    st.lists(st.floats(0, 1e12), min_size=2, max_size=6),
)
def test_p08_a_value_farther_out_is_never_encoded_nearer(seen: list[float], away: list[float]) -> None:
    encoder = fit(seen)
    scale = encoder.columns["x"].scale  # type: ignore[attr-defined]
    for side in (1.0, -1.0):
        beyond = [(scale.high if side > 0 else scale.low) + side * step for step in sorted(away)]
        found = encoder.encode(table(beyond))
        assert (np.diff(side * found.matrix[:, 0].astype(float)) >= 0).all()
        assert (np.diff(found.events[:, 0, OUT_OF_RANGE].astype(int)) >= 0).all()

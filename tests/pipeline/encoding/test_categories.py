"""Categories and booleans: levels, rare values, unseen ones, nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoding import EVENTS, Encoder
from pipeline.encoding.categories import MOST_LEVELS

UNSEEN, UNEXPECTED_NULL = EVENTS.index("unseen_category"), EVENTS.index("unexpected_null")


def table(values: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def fit(values: Any, type_: pa.DataType | None = None) -> Encoder:
    return Encoder.fit(table(values, type_), {"x": "categorical"})


def test_frequent_values_have_a_level_each_in_order_of_frequency_and_the_rare_ones_one_together() -> None:
    values = ["b"] * 20 + ["a"] * 30 + ["c"] * 20 + ["once", "twice", "twice"]
    encoder = fit(values)

    codes = encoder.encode(table(["a", "b", "c", "once", "twice", "new", None])).matrix[:, 0]

    assert encoder.cells == [(1, 5)]
    assert codes.tolist() == [1, 2, 3, 4, 4, -1, -1]


def test_p04_unseen_and_null_are_events_of_their_own() -> None:
    found = fit(["a"] * 5 + ["b"] * 5).encode(table(["a", "new", None]))
    assert found.events[:, 0, UNSEEN].tolist() == [False, True, False]
    assert found.events[:, 0, UNEXPECTED_NULL].tolist() == [False, False, True]


def test_a_null_that_was_seen_is_a_level() -> None:
    found = fit(["a"] * 5 + [None] * 5).encode(table(["a", "new", None]))
    assert found.matrix[:, 0].tolist() == [1, -1, 0]
    assert not found.events[:, 0, UNEXPECTED_NULL].any()


def test_p04_the_chance_of_a_new_value_is_the_share_of_those_seen_once() -> None:
    values = ["a"] * 90 + [f"once {i}" for i in range(9)]
    rarity = fit(values).rarities()[0]
    assert rarity[UNSEEN] == pytest.approx((9 + 1) / (99 + 1))
    assert rarity[UNEXPECTED_NULL] == pytest.approx(1 / 100)


def test_p04_a_new_value_comes_as_often_as_was_estimated() -> None:
    draw = np.random.default_rng(0)
    values = draw.zipf(1.7, 8_000).astype(str)
    encoder = fit(values[:4_000])

    happened = encoder.encode(table(values[4_000:])).events[:, 0, UNSEEN].mean()

    assert happened == pytest.approx(encoder.rarities()[0, UNSEEN], rel=0.3)


def test_at_most_so_many_levels() -> None:
    values = [f"v{i}" for i in range(2 * MOST_LEVELS) for _ in range(12)]
    encoder = fit(values)
    assert encoder.cells[0].levels == MOST_LEVELS + 2
    assert encoder.encode(table(values)).matrix.min() == 1.0


TEXTS = st.one_of(st.none(), st.text(max_size=3))


@given(st.lists(TEXTS, min_size=1, max_size=40), st.lists(TEXTS, max_size=10))
def test_codes_are_levels_and_only_the_unseen_have_none(seen: list[str | None], later: list[str | None]) -> None:
    encoder = fit(seen, pa.string())

    found = encoder.encode(table(seen + later, pa.string()))

    codes, levels = found.matrix[:, 0], encoder.cells[0].levels
    assert ((codes >= -1) & (codes < levels)).all()
    assert (codes[: len(seen)] >= 0).all()
    assert ((codes < 0) == [value not in seen for value in seen + later]).all()
    assert (found.events[:, 0].any(axis=1) == (codes < 0)).all()


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["AA", "BB", None], pa.string(), ["AA", "BB", None]),
        ([1, 0, 0], pa.int8(), ["1", "0", "0"]),
        ([2**53, 2**53 + 1], pa.int64(), ["9007199254740992", "9007199254740993"]),
        ([1.0, 2.0, None], pa.float64(), ["1", "2", None]),
        ([1.5, 2.0, float("nan")], pa.float64(), ["1.5", "2", None]),
        ([True, False, None], pa.bool_(), ["true", "false", None]),
    ],
    ids=str,
)
def test_round_trip_of_levels(values: list[Any], type_: pa.DataType, expected: list[str], round_trip: Any) -> None:
    assert round_trip(table(values * 10, type_), "x", kinds={"x": "categorical"}) == expected * 10


def test_a_rare_value_is_not_given_as_expected_by_name(round_trip: Any) -> None:
    assert round_trip(table(["AA"] * 20 + ["odd"]), "x")[-1] == "(a rare value)"


def test_null_is_not_expected_where_none_was_seen() -> None:
    encoder = fit(["a"] * 10 + ["b"] * 10)
    assert encoder.decode("x", [np.array([[9.0, 1.0, 2.0]])], table(["a"])) == ["b"]


@given(st.lists(st.floats(width=32), min_size=1, max_size=10))
def test_p15_the_text_of_a_float_does_not_depend_on_the_batch(values: list[float]) -> None:
    encoder = fit([1.0, 2.5, 1e15, 3e20, -0.0] * 10)
    whole = encoder.encode(table(values)).matrix[:, 0]
    alone = [encoder.encode(table([value])).matrix[0, 0] for value in values]
    assert whole.tolist() == alone

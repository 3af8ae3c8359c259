"""Fidelity against tables whose distances and associations are known beforehand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pipeline.detector import fidelity
from pipeline.detector.fidelity import Fidelity, compare
from pipeline.encoding import Encoder

ROWS = 4_000


def window(seed: int = 0) -> pa.Table:
    """`risen` rises with `amount`, `size` says whether that is large, `shop` and `till` are one, `alone` is alone."""
    draw = np.random.default_rng(seed)
    amount = draw.normal(10, 2, ROWS)
    shop = draw.choice(["Bern", "Chur", "Thun"], ROWS, p=[0.5, 0.3, 0.2])
    return pa.table(
        {
            "amount": amount,
            "risen": np.exp(amount),
            "alone": np.where(draw.random(ROWS) < 0.25, np.nan, draw.normal(0, 1, ROWS)),
            "size": np.where(amount > 10, "large", "small"),
            "shop": shop,
            "till": np.char.add("till ", shop),
        }
    )


def compared(made: pa.Table) -> Fidelity:
    there = window()
    encoder = Encoder.fit(there)
    return compare(encoder, encoder.encode(there).matrix, encoder.encode(made).matrix)


def shuffled(table: pa.Table) -> pa.Table:
    """The same columns, each in an order of its own: nothing goes with anything."""
    draw = np.random.default_rng(3)
    return pa.table({name: table[name].take(pa.array(draw.permutation(ROWS))) for name in table.column_names})


def test_a_fresh_draw_of_the_same_records_is_as_faithful_as_chance_allows() -> None:
    found = compared(window(seed=1))
    assert found.column_distance < 2 * found.column_distance_by_chance + 0.01
    assert found.association_difference < 2 * found.association_difference_by_chance + 0.01


def test_columns_shuffled_apart_keep_their_distances_and_lose_their_associations() -> None:
    found = compared(shuffled(window()))
    assert max(column.distance for column in found.columns) == pytest.approx(0, abs=1e-9)
    pairs = {(pair.first, pair.second): pair for pair in found.pairs}
    assert len(pairs) == 15
    assert pairs["amount", "risen"].measure == "spearman"
    assert pairs["amount", "risen"].window == pytest.approx(1)
    assert pairs["shop", "till"].measure == "cramers_v"
    assert pairs["shop", "till"].window == pytest.approx(1)
    assert pairs["amount", "size"].measure == "correlation_ratio"
    # Half of the ranks each: eta squared of a split at the median is 3/4.
    assert pairs["amount", "size"].window == pytest.approx(0.75**0.5, abs=0.02)
    for names in (("amount", "risen"), ("shop", "till"), ("amount", "size")):
        assert abs(pairs[names].synthetic) < 0.06
        assert pairs[names].difference > 0.8
        assert pairs[names].window_again == pytest.approx(pairs[names].window, abs=0.03)


def test_distances_are_those_of_scipy_and_of_the_shares() -> None:
    made = window(seed=1)
    made = made.set_column(0, "amount", pa.array(made["amount"].to_numpy() + 1))
    made = made.set_column(4, "shop", pa.array(["Bern"] * ROWS))
    found = {column.column: column for column in compared(made).columns}
    expected = stats.ks_2samp(window()["amount"].to_numpy(), made["amount"].to_numpy()).statistic
    assert found["amount"].measure == "kolmogorov_smirnov"
    assert found["amount"].distance == pytest.approx(expected, abs=1e-3)
    shares = np.array(window()["shop"].to_pylist()) == "Bern"
    assert found["shop"].measure == "total_variation"
    assert found["shop"].distance == pytest.approx(1 - shares.mean())
    assert found["amount"].by_chance < 0.04


def test_nulls_are_counted_beside_the_distance_of_an_order_and_within_that_of_levels() -> None:
    there = window()
    half = np.arange(ROWS) % 2 == 0
    made = there.set_column(2, "alone", pa.nulls(ROWS, pa.float64()))
    made = made.set_column(4, "shop", pa.array(there["shop"].to_pylist(), mask=half))
    found = {column.column: column for column in compared(made).columns}
    assert found["alone"].nulls == 1
    assert found["alone"].window_nulls == pytest.approx(0.25, abs=0.03)
    assert found["alone"].distance == 1
    assert found["shop"].nulls == 0.5
    assert found["shop"].distance == pytest.approx(0.5)


@pytest.mark.parametrize(("name", "value"), [("amount", 10.0), ("shop", "Bern")])
def test_a_column_that_never_varies_has_no_association(name: str, value: float | str) -> None:
    made = window(seed=1)
    made = made.set_column(made.column_names.index(name), name, pa.array([value] * ROWS))
    with np.errstate(all="raise"):
        assert not [pair for pair in compared(made).pairs if name in (pair.first, pair.second)]


def test_a_category_of_many_levels_does_not_look_associated_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    there = pa.table({"x": draw.normal(0, 1, ROWS), "tag": draw.choice([f"t{i}" for i in range(200)], ROWS)})
    encoder = Encoder.fit(there, {"tag": "categorical"})
    matrix = encoder.encode(there).matrix
    assert compare(encoder, matrix, matrix).pairs[0].window < 0.15
    monkeypatch.setattr(fidelity, "PAIRED_LEVELS", 200)
    assert compare(encoder, matrix, matrix).pairs[0].window > 0.18


def test_times_of_day_are_told_apart_around_the_clock() -> None:
    draw = np.random.default_rng(0)
    minutes = draw.integers(0, 1440, ROWS)
    morning = pa.table({"at": minutes // 120 * 100 + minutes % 60})
    evening = pa.table({"at": 1200 + minutes // 120 * 100 + minutes % 60})
    encoder = Encoder.fit(morning, {"at": "clock"})
    found = compare(encoder, encoder.encode(morning).matrix, encoder.encode(evening).matrix)
    assert found.columns[0].distance == 1

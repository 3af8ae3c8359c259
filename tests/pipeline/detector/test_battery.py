"""What every detector must do, whatever its model: one battery for all names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, explain, network
from pipeline.encoding import EVENTS, Encoded
from pipeline.errors import RefusedData
from pipeline.results import Reason

Normal = Callable[..., pa.Table]
WithValue = Callable[[pa.Table, str, Any], pa.Table]
CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
"""Matrix products of other shapes differ in their last bits."""


def spoiled(table: pa.Table, with_value: WithValue) -> pa.Table:
    """Ten normal records and as many with nulls, NaN, infinities, unseen and impossible values."""
    rows = [
        table[:10],
        with_value(table[10:11], "amount", None),
        with_value(table[11:12], "amount", float("nan")),
        with_value(table[12:13], "amount", float("inf")),
        with_value(table[13:14], "double", float("-inf")),
        with_value(table[14:15], "double", 1.7e308),
        with_value(table[15:16], "carrier", "never seen"),
        with_value(table[16:17], "carrier", None),
        with_value(table[17:18], "departure", 9999),
        with_value(table[18:19], "note", ""),
        with_value(table[19:20], "empty", 1e300),
    ]
    return pa.concat_tables(rows)


def floor_of(detector: Detector, column: str, event: Reason) -> float:
    """The least score of a record with `event` in `column`."""
    return float(detector.floors[list(detector.encoder.columns).index(column), EVENTS.index(event)])


def test_p15_one_record_scores_as_in_a_batch(detector: Detector, normal: Normal, with_value: WithValue) -> None:
    table = spoiled(normal(100, 5), with_value)
    together = detector.score(table)
    for row in (0, 10, 12, 14, 15, 17, 19):
        alone = detector.score(table[row : row + 1])
        np.testing.assert_allclose(alone.score[0], together.score[row], **CLOSE)
        np.testing.assert_allclose(alone.surprise[0], together.surprise[row], **CLOSE)


def test_p15_neither_the_order_nor_the_size_of_a_batch_matters(
    detector: Detector, normal: Normal, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = normal(300, 5)
    order = np.random.default_rng(0).permutation(300)
    scores = detector.score(table).score

    np.testing.assert_allclose(detector.score(table.take(order)).score, scores[order], **CLOSE)
    monkeypatch.setattr(network, "ROWS", 64)
    np.testing.assert_allclose(detector.score(table).score, scores, **CLOSE)


def test_p15_scoring_twice_is_scoring_once(detector: Detector, normal: Normal) -> None:
    first, second = (detector.score(normal(100, 5)) for _ in range(2))
    np.testing.assert_array_equal(first.score, second.score)


def test_p16_the_same_data_and_seed_give_the_same_scores_and_progress_is_told(
    model: str, detector: Detector, fit: Any, normal: Normal
) -> None:
    told: list[tuple[float, str]] = []

    again = fit(model, normal(), progress=lambda share, text: told.append((share, text)))

    assert [share for share, _ in told] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert all(text.startswith("loss ") for _, text in told)
    np.testing.assert_allclose(again.score(normal(100, 5)).score, detector.score(normal(100, 5)).score, rtol=0.01)


def test_p16_inputs_are_not_changed(detector: Detector, normal: Normal) -> None:
    table = normal(50, 5)
    encoded = detector.encoder.encode(table)
    matrix, events = encoded.matrix.copy(), encoded.events.copy()

    scores = detector.score_encoded(encoded)
    before = [array.copy() for array in (scores.score, scores.p_value, scores.surprise)]
    explain(detector, table, scores)

    np.testing.assert_array_equal(encoded.matrix, matrix)
    np.testing.assert_array_equal(encoded.events, events)
    for array, copy in zip((scores.score, scores.p_value, scores.surprise), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_p21_p23_saved_as_json_and_plain_numbers_and_loaded_it_scores_the_same(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    table = spoiled(normal(100, 5), with_value)
    state, arrays = detector.to_state()
    text, file = json.dumps(state, allow_nan=False), io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)

    again = Detector.from_state(json.loads(text), dict(np.load(file, allow_pickle=False)))

    assert {array.dtype.kind for array in arrays.values()} <= set("fiu")
    first, second = detector.score(table), again.score(table)
    np.testing.assert_allclose(second.score, first.score, **CLOSE)
    np.testing.assert_allclose(second.p_value, first.p_value, **CLOSE)
    for rate in (0.0001, 0.01):
        assert again.threshold(rate) == detector.threshold(rate)
    for one, other in zip(explain(again, table), explain(detector, table), strict=True):
        assert (one[0].column_name, one[0].observed) == (other[0].column_name, other[0].observed)


def test_p03_p08_scores_are_finite_whatever_the_values(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    found = detector.score(spoiled(normal(100, 5), with_value))
    for values in (found.score, found.p_value, found.surprise):
        assert np.isfinite(values).all()
    assert ((found.p_value > 0) & (found.p_value <= 1)).all()


DEVIATIONS: list[tuple[str, Any, Reason]] = [
    ("constant", 7.5, "out_of_range"),
    ("constant", None, "unexpected_null"),
    ("constant_integer", 4, "unseen_category"),
    ("constant_text", "other", "unseen_category"),
    ("empty", 0.0, "unseen_category"),
    ("empty_instant", 0, "out_of_range"),
]


def test_p03_a_deviation_in_a_constant_or_empty_column_raises_the_score(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    table = normal(40, 5)
    usual = detector.score(table).score
    odd = detector.score(pa.concat_tables([with_value(table, column, value) for column, value, _ in DEVIATIONS]))

    for at, (column, _, reason) in enumerate(DEVIATIONS):
        part = slice(40 * at, 40 * at + 40)
        assert odd.events[part, list(detector.encoder.columns).index(column), EVENTS.index(reason)].all()
        assert (odd.score[part] >= usual).all()
        assert (odd.score[part] > usual).mean() > 0.9
        assert np.median(odd.p_value[part]) <= 2 / 601


def test_p04_an_unseen_category_has_its_reason_and_its_floor_and_the_batch_goes_on(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    table = normal(40, 5)
    usual = detector.score(table)
    odd = pa.concat_tables([with_value(table[:5], "carrier", "ZZ"), table[5:]])

    found = detector.score(odd)

    assert (found.score[:5] >= floor_of(detector, "carrier", "unseen_category") * (1 - 1e-9)).all()
    assert found.score[:5].min() > np.median(usual.score)
    np.testing.assert_allclose(found.score[5:], usual.score[5:], **CLOSE)
    for why in explain(detector, odd[:5]):
        carrier = next(each for each in why if each.column_name == "carrier")
        assert (carrier.reason, carrier.observed) == ("unseen_category", "ZZ")
        assert carrier.expected in ("AA", "BB", "CC")


@pytest.mark.parametrize("column", ["amount", "double", "gap"])
@pytest.mark.parametrize("side", [1, -1], ids=["above", "below"])
def test_p18_a_value_further_out_never_scores_lower(
    detector: Detector, normal: Normal, with_value: WithValue, column: str, side: int
) -> None:
    table, seen = normal(20, 5), normal()[column].to_numpy()
    edge, width = side * np.nanmax(side * seen), np.nanmax(seen) - np.nanmin(seen)
    reach = width * np.concatenate([np.linspace(0.11, 3, 8), [10, 1e3, 1e9, 1e30, 1e300]])

    together = detector.score(pa.concat_tables([with_value(table, column, edge + side * far) for far in reach]))
    found = together.score.reshape(len(reach), 20)

    assert (np.diff(found, axis=0) >= -0.02 * found[:-1]).all()


def test_p_values_fall_as_scores_rise_and_thresholds_agree(detector: Detector, normal: Normal) -> None:
    found = detector.score(normal(600, 5))
    order = np.argsort(found.score)
    assert (np.diff(found.p_value[order]) <= 0).all()
    for rate in (0.2, 0.05, 0.01, 0.002, 1e-4):
        above = found.score > detector.threshold(rate)
        close = np.isclose(found.score, detector.threshold(rate))
        assert (above == (found.p_value <= rate))[~close].all()


def test_p17_more_held_out_records_than_promised_are_not_needed(detector: Detector) -> None:
    """600 records hold a rate of 1 % by rank; below 1 in 601 the tail is extrapolated, and higher."""
    thresholds = [detector.threshold(rate) for rate in (0.05, 0.01, 1 / 601, 1e-4, 1e-6)]
    assert (np.diff(thresholds) > 0).all() and np.isfinite(thresholds).all()
    assert thresholds[1] == detector.calibration.threshold(0.01)


def test_p01_no_records_have_no_scores(detector: Detector, normal: Normal) -> None:
    found = detector.score(normal()[:0])
    assert found.score.shape == found.p_value.shape == (0,)
    assert found.surprise.shape == (0, 14)
    assert explain(detector, normal()[:0]) == []


def test_p06_a_missing_column_is_named(detector: Detector, normal: Normal) -> None:
    with pytest.raises(KeyError, match="carrier"):
        detector.score(normal()[:5].drop_columns("carrier"))


def test_repairing_a_column_changes_its_cells_only(detector: Detector, normal: Normal) -> None:
    matrix = detector.encoder.encode(normal(20, 5)).matrix
    column = np.full(20, list(detector.encoder.columns).index("seen_at"))

    mended = detector.network.repaired(matrix, column, detector.network.reconstruct(matrix, column))

    spec = detector.network.spec
    own = [
        slot
        for cell, owner in enumerate(spec.columns)
        if owner == column[0]
        for slot in range(spec.starts[cell], spec.starts[cell] + spec.widths[cell])
    ]
    others = np.setdiff1d(np.arange(spec.slots), own)
    np.testing.assert_array_equal(mended[:, others], matrix[:, others])
    assert (mended[:, own] != matrix[:, own]).any()
    assert np.isfinite(detector.score_encoded(Encoded(mended, np.zeros((20, 14, len(EVENTS)), bool))).score).all()


def test_p02_too_few_records_are_refused(normal: Normal) -> None:
    with pytest.raises(RefusedData, match="19 records are too few to learn from; 20"):
        Detector("autoencoder", anchor="day").fit(normal()[:19])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_p20_a_training_that_diverges_is_refused(fit: Any, normal: Normal) -> None:
    with pytest.raises(RefusedData, match="diverged"):
        fit("autoencoder", normal().select(["amount", "day"]), schedule=network.Schedule(60, 16, 1e30))

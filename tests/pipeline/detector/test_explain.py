"""Why a record was flagged, in the table's own columns, units and values."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pipeline.detector.reasons as reasons_module
from models import Spec
from pipeline.detector import Detector, explain
from pipeline.detector.detector import Scores
from pipeline.detector.network import Network
from pipeline.detector.reasons import (
    FINALISTS,
    REASONS,
    _at_a_glance,
    _finalists,
    _in_full,
    _lead_with_fitting_levels,
    _shares,
)
from pipeline.encoding import Encoded, Encoder
from pipeline.encoding.categories import CategoricalEncoder
from pipeline.encoding.numbers import NumericEncoder
from pipeline.results import Contribution

Normal = Callable[..., pa.Table]
WithValue = Callable[[pa.Table, str, Any], pa.Table]
EveryColumn = Callable[[str], list[tuple[Contribution, ...]]]

NUMBER, WHOLE, CLOCK = r"-?\d+(\.\d+)?(e-?\d+)?", r"\d+", r"\d|[1-5]\d|([1-9]|1\d|2[0-3])[0-5]\d"
EXPECTED = {
    "amount": NUMBER,
    "double": NUMBER,
    "count": WHOLE,
    "gap": NUMBER,
    "carrier": "AA|BB|CC",
    "flag": "true|false",
    "departure": CLOCK,
    "seen_at": r"2013-01-\d\dT\d\d:\d\d:00\+00:00",
    "note": r"\(a text of about \d+ characters\)",
    "constant": "7",
    "constant_integer": "3",
    "constant_text": "same",
    "empty": None,
    "empty_instant": None,
}


def test_p15_a_record_is_explained_alike_whatever_others_are(
    fitted: Callable[[str], Detector], normal: Normal, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, table = fitted("ensemble"), normal(23, 5)
    together = explain(detector, table)
    monkeypatch.setattr(reasons_module, "AT_ONCE", 5)
    some_at_a_time = explain(detector, table)
    assert len(together) == len(some_at_a_time) == 23
    for one, other in zip(together, some_at_a_time, strict=True):
        assert [each.column_name for each in one] == [each.column_name for each in other]
        np.testing.assert_allclose([each.share for each in one], [each.share for each in other], atol=1e-3)
    assert explain(detector, table[:0]) == []


@pytest.fixture
def reasons(detector: Detector, normal: Normal) -> list[tuple[Contribution, ...]]:
    """Of records each with another column out of the ordinary, so that every column is explained."""
    return explain(detector, normal(120, 5))


def test_shares_sum_to_one_and_ranks_count_from_one(reasons: list[tuple[Contribution, ...]]) -> None:
    for why in reasons:
        assert len(why) == REASONS == len({each.column_name for each in why})
        assert sum(each.share for each in why) == pytest.approx(1.0)
        assert [each.rank for each in why] == [1, 2, 3, 4, 5]
        assert [each.share for each in why] == sorted((each.share for each in why), reverse=True)
        assert all(each.share >= 0 for each in why)


@pytest.fixture(scope="module")
def every_column(fitted: Callable[[str], Detector], normal: Normal) -> Callable[[str], list[tuple[Contribution, ...]]]:
    """Contributions of every column to ten records over and over: each column in turn is made the most surprising."""

    @cache
    def of(model: str) -> list[tuple[Contribution, ...]]:
        detector, table = fitted(model), normal(10, 5)
        columns = len(detector.encoder.columns)
        table = pa.concat_tables([table] * columns)
        scores = detector.score(table)
        scores.surprise[np.arange(len(table)), np.arange(len(table)) // 10] = 1e6
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reasons_module, "REASONS", columns)
            return explain(detector, table, scores)

    return of


def test_what_is_expected_is_in_the_columns_own_units_and_type(model: str, every_column: EveryColumn) -> None:
    explained: dict[str, set[str | None]] = {}
    for why in every_column(model):
        for each in why:
            explained.setdefault(each.column_name, set()).add(each.expected)

    assert set(explained) == set(EXPECTED)
    for column, values in explained.items():
        pattern = EXPECTED[column]
        if pattern is None or column == "gap":
            values = values - {None}
        assert all(value is not None and re.fullmatch(pattern or "", value) for value in values), (column, values)
        assert values or pattern is None


def test_what_is_expected_lies_within_what_was_seen(model: str, every_column: EveryColumn, normal: Normal) -> None:
    for why in every_column(model):
        for each in why:
            if each.column_name in ("amount", "double", "count"):
                seen = normal()[each.column_name].to_numpy()
                assert seen.min() <= float(each.expected or "nan") <= seen.max()


def test_p10_an_expected_instant_lies_near_its_partition_in_utc(
    model: str, every_column: EveryColumn, normal: Normal
) -> None:
    table = normal(10, 5)
    for row, why in enumerate(every_column(model)):
        for each in why:
            if each.column_name == "seen_at":
                moment, day = dt.datetime.fromisoformat(each.expected or ""), table["day"][row % 10].as_py()
                assert moment.tzinfo == dt.UTC
                assert abs((moment.date() - day).days) <= 1
                assert each.observed == table["seen_at"][row % 10].as_py().astimezone(dt.UTC).isoformat()


WRONG = [
    ("amount", 1e6, "1000000", "out_of_range"),
    ("amount", None, None, "unexpected_null"),
    ("count", 900, "900", "out_of_range"),
    ("carrier", "ZZ", "ZZ", "unseen_category"),
    ("departure", 9999, "9999", "out_of_range"),
    ("constant_text", "other", "other", "unseen_category"),
]


def test_p18_a_wrong_value_is_named_with_its_reason(detector: Detector, normal: Normal, with_value: WithValue) -> None:
    table = normal(20, 5)
    explained = explain(detector, pa.concat_tables([with_value(table, column, value) for column, value, *_ in WRONG]))

    for at, (column, _, observed, reason) in enumerate(WRONG):
        own = [each for why in explained[20 * at : 20 * at + 20] for each in why if each.column_name == column]
        assert len(own) == 20
        assert {(each.observed, each.reason) for each in own} == {(observed, reason)}
        assert np.mean([each.rank == 1 for each in own]) >= 0.75, column


def test_the_reason_of_what_is_merely_improbable(reasons: list[tuple[Contribution, ...]]) -> None:
    assert {each.reason for why in reasons for each in why} <= {"reconstruction", "out_of_range"}
    assert any(each.reason == "reconstruction" for why in reasons for each in why)


def test_p15_a_record_is_explained_as_if_it_were_alone(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    table = pa.concat_tables([with_value(normal(20, 5)[:3], "amount", 50.0), normal(20, 5)[3:9]])
    together = explain(detector, table)
    for row in range(3):
        (alone,) = explain(detector, table[row : row + 1])
        shares = [{each.column_name: each.share for each in why if each.share > 0.05} for why in (alone, together[row])]
        assert shares[0] == pytest.approx(shares[1], abs=0.02)


def test_shares_follow_the_fall_of_the_score_or_the_surprise() -> None:
    possible = np.zeros(3, dtype=bool)
    of_falls = _shares(np.array([3.0, -1.0, 1.0]), np.array([1.0, 9.0, 1.0]), possible)
    np.testing.assert_allclose(of_falls, [0.75, 0.0, 0.25])
    of_surprises = _shares(np.array([-1.0, 0.0]), np.array([3.0, 1.0]), possible[:2])
    np.testing.assert_allclose(of_surprises, [0.75, 0.25], rtol=1e-6)
    np.testing.assert_allclose(_shares(np.zeros(2), np.zeros(2), possible[:2]), [0.5, 0.5])


def test_no_column_has_a_larger_share_than_an_impossible_one() -> None:
    impossible = np.array([False, True, False])
    of_falls = _shares(np.array([3.0, -1.0, 2.0]), np.ones(3), impossible)
    np.testing.assert_allclose(of_falls, [0.375, 0.375, 0.25])
    of_surprises = _shares(np.zeros(3), np.array([3.0, 1.0, 2.0]), impossible)
    np.testing.assert_allclose(of_surprises, [0.375, 0.375, 0.25], rtol=1e-6)


def test_an_impossible_value_leads_whatever_else_is_wrong(
    detector: Detector, normal: Normal, with_value: WithValue
) -> None:
    table = normal(20, 5)
    improbable = with_value(table, "double", float(np.max(table["double"].to_numpy())))
    for wrong in (("flag", None), ("departure", 9999), ("constant_text", "other")):
        for why in explain(detector, with_value(improbable, *wrong)):
            assert why[0].column_name == wrong[0]
            assert why[0].reason != "reconstruction"
            assert why[0].share >= 1 / REASONS


@pytest.mark.parametrize(
    ("nulls", "tried", "shortlist", "leads"),
    [
        (0, 16, 4, "b"),
        (0, 3, 4, "b"),
        (0, 1, 1, "a"),
        (3, 16, 4, None),
        (3, 1, 1, None),
        (0, 16, 2, "b"),  # at a glance `c` surprises less
        (0, 16, 1, "c"),
    ],
)
def test_of_the_likeliest_levels_the_one_that_surprises_least_is_expected(
    monkeypatch: pytest.MonkeyPatch, nulls: int, tried: int, shortlist: int, leads: str | None
) -> None:
    encoder = CategoricalEncoder(10, nulls, ["a", "b", "c"], ["d"], 0)
    network = Network.__new__(Network)
    network.spec = Spec("ensemble", widths=(1, 1), levels=(0, 5), columns=(0, 1))
    detector = Detector()
    detector.encoder = Encoder({"number": NumericEncoder.fit(pa.chunked_array([[1.0, 2.0]]), None), "letter": encoder})
    monkeypatch.setattr(Detector, "network", network)

    def surprise(encoded: Encoded) -> Scores:
        by_level = np.array([0.0, 3.0, 1.0, 2.0, 5.0])[encoded.matrix[:, 1].astype(int)]
        zeros = np.zeros(len(by_level))
        return Scores(zeros, zeros, np.stack([zeros, by_level], axis=1), encoded.events, encoded.matrix)

    def glance(matrix: np.ndarray) -> np.ndarray:
        by_level = np.array([0.0, 3.0, 2.0, 1.0, 5.0])[matrix[:, 1].astype(int)]
        return np.stack([np.zeros(len(by_level)), by_level], axis=1)

    monkeypatch.setattr(detector, "score_encoded", surprise)
    monkeypatch.setattr(detector, "glance", glance)
    given = Encoded(np.zeros((1, 2), dtype=np.float32), np.zeros((1, 2, 4), dtype=bool))
    output = np.array([[7.0, 9.0, 5.0, 4.0, 3.0, -50.0]])

    for count, measure in ((tried, _at_a_glance), (shortlist, _in_full)):
        _lead_with_fitting_levels(detector, surprise(given), np.array([0]), np.array([1]), output, count, measure)

    assert encoder.decode([network.cell(output, 1)], None) == [leads]
    assert output[0, 0] == 7.0


def test_measured_in_full_is_what_helps_at_a_glance_the_most_surprising_column_and_an_impossible_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each, detector = 9, Detector()
    left = np.array([[9.0, 1, 2, 3, 4, 5, 6, 7, 8], [0.0, 8, 7, 6, 5, 4, 3, 2, 1]])
    rows, columns = np.repeat([0, 1], each), np.tile(np.arange(each), 2)
    network = Network.__new__(Network)
    monkeypatch.setattr(Detector, "network", network)
    monkeypatch.setattr(network, "repaired", lambda matrix, columns, output: np.stack([rows, columns], axis=1))
    monkeypatch.setattr(detector, "loudness", lambda mended: left[mended[:, 0], mended[:, 1]])
    scores = Scores(np.zeros(2), np.zeros(2), np.zeros((2, each)), np.zeros((2, each, 4), bool), np.zeros((2, each)))
    impossible = np.zeros((2, each), dtype=bool)
    impossible[1, 1] = True

    final = _finalists(detector, scores, impossible, rows, columns, np.zeros((2 * each, 1)))

    assert final.reshape(2, FINALISTS).tolist() == [[0, 1, 2, 3, 4], [9, 10, 15, 16, 17]]

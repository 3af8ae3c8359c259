"""Why a record was flagged, in the table's own columns, units and values."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, Scores, explain
from pipeline.detector.reasons import CANDIDATES, _shares
from pipeline.results import Contribution

Normal = Callable[..., pa.Table]
WithValue = Callable[[pa.Table, str, Any], pa.Table]

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


@pytest.fixture
def reasons(detector: Detector, normal: Normal) -> list[tuple[Contribution, ...]]:
    """Of records each with another column out of the ordinary, so that every column is explained."""
    return explain(detector, normal(120, 5))


def test_shares_sum_to_one_and_ranks_count_from_one(reasons: list[tuple[Contribution, ...]]) -> None:
    for why in reasons:
        assert len(why) == CANDIDATES == len({each.column_name for each in why})
        assert sum(each.share for each in why) == pytest.approx(1.0)
        assert [each.rank for each in why] == [1, 2, 3, 4, 5]
        assert [each.share for each in why] == sorted((each.share for each in why), reverse=True)
        assert all(each.share >= 0 for each in why)


def every_column(detector: Detector, table: pa.Table) -> list[tuple[Contribution, ...]]:
    """Contributions of every column: each in turn is made the most surprising one."""
    scores = detector.score(table)
    columns = scores.surprise.shape[1]
    found: list[tuple[Contribution, ...]] = []
    for at in range(columns):
        surprise = scores.surprise.copy()
        surprise[:, at] = 1e6
        found += explain(detector, table, Scores(scores.score, scores.p_value, surprise, scores.events, scores.matrix))
    return found


def test_what_is_expected_is_in_the_columns_own_units_and_type(detector: Detector, normal: Normal) -> None:
    explained: dict[str, set[str | None]] = {}
    for why in every_column(detector, normal(15, 5)):
        for each in why:
            explained.setdefault(each.column_name, set()).add(each.expected)

    assert set(explained) == set(EXPECTED)
    for column, values in explained.items():
        pattern = EXPECTED[column]
        if pattern is None or column == "gap":
            values = values - {None}
        assert all(value is not None and re.fullmatch(pattern or "", value) for value in values), (column, values)
        assert values or pattern is None


def test_what_is_expected_lies_within_what_was_seen(detector: Detector, normal: Normal) -> None:
    for why in every_column(detector, normal(10, 5)):
        for each in why:
            if each.column_name in ("amount", "double", "count"):
                encoder = detector.encoder.columns[each.column_name]
                assert encoder.low <= float(each.expected or "nan") <= encoder.high  # type: ignore[attr-defined]


def test_p10_an_expected_instant_lies_near_its_partition_in_utc(detector: Detector, normal: Normal) -> None:
    table = normal(10, 5)
    for row, why in enumerate(every_column(detector, table)):
        for each in why:
            if each.column_name == "seen_at":
                moment, day = dt.datetime.fromisoformat(each.expected or ""), table["day"][row % 10].as_py()
                assert moment.tzinfo == dt.UTC
                assert abs((moment.date() - day).days) <= 1
                assert each.observed == table["seen_at"][row % 10].as_py().astimezone(dt.UTC).isoformat()


@pytest.mark.parametrize(
    ("column", "value", "observed", "reason"),
    [
        ("amount", 1e6, "1000000", "out_of_range"),
        ("amount", None, None, "unexpected_null"),
        ("count", 900, "900", "out_of_range"),
        ("carrier", "ZZ", "ZZ", "unseen_category"),
        ("departure", 9999, "9999", "out_of_range"),
        ("constant_text", "other", "other", "unseen_category"),
    ],
    ids=str,
)
def test_p18_a_wrong_value_is_named_with_its_reason(
    detector: Detector, normal: Normal, with_value: WithValue, column: str, value: Any, observed: str, reason: str
) -> None:
    explained = explain(detector, with_value(normal(20, 5), column, value))
    own = [next((each for each in why if each.column_name == column), None) for why in explained]

    assert all(each is not None for each in own)
    assert {(each.observed, each.reason) for each in own if each} == {(observed, reason)}
    assert np.mean([each.rank == 1 for each in own if each]) >= 0.75


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
        assert [each.column_name for each in alone] == [each.column_name for each in together[row]]
        assert [each.share for each in alone] == pytest.approx([each.share for each in together[row]], abs=0.01)


def test_shares_follow_the_fall_of_the_score_or_the_surprise() -> None:
    np.testing.assert_allclose(_shares(np.array([3.0, -1.0, 1.0]), np.array([1.0, 9.0, 1.0])), [0.75, 0.0, 0.25])
    np.testing.assert_allclose(_shares(np.array([-1.0, 0.0]), np.array([3.0, 1.0])), [0.75, 0.25], rtol=1e-6)
    np.testing.assert_allclose(_shares(np.zeros(2), np.zeros(2)), [0.5, 0.5])

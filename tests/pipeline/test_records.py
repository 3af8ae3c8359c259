"""The text of a value and of a record's key: one text for one value, everywhere."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import as_text, hidden_text, record_json, record_keys

ZURICH = ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (2**63 - 1, "9223372036854775807"),
        (7.0, "7"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("123456789012345678901234567890.5"), "123456789012345678901234567890.5"),
        ("AA", "AA"),
        ("", ""),
        (b"\x00\xff", "00ff"),
        (dt.date(2013, 2, 3), "2013-02-03"),
        (dt.time(8, 30), "08:30:00"),
        (dt.datetime(2013, 2, 3, 4, 5), "2013-02-03T04:05:00"),
        (dt.datetime(2013, 7, 3, 4, 5, tzinfo=ZURICH), "2013-07-03T02:05:00+00:00"),
    ],
    ids=str,
)
def test_the_text_of_a_value(value: Any, text: str | None) -> None:
    assert as_text(value) == text


def test_p10_both_hours_of_the_fold_keep_their_own_text() -> None:
    first = dt.datetime(2013, 10, 27, 2, 30, tzinfo=ZURICH)
    assert as_text(first) == "2013-10-27T00:30:00+00:00"
    assert as_text(first.replace(fold=1)) == "2013-10-27T01:30:00+00:00"


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True))
def test_p09_different_integers_have_different_keys(values: list[int]) -> None:
    keys = record_keys(pa.table({"id": pa.array(values, pa.int64())}), ["id"])
    assert [int(key or "") for key in keys] == values


@pytest.mark.parametrize("around", [2**53, 2**62], ids=["2^53", "2^62"])
def test_p09_neighbours_are_kept_apart(around: int) -> None:
    table = pa.table({"id": pa.array([around - 1, around, around + 1], pa.int64())})
    assert record_keys(table, ["id"]) == [str(around - 1), str(around), str(around + 1)]


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=2, unique=True))
def test_p09_different_floats_have_different_texts(values: list[float]) -> None:
    assert as_text(values[0]) != as_text(values[1])


KEYS = st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=2, unique=True)


@given(KEYS)
def test_p11_different_keys_of_two_columns_are_different(pairs: list[tuple[str, str]]) -> None:
    table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    first, second = record_keys(table, ["a", "b"])
    assert first != second
    assert json.loads(first or "") == list(pairs[0])


def test_a_key_of_several_columns_is_in_key_order() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "é"]})
    assert record_keys(table, ["b", "a"]) == ['["x", "1"]', '["é", "2"]']


def test_p11_a_null_in_a_key_is_no_key() -> None:
    table = pa.table({"a": [1, None], "b": [None, "x"]})
    assert record_keys(table, ["a"]) == ["1", None]
    assert record_keys(table, ["a", "b"]) == [None, None]


def test_keys_of_no_records() -> None:
    empty = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})
    assert record_keys(empty, ["a"]) == record_keys(empty, ["a", "b"]) == []


VALUES: dict[str, Any] = {
    "small": 7,
    "large": 2**60,
    "float": 0.25,
    "nan": math.nan,
    "inf": -math.inf,
    "flag": True,
    "text": "é\x00",
    "null": None,
    "decimal": Decimal("1.50"),
    "day": dt.date(2013, 2, 3),
    "bytes": b"\xff",
    "list": [1, 2],
}


def test_p08_a_record_is_strict_json() -> None:
    found = record_json(VALUES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == {
        "small": 7,
        "large": str(2**60),
        "float": 0.25,
        "nan": "nan",
        "inf": "-inf",
        "flag": True,
        "text": "é\x00",
        "null": None,
        "decimal": "1.50",
        "day": "2013-02-03",
        "bytes": "ff",
        "list": "[1, 2]",
    }


@given(st.text(min_size=9))
def test_p33_a_sensitive_value_is_a_digest_that_tells_equal_from_unequal(value: str) -> None:
    record = {"name": value, "again": value, "other": value + "!", "gone": None, "open": 1}
    found = record_json(record, sensitive=set(record) - {"open"})
    assert found["name"] == found["again"] != found["other"]
    assert found["name"].startswith("sha256:") and value not in json.dumps(found, ensure_ascii=False)
    assert found["gone"] is None and found["open"] == 1


def test_p33_the_digest_of_a_text() -> None:
    assert hidden_text("abc") == "sha256:ba7816bf8f01cfea"
    assert hidden_text(None) is None

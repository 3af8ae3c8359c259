"""Texts, pseudonyms, keys and types of made-up records."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector.made_up import fresh_keys, pseudonyms, texts_like, typed
from pipeline.errors import ConfigurationError


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_texts_keep_their_shape_and_nothing_else() -> None:
    seen = ["Ada.Lovelace@mail.org", "+41 31 000 12 34", "Zürich-3", "Ω北"]
    made = texts_like(seen, set(seen), draw())
    for old, new in zip(seen, made, strict=True):
        assert new is not None and new != old and len(new) == len(old)
        for before, after in zip(old, new, strict=True):
            assert before.isdigit() == after.isdigit() and before.isupper() == after.isupper()
            assert after == before if not before.isalnum() else after.isascii()


def test_a_text_that_was_seen_never_comes_back() -> None:
    digits = {str(each) for each in range(10)}
    assert texts_like(["7"] * 20, digits, draw()) == [None] * 20
    assert set(texts_like(["7"] * 200, digits - {"4"}, draw())) <= {"4", None}
    assert texts_like(["---", ""], {"---", ""}, draw()) == [None, None]


def test_pseudonyms_keep_what_is_equal_and_null_but_no_value() -> None:
    names = pa.chunked_array([["ada", None, "eve"], ["ada", "bob"]])
    made = pseudonyms("name", names, draw())
    assert made.type == pa.string()
    one, null, two, again, three = made.to_pylist()
    assert null is None and one == again
    assert {one, two, three} == {"name-1", "name-2", "name-3"}


@pytest.mark.parametrize("kind", [pa.int32(), pa.dictionary(pa.int32(), pa.string()), pa.large_string()])
def test_pseudonyms_keep_the_type(kind: pa.DataType) -> None:
    values = pa.chunked_array([typed(["907", "908", "907"], kind)])
    made = pseudonyms("code", values, draw())
    assert made.type == kind
    assert made[0] == made[2] != made[1]
    assert not {"907", "908"} & set(map(str, made.to_pylist()))


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(), pa.int16(), pa.uint32(), pa.uint64(), pa.float64(), pa.decimal128(12, 0), pa.string(),
        pa.large_string(), pa.date32(), pa.timestamp("us"), pa.timestamp("s", "UTC"),
    ],
)  # fmt: skip
def test_new_keys_differ_and_keep_the_type(kind: pa.DataType) -> None:
    keys = fresh_keys("orders", "id", kind, 500)
    assert keys is not None and keys.type == kind
    assert len(keys.unique()) == 500 and keys.null_count == 0


def test_new_keys_are_none_that_count_upwards() -> None:
    assert fresh_keys("m", "id", pa.int64(), 2).to_pylist() == [-1, -2]
    assert fresh_keys("m", "id", pa.string(), 10).to_pylist()[8:] == ["synthetic-09", "synthetic-10"]
    assert fresh_keys("m", "id", pa.uint8(), 2).to_pylist() == [255, 254]
    assert fresh_keys("m", "id", pa.bool_(), 2) is None


def test_a_type_too_small_for_the_keys_is_named() -> None:
    assert len(fresh_keys("orders", "id", pa.int8(), 128).unique()) == 128
    with pytest.raises(ConfigurationError, match="orders: key column 'id' of type int8 has no room for 129 new keys"):
        fresh_keys("orders", "id", pa.int8(), 129)
    with pytest.raises(ConfigurationError, match="uint8 has no room"):
        fresh_keys("orders", "id", pa.uint8(), 257)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["3", None], pa.int64(), [3, None]),
        (["true", "false"], pa.bool_(), [True, False]),
        ([1.5, None], pa.decimal128(8, 2), [Decimal("1.50"), None]),
        ([7], pa.float32(), [7.0]),
        ([900, 1430], pa.string(), ["900", "1430"]),
        (["2013-02-03"], pa.date32(), [dt.date(2013, 2, 3)]),
        (["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
        (["12", "no number", None], pa.int32(), [12, None, None]),
    ],
)
def test_values_and_texts_become_the_type(values: list[object], kind: pa.DataType, expected: list[object]) -> None:
    made = typed(values, kind)
    assert made.type == kind
    assert made.to_pylist() == expected

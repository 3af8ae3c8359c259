"""Words of keys: they may only ever say too many records, and never another duplicate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.monitor import Monitor
from pipeline.records import LONGEST_KEY, record_keys, storable
from pipeline.validation import duplicate_keys, first_suite, key_words
from pipeline.validation.census import digests
from pipeline.validation.key_words import Suspects, kinds_of, more_than_once, too_long, words_of

MakeMonitor = Callable[..., Monitor]
TEXTS = st.sampled_from(["", "a", "a\x00", "a" * 8, "a" * 9, "é" * 40, "a" * 64, "a" * 65, "b" * 200]) | st.text()
KEYS: list[tuple[pa.DataType, Any]] = [
    (pa.int64(), st.sampled_from([0, -1, 2**53, 2**53 + 1, -(2**63)])),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.sampled_from([0, 2**64 - 1])),
    (pa.float64(), st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0])),
    (pa.decimal128(38, 0), st.sampled_from([Decimal(7), Decimal(10) ** 30, Decimal(10) ** 30 + 1])),
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("ns"), st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1))),
    (pa.binary(), st.binary(max_size=3)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 1), max_size=2)),
]


@st.composite
def keyed(draw: Any) -> pa.Table:
    """Records with a key of two columns of any type."""
    rows = draw(st.integers(1, 8))
    columns = {}
    for name in ("a", "b"):
        kind, values = draw(st.sampled_from(KEYS))
        columns[name] = pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind)
    return pa.table(columns)


@given(keyed(), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_equal_keys_have_equal_words_in_any_batch_and_other_keys_have_others(table: pa.Table, cut: int) -> None:
    for columns in (("a",), ("b",), ("a", "b")):
        texts = record_keys(table, columns)
        parts = [words_of(part, columns) for part in (table.slice(0, cut), table.slice(cut))]
        words, there = (np.concatenate(each) for each in zip(*parts, strict=True))
        assert there.tolist() == [text is not None for text in texts]
        pairs = {(text, word) for text, word in zip(texts, words.tolist(), strict=True) if text is not None}
        assert len(pairs) == len({text for text, _ in pairs}) == len({word for _, word in pairs})


def test_a_text_and_the_same_with_a_nul_at_its_end_have_other_words() -> None:
    texts = ["a", "a\x00", "a\x00\x00", "", "\x00"]
    words, _ = words_of(pa.table({"id": texts}), ["id"])
    assert len(set(words.tolist())) == len(texts)
    wide, _ = words_of(pa.table({"id": [*texts, "b" * 40]}), ["id"])
    assert wide[:5].tolist() == words.tolist()


def test_suspects_are_the_records_whose_word_came_again() -> None:
    table = pa.table({"id": [5, None, 6, 5, None]})
    words, there = words_of(table, ["id"])
    found = Suspects(kinds_of(table, ["id"]), more_than_once(words[there]))
    assert found.rows(table, ["id"]).tolist() == [0, 3]
    assert found.rows(table.cast(pa.schema([("id", pa.float64())])), ["id"]).tolist() == [0, 1, 2, 3, 4]


def test_p11_words_that_collide_invent_no_duplicate(monitor: MakeMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"id": [1, 2, 1, None, 3], "x": ["a", "b", "c", "d", "e"]})
    suite = first_suite(monitor(), table.schema)
    monkeypatch.setattr(key_words, "_words", lambda values: np.zeros(len(values), np.uint64))
    census = duplicate_keys(monitor(), suite, lambda names: table.select(names or table.column_names).to_batches(2))
    [one] = digests(table.slice(0, 1), ("id",))
    assert census.repeated == census.conflicting == {("id",): {one}}
    assert census.repeats(table, ("id",)) == [(0, one), (2, one)]


def test_p11_a_key_whose_type_changes_within_a_partition_is_still_compared_by_its_text(monitor: MakeMonitor) -> None:
    whole, fraction = pa.table({"id": [1.0, 2.0]}), pa.table({"id": [2.0, 2.5]})
    suite = first_suite(monitor(), pa.schema([("id", pa.int64())]))
    trained = type(suite)(suite.record, (), {"id": "int64"})
    census = duplicate_keys(monitor(), trained, lambda names: [*whole.to_batches(), *fraction.to_batches()])
    assert census.repeated["id",] == {digests(pa.table({"id": [2]}), ("id",))[0]}


@given(
    st.lists(
        st.none() | st.text('a"\x00é\n', min_size=80, max_size=90) | st.text("a\x00", min_size=500, max_size=514),
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_keys_that_are_too_long_are_found_as_by_their_text(values: list[str | None], hidden: bool) -> None:
    table = pa.table({"a": pa.array(values, pa.string()), "n": pa.array(range(len(values)), pa.int64())})
    sensitive = ["a"] if hidden else []
    for columns in (["a"], ["a", "n"], ["n"]):
        keys = record_keys(table, columns, sensitive)
        expected = [row for row, key in enumerate(keys) if key is not None and len(storable(key)) > LONGEST_KEY]
        assert too_long(table, columns, sensitive) == expected

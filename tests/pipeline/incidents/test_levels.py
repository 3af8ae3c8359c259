"""The values of a column among findings and sampled records, as codes of their texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.incidents.levels import LONGEST_VALUE, levels_of
from pipeline.incidents.order import place
from pipeline.records import as_text

NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 2.0**60, float("inf"), 5e-324])
WHOLE = st.integers(-3, 3) | st.integers(2**53 - 1, 2**53 + 2)
COLUMNS = st.one_of(
    st.lists(st.none() | NUMBERS, max_size=12).map(lambda each: pa.array(each, pa.float64())),
    st.lists(st.none() | NUMBERS, max_size=12).map(lambda each: pa.array(each, pa.float32(), safe=False)),
    st.lists(st.none() | WHOLE, max_size=12).map(lambda each: pa.array(each, pa.int64())),
    st.lists(st.none() | st.sampled_from(["a", "", "1", "1.0", "2013-02-03"]), max_size=12).map(
        lambda each: pa.array(each, pa.string())
    ),
)
TEXTS = st.lists(st.none() | st.sampled_from(["1", "1.0", "0", "-0.0", "nan", "inf", "a", "2013-02-03"]), max_size=5)


@given(COLUMNS, TEXTS, st.integers(0, 5))
@example(pa.array([2**53, 2**53 + 1]), [str(2**53 + 1)], 0)
def test_codes_and_places_are_those_of_the_texts(values: pa.Array, told: list[str | None], known: int) -> None:
    told = [*told, *map(as_text, values[:known].to_pylist())]
    levels, found, sampled = levels_of(told, pa.chunked_array([values]))
    texts = [as_text(value) for value in values.to_pylist()]
    assert [levels.text(code) for code in found] == told
    assert [levels.text(code) for code in sampled] == texts
    every = [levels.text(level) for level in range(len(levels))]
    assert every == list(dict.fromkeys([*told, *texts])), "each once, none that does not come, in their order"
    np.testing.assert_array_equal(levels.places, [place(text) for text in every])


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["b", None, "a"], ["b", "c", None]]),
        pa.chunked_array([pa.DictionaryArray.from_arrays([1, None, 0, 1, 3, None], ["a", "b", "unused", "c"])]),
        pa.chunked_array([pa.array([1.5, None, 0.5]), pa.array([1.5, float("nan"), None])]),
        pa.chunked_array([pa.array([1.5, None, 0.5]), pa.array([1.5, 2.5, None])]),
        pa.chunked_array([pa.array([[1], None, [2], [1], [], None], pa.list_(pa.int8()))]),
    ],
    ids=["texts", "codes", "numbers and NaN", "numbers", "lists"],
)
def test_each_value_has_its_text(column: pa.ChunkedArray) -> None:
    levels, _, sampled = levels_of([], column)
    assert [levels.text(code) for code in sampled] == [as_text(value) for value in column.to_pylist()]


def test_what_is_too_long_to_be_told_is_unhandy() -> None:
    told = ["x" * (LONGEST_VALUE + 1), "x" * LONGEST_VALUE, None]
    levels, _, _ = levels_of(told, pa.chunked_array([pa.array([1.5, 2.5])]))
    assert levels.unhandy.tolist() == [True, False, False, False, False]

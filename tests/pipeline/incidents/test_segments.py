"""How improbable a segment is, and how the values of a partition are coded to look for one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from pipeline.incidents.population import _texts
from pipeline.incidents.segments import _tail


def test_a_segment_is_as_improbable_as_the_binomial_distribution_says() -> None:
    draw = np.random.default_rng(0)
    here, records = draw.integers(1, 60, 500), draw.integers(0, 2_000, 500)
    share = np.minimum(np.maximum(records, here) / 2_000, 1.0)
    np.testing.assert_allclose(_tail(here, records, 60, 2_000), binom.logsf(here - 1, 60, share), rtol=1e-9)
    assert _tail(np.array([60]), np.array([2_000]), 60, 2_000)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["b", None, "a"], ["b", "c", None]]),
        pa.chunked_array([pa.DictionaryArray.from_arrays([1, None, 0, 1, 3, None], ["a", "b", "unused", "c"])]),
        pa.chunked_array([pa.array([1.5, None, 0.5, 1.5, float("nan"), None])]),
        pa.chunked_array([pa.array([[1], None, [2], [1], [], None], pa.list_(pa.int8()))]),
    ],
    ids=["texts", "codes", "numbers", "lists"],
)
def test_each_value_has_its_text_in_the_order_in_which_they_come(column: pa.ChunkedArray) -> None:
    texts, codes = _texts(column)
    told = [None if value is None else str(value) for value in column.to_pylist()]
    assert [texts[code] for code in codes] == told
    assert list(dict.fromkeys(texts)) == list(dict.fromkeys(told)), "none that does not come, the first one first"

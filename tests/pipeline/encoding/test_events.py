"""What is true of one value is an event of its own column and of its own record only."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoding import EVENTS, Encoder
from tests.pipeline.encoding.conftest import as_reconstructed

N, PER_DAY = 300, 15


def mixed(seed: int = 0) -> pa.Table:
    """A column of each kind without nulls, an identifier and an order number, and the partition."""
    draw = np.random.default_rng(seed)
    day = [dt.date(2024, 1, 1) + dt.timedelta(i // PER_DAY) for i in range(N)]
    minute = draw.integers(0, 1440, N)
    return pa.table(
        {
            "day": day,
            "amount": draw.normal(10, 2, N).round(2),
            "order": 5_000_000 + 7 * np.arange(N),
            "carrier": draw.choice(["AA", "BB", "CC"], N),
            "flag": draw.random(N) < 0.5,
            "departure": minute // 60 * 100 + minute % 60,
            "seen_at": [dt.datetime.combine(d, dt.time(int(m) // 60)) for d, m in zip(day, minute, strict=True)],
            "key": [draw.bytes(8).hex() for _ in range(N)],
        }
    )


TABLE = mixed()
ENCODER = Encoder.fit(TABLE, anchor="day")
COLUMNS = list(ENCODER.columns)
WHOLE = ENCODER.encode(TABLE)
SPOILED: list[tuple[str, Any, str]] = [
    *((name, None, "unexpected_null") for name in COLUMNS),
    ("amount", 1e6, "out_of_range"),
    ("amount", float("inf"), "out_of_range"),
    ("order", 500_000, "out_of_range"),
    ("order", 5_900_000, "out_of_range"),
    ("carrier", "ZZ", "unseen_category"),
    ("departure", 1275, "out_of_range"),
    ("seen_at", dt.datetime(2023, 1, 1), "out_of_range"),
    ("key", "0123456789abcde", "out_of_range"),
    ("key", "0123456789abcdez", "out_of_range"),
]


def test_a_window_is_without_events_of_its_own() -> None:
    assert not WHOLE.events.any()


@settings(max_examples=60)
@given(st.sampled_from(SPOILED), st.integers(0, N - 1))
def test_an_event_is_one_of_its_own_column_and_record_only(spoiled: tuple[str, Any, str], row: int) -> None:
    name, value, event = spoiled
    values = TABLE[name].to_pylist()
    values[row] = value
    at = TABLE.column_names.index(name)
    table = TABLE.set_column(at, name, pa.array(values, TABLE.schema.field(name).type))

    found = ENCODER.encode(table)

    assert np.argwhere(found.events).tolist() == [[row, COLUMNS.index(name), EVENTS.index(event)]]
    owner = np.repeat(ENCODER.column_of_cell, [cell.width for cell in ENCODER.cells])
    same = np.ones(WHOLE.matrix.shape, dtype=bool)
    same[row, owner == COLUMNS.index(name)] = False
    np.testing.assert_array_equal(found.matrix[same], WHOLE.matrix[same])


@settings(max_examples=30)
@given(st.lists(st.integers(0, N), max_size=5))
def test_p15_batches_are_encoded_as_the_whole(cuts: list[int]) -> None:
    again = Encoder.from_state(json.loads(json.dumps(ENCODER.to_state(), allow_nan=False)))
    edges = sorted({0, *cuts, N})
    parts = [again.encode(TABLE[a:b]) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([part.matrix for part in parts]), WHOLE.matrix)
    np.testing.assert_array_equal(np.concatenate([part.events for part in parts]), WHOLE.events)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "key"])
def test_what_is_encoded_comes_back(name: str) -> None:
    own = [i for i, column in enumerate(ENCODER.column_of_cell) if column == COLUMNS.index(name)]
    slots = [(ENCODER.starts[i], ENCODER.cells[i]) for i in own]
    cells = [as_reconstructed(WHOLE.matrix[:, at : at + cell.width], cell) for at, cell in slots]
    expected = TABLE[name].to_pylist()
    if name == "flag":
        expected = [str(value).lower() for value in expected]
    assert ENCODER.decode(name, cells, TABLE) == (pytest.approx(expected) if name == "amount" else expected)

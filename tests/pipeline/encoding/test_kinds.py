"""What kind a column is taken for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.encoding import infer_kind
from pipeline.encoding.kinds import valid_hhmm

CLOCK = [hour * 100 + minute for hour in range(24) for minute in (0, 7, 15, 30, 45, 59)]
SECONDS = [s // 3600 * 10_000 + s // 60 % 60 * 100 + s % 60 for s in range(0, 86_400, 601)]
INSTANT = dt.datetime(2013, 2, 3, 4, 5)

COLUMNS: dict[str, tuple[str, Any, pa.DataType | None]] = {
    "hhmm integers": ("clock", CLOCK, pa.int32()),
    "hhmm floats, as nulls make of integers": ("clock", [*map(float, CLOCK), None], None),
    "2400 is midnight": ("clock", [*CLOCK, 2400], None),
    "hh:mm texts": ("clock", [f"{v // 100:02d}:{v % 100:02d}" for v in CLOCK], None),
    "hh:mm:ss texts": ("clock", [f"{v // 100:02d}:{v % 100:02d}:30.5" for v in CLOCK], None),
    "times": ("clock", [dt.time(v // 100, v % 100) for v in CLOCK], pa.time64("us")),
    "dates": ("datetime", [INSTANT.date()], None),
    "timestamps": ("datetime", [INSTANT], pa.timestamp("us")),
    "timestamps with a zone": ("datetime", [INSTANT], pa.timestamp("ms", "Europe/Zurich")),
    "booleans": ("boolean", [True, False, None], None),
    "0 and 1": ("categorical", [0, 1, 1, 0], None),
    "one whole number": ("categorical", [7, 7, 7], None),
    "three whole numbers": ("numeric", [0, 1, 2], None),
    "invalid minutes": ("numeric", list(range(2400)), None),
    "minutes of one hour": ("numeric", list(range(60)), None),
    "a few times of day": ("numeric", CLOCK[:20], None),
    "0.0 and 1.0": ("numeric", [0.0, 1.0], None),
    "floats": ("numeric", [0.5, 1.25], None),
    "hhmmss integers": ("clock", SECONDS, pa.int64()),
    "hhmmss with a little dirt": ("clock", [*SECONDS * 5, 129_999, -1], pa.int64()),
    "round sums below 240000": ("numeric", list(range(10_000, 240_000, 1_000)), None),
    "whole hours as hhmmss": ("numeric", [v // 100 * 10_000 for v in CLOCK], None),
    "seconds of a day": ("numeric", list(range(0, 86_400, 7)), None),
    "random keys": ("text", np.random.default_rng(0).integers(0, 2**63 - 1, 500), None),
    "signed hashes": ("text", np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 500), None),
    "random keys that repeat": ("numeric", np.random.default_rng(0).integers(0, 2**63 - 1, 50).repeat(9), None),
    "clock ticks since 1970": ("numeric", 1_700_000_000_000_000_000 + np.arange(500) * 10**9, None),
    "sums in small units": ("numeric", np.exp(np.random.default_rng(2).normal(38, 1, 500)).astype(int), None),
    "a few large counts": ("numeric", np.random.default_rng(3).integers(0, 10**12, 500), None),
    "ratings": ("numeric", [1, 2, 3, 4, 5] * 100, None),
    "durations": ("numeric", [dt.timedelta(seconds=i) for i in range(9)], pa.duration("ms")),
    "decimals": ("numeric", [Decimal("1.25"), Decimal("3.50")], None),
    "large integers": ("numeric", [2**63 - i for i in range(1, 40)], pa.int64()),
    "larger integers": ("numeric", [2**64 - i for i in range(1, 40)], pa.uint64()),
    "few texts": ("categorical", ["AA", "BB", "CC"] * 50, None),
    "many texts that repeat": ("categorical", [f"N{i % 2000}" for i in range(10_000)], None),
    "texts that do not repeat": ("text", [f"note {i}" for i in range(1_000)], None),
    "large strings": ("categorical", ["AA", "BB"] * 30, pa.large_string()),
    "lists": ("text", [[i] for i in range(5)], pa.list_(pa.int64())),
    "binary": ("text", [b"a", b"b"], pa.binary()),
    "nulls": ("categorical", [None, None], pa.float64()),
    "nulls of no type": ("categorical", [None, None], pa.null()),
    "null timestamps": ("datetime", [None, None], pa.timestamp("us")),
    "null times": ("clock", [None, None], pa.time32("s")),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_kind_of_a_column(name: str) -> None:
    kind, values, type_ = COLUMNS[name]
    column = pa.chunked_array([pa.array(values, type_)])

    found = infer_kind(column)

    assert found.kind == kind
    assert found.reason


@pytest.mark.parametrize("name", ["hhmm integers", "hh:mm texts", "few texts", "floats", "timestamps", "booleans"])
def test_a_dictionary_is_what_its_values_are(name: str) -> None:
    kind, values, type_ = COLUMNS[name]
    assert infer_kind(pa.chunked_array([pa.array(values, type_).dictionary_encode()])).kind == kind


def test_the_kind_does_not_depend_on_chunks() -> None:
    for kind, values, type_ in COLUMNS.values():
        column = pa.array(values, type_)
        half = len(column) // 2
        chunks = pa.chunked_array([column[:half], column[half:], column[:0]])
        assert infer_kind(chunks).kind == kind


def test_a_clock_with_a_little_dirt_stays_a_clock() -> None:
    every = CLOCK * 10
    assert infer_kind(pa.chunked_array([pa.array([*every, 1299, 9999])])).kind == "clock"
    assert infer_kind(pa.chunked_array([pa.array(every + [1299] * (len(every) // 50))])).kind == "numeric"
    texts = [f"{v // 100:02d}:{v % 100:02d}" for v in every]
    assert infer_kind(pa.chunked_array([pa.array([*texts, "noon"])])).kind == "clock"


def test_which_numbers_are_times_of_day() -> None:
    numbers = np.array([0, 59, 60, 100, 1259, 1260, 2359, 2400, 2401, -1, 12.5, np.nan])
    assert valid_hhmm(numbers).tolist() == [True, True, False, True, True, False, True, True, *[False] * 4]

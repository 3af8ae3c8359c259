"""Which records of a window that is too large are trained on: drawn by key, one pass, all alike."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitor import Monitor
from pipeline.training import sample

DAY = dt.date(2024, 3, 1)


def monitor(most: int, *key: str) -> Monitor:
    written = {
        "name": "orders",
        "source": {"files": "orders.parquet"},
        "partition_by": "day",
        "primary_key": key or ("id",),
        "training": {"max_rows": most, "min_rows": 1},
    }
    return Monitor.model_validate(written)


def table(total: int, **columns: Any) -> pa.Table:
    """Records of one day with the keys 0, 1, 2, ... unless others are given."""
    return pa.table({"id": np.arange(total), "day": pa.array([DAY] * total), **columns})


def drawn(found: pa.Table) -> list[int]:
    ids: list[int] = found["id"].to_pylist()
    return ids


def cut(records: pa.Table, ends: Sequence[int]) -> list[pa.RecordBatch]:
    """Batches that end at those records."""
    stops = [0, *sorted(ends), records.num_rows]
    return [batch for start, end in pairwise(stops) for batch in records.slice(start, end - start).to_batches()]


def test_all_records_when_they_are_not_too_many() -> None:
    assert drawn(sample(monitor(50), cut(table(50), [7, 30]), 50, seed=0)) == list(range(50))


KEYS = {
    "sequential": np.arange(50_000),
    "in steps": np.arange(50_000) * 1_024,
    "text": [f"order-{each:06d}" for each in range(50_000)],
    "times": pa.array(np.arange(50_000) * 60_000_000, pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("seed", [0, 1, 2**40])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_about_as_many_as_asked_from_everywhere(keys: Any, seed: int) -> None:
    records = table(50_000).append_column("key", pa.array(keys))
    found = drawn(sample(monitor(5_000, "key"), cut(records, range(999, 50_000, 999)), 50_000, seed))
    assert len(found) == pytest.approx(5_000, rel=0.07)
    assert (np.diff(found) > 0).all(), "in the order in which they came, nothing twice"
    assert np.histogram(found, bins=10, range=(0, 50_000))[0] == pytest.approx([500] * 10, rel=0.25)


def test_each_record_alike() -> None:
    times = np.zeros(200)
    for seed in range(400):
        times[drawn(sample(monitor(50), table(200).to_batches(), 200, seed))] += 1
    assert times.sum() == pytest.approx(400 * 50, rel=0.05)
    assert times.min() > 60 and times.max() < 140


def test_another_seed_or_partition_draws_independently() -> None:
    """Of a fifth of the records another draw takes a fifth again."""
    records = table(20_000)
    tomorrow = records.set_column(1, "day", pa.array([DAY + dt.timedelta(days=1)] * 20_000))
    first = {*drawn(sample(monitor(4_000), records.to_batches(), 20_000, seed=0))}
    for other, seed in ((records, 1), (records, 2**32 + 1), (tomorrow, 0)):
        second = {*drawn(sample(monitor(4_000), other.to_batches(), 20_000, seed))}
        assert len(first & second) == pytest.approx(800, rel=0.2)


@given(st.lists(st.integers(0, 400), max_size=8), st.randoms(use_true_random=False), st.integers(0, 5))
def test_p16_the_sample_depends_on_the_seed_and_not_on_the_batches(ends: list[int], chance: Any, seed: int) -> None:
    """Nor on the order, nor on whether a batch holds records without a key."""
    records = table(400, id=pa.array([None if each % 50 == 49 else each for each in range(400)]))
    order = list(range(400))
    chance.shuffle(order)
    whole = drawn(sample(monitor(100), cut(records, []), 400, seed))
    shuffled = drawn(sample(monitor(100), cut(records.take(order), ends), 400, seed))
    other = drawn(sample(monitor(100), cut(records, ends), 400, seed + 1))
    assert whole == sorted(shuffled) != other


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.null()], ids=str)
def test_a_record_without_a_key_is_not_drawn(kind: pa.DataType) -> None:
    """Not even beside the other half of its key: nothing could learn of it."""
    records = table(300, id=pa.nulls(300, kind), line=np.arange(300))
    assert sample(monitor(100, "id", "line"), cut(records, [40, 40]), 300, seed=0).num_rows == 0


def test_the_partition_may_be_part_of_the_key() -> None:
    records = table(300).to_batches()
    assert sample(monitor(100, "day", "id"), records, 300, 0).num_rows == pytest.approx(100, rel=0.3)


def test_what_is_always_taken_comes_beside_what_is_drawn() -> None:
    records = table(2_000, id=pa.array([None, *range(1, 2_000)]), line=np.arange(2_000))
    batches = cut(records, range(100, 2_000, 100))
    some = drawn(sample(monitor(50), batches, 2_000, 0))
    found = sample(monitor(50), batches, 2_000, 0, lambda batch: np.asarray(batch["line"]) % 500 == 0)
    assert {*drawn(found)} == {*some} | {None, 500, 1_000, 1_500}


def test_a_batch_is_let_go_before_the_next_one_is_taken_up() -> None:
    refs: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def stream() -> Iterator[pa.RecordBatch]:
        for start in range(0, 30_000, 1_000):
            keys = np.arange(start, start + 1_000)
            refs.append(weakref.ref(keys))
            batch = table(1_000, id=keys).to_batches()[0]
            del keys
            yield batch
            del batch
            alive.append(sum(ref() is not None for ref in refs))

    found = sample(monitor(3_000), stream(), 30_000, seed=0)
    assert found.num_rows == pytest.approx(3_000, rel=0.1)
    assert len(alive) == 30 and max(alive) == 1, "the one that has just been drawn from"

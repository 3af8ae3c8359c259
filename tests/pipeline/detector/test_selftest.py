"""The nightly self-test: what it finds, that it leaves nothing behind, and that it says when a detector is blind."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.calibration import Conformal
from pipeline.detector import Detector
from pipeline.detector.selftest import CANARIES, FEWEST_RECORDS, Sample, SelfTest, blind, lots, self_test
from pipeline.refreshing import Refresh

RATE = 0.02
Records = Callable[..., pa.Table]


@pytest.fixture
def at_training(of_numbers: Detector, numbers: Records) -> SelfTest:
    return self_test(of_numbers, numbers(400, 5), RATE, most=400)


def test_it_counts_canaries_and_flags_by_kind(at_training: SelfTest) -> None:
    assert at_training.count == sum(count for count, _ in at_training.by_kind.values()) <= 400
    assert {"scaled", "shifted", "swapped", "emptied"} <= set(at_training.by_kind)
    assert at_training.by_kind["emptied"][1] > 0
    found = at_training.as_metrics()
    assert found["canary_recall"] == at_training.caught / at_training.count
    assert 0.2 < float(found["canary_recall"] or 0) < 1
    count, caught = at_training.by_kind["scaled"]
    assert (found["canary_count.scaled"], found["canary_recall.scaled"]) == (count, caught / count)
    assert found["canary_false_alarm_rate"] == at_training.untouched_flagged / 400 < 5 * RATE
    assert SelfTest.from_state(json.loads(json.dumps(at_training.to_state()))) == at_training


def test_the_records_of_the_night_stay_as_they_are(of_numbers: Detector, numbers: Records) -> None:
    night = numbers(300, 6)
    before = night.to_pydict()
    first, again = (self_test(of_numbers, night, RATE, seed=3) for _ in range(2))
    assert first == again and first.count == first.untouched - first.untouched_flagged <= CANARIES
    np.testing.assert_equal(night.to_pydict(), before)


def test_the_flags_are_those_of_the_night(of_numbers: Detector, numbers: Records) -> None:
    """At the asked rate, refreshed as tonight's p-values are."""
    night = numbers(300, 7)
    at_rate = self_test(of_numbers, night, RATE)
    refreshed = self_test(of_numbers, night, RATE, Refresh(0.75, 7))
    lower = self_test(of_numbers, night, Refresh(0.75, 7).before(RATE))
    assert refreshed == lower
    assert refreshed.caught < at_rate.caught
    everything = self_test(of_numbers, night, 1.0)
    assert (everything.untouched_flagged, everything.count) == (CANARIES, 0)


def test_of_few_records_nothing_is_told(of_numbers: Detector, numbers: Records) -> None:
    none = self_test(of_numbers, numbers(FEWEST_RECORDS - 1, 8), RATE)
    assert none == SelfTest()
    assert none.as_metrics() == {"canary_count": 0.0, "canary_recall": None, "canary_false_alarm_rate": None}
    assert self_test(of_numbers, numbers(0, 8), RATE) == SelfTest()


def test_a_detector_as_it_was_trained_is_not_called_blind(
    of_numbers: Detector, numbers: Records, at_training: SelfTest
) -> None:
    nights = [self_test(of_numbers, numbers(300, seed), RATE, seed=seed) for seed in range(20, 30)]
    assert [blind(night, at_training) for night in nights] == [None] * 10


def test_a_detector_that_flags_no_more_says_so(of_numbers: Detector, numbers: Records, at_training: SelfTest) -> None:
    """Its calibration has come to expect scores that no record has."""
    state, arrays = of_numbers.to_state()
    deaf = Detector.from_state(state, arrays | {"calibration": np.sort(of_numbers.calibration.scores + 50)})
    assert isinstance(deaf.calibration, Conformal)
    told = blind(self_test(deaf, numbers(300, 9), RATE), at_training)
    assert told is not None and told.startswith("it has gone blind: it flags ")
    assert f"canaries (0%, at training {at_training.caught / at_training.count:.0%})" in told


def test_one_kind_alone_is_enough_to_be_blind() -> None:
    at_training = SelfTest({"scaled": (150, 130), "swapped": (450, 200)}, 600, 2)
    tonight = SelfTest({"scaled": (50, 20), "swapped": (150, 80), "negated": (1, 0)}, 200, 1)
    assert blind(tonight, at_training) == "it has gone blind: it flags 20 of 50 scaled canaries (40%, at training 87%)"
    assert blind(replace(tonight, by_kind={"scaled": (50, 40), "swapped": (150, 60)}), at_training) is None


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 200), st.integers(1, 200))
def test_as_many_as_before_is_never_blind_and_nothing_fails(a: int, b: int, of: int, then_of: int) -> None:
    tonight, then = SelfTest({"scaled": (of, min(a, of))}), SelfTest({"scaled": (then_of, min(b, then_of))})
    told = blind(tonight, then)
    assert told is None or tonight.caught / tonight.count < then.caught / then.count
    assert blind(SelfTest(), then) is None and blind(tonight, SelfTest()) is None


def drawn_of(ids: np.ndarray, ends: list[int], seed: int, most: int) -> list[int]:
    """The records drawn where the batches end at those."""
    sample = Sample(most)
    for start, end in pairwise([0, *ends, len(ids)]):
        table = pa.table({"id": ids[start:end]})
        sample.add(table, lots(table, seed))
    drawn = sample.table()
    assert drawn is not None
    found: list[int] = drawn["id"].to_pylist()
    return found


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 50))
def test_a_sample_holds_no_more_than_asked_and_nothing_twice(ends: list[int], most: int) -> None:
    drawn = drawn_of(np.arange(40), sorted(ends), 1, most)
    assert len(drawn) == len(set(drawn)) == min(most, 40)
    assert Sample(most).table() is None


@given(st.lists(st.integers(0, 40), max_size=6), st.permutations(range(40)))
def test_p15_a_sample_is_the_same_whatever_the_batches_and_the_order(ends: list[int], order: list[int]) -> None:
    assert drawn_of(np.array(order), sorted(ends), 1, 10) == drawn_of(np.arange(40), [], 1, 10)


@given(st.integers(1, 39))
def test_samples_of_parts_make_the_sample_of_the_whole(cut: int) -> None:
    whole, parts = Sample(10), Sample(10)
    table = pa.table({"id": np.arange(40)})
    whole.add(table, lots(table, 3))
    for part in (table.slice(cut), table.slice(0, cut)):
        sample = Sample(10)
        sample.add(part, lots(part, 3))
        kept = sample.table()
        assert kept is not None
        parts.add(kept, sample.drawn)
    assert parts.table() == whole.table()


def test_a_sample_draws_each_record_alike() -> None:
    drawn = np.zeros(40)
    for seed in range(400):
        drawn[drawn_of(np.arange(40), [5, 30], seed, 10)] += 1
    assert drawn.sum() == 4_000 and drawn.min() > 60 and drawn.max() < 145


@pytest.mark.parametrize(
    "keys",
    [
        {"key": pa.array([f"o{each}" for each in range(2_000)])},
        {"key": pa.array([dt.date(2013, 1, 1) + dt.timedelta(days=each) for each in range(2_000)])},
        {"key": pa.array([Decimal(each) / 4 for each in range(2_000)])},
        {"shop": pa.array(["A", "B"] * 1_000), "key": pa.array(np.arange(2_000, dtype=np.uint32) // 2)},
    ],
)
def test_lots_of_keys_of_any_type_are_spread_evenly(keys: dict[str, pa.Array]) -> None:
    drawn = lots(pa.table(keys), seed=2**32 - 1)
    assert drawn.dtype == np.uint64 and len(np.unique(drawn)) == 2_000
    counts = np.bincount((drawn >> np.uint64(60)).astype(int), minlength=16)
    assert counts.min() > 80 and counts.max() < 175
    assert abs(np.corrcoef(drawn[1:] / 2.0**64, drawn[:-1] / 2.0**64)[0, 1]) < 0.1

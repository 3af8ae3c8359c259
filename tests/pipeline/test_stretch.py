"""What a stretch of a partition came to travels as JSON and Arrow's own format, and comes back the same."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pyarrow as pa

from pipeline.results import Anomaly, Contribution, Quarantined
from pipeline.steps.stretch import DDL, Stretch
from pipeline.steps.tally import Counted, Tallied
from pipeline.validation import Checked

KEPT = pa.table({"a": pa.array([1.5, float("inf")]), "b": pa.array([None, "ü"])})
CHECKED = Checked([[7, 2, ["1", None]], [7, 0, []]], KEPT)


def there_and_back(stretch: Stretch) -> Stretch:
    batch = stretch.to_batch()
    assert batch.schema.names == [each.split()[0] for each in DDL.split(", ")] and batch.num_rows == 1
    return Stretch.from_row(batch.to_pylist()[0])


def test_a_scored_stretch() -> None:
    why = Contribution("air_time", "9060", None, 1 / 3, 1, "reconstruction")
    anomaly = Anomaly('["a", "1"]', 0.1 + 0.2, 5e-324, 2.5, {"id": 2**53 - 1, "x": None}, (why, why))
    broken = Quarantined(3, None, None, "expect_x", "\x00", {"id": "é"})
    sample = KEPT, np.array([2**64 - 1, 3], np.uint64)
    flagged = np.array([[1.5, np.nan]], np.float32)
    counted = Counted(5, np.array([1, 2]), np.array([3, 2**40]), np.array([7, 2**41]), sample, None)
    tallied = Tallied(counted, [anomaly], flagged)
    back = there_and_back(Stretch(7, 5, [broken], CHECKED, tallied, KEPT))
    assert (back.read, back.accepted, back.quarantined) == (7, 5, [broken])
    assert back.checked.counts == CHECKED.counts and back.checked.kept.equals(KEPT) and back.written.equals(KEPT)
    assert back.tallied is not None and back.tallied.counted.normal is not None
    again = back.tallied.counted
    assert back.tallied.anomalies == [anomaly] and again.tested is None
    assert again.accepted == 5 and again.normal[0].equals(KEPT)
    np.testing.assert_array_equal(back.tallied.flagged, flagged)
    for got, sent in (
        (again.body, counted.body),
        (again.counts, counted.counts),
        (again.scores, counted.scores),
        (again.normal[1], sample[1]),
    ):
        assert got.dtype == sent.dtype and got.tolist() == sent.tolist()  # type: ignore[union-attr]


def test_a_stretch_that_was_only_checked() -> None:
    back = there_and_back(Stretch(0, 0, [], Checked([], None)))
    assert back == Stretch(0, 0, [], Checked([], None))
    assert [each.name for each in fields(back)][-2:] == ["tallied", "written"]

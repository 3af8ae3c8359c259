from __future__ import annotations

import pytest

from benchmarks.validation import by_hand, by_tablewatch, monitor, records, taught, with_wrong


@pytest.mark.parametrize("text_key", [False, True])
def test_both_ways_accept_the_same_records(text_key: bool) -> None:
    watched = monitor(text_key)
    suite, _ = taught(watched)
    table = with_wrong(records(2_000, 99), 0.05).drop(list(watched.columns.exclude))
    batches = table.combine_chunks().to_batches(700)
    accepted = by_tablewatch(watched, suite, batches)
    assert 1_800 < accepted < 2_000
    assert by_hand(watched, suite, batches) == accepted

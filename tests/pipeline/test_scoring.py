"""Scores and anomalies of a batch of accepted records, and of the batches of a partition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, Scores, explain, network
from pipeline.errors import RefusedData
from pipeline.monitor import Monitor
from pipeline.refreshing import UNCHANGED
from pipeline.results import Anomaly
from pipeline.scoring import ScoredBatch, anomalies, score_batch
from pipeline.steps import tally
from pipeline.steps.tally import Tally
from pipeline.validation import CheckedBatch

PARTITION = "2013-02-03"


def monitor(**changes: Any) -> Monitor:
    written = {
        "name": "orders",
        "source": {"files": "orders.parquet"},
        "partition_by": "day",
        "primary_key": ["shop", "id"],
    }
    return Monitor.model_validate({**written, **changes})


def orders(n: int = 300, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "shop": ["Bern"] * n,
            "id": np.arange(n) + 2**53,
            "day": [PARTITION] * n,
            "amount": np.round(draw.normal(10, 2, n), 2),
            "customer": draw.choice(["Ann", "Bob"], n),
        }
    )


def planted() -> pa.Table:
    """A hundred new orders: record 3 has an amount far out, record 8 a customer never seen."""
    table = orders(100, seed=1)
    amounts, customers = table["amount"].to_pylist(), table["customer"].to_pylist()
    amounts[3], customers[8] = 1e6, "MARKER"
    return table.set_column(3, "amount", [amounts]).set_column(4, "customer", [customers])


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "PARTS", 3)
        patch.setattr(network, "SCHEDULES", {"autoencoder": network.Schedule(60, 32, 3e-3)})
        fitted = Detector("autoencoder", anchor="day").fit(orders().select(["amount", "customer", "day"]))
    yield fitted


@pytest.fixture(scope="module")
def scored(detector: Detector) -> ScoredBatch:
    return score_batch(monitor(), PARTITION, detector, planted(), rate=0.01)


@pytest.fixture(scope="module")
def found(detector: Detector, scored: ScoredBatch) -> list[Anomaly]:
    return anomalies(monitor(), detector, [scored.flagged], detector.threshold(0.01))


def test_every_record_has_a_score_and_the_improbable_ones_are_anomalies(
    detector: Detector, scored: ScoredBatch, found: list[Anomaly]
) -> None:
    assert scored.score.shape == scored.p_value.shape == (100,)
    np.testing.assert_allclose(scored.score, detector.score(planted()).score, rtol=1e-5)
    flagged = np.flatnonzero(scored.p_value <= 0.01)
    assert {3, 8} <= set(flagged)
    assert [each.record_key for each in found] == [f'["Bern", "{2**53 + row}"]' for row in flagged]
    assert [each.score for each in found] == scored.score[flagged].tolist()


def test_p18_an_anomaly_says_what_was_seen_and_what_was_expected(
    detector: Detector, scored: ScoredBatch, found: list[Anomaly]
) -> None:
    far, stranger = (next(a for a in found if f'{2**53 + row}"' in a.record_key) for row in (3, 8))

    assert (far.score, far.p_value) == (scored.score[3], scored.p_value[3])
    assert far.threshold == detector.threshold(0.01) < far.score
    assert far.record == {"shop": "Bern", "id": str(2**53 + 3), "day": PARTITION, "amount": 1e6} | {
        "customer": planted()["customer"][3].as_py()
    }
    amount = far.contributions[0]
    assert (amount.column_name, amount.observed, amount.reason) == ("amount", "1000000", "out_of_range")
    assert 3 < float(amount.expected or "nan") < 17
    customer = stranger.contributions[0]
    assert (customer.column_name, customer.observed, customer.reason) == ("customer", "MARKER", "unseen_category")
    assert customer.expected in ("Ann", "Bob")


def test_an_anomaly_is_scored_once_and_explained_as_if_it_were_alone(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, scored = detector.score, []

    def counted(table: pa.Table, rate: float | None = None) -> Scores:
        scored.append(len(table))
        return score(table, rate)

    monkeypatch.setattr(detector, "score", counted)
    batch = score_batch(monitor(), PARTITION, detector, planted(), rate=0.1)
    found = anomalies(monitor(), detector, [batch.flagged], 0.0)
    assert scored == [100]

    flagged = np.flatnonzero(batch.p_value <= 0.1)
    alone = explain(detector, planted().take(pa.array(flagged)))
    assert 2 < len(flagged) == len(found)
    for anomaly, expected in zip(found, alone, strict=True):
        for one, other in zip(anomaly.contributions, expected, strict=True):
            assert one.share == pytest.approx(other.share, abs=1e-6)
            assert replace(one, share=other.share) == other


def test_scores_are_taken_of_the_records_asked_for_in_their_order(detector: Detector) -> None:
    scores, rows = detector.score(planted()), np.array([8, 3, 5])
    taken, anew = scores.take(rows), detector.score(planted().take(pa.array(rows)))
    for each in fields(Scores):
        np.testing.assert_array_equal(getattr(taken, each.name), getattr(scores, each.name)[rows])
        np.testing.assert_allclose(getattr(taken, each.name), getattr(anew, each.name), rtol=1e-4, atol=1e-6)


def test_p15_batches_of_other_sizes_find_the_same_anomalies(
    detector: Detector, scored: ScoredBatch, found: list[Anomaly]
) -> None:
    parts = [score_batch(monitor(), PARTITION, detector, planted()[at : at + 25], 0.01) for at in range(0, 100, 25)]
    together = anomalies(monitor(), detector, [part.flagged for part in parts], detector.threshold(0.01))
    np.testing.assert_allclose(np.concatenate([part.score for part in parts]), scored.score, rtol=1e-4)
    assert [each.record_key for each in together] == [each.record_key for each in found]
    assert [each.contributions[0].column_name for each in together] == [
        each.contributions[0].column_name for each in found
    ]


def tallied(detector: Detector, rate: float = 0.2) -> Tally:
    """A partition of four batches, the second of which has nothing flagged."""
    found = Tally(monitor(), PARTITION, detector, None, rate, UNCHANGED)
    for part in (planted()[:25], orders(300)[:1], planted()[25:50], planted()[50:]):
        found.add(CheckedBatch(part, []))
    return found


def test_p15_however_many_records_wait_to_be_explained_the_anomalies_are_the_same(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = tallied(detector)
    assert len(together.anomalies) > 5
    monkeypatch.setattr(tally, "WAITING", 1)
    at_once = tallied(detector)
    assert [replace(each, contributions=()) for each in at_once.anomalies] == [
        replace(each, contributions=()) for each in together.anomalies
    ]
    assert [each.contributions[0].column_name for each in at_once.anomalies] == [
        each.contributions[0].column_name for each in together.anomalies
    ]
    np.testing.assert_array_equal(at_once.tallied().flagged, together.tallied().flagged)
    assert len(together.anomalies) == len(together.tallied().flagged)


def test_what_a_stretch_came_to_elsewhere_is_joined_in_order(detector: Detector) -> None:
    whole = Tally(monitor(), PARTITION, detector, None, 0.2, UNCHANGED)
    stretch = tallied(detector).tallied()
    whole.join(stretch, [])
    whole.join(stretch, [])
    assert whole.anomalies == stretch.anomalies * 2
    assert whole.accepted == 2 * 101 == 2 * stretch.counted.accepted


def test_at_a_lower_rate_fewer_are_flagged_and_the_rest_stays_as_it_was(detector: Detector) -> None:
    partition = tallied(detector)
    before = list(partition.anomalies)
    lower = partition.at(0.02)
    assert 0 < len(lower.anomalies) < len(before) and lower.rate == 0.02
    assert lower.anomalies == [each for each in before if each.p_value <= 0.02]
    assert partition.anomalies == before and partition.rate == 0.2
    stays = [each.p_value <= 0.02 for each in before]
    np.testing.assert_array_equal(lower.tallied().flagged, partition.tallied().flagged[stays])


def test_p33_a_sensitive_value_is_hashed_and_its_expectation_left_out(detector: Detector) -> None:
    discreet = monitor(columns={"sensitive": ["customer"]})
    batch = score_batch(discreet, PARTITION, detector, planted(), rate=0.01)
    found = anomalies(discreet, detector, [batch.flagged], 0.0)
    stranger = next(each for each in found if f'{2**53 + 8}"' in each.record_key)

    assert "MARKER" not in str(found)
    assert not any(name in json.dumps(each.record) for each in found for name in ("Ann", "Bob"))
    customer = stranger.contributions[0]
    assert customer.column_name == "customer" and customer.expected is None
    assert customer.observed == stranger.record["customer"]
    assert (customer.observed or "").startswith("sha256:")
    assert customer.share > 0.5 and customer.rank == 1 and customer.reason == "unseen_category"


def test_nothing_is_flagged_at_a_rate_that_nothing_reaches(detector: Detector) -> None:
    found = score_batch(monitor(), PARTITION, detector, orders(50), rate=0.0)
    assert anomalies(monitor(), detector, [found.flagged], 0.0) == [] and len(found.score) == 50


def test_p01_an_empty_batch_has_no_scores(detector: Detector) -> None:
    found = score_batch(monitor(), PARTITION, detector, planted()[:0], rate=0.01)
    assert (len(found.score), len(found.p_value)) == (0, 0)
    assert anomalies(monitor(), detector, [found.flagged, found.flagged], 0.0) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_p08_a_score_that_cannot_be_compared_is_refused_with_its_key(
    detector: Detector, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def broken(table: pa.Table, rate: float | None) -> Scores:
        score = np.zeros(len(table))
        score[1] = value
        return Scores(score, score, np.zeros((len(table), 2)), np.zeros((len(table), 2, 3), bool), score[:, None])

    monkeypatch.setattr(detector, "score", broken)
    message = rf'orders 2013-02-03: record \["Bern", "{2**53 + 1}"\] has no finite score; train the monitor again'
    with pytest.raises(RefusedData, match=message):
        score_batch(monitor(), PARTITION, detector, planted(), rate=0.01)

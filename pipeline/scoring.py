"""Scores accepted records batch by batch: each gets a score and a p-value, the improbable ones their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from pipeline.detector import Detector, Scores, explain
from pipeline.errors import RefusedData
from pipeline.monitor import Monitor
from pipeline.records import hidden_text, record_json, record_keys
from pipeline.refreshing import UNCHANGED, Refresh, body
from pipeline.results import Anomaly, Contribution


@dataclass(frozen=True)
class Flagged:
    """Records that are to be explained: as they were read, with their scores and refreshed p-values, float64 (n,)."""

    records: pa.Table
    scores: Scores
    p_value: np.ndarray


@dataclass(frozen=True)
class ScoredBatch:
    """`score` and `p_value` float64 (n,), one for each accepted record in order; what is flagged among them.

    `body` counts the p-values as they were before they were refreshed; `matrix` holds the encoded records (n, slots).
    """

    score: np.ndarray
    p_value: np.ndarray
    flagged: Flagged
    body: np.ndarray
    matrix: np.ndarray


def score_batch(
    monitor: Monitor,
    partition: str,
    detector: Detector,
    accepted: pa.Table,
    rate: float,
    refresh: Refresh = UNCHANGED,
    exact: bool = False,
) -> ScoredBatch:
    """Score one batch; records whose refreshed p-value is at most `rate` are flagged.

    Unless `exact`, records that the detector's screen finds far more probable than that are not measured in full.
    Raises RefusedData when a score is not finite: nothing that cannot be compared with a threshold is stored.
    """
    scores = detector.score(accepted, None if exact else refresh.before(rate))
    if not np.isfinite(scores.score).all():
        row = int(np.flatnonzero(~np.isfinite(scores.score))[0])
        key = record_keys(accepted.slice(row, 1), monitor.primary_key, monitor.columns.sensitive)[0]
        raise RefusedData(f"{monitor.name} {partition}: record {key} has no finite score; train the monitor again")
    p_value, counted = refresh(scores.p_value), body(scores.p_value)
    rows = np.flatnonzero(p_value <= rate)
    flagged = Flagged(accepted.take(pa.array(rows)), scores.take(rows), p_value[rows])
    return ScoredBatch(scores.score, p_value, flagged, counted, scores.matrix)


def anomalies(monitor: Monitor, detector: Detector, flagged: Sequence[Flagged], threshold: float) -> list[Anomaly]:
    """The flagged records of some batches with their reasons, in order.

    `threshold` is the least score that was flagged. What is explained together takes half the time of a few at once.
    """
    if not sum(len(each.p_value) for each in flagged):
        return []
    records = pa.concat_tables(each.records for each in flagged)
    scores = _joined([each.scores for each in flagged])
    p_values = np.concatenate([each.p_value for each in flagged])
    keys = record_keys(records, monitor.primary_key, monitor.columns.sensitive)
    reasons = explain(detector, records, scores)
    return [
        Anomaly(
            record_key=key or "",
            score=float(score),
            p_value=float(p_value),
            threshold=threshold,
            record=record_json(record, monitor.columns.sensitive),
            contributions=tuple(_discreet(monitor, each) for each in why),
        )
        for score, p_value, key, record, why in zip(
            scores.score, p_values, keys, records.to_pylist(), reasons, strict=True
        )
    ]


def _joined(scores: Sequence[Scores]) -> Scores:
    return Scores(*(np.concatenate([getattr(each, name.name) for each in scores]) for name in fields(Scores)))


def _discreet(monitor: Monitor, contribution: Contribution) -> Contribution:
    """The contribution with the values of a sensitive column hashed, the expected one left out."""
    if contribution.column_name not in monitor.columns.sensitive:
        return contribution
    return Contribution(
        contribution.column_name,
        hidden_text(contribution.observed),
        None,
        contribution.share,
        contribution.rank,
        contribution.reason,
    )

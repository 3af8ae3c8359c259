"""Scores accepted records batch by batch: each gets a score and a p-value, the improbable ones their reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.detector import Detector, explain
from pipeline.errors import RefusedData
from pipeline.monitor import Monitor
from pipeline.records import hidden_text, record_json, record_keys
from pipeline.refreshing import UNCHANGED, Refresh, body
from pipeline.results import Anomaly, Contribution


@dataclass(frozen=True)
class ScoredBatch:
    """`score` and `p_value` float64 (n,), one for each accepted record in order; the anomalies among them.

    `body` counts the p-values as they were before they were refreshed; `matrix` holds the encoded records (n, slots).
    """

    score: np.ndarray
    p_value: np.ndarray
    anomalies: list[Anomaly]
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
    flagged = np.flatnonzero(p_value <= rate)
    if not len(flagged):
        return ScoredBatch(scores.score, p_value, [], counted, scores.matrix)
    records = accepted.take(pa.array(flagged))
    threshold = detector.threshold(refresh.before(rate))
    reasons = explain(detector, records, scores.take(flagged))
    keys = record_keys(records, monitor.primary_key, monitor.columns.sensitive)
    found = [
        Anomaly(
            record_key=key or "",
            score=float(scores.score[row]),
            p_value=float(p_value[row]),
            threshold=threshold,
            record=record_json(record, monitor.columns.sensitive),
            contributions=tuple(_discreet(monitor, each) for each in why),
        )
        for row, key, record, why in zip(flagged, keys, records.to_pylist(), reasons, strict=True)
    ]
    return ScoredBatch(scores.score, p_value, found, counted, scores.matrix)


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

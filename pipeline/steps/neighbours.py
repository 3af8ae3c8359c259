"""The normal records that are kept beside the flagged ones, so that people see what such a record usually holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.detector.neighbours import nearest
from pipeline.records import record_json, record_keys
from pipeline.results import Anomaly, Neighbour, leading

if TYPE_CHECKING:
    from pipeline.detector import Detector
    from pipeline.monitor import Monitor

WORST = 200
"""Of so many flagged records of a partition neighbours are kept."""


def neighbours(
    monitor: Monitor, detector: Detector, sample: pa.Table, anomalies: Sequence[Anomaly], matrix: np.ndarray
) -> list[Neighbour]:
    """The records of `sample` nearest to each of the worst anomalies, by the columns that are not to blame.

    None of them is flagged itself. Sensitive columns neither count nor are kept; of a record whose columns are all
    sensitive or to blame there are no neighbours. `matrix` (len(anomalies), slots) holds the encoded anomalies.
    """
    hidden = np.array([_hidden(monitor, detector, each) for each in anomalies])
    worst = [int(at) for at in np.argsort([-each.score for each in anomalies], kind="stable")]
    chosen = [at for at in worst if not hidden[at].all()][:WORST]
    if not monitor.neighbours or not chosen:
        return []
    flagged = {each.record_key for each in anomalies}
    keys = np.array(record_keys(sample, monitor.primary_key, monitor.columns.sensitive), dtype=object)
    normal = np.flatnonzero([key not in flagged for key in keys])
    among = detector.encoder.encode(sample).matrix[normal]
    places, distances = nearest(detector.network.spec, matrix[chosen], among, hidden[chosen], monitor.neighbours)
    shown = [name for name in detector.encoder.columns if name not in monitor.columns.sensitive]
    records = sample.select(shown).take(pa.array(normal[places.ravel()])).to_pylist()
    each_of = places.shape[1]
    return [
        Neighbour(
            record_key=anomalies[at].record_key,
            rank=rank + 1,
            neighbour_key=str(keys[normal[places[row, rank]]]),
            distance=float(distances[row, rank]),
            record=record_json(records[row * each_of + rank]),
        )
        for row, at in enumerate(chosen)
        for rank in range(each_of)
    ]


def _hidden(monitor: Monitor, detector: Detector, anomaly: Anomaly) -> list[bool]:
    """Which columns do not count for an anomaly's neighbours: those to blame, and the sensitive ones."""
    left_out = {each.column_name for each in leading(anomaly.contributions)} | {*monitor.columns.sensitive}
    return [name in left_out for name in detector.encoder.columns]

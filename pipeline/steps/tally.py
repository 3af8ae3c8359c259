"""What the batches of one partition add up to while they are scored, and what is made of it in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from pipeline.detector.selftest import Sample, SelfTest, lots, self_test
from pipeline.drift import Drift, Reference, score_counts, score_edges
from pipeline.incidents import Found, Night, find
from pipeline.refreshing import Refresh, body_power
from pipeline.results import Anomaly, ExpectationResult, Neighbour, Quarantined
from pipeline.scoring import Flagged, anomalies, score_batch
from pipeline.steps.neighbours import neighbours
from pipeline.validation.words import phrase

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.detector import Detector
    from pipeline.incidents import Earlier, Suppressing
    from pipeline.monitor import Monitor
    from pipeline.scoring import ScoredBatch
    from pipeline.validation import CheckedBatch

NORMAL_RECORDS = 10_000
"""So many accepted records are kept to tell segments and neighbours by; of a larger partition they are a sample."""
WAITING = 4_096
"""So many flagged records wait to be explained together, at most."""


@dataclass(frozen=True)
class Counted:
    """What the records of a stretch of a partition add up to; samples are records with their lots, None of none.

    `body` is int64 (2,), `counts` int64 or None where no drift is told, `scores` the `score_counts` of all records.
    """

    accepted: int
    body: np.ndarray
    counts: np.ndarray | None
    scores: np.ndarray
    normal: tuple[pa.Table, np.ndarray] | None
    tested: tuple[pa.Table, np.ndarray] | None


@dataclass(frozen=True)
class Tallied:
    """All that a stretch of a partition came to: its anomalies, and as what they are encoded, float32 (n, slots)."""

    counted: Counted
    anomalies: list[Anomaly]
    flagged: np.ndarray


def champion_of(
    monitor: Monitor, manifest: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[Detector, Reference | None, float]:
    """What a bundle holds to tally by. Raises CorruptBundle as `training.restore` does."""
    from pipeline import training

    detector = training.restore(monitor, manifest, arrays)
    reference = Reference.from_state(detector.encoder, manifest["drift"]) if "drift" in manifest else None
    return detector, reference, training.flag_rate(monitor, manifest["typical_partition"])


class Tally:
    """One partition on its way through scoring; memory is bounded but for what is flagged or quarantined.

    With `exact` every record is measured in full, for those who want the scores of all.
    """

    def __init__(
        self,
        monitor: Monitor,
        partition: str,
        detector: Detector,
        reference: Reference | None,
        rate: float,
        refresh: Refresh,
        exact: bool = False,
    ) -> None:
        self.monitor, self.partition, self.detector = monitor, partition, detector
        self.rate, self.refresh, self.exact = rate, refresh, exact
        self.accepted = 0
        self.quarantined: list[Quarantined] = []
        self._anomalies: list[Anomaly] = []
        self._waiting: list[Flagged] = []
        self._reference = reference
        self._body = np.zeros(2, np.int64)
        self._counts: np.ndarray | None = None
        self._edges = score_edges(detector.calibration.scores)
        self._scores = score_counts(self._edges, np.zeros(0))
        self._flagged: list[np.ndarray] = []
        self._kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
        # The same partition draws the same records and canaries again; another draws others.
        self._seed = crc32(partition.encode())
        self._normal, self._tested = Sample(NORMAL_RECORDS), Sample()

    @property
    def anomalies(self) -> list[Anomaly]:
        """The flagged records so far, explained."""
        self._explain()
        return self._anomalies

    def _explain(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        threshold = self.detector.threshold(self.refresh.before(self.rate))
        self._anomalies += anomalies(self.monitor, self.detector, waiting, threshold)
        self._flagged += [each.scores.matrix for each in waiting]

    def at(self, rate: float) -> Tally:
        """The same partition at a rate that is not above its own."""
        kept = np.array([each.p_value <= rate for each in self.anomalies], dtype=bool)
        found = copy(self)
        found.rate = rate
        found._anomalies = [each for each, stays in zip(self._anomalies, kept, strict=True) if stays]
        found._flagged = [self._encoded()[kept]]
        return found

    def add(self, batch: CheckedBatch) -> ScoredBatch:
        """Score the accepted records of a batch."""
        scored, counted = self.scored(batch)
        self.take(scored.flagged, counted, batch.quarantined)
        return scored

    def scored(self, batch: CheckedBatch) -> tuple[ScoredBatch, Counted]:
        """The scores of the accepted records of a batch, and what they come to; nothing of it is added yet."""
        scored = score_batch(
            self.monitor, self.partition, self.detector, batch.accepted, self.rate, self.refresh, self.exact
        )
        counts = None if self._reference is None else self._reference.count(scored.matrix)
        drawn = lots(batch.accepted.select(list(self.monitor.primary_key)), self._seed)
        kept = dict.fromkeys([*self._kinds, self.monitor.partition_by, *self.monitor.primary_key])
        samples = (batch.accepted.select(list(kept)), drawn), (batch.accepted, drawn)
        scores = score_counts(self._edges, scored.score)
        return scored, Counted(batch.accepted.num_rows, scored.body, counts, scores, *samples)

    def take(self, flagged: Flagged, counted: Counted, quarantined: Sequence[Quarantined]) -> None:
        """Add what a batch of the partition came to."""
        self._count(counted, quarantined)
        self._waiting.append(flagged)
        if sum(len(each.p_value) for each in self._waiting) >= WAITING:
            self._explain()

    def join(self, stretch: Tallied, quarantined: Sequence[Quarantined]) -> None:
        """Add what a stretch of the partition came to elsewhere."""
        self._count(stretch.counted, quarantined)
        self._anomalies += stretch.anomalies
        self._flagged.append(stretch.flagged)

    def _count(self, counted: Counted, quarantined: Sequence[Quarantined]) -> None:
        self.accepted += counted.accepted
        self.quarantined += quarantined
        self._body += counted.body
        self._scores = self._scores + counted.scores
        if counted.counts is not None:
            self._counts = counted.counts if self._counts is None else self._counts + counted.counts
        for sample, more in ((self._normal, counted.normal), (self._tested, counted.tested)):
            if more is not None:
                sample.add(*more)

    def tallied(self) -> Tallied:
        """What was added so far, but for the quarantined records, for the tally of the whole partition to `join`."""
        self._explain()
        normal, tested = (
            None if (table := sample.table()) is None else (table, sample.drawn)
            for sample in (self._normal, self._tested)
        )
        counted = Counted(self.accepted, self._body, self._counts, self._scores, normal, tested)
        return Tallied(counted, self._anomalies, self._encoded())

    def _encoded(self) -> np.ndarray:
        """The explained records as they are encoded, float32 (anomalies, slots)."""
        return np.concatenate([np.zeros((0, self.detector.encoder.slots), np.float32), *self._flagged])

    def incidents(
        self,
        results: Sequence[ExpectationResult],
        earlier: Sequence[Earlier],
        suppressions: Sequence[Suppressing],
    ) -> Found:
        """The incidents of the partition; `results` say what its records were expected to keep to."""
        normal = self._normal.table()
        if normal is None:
            return Found([], [], self.quarantined)
        shown = [name for name in self._kinds if name not in self.monitor.columns.sensitive]
        rules = {(each.expectation, each.column): phrase(each.expectation, each.kwargs) for each in results}
        night = Night(
            self.monitor.name, self.partition, normal.select(shown), self.accepted, self.rate, self._kinds, rules
        )
        return find(night, self.anomalies, self.quarantined, earlier, suppressions)

    def neighbours(self) -> list[Neighbour]:
        """Normal records of the partition that are like the flagged ones in what is not to blame."""
        sample = self._normal.table()
        if sample is None or not self.anomalies:
            return []
        return neighbours(self.monitor, self.detector, sample, self.anomalies, self._encoded())

    def drift(self) -> Drift | None:
        """How far the partition lies from the training window; None for a champion that kept nothing to tell it by."""
        if self._reference is None or self._counts is None:
            return None
        return Drift.of(self._reference, self._counts, self.detector.calibration.scores, self._scores)

    def self_test(self) -> SelfTest:
        """Whether canaries among the partition's records are flagged."""
        sample = self._tested.table()
        return SelfTest() if sample is None else self_test(self.detector, sample, self.rate, self.refresh, self._seed)

    def metrics(self) -> dict[str, Any]:
        """The numbers about the partition that every run keeps."""
        return {
            "flagged_rate": len(self.anomalies) / self.accepted if self.accepted else None,
            "asked_rate": self.rate,
            "threshold": self.detector.threshold(self.refresh.before(self.rate)),
            "p_value_power": body_power(self._body),
            "refresh_power": self.refresh.power,
            "refresh_partitions": float(self.refresh.partitions),
        }

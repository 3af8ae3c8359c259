"""Which model would have been champion at a partition of the past, and what it would have known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import RefusedData
from pipeline.monitor import Monitor
from pipeline.steps.house import House, Progress
from pipeline.steps.window import accepted_records, training_window

if TYPE_CHECKING:
    from pipeline.detector import Detector
    from pipeline.refreshing import Refresh
    from pipeline.store import ModelVersion
    from pipeline.validation import Suite

RETRAINED_AFTER = 7
"""A model in memory serves so many partitions, as one does that is trained every week."""


@dataclass(frozen=True)
class Asked:
    """A threshold: a false-alarm rate or an alert budget; `present` says that it is the monitor's own."""

    rate: float | None = None
    budget: float | None = None
    present: bool = False

    def rate_of(self, typical: float) -> float:
        """The share of normal records that may be flagged where a typical partition has so many records."""
        from pipeline.training import budget_rate

        return budget_rate(self.budget, typical) if self.budget is not None else float(self.rate or 0.0)


@dataclass
class Champion:
    """A model, the suite that it was trained with, and what it has left of the partitions it scored in this replay."""

    version: str
    window_last: str
    detector: Detector
    suite: Suite
    typical: float
    in_memory: bool
    powers: dict[str, float | None] = field(default_factory=dict)

    def refresh(self) -> Refresh:
        """What refreshes the p-values of the next partition."""
        from pipeline.refreshing import LATEST, Refresh

        known = [power for power in self.powers.values() if power is not None]
        return Refresh.of(known[-LATEST:])

    def unseen(self, keys: Sequence[str], partition: str) -> list[str]:
        """The partitions before this one that the champion would have scored and has not, as many as count."""
        from pipeline.refreshing import LATEST

        before = [key for key in keys if self.window_last < key < partition][-LATEST:]
        return [] if self.powers else before


class Champions:
    """The champions of a span of partitions, which must be asked for in order; one at a time is in memory."""

    def __init__(self, house: House, monitor: Monitor, keys: Sequence[str]) -> None:
        self._house, self._monitor, self._keys = house, monitor, keys
        self._stored = [
            version
            for version in house.store.model_versions(monitor.name)
            if version.promoted_at is not None or not version.metrics.get("objections")
        ]
        self._current: Champion | None = None
        self._trained_at = ""
        self.refused: set[str] = set()

    def of(self, partition: str, progress: Progress) -> Champion:
        """The champion of then; RefusedData when there is none and no window to train one on."""
        before = [version for version in self._stored if version.window_last < partition]
        latest = max(before, key=lambda version: (version.window_last, version.created_at), default=None)
        if latest is not None:
            if self._current is None or self._current.version != latest.version:
                self._current = self._restored(latest)
        elif self._current is None or self._is_due(partition):
            self._current = self._trained(partition, progress)
        return self._current

    def _restored(self, version: ModelVersion) -> Champion:
        from pipeline import training

        house, monitor = self._house, self._monitor
        manifest, arrays = house.registry.load(monitor.name, version.version, version.sha256)
        return Champion(
            version.version,
            version.window_last,
            training.restore(monitor, manifest, arrays),
            house.suite(monitor, version),
            manifest["typical_partition"],
            in_memory=False,
        )

    def _is_due(self, partition: str) -> bool:
        return sum(self._trained_at <= key < partition for key in self._keys) >= RETRAINED_AFTER

    def _trained(self, partition: str, progress: Progress) -> Champion:
        """A champion that the partitions before this one give, unless something is held against it."""
        from pipeline import training
        from pipeline.validation import with_own

        through = max((key for key in self._keys if key < partition), default=None)
        if through is None:
            raise RefusedData(f"{self._monitor.name} {partition}: no model, and no partition before it to train one on")
        source = self._house.source(self._monitor)
        window = training_window(self._house, self._monitor, source, through)
        window = {key: rows for key, rows in window.items() if key not in self.refused}
        if not window:
            raise RefusedData(f"{self._monitor.name} {partition}: no model, and every partition before it is refused")
        accepted, suite, _ = accepted_records(self._monitor, source, window, seed=0)
        defender = self._current.detector if self._current else None
        challenger = training.train(
            self._monitor, accepted, window, 0, lambda share, text: progress(share, f"training: {text}"), defender
        )
        self._trained_at = partition
        if self._current is not None and challenger.objections:
            return self._current
        return Champion(
            f"trained through {max(window)}",
            max(window),
            challenger.detector,
            with_own(self._monitor, suite),
            challenger.manifest["typical_partition"],
            in_memory=True,
        )

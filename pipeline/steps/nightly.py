"""The steps of a night: validate a partition, score it, or both with training where there is no champion yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.settings import Settings
from pipeline.steps.checking import Checking
from pipeline.steps.house import House, Outcome, Progress, run_row
from pipeline.steps.learning import train

if TYPE_CHECKING:
    from pipeline.monitor import Monitor
    from pipeline.refreshing import Refresh
    from pipeline.store import ModelVersion, RunKind


def validate(name: str, partition: str, settings: Settings | None = None) -> Outcome:
    """Check one partition against its suites and set aside the records that break them.

    Raises EmptyPartition or RefusedData when the partition cannot be trusted, ConfigurationError or FailedMachinery.
    """
    house = House(settings)
    monitor = house.monitor(name)
    with run_row(house.store, monitor, partition, "validate") as run_id:
        champion = house.store.champion(name)
        checking = Checking.of(house, monitor, partition, champion)
        quarantined = [q for batch in checking.batches() for q in batch.quarantined]
        counts = checking.counts()
        results = checking.results()
        house.store.replace_validation(run_id, name, partition, results, quarantined, status="done", counts=counts)
    message = f"{counts['read']} records read, {counts['quarantined']} quarantined"
    return Outcome(name, partition, "validate", "done", run_id, None, counts, message, tuple(checking.warnings))


def score(
    name: str,
    partition: str,
    settings: Settings | None = None,
    scores_file: Path | None = None,
    kind: RunKind = "score",
) -> Outcome:
    """Validate and score one partition with the champion and replace all its results in one transaction.

    The records are validated again as they are read: what is scored is what was checked, even if the table has changed
    since. `scores_file` (Parquet) receives key columns, score and p_value of every accepted record. The p-values are
    refreshed by the partitions before this one that the same champion scored.
    """
    import numpy as np

    from pipeline import training
    from pipeline.refreshing import body_power
    from pipeline.scores_file import scores_writer
    from pipeline.scoring import score_batch
    from pipeline.store import PartitionResults

    house = House(settings)
    monitor = house.monitor(name)
    with run_row(house.store, monitor, partition, kind) as run_id:
        champion = house.champion(monitor)
        manifest, arrays = house.registry.load(name, champion.version, champion.sha256)
        detector = training.restore(monitor, manifest, arrays)
        rate = training.flag_rate(monitor, manifest["typical_partition"])
        refresh = _refresh(house, champion, partition)
        checking = Checking.of(house, monitor, partition, champion)
        quarantined, anomalies, body = [], [], np.zeros(2, np.int64)
        with scores_writer(scores_file, monitor.primary_key, monitor.columns.sensitive) as write:
            for batch in checking.batches():
                quarantined += batch.quarantined
                scored = score_batch(monitor, partition, detector, batch.accepted, rate, refresh)
                body += scored.body
                anomalies += scored.anomalies
                write(batch.accepted, scored.score, scored.p_value)
        counts = checking.counts() | {"flagged": len(anomalies)}
        metrics = {
            "flagged_rate": len(anomalies) / counts["accepted"] if counts["accepted"] else None,
            "asked_rate": rate,
            "threshold": detector.threshold(refresh.before(rate)),
            "p_value_power": body_power(body),
            "refresh_power": refresh.power,
            "refresh_partitions": float(refresh.partitions),
        }
        results = PartitionResults(checking.results(), quarantined, anomalies, metrics, counts)
        house.store.replace_partition(run_id, name, partition, champion.version, monitor.config_hash, results)
    message = (
        f"{counts['read']} records read, {counts['quarantined']} quarantined, "
        f"{counts['flagged']} flagged of {counts['accepted']} accepted{_refreshed(refresh, rate)}"
    )
    warnings = (*checking.warnings, *_moved(refresh, monitor, partition, champion))
    return Outcome(name, partition, kind, "done", run_id, champion.version, counts, message, warnings)


def _refresh(house: House, champion: ModelVersion, partition: str) -> Refresh:
    """What refreshes the p-values of `partition`: only partitions before it count, and none of the training window."""
    from pipeline.refreshing import LATEST, Refresh

    of_champion = champion.monitor, "p_value_power", champion.version
    return Refresh.of(
        house.store.latest_metrics(*of_champion, after=champion.window_last, before=partition, limit=LATEST)
    )


def _refreshed(refresh: Refresh, rate: float) -> str:
    """What the refresh did, as the end of a sentence; nothing where it changed nothing."""
    if refresh.power == 1.0:
        return ""
    times = rate / refresh.before(rate)
    return f"; p-values refreshed from {refresh.partitions} partitions: x{times:.2f} at the threshold"


def _moved(refresh: Refresh, monitor: Monitor, partition: str, champion: ModelVersion) -> tuple[str, ...]:
    """Says so when the table has moved further from the training window than a refresh may follow."""
    if not refresh.bounded:
        return ()
    return (
        f"{monitor.name} {partition}: the last {refresh.partitions} partitions have drifted from those that "
        f"{champion.version} was trained on, further than p-values are refreshed; train again: "
        f"tablewatch train {monitor.name}",
    )


def run(name: str, partition: str, settings: Settings | None = None, progress: Progress | None = None) -> list[Outcome]:
    """Train if there is no champion, on the partitions before this one (on this one if it is the first), then score."""
    house = House(settings)
    monitor = house.monitor(name)
    outcomes = []
    if house.store.champion(name) is None:
        keys = [p.key for p in house.source(monitor).partitions() if p.key]
        if partition in keys:
            through = max((key for key in keys if key < partition), default=partition)
            outcomes.append(train(name, through, settings=settings, progress=progress))
        else:
            outcomes.append(validate(name, partition, settings))
    return [*outcomes, score(name, partition, settings, kind="run")]


def backfill(
    name: str, first: str, last: str, settings: Settings | None = None, progress: Progress | None = None
) -> Iterator[Outcome | RefusedData]:
    """Run every partition from `first` to `last` in order; one that is refused does not stop the rest."""
    house = House(settings)
    keys = [p.key for p in house.source(house.monitor(name)).partitions() if first <= p.key <= last]
    if not keys:
        mend = f"`tablewatch partitions {name}` lists those there are"
        raise ConfigurationError(f"{name}: the table holds no partition from {first} to {last}; {mend}")
    for key in keys:
        try:
            yield from run(name, key, settings, progress)
        except RefusedData as refusal:
            yield refusal

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
    from pipeline.store import RunKind


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
    since. `scores_file` (Parquet) receives key columns, score and p_value of every accepted record.
    """
    from pipeline import training
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
        checking = Checking.of(house, monitor, partition, champion)
        quarantined, anomalies = [], []
        with scores_writer(scores_file, monitor.primary_key) as write:
            for batch in checking.batches():
                quarantined += batch.quarantined
                scored = score_batch(monitor, partition, detector, batch.accepted, rate)
                anomalies += scored.anomalies
                write(batch.accepted, scored.score, scored.p_value)
        counts = checking.counts() | {"flagged": len(anomalies)}
        metrics = {
            "flagged_rate": len(anomalies) / counts["accepted"] if counts["accepted"] else None,
            "asked_rate": rate,
            "threshold": detector.threshold(rate),
        }
        results = PartitionResults(checking.results(), quarantined, anomalies, metrics, counts)
        house.store.replace_partition(run_id, name, partition, champion.version, monitor.config_hash, results)
    message = (
        f"{counts['read']} records read, {counts['quarantined']} quarantined, "
        f"{counts['flagged']} flagged of {counts['accepted']} accepted"
    )
    return Outcome(name, partition, kind, "done", run_id, champion.version, counts, message, tuple(checking.warnings))


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

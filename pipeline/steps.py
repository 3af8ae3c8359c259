"""The composition root: one function a task, used by the DAGs and by the command line alike.

Nothing heavy loads with this module; each step loads what it needs. A step writes one row in `runs` whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigurationError, EmptyPartition, RefusedData
from pipeline.monitor import Monitor, find
from pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.registry import Registry
    from pipeline.results import ExpectationResult
    from pipeline.source import Source
    from pipeline.store import ModelVersion, RunKind, Store
    from pipeline.validation import CheckedBatch, RecordCheck, Suite

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: names and counts only, so that it may travel through XCom and logs."""

    monitor: str
    partition: str | None
    kind: str
    status: str
    run_id: str
    model_version: str | None
    counts: dict[str, int]
    message: str
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {**asdict(self), "warnings": list(self.warnings)}


class House:
    """What every step needs: the settings, the store (migrated on first use) and the registry."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @cached_property
    def store(self) -> Store:
        from pipeline.store import Store

        store = Store(self.settings.store)
        store.migrate()
        return store

    @cached_property
    def registry(self) -> Registry:
        from pipeline.registry import Registry

        return Registry(self.settings.bundles)

    def monitor(self, name: str) -> Monitor:
        return find(name, self.settings.monitors)

    def source(self, monitor: Monitor, schema: dict[str, str] | None = None) -> Source:
        from pipeline.source import open_source

        return open_source(monitor, types=schema)

    def champion(self, monitor: Monitor) -> ModelVersion:
        found = self.store.champion(monitor.name)
        if found is None:
            raise ConfigurationError(f"{monitor.name}: no champion to score with; run: tablewatch train {monitor.name}")
        return found

    def suite(self, monitor: Monitor, champion: ModelVersion) -> Suite:
        """The suite the champion was trained with, under the expectations that the monitor holds today."""
        from pipeline.validation import Suite, with_own

        return with_own(monitor, Suite.from_json(self.store.suite(monitor.name, champion.suite_version)))


@contextmanager
def _run(store: Store, monitor: Monitor, partition: str | None, kind: RunKind) -> Iterator[str]:
    """One run row: `running` until the block ends it, `refused`, `empty` or `failed` with the reason when it raises."""
    run_id = store.start_run(monitor.name, partition, kind, monitor.config_hash)
    try:
        yield run_id
    except EmptyPartition as error:
        store.finish_run(run_id, "empty", str(error))
        raise
    except RefusedData as error:
        store.finish_run(run_id, "refused", str(error))
        raise
    except BaseException as error:
        store.finish_run(run_id, "failed", str(error) or type(error).__name__)
        raise


def validate(name: str, partition: str, settings: Settings | None = None) -> Outcome:
    """Check one partition against its suites and set aside the records that break them.

    Raises EmptyPartition or RefusedData when the partition cannot be trusted, ConfigurationError or FailedMachinery.
    """
    house = House(settings)
    monitor = house.monitor(name)
    with _run(house.store, monitor, partition, "validate") as run_id:
        champion = house.store.champion(name)
        checking = _Checking.of(house, monitor, partition, champion)
        quarantined = [q for batch in checking.batches() for q in batch.quarantined]
        counts = checking.counts()
        results = checking.results()
        house.store.replace_validation(run_id, name, partition, results, quarantined, status="done", counts=counts)
    message = f"{counts['read']} records read, {counts['quarantined']} quarantined"
    return Outcome(name, partition, "validate", "done", run_id, None, counts, message, tuple(checking.warnings))


class _Checking:
    """One partition on its way through validation; counts what it has seen, so that no record is lost or invented."""

    def __init__(self, monitor: Monitor, partition: str, source: Source, suite: Suite) -> None:
        from pipeline.validation import RecordCheck, check_partition, check_schema, duplicate_keys, refuse_if_broken

        self.read = self.accepted = 0
        self.set_aside: set[int] = set()
        schema = source.schema([partition])
        self.warnings = check_schema(monitor, partition, schema, suite)
        self.columns = [n for n in schema.names if n not in monitor.columns.exclude or n in suite.columns]
        self._monitor, self._source, self._partition = monitor, source, partition
        profiles = source.profiles([partition])
        self._of_partition = check_partition(monitor, partition, profiles[0] if profiles else {"rows": 0}, suite)
        refuse_if_broken(monitor, partition, self._of_partition)
        self.warnings += [_warning(monitor, partition, r) for r in self._of_partition if not r.success]
        census = duplicate_keys(monitor, suite, self._batches)
        self._check: RecordCheck = RecordCheck(monitor, partition, suite, census)

    @classmethod
    def of(cls, house: House, monitor: Monitor, partition: str, champion: ModelVersion | None) -> _Checking:
        from pipeline.validation import first_suite

        if champion is None:
            source = house.source(monitor)
            return cls(monitor, partition, source, first_suite(monitor, source.schema()))
        suite = house.suite(monitor, champion)
        return cls(monitor, partition, house.source(monitor, suite.schema), suite)

    def _batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        return self._source.batches([self._partition], self.columns if columns is None else columns)

    def batches(self) -> Iterator[CheckedBatch]:
        for batch in self._batches():
            checked = self._check.check(batch, self.read)
            self.read += batch.num_rows
            self.accepted += checked.accepted.num_rows
            self.set_aside.update(q.row for q in checked.quarantined)
            yield checked

    def counts(self) -> dict[str, int]:
        counts = {"read": self.read, "accepted": self.accepted, "quarantined": len(self.set_aside)}
        if counts["read"] != counts["accepted"] + counts["quarantined"]:
            raise AssertionError(f"records were lost or invented: {counts}")
        return counts

    def results(self) -> list[ExpectationResult]:
        """All results of the partition, once its records are read; RefusedData when one that needed them all broke."""
        from pipeline.validation import refuse_if_broken

        of_records = self._check.results()
        refuse_if_broken(self._monitor, self._partition, of_records)
        if self.read and not self.accepted:
            self.warnings.append(f"{self._monitor.name} {self._partition}: every record is quarantined")
        return [*self._of_partition, *of_records]


def _warning(monitor: Monitor, partition: str, result: ExpectationResult) -> str:
    from pipeline.validation import in_words

    return f"{monitor.name} {partition}: {in_words(result)}"


def train(
    name: str,
    through: str | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train a challenger on the window that ends with partition `through` (the latest of the table if None).

    Raises RefusedData when the window is too small or the training diverges; the champion then stays as it is.
    """
    from pipeline import training

    house = House(settings)
    monitor = house.monitor(name)
    with _run(house.store, monitor, through, "train") as run_id:
        source = house.source(monitor)
        partitions = _window(house, monitor, source, through)
        accepted, suite, counts = _accepted_window(monitor, source, partitions, seed)
        challenger = training.train(monitor, accepted, partitions, seed, progress)
        version = _keep(house, monitor, challenger, suite, seed)
        house.store.finish_run(run_id, "done", counts=counts, model_version=version)
    message = f"trained on {counts['accepted']} records of {len(partitions)} partitions; champion is {version}"
    return Outcome(name, max(partitions), "train", "done", run_id, version, counts, message, challenger.warnings)


def _window(house: House, monitor: Monitor, source: Source, through: str | None) -> dict[str, int]:
    """The partitions to train on with their records: the last ones up to `through` that were not refused."""
    refused = {s.partition for s in house.store.partition_states(monitor.name) if s.status == "refused"}
    known = [p for p in source.partitions() if p.key and (through is None or p.key <= through)]
    window = [p for p in known if p.key not in refused][-monitor.training.window :]
    if not window:
        there = f"the table begins with {source.partitions()[0].key}" if source.partitions() else "the table is empty"
        raise RefusedData(f"{monitor.name} {through or ''}: no partition to train on; {there}")
    return {p.key: p.rows for p in window}


def _accepted_window(
    monitor: Monitor, source: Source, partitions: dict[str, int], seed: int
) -> tuple[pa.Table, Suite, dict[str, int]]:
    """The window's records that keep to the suite learned from it, and that suite."""
    import pyarrow as pa

    from pipeline import training
    from pipeline.validation import KeyCensus, RecordCheck, learn, unique_columns

    names = [n for n in source.schema(list(partitions)).names if n not in monitor.columns.exclude]
    batches = source.batches(list(partitions), names)
    window = training.sample(batches, sum(partitions.values()), monitor.training.max_rows, seed)
    suite = learn(monitor, window, source.profiles(list(partitions)))
    # A key is unique within its partition, not within the window.
    none = {group: frozenset[bytes]() for group in unique_columns(suite)}
    check = RecordCheck(monitor, max(partitions), suite, KeyCensus(none, none))
    accepted = [check.check(batch, 0).accepted for batch in window.to_batches()]
    table = pa.concat_tables(accepted, promote_options="permissive") if accepted else window
    counts = {"read": window.num_rows, "accepted": table.num_rows, "quarantined": window.num_rows - table.num_rows}
    return table, suite, counts


def _keep(house: House, monitor: Monitor, challenger: Any, suite: Suite, seed: int) -> str:
    """Save the bundle, tell the store of it, and make it champion."""
    from pipeline.store import TrainedModel

    window = challenger.manifest["window"]
    saved = house.registry.save(monitor.name, window["last"], challenger.manifest, challenger.arrays)
    house.store.add_suite(monitor.name, suite.version, suite.to_json())
    house.store.add_model_version(
        TrainedModel(
            monitor=monitor.name,
            version=saved.version,
            sha256=saved.sha256,
            model=monitor.training.model,
            seed=seed,
            window_first=window["first"],
            window_last=window["last"],
            window_records=window["records"],
            suite_version=suite.version,
            config_hash=monitor.config_hash,
            metrics=challenger.metrics,
        )
    )
    house.store.promote(monitor.name, saved.version, f"trained through {window['last']}")
    return saved.version


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
    with _run(house.store, monitor, partition, kind) as run_id:
        champion = house.champion(monitor)
        manifest, arrays = house.registry.load(name, champion.version, champion.sha256)
        detector = training.restore(monitor, manifest, arrays)
        rate = training.flag_rate(monitor, manifest["typical_partition"])
        checking = _Checking.of(house, monitor, partition, champion)
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
        before = [p.key for p in house.source(monitor).partitions() if p.key and p.key < partition]
        outcomes.append(train(name, max(before, default=partition), settings=settings, progress=progress))
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

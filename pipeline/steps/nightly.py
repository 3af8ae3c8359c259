"""The steps of a night: validate a partition, score it, or both with training where there is no champion yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, RefusedData, TablewatchError
from pipeline.monitor import scan
from pipeline.settings import Settings
from pipeline.steps.checking import Checking
from pipeline.steps.house import House, Outcome, Progress, run_row
from pipeline.steps.learning import train

if TYPE_CHECKING:
    from pipeline.monitor import Monitor
    from pipeline.refreshing import Refresh
    from pipeline.store import ModelVersion, RunKind


def validate(name: str, partition: str, settings: Settings | None = None, alerts: bool = True) -> Outcome:
    """Check one partition against its suites and set aside the records that break them.

    Raises EmptyPartition or RefusedData when the partition cannot be trusted, ConfigurationError or FailedMachinery;
    with `alerts` people are told so.
    """
    house = House(settings)
    monitor = house.monitor(name)
    with run_row(house, monitor, partition, "validate", alerts) as run_id:
        champion = house.store.champion(name)
        checking = _checking(house, monitor, partition, champion)
        quarantined = checking.quarantined()
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
    alerts: bool = True,
) -> Outcome:
    """Validate and score one partition with the champion and replace all its results in one transaction.

    The records are validated again as they are read: what is scored is what was checked, even if the table has changed
    since. `scores_file` (Parquet) receives key columns, score and p_value of every accepted record. The p-values are
    refreshed by the partitions before this one that the same champion scored. With `alerts` people are told of the
    incidents that they were not told of before; an endpoint that does not answer changes nothing of the results.
    """
    from pipeline.scores_file import scores_writer
    from pipeline.steps.judging import judge
    from pipeline.steps.tally import Tally, champion_of

    house = House(settings)
    monitor = house.monitor(name)
    with run_row(house, monitor, partition, kind, alerts) as run_id:
        champion = house.champion(monitor)
        manifest, arrays = house.registry.load(name, champion.version, champion.sha256)
        refresh = _refresh(house, champion, partition)
        checking = _checking(house, monitor, partition, champion)
        tally = Tally(
            monitor, partition, *champion_of(monitor, manifest, arrays), refresh, exact=scores_file is not None
        )
        with scores_writer(scores_file, monitor.primary_key, monitor.columns.sensitive) as write:
            checking.score(tally, write if scores_file else None)
        counts = checking.counts() | {"flagged": len(tally.anomalies)}
        judged = judge(house, monitor, partition, champion, tally, checking.results(), counts, alerts)
        house.store.replace_partition(run_id, name, partition, champion.version, monitor.config_hash, judged.results)
    warnings = (*checking.warnings, *_moved(refresh, monitor, partition, champion), *judged.warnings)
    if judged.results.alerts:
        warnings = (*warnings, *house.send())
    message = (
        f"{counts['read']} records read, {counts['quarantined']} quarantined, "
        f"{counts['flagged']} flagged of {counts['accepted']} accepted{judged.told}{_refreshed(refresh, tally.rate)}"
    )
    return Outcome(name, partition, kind, "done", run_id, champion.version, counts, message, warnings, judged.retrain)


def _checking(house: House, monitor: Monitor, partition: str, champion: ModelVersion | None) -> Checking:
    """The partition on its way through validation, by the monitor's engine."""
    if monitor.engine == "local":
        return Checking.of(house, monitor, partition, champion)
    from pipeline.steps.on_spark import SparkChecking

    return SparkChecking.of(house, monitor, partition, champion)


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


def run(
    name: str,
    partition: str,
    settings: Settings | None = None,
    progress: Progress | None = None,
    alerts: bool = True,
) -> list[Outcome]:
    """Train if there is no champion, on the partitions before this one (on this one if it is the first), then score."""
    house = House(settings)
    monitor = house.monitor(name)
    outcomes = []
    if house.store.champion(name) is None:
        keys = [p.key for p in house.source(monitor).partitions() if p.key]
        if partition in keys:
            through = max((key for key in keys if key < partition), default=partition)
            outcomes.append(train(name, through, settings=settings, progress=progress, alerts=alerts))
        else:
            outcomes.append(validate(name, partition, settings, alerts))
    return [*outcomes, score(name, partition, settings, kind="run", alerts=alerts)]


def run_all(
    partition: str, settings: Settings | None = None, progress: Progress | None = None, alerts: bool = True
) -> Iterator[tuple[str, Outcome | TablewatchError]]:
    """Run the partition for every monitor, by name, in one process; what stops one of them does not stop the rest.

    A monitor whose file is wrong goes by no name. ConfigurationError where there is no monitor at all; the first error
    that nobody foresaw is raised once all have run.
    """
    folder = House(settings).settings.monitors
    monitors, broken = scan(folder)
    if not monitors and not broken:
        raise ConfigurationError(f"there is no monitor in {folder.as_posix()!r}; `tablewatch init` drafts one")
    yield from (("", error) for error in broken)
    unforeseen: list[Exception] = []
    for monitor in monitors:
        try:
            for outcome in run(monitor.name, partition, settings, progress, alerts):
                yield monitor.name, outcome
        except TablewatchError as error:
            yield monitor.name, error
        except Exception as error:
            unforeseen.append(error)
    if unforeseen:
        raise unforeseen[0]


def backfill(
    name: str,
    first: str,
    last: str,
    settings: Settings | None = None,
    progress: Progress | None = None,
    alerts: bool = False,
) -> Iterator[Outcome | RefusedData]:
    """Run every partition from `first` to `last` in order; one that is refused does not stop the rest.

    Nobody is told of what is found in the past, unless `alerts` asks for it.
    """
    house = House(settings)
    keys = [p.key for p in house.source(house.monitor(name)).partitions() if first <= p.key <= last]
    if not keys:
        mend = f"`tablewatch partitions {name}` lists those there are"
        raise ConfigurationError(f"{name}: the table holds no partition from {first} to {last}; {mend}")
    for key in keys:
        try:
            yield from run(name, key, settings, progress, alerts)
        except RefusedData as refusal:
            yield refusal

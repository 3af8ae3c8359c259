"""Results that are too old are removed: of each monitor a partition at a time, then versions, then their bundles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.errors import ConfigurationError
from pipeline.monitor_file import did_you_mean
from pipeline.settings import Settings
from pipeline.steps.house import House, Progress


@dataclass(frozen=True)
class Pruned:
    """What was removed of a monitor, all of it before the partition `kept_from`.

    `rows` are counts by table, `versions` the model versions, `bundles` the files of versions that the store does not
    know any more.
    """

    monitor: str
    kept_from: str
    partitions: tuple[str, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()


def prune(
    days: int,
    name: str | None = None,
    dry_run: bool = False,
    settings: Settings | None = None,
    progress: Progress = lambda fraction, text: None,
) -> list[Pruned]:
    """Remove the results of partitions more than so many days before the newest one of their monitor.

    Counted from the newest partition that is done, or from today where that is earlier. What is removed is gone for
    good whenever this is interrupted, and the same call again goes on. Raises ConfigurationError for a monitor that
    never ran, FailedMachinery when store or disk do not answer.
    """
    house = House(settings)
    known = house.store.attempted_monitors()
    if name is not None and name not in known:
        raise ConfigurationError(f"{name}: never ran, so there is nothing to remove; {did_you_mean(name, known)}")
    pruned = []
    for monitor in known if name is None else [name]:
        kept_from = house.store.kept_from(monitor, days)
        if kept_from is not None:
            pruned.append(_prune(house, monitor, kept_from, dry_run, progress))
    return pruned


def _prune(house: House, monitor: str, kept_from: str, dry_run: bool, progress: Progress) -> Pruned:
    partitions = house.store.prunable(monitor, kept_from)
    rows: Counter[str] = Counter()
    for done, partition in enumerate(partitions):
        progress(done / len(partitions), f"{monitor} {partition}")
        rows.update(house.store.prune_partition(monitor, partition, kept_from, dry_run))
    versions = house.store.prune_versions(monitor, kept_from, dry_run)
    bundles = _prune_bundles(house, monitor, kept_from, versions, dry_run)
    return Pruned(monitor, kept_from, tuple(partitions), dict(rows), tuple(versions), bundles)


def _prune_bundles(house: House, monitor: str, kept_from: str, gone: Sequence[str], dry_run: bool) -> tuple[str, ...]:
    """Of the versions that are gone now and of those where an earlier pruning was interrupted here."""
    known = {each.version for each in house.store.model_versions(monitor)} - set(gone)
    return house.registry.remove_unknown(monitor, known, kept_from, dry_run)

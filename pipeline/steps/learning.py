"""The step that trains: window → suite → accepted records → challenger → champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import CorruptBundle
from pipeline.monitor import Monitor
from pipeline.settings import Settings
from pipeline.steps.house import House, Outcome, Progress, run_row
from pipeline.steps.window import accepted_records, training_window

if TYPE_CHECKING:
    from pipeline.detector import Detector
    from pipeline.store import ModelVersion
    from pipeline.training import Challenger
    from pipeline.validation import Suite


def train(
    name: str,
    through: str | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
    alerts: bool = True,
) -> Outcome:
    """Train a challenger on the window that ends with partition `through` (the latest of the table if None).

    Records that are labelled `confirmed` are left out of everything, `expected` ones count more than others. It becomes
    champion unless there is a champion and something is held against it, or `training.approval` leaves that to a
    person; the outcome says so. Raises RefusedData when the window is too small or the training diverges; the champion
    then stays as it is.
    """
    from pipeline import training
    from pipeline.steps.labelled import WindowLabels

    house = House(settings)
    monitor = house.monitor(name)
    with run_row(house, monitor, through, "train", alerts) as run_id:
        source = house.source(monitor)
        partitions = training_window(house, monitor, source, through)
        labels = WindowLabels.of(house.store, monitor, partitions)
        accepted, suite, counts = accepted_records(monitor, source, partitions, seed, labels)
        champion = house.store.champion(name)
        defender = _detector(house, monitor, champion)
        expected = labels.are_expected(accepted)
        challenger = training.train(monitor, accepted, partitions, seed, progress, defender, expected)
        version = _keep(house, monitor, challenger, suite, seed)
        passed = defender is None or not challenger.objections
        waits = passed and _waits(monitor, version, champion if defender else None)
        if passed and not waits:
            house.store.promote(name, version, f"trained through {max(partitions)}")
        house.store.finish_run(run_id, "done", counts=counts, model_version=version)
    span = f"{len(partitions)} partition{'s' * (len(partitions) > 1)}, {min(partitions)} to {max(partitions)}"
    crowned = champion.version if champion is not None and (waits or not passed) else version
    message = f"trained on {counts['accepted']} records of {span}{_said(counts)}; champion is {crowned}"
    warnings = (*challenger.warnings, *_held_against(monitor, version, challenger, crowned))
    if waits:
        warnings = (*warnings, f"{monitor.name}: {version} waits for approval: {_promote(monitor, version)}")
    partition = max(partitions)
    return Outcome(name, partition, "train", "done", run_id, version, counts, message, warnings, awaits_approval=waits)


def _detector(house: House, monitor: Monitor, champion: ModelVersion | None) -> Detector | None:
    """The champion's detector; None where there is none that can be read, which then cannot be defended."""
    from pipeline import training

    if champion is None:
        return None
    try:
        manifest, arrays = house.registry.load(monitor.name, champion.version, champion.sha256)
        return training.restore(monitor, manifest, arrays)
    except CorruptBundle:
        return None


def _held_against(monitor: Monitor, version: str, challenger: Challenger, champion: str) -> tuple[str, ...]:
    """Says what is held against the challenger, and how to make it champion all the same."""
    if not challenger.objections:
        return ()
    told = f"{monitor.name}: {version} beside its opponents: {'; '.join(challenger.objections)}"
    if champion == version:
        return (told,)
    return (f"{told}; {champion} stays champion; look at the window, or overrule: {_promote(monitor, version)}",)


def _waits(monitor: Monitor, version: str, champion: ModelVersion | None) -> bool:
    """Whether a person has to approve of the version; not where nothing could score until somebody has."""
    return monitor.training.approval and champion is not None and version != champion.version


def _promote(monitor: Monitor, version: str) -> str:
    return f"tablewatch promote {monitor.name} {version}"


def _said(counts: dict[str, int]) -> str:
    """What became of labelled records, as part of a sentence; nothing where none was labelled."""
    left_out, weighted, apart = (counts.get(name, 0) for name in ("confirmed", "expected", "expected_quarantined"))
    told = [f"{left_out} confirmed left out"] if left_out else []
    told += [f"{weighted} expected weighted"] if weighted else []
    told += [f"{apart} expected quarantined by the monitor's own expectations"] if apart else []
    return f" ({', '.join(told)})" if told else ""


def _keep(house: House, monitor: Monitor, challenger: Challenger, suite: Suite, seed: int) -> str:
    """Save the bundle and tell the store of it."""
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
    return saved.version

"""From a training window to a challenger: sample, fit, calibrate, measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.calibration import Conformal
from pipeline.detector import Detector
from pipeline.detector.baselines import FEWEST_CONTROLS, measure
from pipeline.detector.network import Progress
from pipeline.detector.selftest import lots, self_test
from pipeline.drift import Reference
from pipeline.encoding import MisreadColumn
from pipeline.errors import ConfigurationError, CorruptBundle, RefusedData
from pipeline.gate import objections
from pipeline.monitor import Monitor

STACK = ("tablewatch", "keras", "numpy", "pyarrow")
LARGEST_RATE = 0.2
HELD_OUT = 0.05
MOST_HELD_OUT = 1_000
EXPECTED_SHARE = 0.05
"""Enough for ten records to be learned as normal, and so few that a pattern which nothing tells from the other records
costs little (docs/labels.md has the figures)."""
LIGHTEST, HEAVIEST = 2.0, 50.0
LARGE_PARTITION = 500_000
"""Records of a typical partition from which a screen of its own saves more of a night than it takes to fit."""


@dataclass(frozen=True)
class Challenger:
    """A fitted detector with what a bundle and the store keep of it."""

    detector: Detector
    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    metrics: dict[str, Any]
    warnings: tuple[str, ...]
    objections: tuple[str, ...] = ()


def modelled_columns(monitor: Monitor, names: Iterable[str]) -> list[str]:
    """The columns that are scored: all but the excluded, the primary key and the partition column."""
    aside = {*monitor.columns.exclude, *monitor.primary_key, monitor.partition_by}
    return [name for name in names if name not in aside]


def sample(
    monitor: Monitor,
    batches: Iterable[pa.RecordBatch],
    total: int,
    seed: int,
    always: Callable[[pa.RecordBatch], np.ndarray] | None = None,
) -> pa.Table:
    """A uniform sample of about `training.max_rows` of `total` records, in one pass; all when they are fewer.

    A record is drawn by a hash of its primary key and partition, so that the same ones are, in whatever batches and
    order they come. `always` tells of a batch which records are taken whatever is drawn, bool (n,).
    """
    most = monitor.training.max_rows
    if total <= most:
        return pa.Table.from_batches(list(batches))
    below = np.uint64(most * 2**64 // total)
    taken = []
    for batch in batches:
        drawn = _drawn(monitor, batch, seed, below)
        taken.append(batch.filter(pa.array(drawn | always(batch) if always else drawn)))
    return pa.Table.from_batches(taken)


def _drawn(monitor: Monitor, batch: pa.RecordBatch, seed: int, below: np.uint64) -> np.ndarray:
    """Which records have a lot under `below`, bool (n,).

    None whose key has a null: they have no lot of their own, and would be quarantined before anything learns of them.
    """
    identity = list(dict.fromkeys([*monitor.primary_key, monitor.partition_by]))
    keys = pa.Table.from_batches([batch.select(identity)])
    drawn = np.logical_and.reduce([np.asarray(column.is_valid()) for column in keys.columns])
    # Nulls are left out before, as pandas makes floats of a batch of integers with a null, whose hashes are others.
    drawn[drawn] = lots(keys.filter(pa.array(drawn)), seed) < below
    return np.asarray(drawn)


def put_aside(records: int, seed: int, expected: np.ndarray | None = None) -> np.ndarray:
    """Which records are held out to measure a detector with, drawn at random, bool (n,); it is fitted on the others.

    None are held out of a window so small that they would be too few to measure anything, nor any that is `expected`:
    they have to be learned.
    """
    count = min(int(HELD_OUT * records), MOST_HELD_OUT)
    drawn = np.random.default_rng(seed).permutation(records) < (count if count >= FEWEST_CONTROLS else 0)
    return np.asarray(drawn if expected is None else drawn & ~expected)


def weights_of(expected: np.ndarray) -> np.ndarray | None:
    """How much more often than others each record of the window is drawn, float64 (n,); None where none is `expected`.

    Together the expected records make `EXPECTED_SHARE` of the draws, but each at most `HEAVIEST` times its own part.
    """
    if not expected.any():
        return None
    others, marked = int((~expected).sum()), int(expected.sum())
    weight = EXPECTED_SHARE / (1.0 - EXPECTED_SHARE) * others / marked
    return np.where(expected, min(max(weight, LIGHTEST), HEAVIEST), 1.0)


def train(
    monitor: Monitor,
    accepted: pa.Table,
    partitions: Mapping[str, int],
    seed: int,
    progress: Progress | None = None,
    champion: Detector | None = None,
    expected: np.ndarray | None = None,
) -> Challenger:
    """Fit a challenger on the accepted records of the window; `partitions` counts the records of each partition.

    `expected`, bool (n,), marks records that people call normal: all are trained on, and they count more than others.

    It is measured beside the `champion`, unless that knows a column which the table no longer has.

    Raises RefusedData when there are fewer than the monitor's `training.min_rows` or the training diverges,
    ConfigurationError when `columns.kinds` names a column that the table does not have or none is left to model.
    """
    first, last = min(partitions), max(partitions)
    where = f"{monitor.name} {first} to {last}"
    if accepted.num_rows < monitor.training.min_rows:
        raise RefusedData(
            f"{where}: {accepted.num_rows} accepted records are fewer than training.min_rows "
            f"{monitor.training.min_rows}; widen training.window or lower min_rows"
        )
    names = modelled_columns(monitor, accepted.column_names)
    unknown = [name for name in monitor.columns.kinds if name not in names]
    if unknown or not names:
        known = ", ".join(names) or "none"
        what = f"column {unknown[0]!r} of columns.kinds is not modelled" if unknown else "no column is left to model"
        raise ConfigurationError(f"{where}: {what}; modelled columns are {known}")
    typical = float(np.mean(list(partitions.values())))
    detector = Detector(
        monitor.training.model,
        monitor.columns.kinds,
        monitor.partition_by,
        seed,
        monitor.training.trim,
        monitor.columns.sensitive,
        own_screen=typical >= LARGE_PARTITION,
    )
    if expected is None:
        expected = np.zeros(accepted.num_rows, dtype=bool)
    aside = put_aside(accepted.num_rows, seed, expected)
    modelled = accepted.select([*names, monitor.partition_by])
    held_out, fitted_on = (modelled.filter(pa.array(chosen)) for chosen in (aside, ~aside))
    try:
        detector.fit(fitted_on, progress, weights_of(expected[~aside]))
    except RefusedData as refusal:
        raise RefusedData(f"{where}: {refusal}") from refusal
    except MisreadColumn as mistake:
        said = mistake.unsaid if mistake.column in monitor.columns.sensitive else mistake
        raise ConfigurationError(f"{where}: {said}") from None
    state, arrays = detector.to_state()
    manifest = {
        "detector": state,
        "window": {"first": first, "last": last, "partitions": len(partitions), "records": accepted.num_rows},
        "typical_partition": typical,
        "drift": Reference.fit(detector.encoder, accepted, monitor.columns.sensitive).to_state(),
        "versions": {package: version(package) for package in STACK},
    }
    warnings = _warnings(monitor, where, detector, typical)
    if champion is not None and not champion.encoder.columns.keys() <= {*held_out.column_names}:
        champion = None
    rate = flag_rate(monitor, typical)
    canaries = measure(detector, held_out, fitted_on, seed, rate, champion)
    held_against = objections(canaries)
    metrics = _metrics(detector, accepted) | {"canaries": canaries, "objections": list(held_against)}
    metrics["self_test"] = self_test(detector, held_out, rate, seed=seed, most=MOST_HELD_OUT).to_state()
    return Challenger(detector, manifest, arrays, metrics, warnings, held_against)


def restore(monitor: Monitor, manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Detector:
    """The detector in a bundle whose digest was right. Raises CorruptBundle when its numbers do not fit its graph."""
    try:
        return Detector.from_state(manifest["detector"], arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptBundle(
            f"{monitor.name}: the champion's bundle was written by another version of tablewatch ({error}); "
            f"train again: tablewatch train {monitor.name}"
        ) from error


def flag_rate(monitor: Monitor, typical_partition: float) -> float:
    """The share of normal records that may be flagged: as written, or the budget over a typical partition's records."""
    if monitor.threshold.alert_budget is None:
        return float(monitor.threshold.false_alarm_rate or 0.0)
    return budget_rate(monitor.threshold.alert_budget, typical_partition)


def budget_rate(budget: float, typical_partition: float) -> float:
    """The share of a typical partition's records that a budget of records is, at most LARGEST_RATE."""
    return min(budget / max(typical_partition, 1.0), LARGEST_RATE)


def _metrics(detector: Detector, accepted: pa.Table) -> dict[str, Any]:
    return {
        "records": accepted.num_rows,
        "calibration_records": len(detector.calibration.scores),
        "columns": {name: encoder.kind for name, encoder in detector.encoder.columns.items()},
        "loss": detector.network.loss,
        "curves": [voice.network.curve for voice in detector.voices],
    }


def _warnings(monitor: Monitor, where: str, detector: Detector, typical: float) -> tuple[str, ...]:
    """Says so when the budget is capped or the calibration set is too small to promise the rate that was asked for."""
    rate, budget = flag_rate(monitor, typical), monitor.threshold.alert_budget
    found = []
    if budget is not None and budget > rate * max(typical, 1.0):
        found.append(
            f"{where}: an alert_budget of {budget:g} is more than {LARGEST_RATE:.0%} of the {typical:g} records of a "
            f"partition; {LARGEST_RATE:.0%} may be flagged; ask for {LARGEST_RATE * typical:g} or fewer"
        )
    needed, held = Conformal.records_needed(rate), len(detector.calibration.scores)
    if held < needed:
        low, high = (f"{100 * met:.2g} %" for met in detector.calibration.rates_met(rate))
        least = math.ceil(1e5 / (held + 1)) / 1e5
        ask = f"a rate of {least:g}" if budget is None else f"an alert_budget of {math.ceil(least * typical):g}"
        found.append(
            f"{where}: to promise a false-alarm rate of {rate:g} takes {needed} calibration records and there are "
            f"{held}; the threshold is extrapolated: between {low} and {high} of the normal records may be flagged; "
            f"widen training.window or ask for {ask} or more"
        )
    return tuple(found)

"""What a scored partition means: its incidents, whom to tell, whether the model still sees and still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.detector.selftest import SelfTest, blind
from pipeline.drift import RECENT, stale
from pipeline.store import PartitionResults

if TYPE_CHECKING:
    from pipeline.drift import Drift
    from pipeline.incidents import Found
    from pipeline.monitor import Monitor
    from pipeline.results import Alert, ExpectationResult
    from pipeline.steps.house import House
    from pipeline.steps.tally import Tally
    from pipeline.store import ModelVersion, PartitionState, StoredIncident

NEIGHBOURS = 7
"""An incident goes on when its pattern showed in one of so many scored partitions before, or after in a backfill."""
PATIENCE = 7
"""A challenger that did not become champion is given so many partitions before another training is asked for."""


@dataclass(frozen=True)
class Judged:
    """What to store, the end of the sentence that tells of the run, its warnings, and why to retrain if so."""

    results: PartitionResults
    told: str
    warnings: tuple[str, ...]
    retrain: tuple[str, ...]


def judge(
    house: House,
    monitor: Monitor,
    partition: str,
    champion: ModelVersion,
    tally: Tally,
    results: Sequence[ExpectationResult],
    counts: Mapping[str, int],
    alerts: bool,
) -> Judged:
    """Make of what was tallied what the store keeps. `alerts`, if wanted, tell what no earlier run of it told."""
    drift, tested = tally.drift(), tally.self_test()
    store = house.store
    states = {state.partition: state for state in store.partition_states(monitor.name)}
    scored = sorted(state.partition for state in states.values() if state.scored_at is not None)
    earlier = _earlier(house, monitor, scored, partition)
    found = tally.incidents(results, earlier, store.suppressions(monitor.name, active_at=store.clock()))
    unseeing = _blind(champion, tested)
    retrain = _retrain(house, monitor, partition, champion, drift, scored)
    metrics = tally.metrics() | tested.as_metrics() | (drift.score if drift else {}) | {"blind": float(bool(unseeing))}
    posted: list[Alert] = []
    if alerts:
        before = [each for each in earlier if each.partition == partition]
        posted += _of_incidents(house, monitor, partition, champion, found, before, counts)
        posted += _of_model(house, monitor, partition, champion, unseeing)
    return Judged(
        results=PartitionResults(
            results,
            found.quarantined,
            found.anomalies,
            metrics,
            counts,
            incidents=found.incidents,
            alerts=posted,
            column_metrics=drift.columns if drift else {},
            neighbours=tally.neighbours(),
        ),
        told=_grouped(found) + _changed(house, states.get(partition), found, counts),
        warnings=tuple(f"{monitor.name} {partition}: {words}" for words in (*unseeing, *retrain)),
        retrain=retrain,
    )


def _earlier(house: House, monitor: Monitor, scored: Sequence[str], partition: str) -> list[StoredIncident]:
    """The incidents that may go on in a partition, its own among them; a table that changed goes on only next door."""
    before = [each for each in scored if each < partition][-NEIGHBOURS:]
    after = [each for each in scored if each > partition][:NEIGHBOURS]
    around = [*before, partition, *after]
    next_door = {*before[-1:], partition, *after[:1]}
    known = house.store.incidents_between(monitor.name, around[0], around[-1])
    return [each for each in known if each.kind != "partition" or each.partition in next_door]


def _blind(champion: ModelVersion, tested: SelfTest) -> tuple[str, ...]:
    """Says so when the champion no longer finds what it found at training."""
    at_training = champion.metrics.get("self_test")
    told = at_training and blind(tested, SelfTest.from_state(at_training))
    return (f"{champion.version}: {told}",) if told else ()


def _retrain(
    house: House,
    monitor: Monitor,
    partition: str,
    champion: ModelVersion,
    drift: Drift | None,
    scored: Sequence[str],
) -> tuple[str, ...]:
    """Why another training is asked for; nothing where one was tried lately and its challenger is not champion."""
    store, known = house.store, sorted({*scored, partition})
    tried = max((each.window_last for each in store.model_versions(monitor.name)), default="")
    if tried > champion.window_last and sum(each > tried for each in known) < PATIENCE:
        return ()
    told = [stale(champion.window_last, [each for each in known if each <= partition], monitor.training.max_age)]
    if drift is not None:
        after, before = champion.window_last, partition
        columns = store.latest_column_metrics(
            monitor.name, "psi", champion.version, after=after, before=before, limit=RECENT - 1
        )
        scores = store.latest_metrics(
            monitor.name, "score_psi", champion.version, after=after, before=before, limit=RECENT - 1
        )
        told += drift.asks_for_training(columns, scores, monitor.training.max_drift)
    return tuple(each for each in told if each)


def _of_incidents(
    house: House,
    monitor: Monitor,
    partition: str,
    champion: ModelVersion,
    found: Found,
    before: Sequence[StoredIncident],
    counts: Mapping[str, int],
) -> list[Alert]:
    from pipeline.alerts import of_incidents, worth_telling

    known = {each.incident_id for each in before if worth_telling(monitor, each)}
    dashboard = house.settings.dashboard_url
    return of_incidents(monitor, partition, found.incidents, counts, champion.version, known, dashboard)


def _of_model(
    house: House, monitor: Monitor, partition: str, champion: ModelVersion, unseeing: Sequence[str]
) -> list[Alert]:
    """Tells that a model has gone blind, in the first partition in which it has."""
    from pipeline.alerts import of_model

    if not unseeing:
        return []
    last = house.store.latest_metrics(monitor.name, "blind", champion.version, after="", before=partition, limit=1)
    return [] if last == [1.0] else of_model(monitor, partition, unseeing, "the model has gone blind")


def _grouped(found: Found) -> str:
    patterns = sum(each.kind != "single" for each in found.incidents)
    if not found.incidents:
        return ""
    singles = len(found.incidents) - patterns
    told = [
        f"{count} {word}{'s' * (count > 1)}" for count, word in ((patterns, "pattern"), (singles, "single")) if count
    ]
    return f" ({', '.join(told)})"


def _changed(house: House, before: PartitionState | None, found: Found, counts: Mapping[str, int]) -> str:
    """What differs from the run before of the same partition; nothing where there was none or all is the same."""
    if before is None or before.scored_at is None:
        return ""
    flagged = {each.record_key for each in found.anomalies}
    known = house.store.flagged_keys(before.monitor, before.partition)
    differences = (
        (counts["read"] - (before.records_read or 0), "record{s} more"),
        ((before.records_read or 0) - counts["read"], "record{s} fewer"),
        (len(flagged - known), "flag{s} new"),
        (len(known - flagged), "flag{s} gone"),
    )
    told = [f"{count:,} {words.format(s='s' * (count > 1))}" for count, words in differences if count > 0]
    return f"; since the run before: {', '.join(told)}" if told else ""

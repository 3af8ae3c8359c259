"""What was found in a monitor's partitions: where each stands, the anomalies, and all that is known of one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ConfigurationError
from pipeline.results import Neighbour, Quarantined
from pipeline.settings import Settings
from pipeline.steps import House
from pipeline.steps.keys import not_found, stored_key

if TYPE_CHECKING:
    from pipeline.store import PartitionState, StoredAnomaly, StoredLabel, StoredQuarantined

State = Literal["new", "running", "validated", "scored", "refused", "empty", "failed"]


@dataclass(frozen=True)
class PartitionLine:
    """One partition: `rows` in the source now (None when it is gone), its state, and what its last runs left.

    `partition` is "" for the records whose partition column holds no date. `changed` says that the source now holds
    another number of records than the last run read.
    """

    partition: str
    rows: int | None
    state: State
    read: int | None = None
    accepted: int | None = None
    quarantined: int | None = None
    flagged: int | None = None
    model_version: str | None = None
    reason: str | None = None

    @property
    def changed(self) -> bool:
        return None not in (self.read, self.rows) and self.read != self.rows


@dataclass(frozen=True)
class Anomalies:
    """The worst anomalies, the first broken fields of quarantined records, and how many records there are of each.

    `labels` are what people said, by partition and record key.
    """

    found: list[StoredAnomaly]
    total: int
    broken: list[Broken]
    quarantined: int
    labels: dict[tuple[str, str], StoredLabel]


@dataclass(frozen=True)
class Broken(Quarantined):
    """A quarantined record with its partition; `expected` is in words what it should have kept to."""

    partition: str
    expected: str


@dataclass(frozen=True)
class Explanation:
    """What is known of one record key: how it was flagged, why it was quarantined and what was said of it, in each
    partition that has it. `neighbours` are the normal records kept beside it, by partition.
    """

    record_key: str
    flagged: list[StoredAnomaly]
    quarantined: list[Broken]
    labels: list[StoredLabel]
    neighbours: dict[str, list[Neighbour]]


def partitions(name: str, settings: Settings | None = None) -> list[PartitionLine]:
    """Every partition that the source holds or that was ever attempted, sorted."""
    house = House(settings)
    held = {partition.key: partition.rows for partition in house.source(house.monitor(name)).partitions()}
    states = {state.partition: state for state in house.store.partition_states(name)}
    return [_line(key, held.get(key), states.get(key)) for key in sorted(held.keys() | states.keys())]


def anomalies(
    name: str, partition: str | None = None, limit: int | None = None, settings: Settings | None = None
) -> Anomalies:
    """The anomalies of one partition (of all), the worst first, and what was quarantined beside them.

    ConfigurationError if nothing of it was ever scored.
    """
    house = House(settings)
    house.monitor(name)
    states = [s for s in house.store.partition_states(name) if partition in (None, s.partition)]
    scored = [state for state in states if state.scored_at is not None]
    if not scored:
        # An empty list would read as: nothing is wrong.
        raise ConfigurationError(_not_scored(name, partition, states))
    return Anomalies(
        house.store.anomalies(name, partition, limit),
        sum(state.flagged or 0 for state in scored),
        _broken(house, name, house.store.quarantine(name, partition, limit)),
        sum(state.quarantined or 0 for state in scored),
        {(each.partition, each.record_key): each for each in house.store.labels(name, partition)},
    )


def explain(name: str, key: str, partition: str | None = None, settings: Settings | None = None) -> Explanation:
    """Why a record was flagged or quarantined. ConfigurationError if it was neither, and bears no label.

    `key` is the record key as `anomalies` shows it: the key's text, or a JSON array of the values of a composite key.
    In place of the digest of a sensitive value it may hold the value.
    """
    house = House(settings)
    key = stored_key(house.monitor(name), key)
    flagged = house.store.anomalies(name, partition, record_key=key)
    quarantined = house.store.quarantine(name, partition, record_key=key)
    labels = house.store.labels(name, partition, record_key=key)
    if not (flagged or quarantined or labels):
        raise not_found(house, name, key, partition)
    neighbours = {each.partition: house.store.neighbours(name, each.partition, key) for each in flagged}
    return Explanation(key, flagged, _broken(house, name, quarantined), labels, neighbours)


def _broken(house: House, name: str, quarantined: list[StoredQuarantined]) -> list[Broken]:
    """Each with what was expected of it, in words."""
    from pipeline.validation.words import phrase

    rules = {
        (partition, result.expectation, result.column): result.kwargs
        for partition in dict.fromkeys(each.partition for each in quarantined)
        for result in house.store.validations(name, partition)
    }
    found = []
    for each in quarantined:
        kwargs = rules.get((each.partition, each.expectation, each.column))
        expected = phrase(each.expectation, kwargs) if kwargs else each.expectation
        found.append(Broken(**vars(each), expected=expected))
    return found


def _line(key: str, rows: int | None, state: PartitionState | None) -> PartitionLine:
    if state is None:
        return PartitionLine(key, rows, "new")
    finished: State = "scored" if state.scored_at is not None else "validated"
    return PartitionLine(
        partition=key,
        rows=rows,
        state=finished if state.status == "done" else state.status,
        read=state.records_read,
        accepted=state.accepted,
        quarantined=state.quarantined,
        flagged=state.flagged,
        model_version=state.model_version,
        reason=state.reason,
    )


def _not_scored(name: str, partition: str | None, states: list[PartitionState]) -> str:
    if partition is None:
        return f"{name}: no partition has been scored; run: tablewatch run {name} --partition P"
    told = f"{name} {partition}: not scored yet"
    if states and states[0].status != "done":
        return f"{told}, its last run is {states[0].status}; see: tablewatch partitions {name}"
    return f"{told}; run: tablewatch run {name} --partition {partition}"

"""What was found in a monitor's partitions: where each stands, the anomalies, and all that is known of one record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.monitor_file import nearest
from pipeline.records import as_text, hidden_text, is_hidden
from pipeline.results import Quarantined
from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import PartitionState, StoredAnomaly, StoredQuarantined

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
    """The worst anomalies, the first broken fields of quarantined records, and how many records there are of each."""

    found: list[StoredAnomaly]
    total: int
    broken: list[Broken]
    quarantined: int


@dataclass(frozen=True)
class Broken(Quarantined):
    """A quarantined record with its partition; `expected` is in words what it should have kept to."""

    partition: str
    expected: str


@dataclass(frozen=True)
class Explanation:
    """What is known of one record key: how it was flagged and why it was quarantined, in each partition that has it."""

    record_key: str
    flagged: list[StoredAnomaly]
    quarantined: list[Broken]


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
    )


def explain(name: str, key: str, partition: str | None = None, settings: Settings | None = None) -> Explanation:
    """Why a record was flagged or quarantined. ConfigurationError if it was neither.

    `key` is the record key as `anomalies` shows it: the key's text, or a JSON array of the values of a composite key.
    In place of the digest of a sensitive value it may hold the value.
    """
    house = House(settings)
    key = _record_key(house.monitor(name), key)
    flagged = house.store.anomalies(name, partition, record_key=key)
    quarantined = [q for q in house.store.quarantine(name, partition) if q.record_key == key]
    if not flagged and not quarantined:
        raise ConfigurationError(_not_found(house, name, key, partition))
    return Explanation(key, flagged, _broken(house, name, quarantined))


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


def _record_key(monitor: Monitor, key: str) -> str:
    """The key as it is stored: a JSON array may be written with any spaces, its numbers with or without quotes."""
    if len(monitor.primary_key) == 1:
        return _key_text(monitor, monitor.primary_key[0], key) or ""
    try:
        values = json.loads(key)
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != len(monitor.primary_key):
        columns = ", ".join(monitor.primary_key)
        told = "this" if {*monitor.primary_key} & {*monitor.columns.sensitive} else repr(key)
        raise ConfigurationError(
            f"{monitor.name}: {told} is not a record key; write the values of {columns} as a JSON array"
        )
    parts = [_key_text(monitor, name, value) for name, value in zip(monitor.primary_key, values, strict=True)]
    return json.dumps(parts, ensure_ascii=False)


def _key_text(monitor: Monitor, column: str, value: Any) -> str | None:
    text = as_text(value)
    if text is None or column not in monitor.columns.sensitive or is_hidden(text):
        return text
    return hidden_text(text)


def _not_found(house: House, name: str, key: str, partition: str | None) -> str:
    where = f"{name} {partition}" if partition else name
    known = {anomaly.record_key for anomaly in house.store.anomalies(name, partition, limit=1_000)}
    close = nearest(key, known)
    mend = f"did you mean {close!r}?" if close else f"`tablewatch anomalies {name}` lists the flagged ones"
    return f"{where}: record {key!r} is neither flagged nor quarantined; {mend}"

"""What people say of what was found: labels on records, and patterns that are muted for a while."""

from __future__ import annotations

import datetime as dt
import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError
from pipeline.monitor_file import nearest
from pipeline.results import Condition
from pipeline.settings import Settings
from pipeline.steps.house import House
from pipeline.steps.keys import not_found, stored_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.store import Said, StoredAnomaly, StoredIncident, StoredQuarantined, Suppression

DAYS = 14
MOST_DAYS = 366
LONGEST_NOTE = 1_000
LONGEST_AUTHOR = 200
LEAST_SHARE = 0.15
"""A column leads a record when it comes first or holds so much of its score."""


@dataclass(frozen=True)
class Labelled:
    """A record as it was labelled; `suppressions` are those that mute its pattern from now on."""

    monitor: str
    partition: str
    record_key: str
    label: Said
    note: str
    author: str
    suppressions: tuple[Suppression, ...]
    message: str


@dataclass(frozen=True)
class _Found:
    """A record in one partition: its incident and the columns that lead it with the texts of their values."""

    incident_id: str | None
    leading: tuple[tuple[str, str | None], ...] = ()


def label(
    name: str,
    key: str,
    label: Said,
    partition: str | None = None,
    note: str = "",
    author: str | None = None,
    days: int = DAYS,
    settings: Settings | None = None,
) -> Labelled:
    """Say of a flagged or quarantined record that it is `confirmed` or `expected`, or take that back (`withdrawn`).

    `key` is the record key as `anomalies` shows it; the partition need not be said where only one has such a record.
    `expected` mutes the record's pattern for `days`: the segment it shares with others, or where there is none just its
    own values in the columns that lead it. Nothing else changes before the next training. Raises
    ConfigurationError for a record that is neither flagged nor quarantined, nor labelled, or is so in many partitions.
    """
    return label_all(name, [key], label, partition, note, author, days, settings)[0]


def label_all(
    name: str,
    keys: Iterable[str],
    label: Said,
    partition: str | None = None,
    note: str = "",
    author: str | None = None,
    days: int = DAYS,
    settings: Settings | None = None,
) -> list[Labelled]:
    """Say the same of several records, as `label` of one; where one of them cannot be labelled, none is."""
    house = House(settings)
    monitor = house.monitor(name)
    note, author, until = _checked(house, name, note, author, days)
    stored = [stored_key(monitor, key) for key in keys]
    found = [(key, *_find(house, name, key, partition, label)) for key in stored]
    house.store.add_labels(name, [(at, key) for key, at, _ in found], label, note, author)
    done = []
    for key, at, record in found:
        opened = _mute_pattern(house, name, at, record, note, author, until) if label == "expected" else ()
        standing = opened or _standing(house, name, record.incident_id)
        message = _told(name, at, key, label, standing, record)
        done.append(Labelled(name, at, key, label, note, author, standing, message))
    return done


def mute(
    name: str,
    incident_id: str,
    days: int = DAYS,
    note: str = "",
    author: str | None = None,
    settings: Settings | None = None,
) -> Suppression:
    """Tell nobody of an incident's pattern for `days`; one that is muted already stays so until the later end.

    Of a single record only its own values in the columns that lead it are muted. Raises ConfigurationError when there
    is no such incident, or nothing narrow to tell its records by.
    """
    house = House(settings)
    house.monitor(name)
    note, author, until = _checked(house, name, note, author, days)
    incident = next(iter(house.store.incidents(name, limit=1, incident_id=incident_id)), None)
    if incident is None:
        known = {each.incident_id for each in house.store.incidents(name, limit=1_000)}
        close = nearest(incident_id, known)
        mend = f"did you mean {close!r}?" if close else f"`tablewatch incidents {name}` lists them"
        raise ConfigurationError(f"{name}: no incident {incident_id!r}; {mend}")
    columns, segment = incident.columns, incident.segment
    if incident.kind == "single":
        columns, segment = _own_values(_record_of(house, name, incident))
    # A suppression without a segment is that of a table that changed.
    if not segment and incident.kind != "partition":
        raise ConfigurationError(
            f"{name} {incident.partition}: nothing narrower than whole columns tells the records of incident "
            f"{incident_id} from others; label them expected and train again: tablewatch label {name} KEY expected"
        )
    return house.store.open_suppression(name, incident_id, incident.summary, columns, segment, note, author, until)


def unmute(name: str, suppression_id: str, author: str | None = None, settings: Settings | None = None) -> Suppression:
    """End a suppression now. Raises ConfigurationError when the monitor has no such suppression."""
    house = House(settings)
    house.monitor(name)
    return house.store.revoke_suppression(name, suppression_id, _author(house, name, author))


def _checked(house: House, name: str, note: str, author: str | None, days: int) -> tuple[str, str, dt.datetime]:
    """The note, the author and the end of a suppression, none of them without bounds."""
    note = note.strip()
    if len(note) > LONGEST_NOTE:
        raise ConfigurationError(
            f"{name}: a note of {len(note):,} characters is too long; write at most {LONGEST_NOTE:,}"
        )
    if not 1 <= days <= MOST_DAYS:
        raise ConfigurationError(f"{name}: a pattern cannot be muted for {days} days; say 1 to {MOST_DAYS}")
    return note, _author(house, name, author), house.store.clock() + dt.timedelta(days=days)


def _author(house: House, name: str, author: str | None) -> str:
    """Who says so: as given, as TABLEWATCH_AUTHOR says, or the login name."""
    said = (author or house.settings.author or "").strip()
    if not said:
        try:
            said = getpass.getuser()
        except (KeyError, OSError):
            raise ConfigurationError(
                f"{name}: nobody is logged in; say who labels: --author or TABLEWATCH_AUTHOR"
            ) from None
    return said[:LONGEST_AUTHOR]


def _find(house: House, name: str, key: str, partition: str | None, label: Said) -> tuple[str, _Found]:
    """The partition of the record that is meant, and what was found of it there."""
    labelled = {each.partition: _Found(None) for each in house.store.labels(name, partition, record_key=key)}
    if label == "withdrawn" and not labelled:
        where = f"{name} {partition}" if partition else name
        mend = f"`tablewatch labels {name}` lists those that do"
        raise ConfigurationError(f"{where}: record {key!r} bears no label; {mend}")
    known = labelled | _found(house, name, key, partition)
    if label == "withdrawn":
        known = {at: known[at] for at in labelled}
    if not known:
        raise not_found(house, name, key, partition)
    if len(known) > 1:
        listed = ", ".join(sorted(known))
        raise ConfigurationError(
            f"{name}: record {key!r} is in {len(known)} partitions: {listed}; say which: --partition"
        )
    return next(iter(known.items()))


def _found(house: House, name: str, key: str, partition: str | None) -> dict[str, _Found]:
    """The record in each partition where it is flagged or quarantined."""
    found: dict[str, _Found] = {}
    for broken in house.store.quarantine(name, partition, record_key=key):
        before = found.get(broken.partition, _Found(None)).leading
        leading = [*before, *([(broken.column, broken.value)] if broken.column is not None else [])]
        found[broken.partition] = _Found(broken.incident_id, tuple(dict.fromkeys(leading)))
    for anomaly in house.store.anomalies(name, partition, record_key=key):
        leads = [each for each in anomaly.contributions if each.rank == 1 or each.share >= LEAST_SHARE]
        values = tuple((each.column_name, each.observed) for each in leads)
        found[anomaly.partition] = _Found(anomaly.incident_id, values)
    return found


def _mute_pattern(
    house: House, name: str, partition: str, found: _Found, note: str, author: str, until: dt.datetime
) -> tuple[Suppression, ...]:
    """The suppression of the record's pattern; none where it has no incident or nothing narrow to tell it by."""
    if found.incident_id is None:
        return ()
    incident = next(iter(house.store.incidents(name, partition, incident_id=found.incident_id)), None)
    if incident is None:
        return ()
    # One record is no reason to mute a whole column, nor all its nulls.
    shared = incident.kind == "pattern" and incident.segment
    if not shared and all(value is None for _, value in found.leading):
        return ()
    columns, segment = (incident.columns, incident.segment) if shared else _own_values(found)
    summary = incident.summary
    return (house.store.open_suppression(name, found.incident_id, summary, columns, segment, note, author, until),)


def _own_values(found: _Found) -> tuple[tuple[str, ...], tuple[Condition, ...]]:
    """The columns that lead a record, and the segment of the records with its values in them."""
    from pipeline.incidents.population import NULL

    columns = tuple(dict.fromkeys(column for column, _ in found.leading))
    return columns, tuple(Condition(column, NULL if value is None else value) for column, value in found.leading)


def _record_of(house: House, name: str, incident: StoredIncident) -> _Found:
    """The record of a single's incident."""
    flagged = house.store.anomalies(name, incident.partition)
    broken = house.store.quarantine(name, incident.partition)
    records: list[StoredAnomaly | StoredQuarantined] = [*flagged, *broken]
    keys = [each.record_key for each in records if each.incident_id == incident.incident_id]
    key = next((key for key in keys if key is not None), None)
    if key is None:
        return _Found(incident.incident_id)
    return _found(house, name, key, incident.partition)[incident.partition]


def _standing(house: House, name: str, incident_id: str | None) -> tuple[Suppression, ...]:
    """What mutes the incident now; of a record that is no longer flagged, everything that is muted."""
    active = house.store.suppressions(name, house.store.clock())
    return tuple(each for each in active if incident_id in (None, each.incident_id))


def _told(name: str, partition: str, key: str, label: Said, standing: Iterable[Suppression], found: _Found) -> str:
    """What the label does and when, as sentences."""
    what = {
        "confirmed": "is confirmed: no later training learns from it",
        "expected": "is expected: later trainings learn it as normal",
        "withdrawn": "bears no label any more",
    }[label]
    told = [f"{name} {partition}: record {key} {what}; takes effect with the next training: tablewatch train {name}"]
    for each in standing:
        until = f"{each.expires_at:%Y-%m-%d}"
        state = "is muted" if label == "expected" else "is still muted"
        told.append(f"{each.summary}: {state} until {until}; to end it: tablewatch unmute {name} {each.suppression_id}")
    if label == "expected" and not told[1:]:
        why = "nothing narrow tells it from other records" if found.incident_id else "it belongs to no incident"
        told.append(f"nothing is muted: {why}")
    return "\n".join(told)

"""Labels, which people write and no run touches, and the suppressions that mute a pattern for a while."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import sqlalchemy as sa

from pipeline.errors import ConfigurationError
from pipeline.results import Condition, Label
from pipeline.store.database import Database, lock
from pipeline.store.runs import view_of
from pipeline.store.schema import columns_of, labels, suppressions

Said = Literal["confirmed", "expected", "withdrawn"]
"""What a person may say of a record; `withdrawn` takes back what was said before."""


@dataclass(frozen=True)
class StoredLabel:
    """What a person said of a record last (`labelled_at` is UTC)."""

    monitor: str
    partition: str
    record_key: str
    label: Label
    note: str
    author: str
    labelled_at: dt.datetime


@dataclass(frozen=True)
class Suppression:
    """A pattern that nobody is told of from `created_at` until `expires_at`, or until it is revoked (times are UTC).

    It mutes incidents that are led by no other `columns`, within a `segment` whose conditions all hold.
    """

    suppression_id: str
    monitor: str
    incident_id: str
    summary: str
    columns: tuple[str, ...]
    segment: tuple[Condition, ...]
    note: str
    author: str
    created_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    revoked_by: str | None


class Labels(Database):
    """The part of the store that people write. Labels are only ever added; the latest of a record counts."""

    def add_label(self, monitor: str, partition: str, record_key: str, label: Said, note: str, author: str) -> None:
        """Add what a person says of a record."""
        self.add_labels(monitor, [(partition, record_key)], label, note, author)

    def add_labels(self, monitor: str, records: Sequence[tuple[str, str]], label: Said, note: str, author: str) -> None:
        """Add what a person says of some records, each a partition and a record key: of all of them, or of none."""
        said = {"monitor": monitor, "label": label, "note": note, "author": author, "labelled_at": self.clock()}
        rows = [said | {"partition": partition, "record_key": key} for partition, key in records]
        with self._writing(monitor) as connection:
            # The order of the rows is the order in which they were said.
            lock(connection, monitor, "labels")
            connection.execute(labels.insert(), rows)

    def labels(
        self, monitor: str, partition: str | None = None, label: Label | None = None, *, record_key: str | None = None
    ) -> list[StoredLabel]:
        """The labels that stand, of one partition and record key (of all), by partition and record key."""
        view = view_of("v_labels", StoredLabel)
        wanted = sa.select(view).where(view.c.monitor == monitor).order_by(view.c.partition, view.c.record_key)
        for column, value in ((view.c.partition, partition), (view.c.label, label), (view.c.record_key, record_key)):
            if value is not None:
                wanted = wanted.where(column == value)
        with self._reading() as connection:
            return [StoredLabel(**row) for row in connection.execute(wanted).mappings()]

    def labelled_keys(self, monitor: str, label: Label, partitions: Collection[str]) -> dict[str, set[str]]:
        """The keys of the records of some partitions that bear a label, by partition; none for one without."""
        found: dict[str, set[str]] = defaultdict(set)
        for each in self.labels(monitor, label=label):
            if each.partition in partitions:
                found[each.partition].add(each.record_key)
        return dict(found)

    def open_suppression(
        self,
        monitor: str,
        incident_id: str,
        summary: str,
        columns: Collection[str],
        segment: Collection[Condition],
        note: str,
        author: str,
        expires_at: dt.datetime,
    ) -> Suppression:
        """Mute a pattern until `expires_at`.

        Where the pattern of this incident is muted already, that lasts until the later of the two ends.
        """
        now = self.clock()
        with self._writing(monitor) as connection:
            lock(connection, monitor, "suppressions")
            known = [each for each in _all(connection, monitor, None) if each.incident_id == incident_id]
            active = [each for each in known if each.revoked_at is None and each.expires_at > now]
            for standing in (each for each in active if (each.columns, each.segment) == ((*columns,), (*segment,))):
                until = max(standing.expires_at, expires_at)
                longer = replace(standing, note=note or standing.note, author=author, expires_at=until)
                said = {name: getattr(longer, name) for name in ("note", "author", "expires_at")}
                this = suppressions.c.suppression_id == standing.suppression_id
                connection.execute(suppressions.update().where(this).values(said))
                return longer
            opened = Suppression(
                suppression_id=_name(monitor, incident_id, len(known)),
                monitor=monitor,
                incident_id=incident_id,
                summary=summary,
                columns=tuple(columns),
                segment=tuple(segment),
                note=note,
                author=author,
                created_at=now,
                expires_at=expires_at,
                revoked_at=None,
                revoked_by=None,
            )
            pattern = {"columns": list(columns), "segment": [asdict(condition) for condition in segment]}
            connection.execute(suppressions.insert().values(vars(opened) | pattern))
            return opened

    def suppressions(self, monitor: str | None = None, active_at: dt.datetime | None = None) -> list[Suppression]:
        """The suppressions of a monitor (of all) that mute at an instant (ever), the latest first."""
        with self._reading() as connection:
            return _all(connection, monitor, active_at)

    def revoke_suppression(self, monitor: str, suppression_id: str, author: str) -> Suppression:
        """End a suppression now; one that was revoked already stays as it is.

        Raises ConfigurationError when the monitor has no such suppression.
        """
        now = self.clock()
        with self._writing(monitor) as connection:
            lock(connection, monitor, "suppressions")
            known = {each.suppression_id: each for each in _all(connection, monitor, None)}
            if suppression_id not in known:
                raise ConfigurationError(
                    f"{monitor}: no suppression {suppression_id!r}; `tablewatch suppressions {monitor}` lists them"
                )
            revoked = known[suppression_id]
            if revoked.revoked_at is None:
                revoked = replace(revoked, revoked_at=now, revoked_by=author)
                this = suppressions.c.suppression_id == suppression_id
                connection.execute(suppressions.update().where(this).values(revoked_at=now, revoked_by=author))
            return revoked


def _all(connection: sa.Connection, monitor: str | None, active_at: dt.datetime | None) -> list[Suppression]:
    """The latest first."""
    wanted = sa.select(*columns_of(suppressions, Suppression))
    if monitor is not None:
        wanted = wanted.where(suppressions.c.monitor == monitor)
    if active_at is not None:
        revoked = suppressions.c.revoked_at.is_not(None) & (suppressions.c.revoked_at <= active_at)
        lasts = (suppressions.c.created_at <= active_at) & (suppressions.c.expires_at > active_at)
        wanted = wanted.where(lasts, ~revoked)
    ordered = wanted.order_by(suppressions.c.created_at.desc(), suppressions.c.suppression_id)
    return [_suppression(row) for row in connection.execute(ordered).mappings()]


def _suppression(row: sa.RowMapping) -> Suppression:
    found = Suppression(**row)
    return replace(found, columns=tuple(found.columns), segment=tuple(Condition(**each) for each in row["segment"]))


def _name(monitor: str, incident_id: str, before: int) -> str:
    """An id short enough to be typed: of the incident, and of how many suppressions it has had before."""
    text = json.dumps([monitor, incident_id, before])
    return hashlib.sha256(text.encode()).hexdigest()[:10]

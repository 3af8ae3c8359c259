"""What is older than anybody asks for: removed a partition at a time, behind the same lock as a replace."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa

from pipeline.store.database import Database, lock
from pipeline.store.runs import subject
from pipeline.store.schema import (
    incidents,
    labels,
    metadata,
    model_versions,
    outbox,
    promotions,
    runs,
    suites,
)

YOUNG = dt.timedelta(days=1)
"""A suite or version made so lately may belong to a training that is not through."""
WAYS_BACK = 1
"""Champions that a rollback can still go back to, once each."""

_RESULTS = [
    table
    for table in reversed(metadata.sorted_tables)  # what refers to another table's rows goes before them
    if {"monitor", "partition"} <= set(table.c.keys()) and table not in (runs, labels)
]


class Pruning(Database):
    """The part of the store that forgets. What people wrote stays, and so does the row of each run."""

    def attempted_monitors(self) -> list[str]:
        """Every monitor that ever ran, sorted."""
        with self._reading() as connection:
            return list(connection.execute(sa.select(runs.c.monitor).distinct().order_by(runs.c.monitor)).scalars())

    def kept_from(self, monitor: str, days: int) -> str | None:
        """The partition so many days before the newest that is done, or before today where that is earlier.

        None where no partition is done.
        """
        done = (runs.c.monitor == monitor) & (runs.c.status == "done") & (runs.c.kind != "train")
        with self._reading() as connection:
            newest = connection.execute(sa.select(sa.func.max(runs.c.partition)).where(done)).scalar()
        if newest is None:
            return None
        last = min(dt.date.fromisoformat(newest), self.clock().date())
        return (last - min(dt.timedelta(days=days), last - dt.date.min)).isoformat()

    def prunable(self, monitor: str, kept_from: str) -> list[str]:
        """The partitions before `kept_from` of which there is something to remove, sorted."""
        found = [
            sa.select(table.c.partition).where(table.c.partition < kept_from, _goes(table, monitor, kept_from))
            for table in _RESULTS
        ]
        with self._reading() as connection:
            return sorted(connection.execute(sa.union(*found)).scalars())

    def prune_partition(self, monitor: str, partition: str, kept_from: str, dry_run: bool = False) -> dict[str, int]:
        """Remove the results of a partition before `kept_from` in one transaction; the rows removed of each table.

        An incident that still shows in a partition from `kept_from` on stays, and so does a message that has not
        arrived. A `dry_run` only counts. Raises FailedMachinery when the database does not answer; then nothing has
        changed.
        """
        going = {
            table: (table.c.partition == partition) & _goes(table, monitor, kept_from)
            for table in _RESULTS
            if partition < kept_from
        }
        if dry_run:
            return self._counted(going)
        with self._writing(subject(monitor, partition)) as connection:
            lock(connection, monitor, partition)
            return {table.name: _deleted(connection, table, rows) for table, rows in going.items()}

    def prune_versions(self, monitor: str, kept_from: str, dry_run: bool = False) -> list[str]:
        """Remove model versions that were trained on partitions before `kept_from` only, and suites that none names.

        There stay the champion, the champion that a rollback goes back to, and what has scored a partition from
        `kept_from` on. The versions that went, sorted; a `dry_run` only names them.
        """
        with self._reading() if dry_run else self._writing(monitor) as connection:
            lock(connection, monitor)
            old_enough = self.clock() - YOUNG
            old = (model_versions.c.monitor == monitor) & (model_versions.c.window_last < kept_from)
            candidates = old & (model_versions.c.status != "champion") & (model_versions.c.created_at < old_enough)
            wanted = sa.select(model_versions.c.version).where(candidates)
            going = sorted({*connection.execute(wanted).scalars()} - _needed_versions(connection, monitor, kept_from))
            if going and not dry_run:
                for table in (promotions, model_versions):
                    _deleted(connection, table, (table.c.monitor == monitor) & table.c.version.in_(going))
                named = sa.select(model_versions.c.suite_version).where(model_versions.c.monitor == monitor)
                unnamed = (suites.c.monitor == monitor) & suites.c.version.not_in(named)
                _deleted(connection, suites, unnamed & (suites.c.created_at < old_enough))
            return going

    def _counted(self, going: Mapping[sa.Table, sa.ColumnElement[bool]]) -> dict[str, int]:
        with self._reading() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table).where(rows)).scalar_one()
                for table, rows in going.items()
            }


def _goes(table: sa.Table, monitor: str, kept_from: str) -> sa.ColumnElement[bool]:
    """The rows of a monitor that nothing from `kept_from` on needs."""
    of_monitor = table.c.monitor == monitor
    if table is outbox:
        return of_monitor & outbox.c.delivered_at.is_not(None)
    if table is incidents:
        later = incidents.alias("later")
        same = (later.c.monitor == monitor) & (later.c.incident_id == incidents.c.incident_id)
        return of_monitor & ~sa.exists().where(same, later.c.partition >= kept_from)
    return of_monitor


def _needed_versions(connection: sa.Connection, monitor: str, kept_from: str) -> set[str]:
    of_monitor = (promotions.c.monitor == monitor) & promotions.c.rolled_back_at.is_(None)
    standing = sa.select(promotions.c.version).where(of_monitor).order_by(promotions.c.sequence.desc())
    scored = sa.select(runs.c.model_version).where(runs.c.monitor == monitor, runs.c.partition >= kept_from).distinct()
    back = connection.execute(standing.limit(1 + WAYS_BACK)).scalars()
    return {*back, *(version for version in connection.execute(scored).scalars() if version)}


def _deleted(connection: sa.Connection, table: sa.Table, rows: sa.ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(rows)).rowcount

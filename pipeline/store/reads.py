"""What was written for a partition, read back as plain values."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from pipeline.results import (
    Anomaly,
    Condition,
    Contribution,
    ExpectationResult,
    Incident,
    IncidentSeverity,
    Neighbour,
    Quarantined,
)
from pipeline.store.database import Database
from pipeline.store.schema import (
    anomalies,
    column_metrics,
    columns_of,
    contributions,
    incidents,
    metrics,
    neighbours,
    quarantine,
    validations,
)

_KEY = ("monitor", "partition", "record_key")
_WORST_SEVERITY = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class StoredAnomaly(Anomaly):
    """An anomaly with its partition, its first detection (UTC) and the run and model version that scored it last."""

    partition: str
    first_detected_at: dt.datetime
    first_score: float
    run_id: str
    model_version: str


@dataclass(frozen=True)
class StoredQuarantined(Quarantined):
    """A quarantined record with its partition."""

    partition: str


@dataclass(frozen=True, kw_only=True)
class StoredIncident(Incident):
    """An incident with its partition, and when it was first detected there (UTC) and how severe it was then."""

    partition: str
    first_severity: IncidentSeverity
    first_detected_at: dt.datetime


class Reads(Database):
    """The part of the store that reads results."""

    def anomalies(
        self,
        monitor: str,
        partition: str | None = None,
        limit: int | None = None,
        *,
        record_key: str | None = None,
    ) -> list[StoredAnomaly]:
        """The anomalies of one partition (of all), of one record key (of any), with their contributions.

        The worst score comes first; contributions are in the order of their rank.
        """
        wanted = sa.select(anomalies).where(anomalies.c.monitor == monitor)
        if partition is not None:
            wanted = wanted.where(anomalies.c.partition == partition)
        if record_key is not None:
            wanted = wanted.where(anomalies.c.record_key == record_key)
        chosen = wanted.order_by(*_worst_first(anomalies)).limit(limit).subquery()
        with self._reading() as connection:
            why = _contributions(connection, chosen)
            rows = connection.execute(sa.select(*columns_of(chosen, StoredAnomaly)).order_by(*_worst_first(chosen)))
            return [
                StoredAnomaly(**row, contributions=tuple(why[row["partition"], row["record_key"]]))
                for row in rows.mappings()
            ]

    def neighbours(self, monitor: str, partition: str, record_key: str) -> list[Neighbour]:
        """The normal records that are kept beside a flagged one, the nearest first."""
        here = (neighbours.c.monitor == monitor) & (neighbours.c.partition == partition)
        wanted = sa.select(*columns_of(neighbours, Neighbour)).where(here, neighbours.c.record_key == record_key)
        with self._reading() as connection:
            return [Neighbour(**row) for row in connection.execute(wanted.order_by(neighbours.c.rank)).mappings()]

    def flagged_keys(self, monitor: str, partition: str) -> set[str]:
        """The keys of a partition's anomalies."""
        here = (anomalies.c.monitor == monitor) & (anomalies.c.partition == partition)
        with self._reading() as connection:
            return {*connection.execute(sa.select(anomalies.c.record_key).where(here)).scalars()}

    def quarantine(
        self,
        monitor: str,
        partition: str | None = None,
        limit: int | None = None,
        *,
        record_key: str | None = None,
    ) -> list[StoredQuarantined]:
        """The quarantined records of one partition (of all), of one record key (of any), in the order of their rows."""
        wanted = sa.select(*columns_of(quarantine, StoredQuarantined)).where(quarantine.c.monitor == monitor)
        if partition is not None:
            wanted = wanted.where(quarantine.c.partition == partition)
        if record_key is not None:
            wanted = wanted.where(quarantine.c.record_key == record_key)
        wanted = wanted.order_by(quarantine.c.partition, quarantine.c.position).limit(limit)
        with self._reading() as connection:
            return [StoredQuarantined(**row) for row in connection.execute(wanted).mappings()]

    def incidents(
        self,
        monitor: str,
        partition: str | None = None,
        limit: int | None = None,
        *,
        incident_id: str | None = None,
    ) -> list[StoredIncident]:
        """The incidents of one partition (of all), with one id (with any).

        The latest partition comes first, within it the most severe and then the least probable.
        """
        here = [incidents.c.monitor == monitor]
        if partition is not None:
            here.append(incidents.c.partition == partition)
        if incident_id is not None:
            here.append(incidents.c.incident_id == incident_id)
        return self._incidents(here, incidents.c.partition.desc(), limit)

    def incidents_between(self, monitor: str, first: str, last: str) -> list[StoredIncident]:
        """The incidents of the partitions from `first` to `last`, both included, the oldest partition first."""
        here = [incidents.c.monitor == monitor, incidents.c.partition.between(first, last)]
        return self._incidents(here, incidents.c.partition, None)

    def _incidents(
        self, here: list[sa.ColumnElement[bool]], by_partition: sa.ColumnElement[str], limit: int | None
    ) -> list[StoredIncident]:
        severity = sa.case(_WORST_SEVERITY, value=incidents.c.severity)
        worst_first = severity, incidents.c.p_value, incidents.c.incident_id
        wanted = sa.select(*columns_of(incidents, StoredIncident)).where(*here)
        with self._reading() as connection:
            rows = connection.execute(wanted.order_by(by_partition, *worst_first).limit(limit)).mappings()
            return [_incident(row) for row in rows]

    def validations(self, monitor: str, partition: str) -> list[ExpectationResult]:
        """How each expectation fared on the partition, in the order they were written."""
        here = (validations.c.monitor == monitor) & (validations.c.partition == partition)
        wanted = sa.select(*columns_of(validations, ExpectationResult)).where(here).order_by(validations.c.position)
        with self._reading() as connection:
            return [ExpectationResult(**row) for row in connection.execute(wanted).mappings()]

    def latest_metrics(
        self, monitor: str, name: str, model_version: str, *, after: str, before: str, limit: int
    ) -> list[float]:
        """A metric of the last partitions between two, both left out, that this model version scored; the latest first.

        Partitions without a finite value are passed over.
        """
        of_version = (metrics.c.monitor == monitor) & (metrics.c.model_version == model_version)
        between = (metrics.c.partition > after) & (metrics.c.partition < before)
        wanted = sa.select(metrics.c.value).where(
            of_version, between, metrics.c.name == name, metrics.c.value.is_not(None)
        )
        with self._reading() as connection:
            return list(connection.execute(wanted.order_by(metrics.c.partition.desc()).limit(limit)).scalars())

    def latest_column_metrics(
        self, monitor: str, name: str, model_version: str, *, after: str, before: str, limit: int
    ) -> list[dict[str, float]]:
        """The same of the columns: for each of those partitions the metric of every column that has a finite one."""
        of_version = (column_metrics.c.monitor == monitor) & (column_metrics.c.model_version == model_version)
        between = (column_metrics.c.partition > after) & (column_metrics.c.partition < before)
        there = sa.and_(of_version, between, column_metrics.c.name == name, column_metrics.c.value.is_not(None))
        partition, values = column_metrics.c.partition, (column_metrics.c.column_name, column_metrics.c.value)
        latest = sa.select(partition).where(there).distinct().order_by(partition.desc()).limit(limit).subquery()
        wanted = sa.select(partition, *values).join(latest, partition == latest.c.partition).where(there)
        found: dict[str, dict[str, float]] = defaultdict(dict)
        with self._reading() as connection:
            for row in connection.execute(wanted.order_by(partition.desc())):
                found[row.partition][row.column_name] = row.value
        return list(found.values())


def _incident(row: sa.RowMapping) -> StoredIncident:
    found = StoredIncident(**row)
    return replace(found, columns=tuple(found.columns), segment=tuple(Condition(**each) for each in row["segment"]))


def _worst_first(of: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
    return of.c.score.desc(), of.c.partition, of.c.record_key


def _contributions(connection: sa.Connection, chosen: sa.Subquery) -> dict[tuple[str, str], list[Contribution]]:
    same = sa.and_(*(contributions.c[name] == chosen.c[name] for name in _KEY))
    key = contributions.c.partition, contributions.c.record_key
    wanted = sa.select(*key, *columns_of(contributions, Contribution)).join_from(contributions, chosen, same)
    why: dict[tuple[str, str], list[Contribution]] = defaultdict(list)
    for partition, record_key, *fields in connection.execute(wanted.order_by(contributions.c.rank)):
        why[partition, record_key].append(Contribution(*fields))
    return why

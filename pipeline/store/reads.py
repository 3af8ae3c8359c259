"""What was written for a partition, read back as plain values."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.results import Anomaly, Contribution, ExpectationResult, Quarantined
from pipeline.store.database import Database
from pipeline.store.schema import anomalies, columns_of, contributions, metrics, quarantine, validations

_KEY = ("monitor", "partition", "record_key")


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

    def quarantine(
        self, monitor: str, partition: str | None = None, limit: int | None = None
    ) -> list[StoredQuarantined]:
        """The quarantined records of one partition (of all), in the order of their rows."""
        wanted = sa.select(*columns_of(quarantine, StoredQuarantined)).where(quarantine.c.monitor == monitor)
        if partition is not None:
            wanted = wanted.where(quarantine.c.partition == partition)
        wanted = wanted.order_by(quarantine.c.partition, quarantine.c.position).limit(limit)
        with self._reading() as connection:
            return [StoredQuarantined(**row) for row in connection.execute(wanted).mappings()]

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

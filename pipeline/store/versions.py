"""Suites and model versions: what was learned, which version is champion, and the way back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.errors import ConfigurationError
from pipeline.store.database import Database, lock
from pipeline.store.schema import columns_of, model_versions, promotions, suites

ModelStatus = Literal["challenger", "champion", "retired"]


@dataclass(frozen=True)
class TrainedModel:
    """What training knows of a model version: its bundle's digest, its training window and how it did at the gate.

    `window_first` and `window_last` are the window's first and last partition, `window_records` the records trained on.
    """

    monitor: str
    version: str
    sha256: str
    model: str
    seed: int
    window_first: str
    window_last: str
    window_records: int
    suite_version: str
    config_hash: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class ModelVersion(TrainedModel):
    """A trained model in the store, with its latest promotion if there was one (times are UTC)."""

    status: ModelStatus
    created_at: dt.datetime
    promoted_at: dt.datetime | None
    promotion_reason: str | None


class Versions(Database):
    """The part of the store that knows of suites and model versions."""

    def add_suite(self, monitor: str, suite_version: str, body: Any) -> None:
        """Keep a suite as JSON. A version names its content, so one that is there already stays as it is."""
        row = {"monitor": monitor, "version": suite_version, "body": body, "created_at": self.clock()}
        with self._writing(monitor) as connection:
            lock(connection, monitor)
            _add(connection, suites, row)

    def suite(self, monitor: str, suite_version: str) -> Any:
        """The suite's JSON. Raises ConfigurationError when the monitor has no such version."""
        wanted = sa.select(suites.c.body).where(suites.c.monitor == monitor, suites.c.version == suite_version)
        with self._reading() as connection:
            body = connection.execute(wanted).scalar_one_or_none()
        if body is None:
            raise ConfigurationError(
                f"{monitor}: no suite version {suite_version!r}; `tablewatch train {monitor}` learns one"
            )
        return body

    def add_model_version(self, trained: TrainedModel) -> None:
        """Keep a model version as a challenger; one that is there already, whatever it became, stays as it is."""
        with self._writing(trained.monitor) as connection:
            lock(connection, trained.monitor)
            _add(connection, model_versions, vars(trained) | {"status": "challenger", "created_at": self.clock()})

    def model_versions(self, monitor: str) -> list[ModelVersion]:
        """The monitor's model versions, the latest first."""
        wanted = _versions(monitor).order_by(model_versions.c.created_at.desc(), model_versions.c.version.desc())
        with self._reading() as connection:
            return [ModelVersion(**row) for row in connection.execute(wanted).mappings()]

    def champion(self, monitor: str) -> ModelVersion | None:
        """The version that scores; None before the first promotion."""
        with self._reading() as connection:
            return _champion(connection, monitor)

    def promote(self, monitor: str, version: str, reason: str) -> None:
        """Make the version champion and retire the one before; promoting the champion changes nothing.

        Raises ConfigurationError when the monitor has no such version.
        """
        with self._writing(monitor) as connection:
            lock(connection, monitor)
            known = connection.execute(_versions(monitor)).mappings().all()
            status = {row["version"]: row["status"] for row in known}
            if version not in status:
                names = ", ".join(sorted(status)) or f"none; `tablewatch train {monitor}` makes one"
                raise ConfigurationError(f"{monitor}: no model version {version!r}; known versions are {names}")
            if status[version] != "champion":
                row = {"monitor": monitor, "version": version, "reason": reason, "promoted_at": self.clock()}
                connection.execute(promotions.insert().values(row))
                _crown(connection, monitor, version)

    def rollback(self, monitor: str, reason: str = "", check: Callable[[ModelVersion], object] | None = None) -> str:
        """Undo the latest promotion that still stands; the version of the champion before it, which is champion again.

        `reason` is added to that of the promotion. Rolling back twice goes back two champions. `check` may raise on the
        version to go back to; nothing is undone then. Raises ConfigurationError when there is none to go back to.
        """
        standing = sa.select(promotions.c.sequence, promotions.c.version, promotions.c.reason).where(
            promotions.c.monitor == monitor, promotions.c.rolled_back_at.is_(None)
        )
        with self._writing(monitor) as connection:
            lock(connection, monitor)
            latest = connection.execute(standing.order_by(promotions.c.sequence.desc()).limit(2)).all()
            if len(latest) < 2:
                raise ConfigurationError(
                    f"{monitor}: no earlier champion to go back to; `tablewatch train {monitor}` trains a new one"
                )
            undone, previous = latest
            this = promotions.c.sequence == undone.sequence
            why = "; ".join(filter(None, (undone.reason, reason)))
            connection.execute(promotions.update().where(this).values(rolled_back_at=self.clock(), reason=why))
            _crown(connection, monitor, previous.version)
            champion = _champion(connection, monitor)
            if check is not None and champion is not None:
                check(champion)
            return str(previous.version)

    def superseded(self, monitor: str) -> list[str]:
        """The versions the champion has taken over from: those promoted since it first was, rolled back or not.

        Where there is none, the one promoted before it; nothing without a champion or before the second promotion.
        """
        wanted = sa.select(promotions.c.version).where(promotions.c.monitor == monitor).order_by(promotions.c.sequence)
        with self._reading() as connection:
            champion = _champion(connection, monitor)
            promoted = list(connection.execute(wanted).scalars())
        if champion is None or champion.version not in promoted:
            return []
        first = promoted.index(champion.version)
        later = [version for version in promoted[first:] if version != champion.version]
        return list(dict.fromkeys(later or promoted[max(0, first - 1) : first]))


def _versions(monitor: str) -> sa.Select[Any]:
    of_version = (promotions.c.monitor == model_versions.c.monitor) & (promotions.c.version == model_versions.c.version)
    latest = sa.select(sa.func.max(promotions.c.sequence)).where(of_version).correlate(model_versions).scalar_subquery()
    columns = columns_of(model_versions, ModelVersion)
    promoted = promotions.c.promoted_at, promotions.c.reason.label("promotion_reason")
    joined = model_versions.outerjoin(promotions, promotions.c.sequence == latest)
    return sa.select(*columns, *promoted).select_from(joined).where(model_versions.c.monitor == monitor)


def _champion(connection: sa.Connection, monitor: str) -> ModelVersion | None:
    wanted = _versions(monitor).where(model_versions.c.status == "champion")
    row = connection.execute(wanted).mappings().one_or_none()
    return None if row is None else ModelVersion(**row)


def _crown(connection: sa.Connection, monitor: str, version: str) -> None:
    mine = model_versions.update().where(model_versions.c.monitor == monitor)
    connection.execute(mine.where(model_versions.c.status == "champion").values(status="retired"))
    connection.execute(mine.where(model_versions.c.version == version).values(status="champion"))


def _add(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    there = sa.select(table.c.version).where(table.c.monitor == row["monitor"], table.c.version == row["version"])
    if connection.execute(there).first() is None:
        connection.execute(table.insert().values(row))

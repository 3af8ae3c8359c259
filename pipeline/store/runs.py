"""Runs: one row for every attempt at a partition or a training, whatever became of it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import sqlalchemy as sa

from pipeline.errors import FailedMachinery
from pipeline.results import Alert
from pipeline.store.database import Database
from pipeline.store.outbox import post, withdraw
from pipeline.store.schema import columns_of, runs
from pipeline.store.types import Text, UtcTime

RunKind = Literal["validate", "train", "score", "run"]
RunStatus = Literal["running", "done", "refused", "empty", "failed"]


@dataclass(frozen=True)
class Run:
    """One row of `runs`; `partition` is None for a run of no single partition, times are UTC.

    `dag_run` names the DAG run that it belongs to, `score_flights/scheduled__2013-02-04T07:00:00+00:00`.
    """

    run_id: str
    monitor: str
    partition: str | None
    kind: RunKind
    status: RunStatus
    reason: str | None
    counts: dict[str, int]
    model_version: str | None
    config_hash: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    dag_run: str | None = None


@dataclass(frozen=True)
class PartitionState:
    """Where a partition stands (`v_partition_summary`): its latest run, and what the last finished ones left.

    `validated_at`, `records_read`, `accepted` and `quarantined` are of the last run that is done; `scored_at`,
    `model_version` and `flagged` of the last one that scored; None where there is no such run.
    """

    monitor: str
    partition: str
    status: RunStatus
    kind: RunKind
    reason: str | None
    started_at: dt.datetime
    finished_at: dt.datetime | None
    validated_at: dt.datetime | None
    scored_at: dt.datetime | None
    model_version: str | None
    records_read: int | None
    accepted: int | None
    quarantined: int | None
    flagged: int | None


@dataclass(frozen=True)
class Health:
    """How a monitor fares as a whole (`v_health`)."""

    monitor: str
    last_kind: RunKind
    last_status: RunStatus
    last_partition: str | None
    last_reason: str | None
    last_started_at: dt.datetime
    last_finished_at: dt.datetime | None
    last_scored_partition: str | None
    last_scored_at: dt.datetime | None
    running: int
    stale: int
    refused_partitions: int
    failed_partitions: int
    champion: str | None
    champion_promoted_at: dt.datetime | None
    champion_window_last: str | None


def view_of(name: str, shape: type) -> sa.TableClause:
    """The columns of a view that fill a dataclass; those that end in `_at` are times."""
    columns = [field.name for field in fields(shape)]
    return sa.table(name, *(sa.column(column, UtcTime if column.endswith("_at") else Text) for column in columns))


class Runs(Database):
    """The part of the store that knows of runs."""

    def start_run(
        self, monitor: str, partition: str | None, kind: RunKind, config_hash: str, dag_run: str | None = None
    ) -> str:
        """Commit a row with the status `running`; the new run's id (a UUID's text)."""
        run_id = str(uuid.uuid4())
        with self._writing(subject(monitor, partition)) as connection:
            connection.execute(
                runs.insert().values(
                    run_id=run_id,
                    monitor=monitor,
                    partition=partition,
                    kind=kind,
                    status="running",
                    counts={},
                    config_hash=config_hash,
                    started_at=self.clock(),
                    dag_run=dag_run,
                )
            )
        return run_id

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        reason: str | None = None,
        counts: Mapping[str, int] | None = None,
        model_version: str | None = None,
        alerts: Iterable[Alert] = (),
    ) -> None:
        """Commit how a run ended and the alerts that tell of it. A run that ended already keeps its first ending."""
        with self._writing(f"run {run_id}") as connection:
            now = self.clock()
            end_run(connection, run_id, status, now, reason, counts, model_version)
            post(connection, alerts, now)

    def runs(self, monitor: str | None = None, partition: str | None = None, limit: int | None = None) -> list[Run]:
        """The runs of a monitor (of all), of one partition (of any), the latest first."""
        wanted = sa.select(*columns_of(runs, Run)).order_by(runs.c.sequence.desc()).limit(limit)
        if monitor is not None:
            wanted = wanted.where(runs.c.monitor == monitor)
        if partition is not None:
            wanted = wanted.where(runs.c.partition == partition)
        with self._reading() as connection:
            return [Run(**row) for row in connection.execute(wanted).mappings()]

    def watched_since(self, monitor: str) -> dt.datetime | None:
        """When the monitor's first run began; None where it never ran."""
        first = sa.select(sa.func.min(runs.c.started_at)).where(runs.c.monitor == monitor)
        with self._reading() as connection:
            return connection.execute(first).scalar()

    def partition_states(self, monitor: str, partition: str | None = None) -> list[PartitionState]:
        """Every partition of the monitor that was ever attempted, or only this one, sorted by partition."""
        view = view_of("v_partition_summary", PartitionState)
        wanted = sa.select(view).where(view.c.monitor == monitor).order_by(view.c.partition)
        if partition is not None:
            wanted = wanted.where(view.c.partition == partition)
        with self._reading() as connection:
            return [PartitionState(**row) for row in connection.execute(wanted).mappings()]

    def health(self) -> list[Health]:
        """One row for every monitor that ever ran, sorted by monitor."""
        view = view_of("v_health", Health)
        with self._reading() as connection:
            return [Health(**row) for row in connection.execute(sa.select(view).order_by(view.c.monitor)).mappings()]


def subject(monitor: str, partition: str | None) -> str:
    """What an error is about: the monitor and its partition."""
    return monitor if partition is None else f"{monitor} {partition}"


def claim_run(connection: sa.Connection, run_id: str, monitor: str, partition: str) -> str:
    """Hold the run's row for this transaction; its configuration hash.

    Raises ValueError unless it runs on this partition, FailedMachinery when a run that began later has replaced the
    partition: this one may have read the table, or loaded the champion, before they changed.
    """
    here = (runs.c.monitor == monitor) & (runs.c.partition == partition)
    wanted = sa.select(runs.c.status, runs.c.config_hash, runs.c.sequence).where(here, runs.c.run_id == run_id)
    run = connection.execute(wanted.with_for_update()).one_or_none()
    if run is None or run.status != "running":
        state = "not a run of it" if run is None else run.status
        raise ValueError(f"{subject(monitor, partition)}: run {run_id} cannot write results: it is {state}")
    replaced = here & (runs.c.sequence > run.sequence) & (runs.c.status == "done") & (runs.c.kind != "train")
    if later := connection.execute(sa.select(runs.c.run_id).where(replaced).limit(1)).scalar():
        raise FailedMachinery(
            f"{subject(monitor, partition)}: run {later}, which began after this one, has replaced the results;"
            " they stay; try again"
        )
    return str(run.config_hash)


def end_run(
    connection: sa.Connection,
    run_id: str,
    status: RunStatus,
    now: dt.datetime,
    reason: str | None = None,
    counts: Mapping[str, int] | None = None,
    model_version: str | None = None,
) -> None:
    """Write how a running run ended, in the caller's transaction.

    What went well takes back what nobody has been told yet: that an earlier run went badly. A validation takes back
    nothing: the scoring that failed has still to be done.
    """
    if status == "done":
        columns = runs.c.monitor, runs.c.partition, runs.c.kind
        run = connection.execute(sa.select(*columns).where(runs.c.run_id == run_id)).one()
        if run.kind != "validate":
            withdraw(connection, run.monitor, run.partition, ("failed", "refused", "late"))
    connection.execute(
        runs.update()
        .where(runs.c.run_id == run_id, runs.c.status == "running")
        .values(
            status=status,
            finished_at=now,
            reason=reason,
            counts={name: int(count) for name, count in (counts or {}).items()},
            model_version=model_version,
        )
    )

"""What a run writes for its partition: all of it replaced in one transaction, or nothing touched."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from pipeline.records import LONGEST_KEY, storable
from pipeline.results import Alert, Anomaly, ExpectationResult, Incident, Neighbour, Quarantined
from pipeline.store.copying import Row, insert
from pipeline.store.database import lock
from pipeline.store.outbox import post
from pipeline.store.runs import Runs, RunStatus, claim_run, end_run, subject
from pipeline.store.schema import (
    COLUMN_NAMES,
    LARGEST,
    anomalies,
    column_metrics,
    contributions,
    incidents,
    metrics,
    neighbours,
    quarantine,
    validations,
)


@dataclass(frozen=True)
class PartitionResults:
    """Everything one scoring run writes for a partition.

    `metrics` are numbers about the partition by name, `column_metrics` about a column by column and name; None (or not
    finite) where there is no value. `counts` go to the run's row and name at least the records `read`, `accepted`,
    `quarantined` and `flagged`. `alerts` are put into the outbox in the same transaction.
    """

    validations: Sequence[ExpectationResult] = ()
    quarantine: Sequence[Quarantined] = ()
    anomalies: Sequence[Anomaly] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    alerts: Sequence[Alert] = ()
    column_metrics: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    neighbours: Sequence[Neighbour] = ()


class Writes(Runs):
    """The part of the store that replaces a partition's results."""

    def replace_validation(
        self,
        run_id: str,
        monitor: str,
        partition: str,
        validations: Sequence[ExpectationResult],
        quarantine: Sequence[Quarantined],
        *,
        status: RunStatus = "running",
        reason: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Replace the partition's validations and quarantine in one transaction.

        A `status` other than `running` ends the run in that transaction. Raises ValueError when the run is not a
        running one of this partition, FailedMachinery when the database does not answer; then nothing has changed.
        """
        with self._writing(subject(monitor, partition)) as connection:
            lock(connection, monitor, partition)
            config_hash = claim_run(connection, run_id, monitor, partition)
            mark = {"monitor": monitor, "partition": partition, "run_id": run_id, "config_hash": config_hash}
            _replace_validation(connection, mark, validations, quarantine)
            if status != "running":
                end_run(connection, run_id, status, self.clock(), reason, counts)

    def replace_partition(
        self,
        run_id: str,
        monitor: str,
        partition: str,
        model_version: str,
        config_hash: str,
        results: PartitionResults,
    ) -> None:
        """Replace all results of the partition and end the run as `done`, in one transaction.

        An anomaly whose key was flagged before keeps the time and the score of its first detection. Raises ValueError
        for a score that is not finite, a key twice or too long, or a run that is not a running one of this partition;
        FailedMachinery when the database does not answer. In every case nothing has changed.
        """
        _check(subject(monitor, partition), results.anomalies)
        mark = {"monitor": monitor, "partition": partition, "run_id": run_id, "config_hash": config_hash}
        scored = mark | {"model_version": model_version}
        with self._writing(subject(monitor, partition)) as connection:
            lock(connection, monitor, partition)
            claim_run(connection, run_id, monitor, partition)
            now = self.clock()
            first = _first_detections(connection, monitor, partition)
            first_incidents = _first_incidents(connection, monitor, partition)
            _replace_validation(connection, mark, results.validations, results.quarantine)
            _delete(connection, mark, neighbours, contributions, anomalies, metrics, column_metrics, incidents)
            insert(connection, anomalies, _anomaly_rows(scored, results.anomalies, first, now))
            insert(connection, contributions, _contribution_rows(scored, results.anomalies))
            insert(connection, neighbours, (scored | vars(each) for each in results.neighbours))
            insert(connection, incidents, _incident_rows(scored, results.incidents, first_incidents, now))
            insert(connection, metrics, _metric_rows(scored, results.metrics))
            insert(connection, column_metrics, _column_metric_rows(scored, results.column_metrics))
            post(connection, results.alerts, now)
            end_run(connection, run_id, "done", now, counts=results.counts, model_version=model_version)


def _check(about: str, flagged: Sequence[Anomaly]) -> None:
    seen = set()
    for anomaly in flagged:
        key = storable(anomaly.record_key)
        shown = repr(key[:80])
        shares = [contribution.share for contribution in anomaly.contributions]
        if not all(abs(x) <= LARGEST for x in (anomaly.score, anomaly.p_value, anomaly.threshold, *shares)):
            raise ValueError(
                f"{about}: record {shown} has score {anomaly.score}, p-value {anomaly.p_value}, threshold"
                f" {anomaly.threshold} and shares {shares}; only finite numbers are stored"
            )
        if key in seen:
            raise ValueError(f"{about}: two anomalies have the record key {shown}; quarantine duplicate keys")
        if len(key) > LONGEST_KEY:
            raise ValueError(
                f"{about}: the record key {shown}... is longer than {LONGEST_KEY} characters; quarantine it"
            )
        seen.add(key)


def _first_detections(connection: sa.Connection, monitor: str, partition: str) -> dict[str, tuple[dt.datetime, float]]:
    columns = anomalies.c.record_key, anomalies.c.first_detected_at, anomalies.c.first_score
    wanted = sa.select(*columns).where(anomalies.c.monitor == monitor, anomalies.c.partition == partition)
    return {row.record_key: (row.first_detected_at, row.first_score) for row in connection.execute(wanted)}


def _first_incidents(connection: sa.Connection, monitor: str, partition: str) -> dict[str, tuple[dt.datetime, str]]:
    columns = incidents.c.incident_id, incidents.c.first_detected_at, incidents.c.first_severity
    wanted = sa.select(*columns).where(incidents.c.monitor == monitor, incidents.c.partition == partition)
    return {row.incident_id: (row.first_detected_at, row.first_severity) for row in connection.execute(wanted)}


def _replace_validation(
    connection: sa.Connection, mark: Row, results: Iterable[ExpectationResult], set_aside: Iterable[Quarantined]
) -> None:
    _delete(connection, mark, validations, quarantine)
    insert(connection, validations, _positioned(mark, results))
    insert(connection, quarantine, _positioned(mark, set_aside))


def _delete(connection: sa.Connection, mark: Row, *tables: sa.Table) -> None:
    for table in tables:
        here = (table.c.monitor == mark["monitor"]) & (table.c.partition == mark["partition"])
        connection.execute(table.delete().where(here))


def _positioned(mark: Row, results: Iterable[ExpectationResult | Quarantined]) -> Iterator[Row]:
    for position, result in enumerate(results):
        named = {COLUMN_NAMES.get(name, name): value for name, value in vars(result).items()}
        yield mark | named | {"position": position}


def _anomaly_rows(
    mark: Row, flagged: Iterable[Anomaly], first: dict[str, tuple[dt.datetime, float]], now: dt.datetime
) -> Iterator[Row]:
    for anomaly in flagged:
        detected_at, score = first.get(storable(anomaly.record_key), (now, anomaly.score))
        values = vars(anomaly) | {"first_detected_at": detected_at, "first_score": score}
        del values["contributions"]
        yield mark | values


def _contribution_rows(mark: Row, flagged: Iterable[Anomaly]) -> Iterator[Row]:
    for anomaly in flagged:
        for contribution in anomaly.contributions:
            yield mark | vars(contribution) | {"record_key": anomaly.record_key}


def _incident_rows(
    mark: Row, found: Iterable[Incident], first: dict[str, tuple[dt.datetime, str]], now: dt.datetime
) -> Iterator[Row]:
    for incident in found:
        detected_at, severity = first.get(incident.incident_id, (now, incident.severity))
        segment = [asdict(condition) for condition in incident.segment]
        values = vars(incident) | {"columns": list(incident.columns), "segment": segment}
        yield mark | values | {"first_detected_at": detected_at, "first_severity": severity}


def _metric_rows(mark: Row, values: Mapping[str, float | None]) -> Iterator[Row]:
    for name, value in values.items():
        yield mark | {"name": name, "value": _finite(value)}


def _column_metric_rows(mark: Row, values: Mapping[tuple[str, str], float | None]) -> Iterator[Row]:
    for (column, name), value in values.items():
        yield mark | {"column_name": column, "name": name, "value": _finite(value)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

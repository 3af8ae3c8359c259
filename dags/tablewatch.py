"""monitors/*.yaml → the DAGs validate_<m>, score_<m>, ask_retrain_<m> and retrain_<m>; nothing else.

Every run is for one partition: its partition key (`2013-02-03`) or, when a person triggers it, its param `partition`.
No task asks what day it is. A file in monitors/ that cannot be read is told by the DAG broken_monitors, since an import
error here would take every other monitor's DAGs down. Where a monitor names endpoints there is deliver_alerts.

Airflow reads this file again in the process of every task, and then only the DAGs of that task's monitor are made.
"""

from __future__ import annotations

import functools
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import (
    DAG,
    Asset,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    Param,
    PartitionedAssetTimetable,
    RetryAction,
    RetryRule,
    StartOfDayMapper,
    get_parsing_context,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException

from pipeline import guides, telemetry
from pipeline.dag_runs import is_backfill, partition_of, tells_people
from pipeline.errors import ConfigurationError, FailedMachinery, TablewatchError
from pipeline.monitor import Monitor, find, scan
from pipeline.plain import safe
from pipeline.settings import Settings
from pipeline.timetable import KEY_FORMAT, DayBeforeTimetable, day_before

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow.sdk.bases.timetable import BaseTimetable

log = logging.getLogger(__name__)

RETRIES = 3
SPARK_CONNECTION = "spark_default"
HOURS = {"validate": 1, "score": 1, "ask_retrain": 0.1, "retrain": 4}
RETRY_ONLY_IO = ExceptionRetryPolicy(
    rules=[
        RetryRule([FailedMachinery, OSError], RetryAction.RETRY, reason="machinery: the same call may succeed later"),
        RetryRule(TablewatchError, RetryAction.FAIL, reason="data or configuration: trying again cannot help"),
    ],
    default=RetryAction.FAIL,
)


def register(folder: Path) -> None:
    """Makes the DAGs of every monitor in the folder. ConfigurationError, so an import error, if there is no folder."""
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {str(folder)!r}; make it, or set TABLEWATCH_MONITORS")
    monitors, errors = scan(folder)
    for monitor in monitors:
        try:
            monitor_dags(monitor)
        except ConfigurationError as error:
            errors.append(error)
    if any(monitor.alerts.to for monitor in monitors):
        delivery_dag()
    if errors:
        broken_dag(errors)


def register_for(dag_id: str | None, folder: Path) -> None:
    """Makes the DAGs that a process needs: of one monitor where it runs a task of `dag_id`, else all of them."""
    for kind in HOURS:
        if dag_id and dag_id.startswith(f"{kind}_"):
            return monitor_dags(find(dag_id.removeprefix(f"{kind}_"), folder))
    return register(folder)


def monitor_dags(monitor: Monitor) -> None:
    """Makes the four DAGs of one monitor. ConfigurationError, and no DAG, if a schedule names a partition twice."""
    nightly = day_before(monitor, monitor.schedule)
    weekly = day_before(monitor, monitor.training.schedule)
    validated, to_retrain = _asset(monitor, "validated"), _asset(monitor, "to_retrain")
    _validate_dag(monitor, nightly, validated)
    _score_dag(monitor, validated, to_retrain)
    _ask_retrain_dag(monitor, weekly, to_retrain)
    _retrain_dag(monitor, to_retrain)


def _validate_dag(monitor: Monitor, nightly: DayBeforeTimetable, validated: Asset) -> None:
    with _dag("validate", monitor, nightly):
        # A backfill has a number of runs of its own, ten if nobody says otherwise, whatever `max_active_runs`.
        @_task_of(monitor)(outlets=[validated], multiple_outputs=False, max_active_tis_per_dag=1)
        def validate(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            partition, alerts = partition_of(context), tells_people(context)
            outcome = steps.validate(monitor.name, partition, alerts=alerts)
            telemetry.of_validation(monitor.name, partition, is_backfill(context))
            event = context["outlet_events"][validated]
            event.extra = {"alerts": alerts, "backfill": is_backfill(context)}
            # A run triggered by its param alone has no key of its own, and score_<m> listens for keys.
            event.add_partitions(partition)
            return outcome.as_dict()

        validate()


def _score_dag(monitor: Monitor, validated: Asset, to_retrain: Asset) -> None:
    with _dag("score", monitor, _same_day(monitor, validated)):

        @_task_of(monitor)(multiple_outputs=False)
        def score(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            outcome = steps.score(monitor.name, partition_of(context), alerts=tells_people(context))
            telemetry.of_scoring(monitor.name, partition_of(context), is_backfill(context))
            return outcome.as_dict()

        @task(outlets=[to_retrain])
        def ask_for_training(outcome: dict[str, Any], **context: Any) -> None:
            reasons: list[str] = outcome["retrain"]
            if not reasons:
                raise AirflowSkipException("nothing asks for training")
            if is_backfill(context):
                raise AirflowSkipException("a backfill asks for no training; the next night will, if it still has to")
            for reason in reasons:
                log.info("%s %s asks for training: %s", monitor.name, outcome["partition"], reason)
            _ask(context, to_retrain, reasons)

        ask_for_training(score())


def _task_of(monitor: Monitor) -> Any:
    """What makes a task of a function that works on a partition, by the monitor's engine.

    With Spark it is the provider's: the function runs in the task, so that its errors, its result and its assets are as
    of any other task, while the session that it finds has the master and the settings of the connection.
    """
    if monitor.engine == "local":
        return task
    try:
        from airflow.providers.apache.spark.decorators.pyspark import pyspark_task
    except ImportError:
        mend = "install tablewatch[spark], or write engine: local"
        raise ConfigurationError(f"{monitor.name}: engine spark needs Airflow's provider of Spark; {mend}") from None
    no_answer = RetryRule("py4j.protocol.Py4JError", RetryAction.RETRY, reason="machinery: the master did not answer")
    policy = ExceptionRetryPolicy(rules=[no_answer, *RETRY_ONLY_IO.rules], default=RetryAction.FAIL)
    return functools.partial(pyspark_task, conn_id=SPARK_CONNECTION, retry_policy=policy)


def _ask_retrain_dag(monitor: Monitor, weekly: DayBeforeTimetable, to_retrain: Asset) -> None:
    with _dag("ask_retrain", monitor, weekly):

        @task(outlets=[to_retrain])
        def ask(**context: Any) -> None:
            _ask(context, to_retrain, [f"the schedule {monitor.training.schedule!r} ({monitor.timezone})"])

        ask()


def _ask(context: Any, to_retrain: Asset, reasons: Sequence[str]) -> None:
    """Asks retrain_<m>, which listens to the asset, for a training through the run's partition."""
    event = context["outlet_events"][to_retrain]
    event.extra = {"reasons": list(reasons)}
    event.add_partitions(partition_of(context))


def _retrain_dag(monitor: Monitor, to_retrain: Asset) -> None:
    with _dag("retrain", monitor, _same_day(monitor, to_retrain)):

        @task(multiple_outputs=False)
        def train(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            return steps.train(monitor.name, through=partition_of(context)).as_dict()

        trained = train()
        if monitor.training.approval:
            _approval(monitor, trained)


def _approval(monitor: Monitor, trained: Any) -> None:
    """Puts a person's word between a challenger that passed the gate and its promotion."""

    @task.short_circuit
    def to_approve(outcome: dict[str, Any]) -> str:
        """What the person is told; nothing, which skips the rest, where there is nothing to approve."""
        if not outcome["awaits_approval"]:
            return ""
        from pipeline import reports

        return guides.question(outcome, reports.beside_champion(monitor.name, outcome["model_version"]))

    approve = ApprovalOperator(
        task_id="approve",
        subject=f"{monitor.name}: is {{{{ ti.xcom_pull(task_ids='train')['model_version'] }}}} to become champion?",
        body="{{ ti.xcom_pull(task_ids='to_approve') }}",
        defaults=ApprovalOperator.REJECT,
        response_timeout=guides.ANSWER_WITHIN,
    )

    @task
    def promote(outcome: dict[str, Any], answer: dict[str, Any]) -> str:
        from pipeline import reports

        who = safe(answer["responded_by_user"]["name"], 100)
        reason = f"trained through {outcome['partition']}, approved in Airflow by {who}"
        return reports.promote(monitor.name, outcome["model_version"], reason=reason).version

    to_approve(trained) >> approve
    promote(trained, approve.output)


def delivery_dag() -> None:
    """Makes the DAG deliver_alerts: late nights are told, and what an endpoint did not take is sent again."""
    with _dag_of_all(
        "deliver_alerts",
        "Tells of nights that are late, and sends the alerts that are due again",
        CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
        guides.delivery(RETRIES + 1),
        timedelta(minutes=30),
    ):

        @task(multiple_outputs=False)
        def deliver() -> dict[str, int]:
            from pipeline import steps

            for late in steps.tell_late():
                log.warning("%s", late)
            delivered = steps.deliver()
            for endpoint, reason in delivered.errors.items():
                log.warning("%s did not take an alert, which stays in the outbox: %s", endpoint, reason)
            return {"sent": delivered.sent, "failed": delivered.failed}

        deliver()


def broken_dag(errors: Sequence[ConfigurationError]) -> None:
    """Makes the DAG broken_monitors: it fails with every error, as soon as Airflow sees it and then every night."""
    problems = [line for error in errors for line in str(error).splitlines()]
    with _dag_of_all(
        "broken_monitors",
        f"Monitors that cannot be read: {len(errors)}",
        CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=True),
        guides.broken(problems),
        timedelta(minutes=2),
    ):

        @task
        def tell() -> None:
            raise ConfigurationError("\n".join(problems))

        tell()


def _same_day(monitor: Monitor, asset: Asset) -> PartitionedAssetTimetable:
    """Runs for each partition that is published on the asset, with its key as it is."""
    mapper = StartOfDayMapper(timezone=monitor.timezone, input_format=KEY_FORMAT, output_format=KEY_FORMAT)
    return PartitionedAssetTimetable(assets=asset, default_partition_mapper=mapper)


def _asset(monitor: Monitor, what: str) -> Asset:
    return Asset(name=f"{monitor.name}_{what}", uri=f"tablewatch://{monitor.name}/{what}", group="tablewatch")


def _dag(kind: str, monitor: Monitor, schedule: BaseTimetable | DayBeforeTimetable) -> DAG:
    timeout = timedelta(hours=HOURS[kind])
    waits = guides.ANSWER_WITHIN if kind == "retrain" and monitor.training.approval else timedelta(0)
    return DAG(
        dag_id=f"{kind}_{monitor.name}",
        description=guides.summary(kind, monitor),
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=(RETRIES + 1) * timeout + waits,
        tags=["tablewatch", monitor.name],
        params=_params(kind),
        default_args=_task_defaults(monitor.owner, timeout),
        doc_md=guides.guide(kind, monitor, RETRIES + 1),
    )


def _dag_of_all(dag_id: str, description: str, schedule: BaseTimetable, doc_md: str, timeout: timedelta) -> DAG:
    """A DAG of no monitor. It starts unpaused: nobody would think of it."""
    return DAG(
        dag_id=dag_id,
        description=description,
        schedule=schedule,
        is_paused_upon_creation=False,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=(RETRIES + 1) * timeout,
        tags=["tablewatch", dag_id],
        default_args=_task_defaults("data-team", timeout),
        doc_md=doc_md,
    )


def _task_defaults(owner: str, timeout: timedelta) -> dict[str, Any]:
    return {
        "owner": owner,
        "execution_timeout": timeout,
        "retries": RETRIES,
        "retry_policy": RETRY_ONLY_IO,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2.0,
    }


def _params(kind: str) -> dict[str, Param]:
    partition = Param(
        None,
        type=["null", "string"],
        format="date",
        title="Partition",
        description="The partition to work on, an ISO date. Leave it empty when the run has a partition key.",
    )
    alerts = Param(
        None,
        type=["null", "boolean"],
        title="Alerts",
        description="Whether people are told of what the run finds. Left empty they are, but not of a backfill.",
    )
    return {"partition": partition} | ({"alerts": alerts} if kind in ("validate", "score") else {})


register_for(get_parsing_context().dag_id, Settings().monitors)

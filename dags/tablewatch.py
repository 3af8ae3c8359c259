"""monitors/*.yaml → the DAGs validate_<m>, score_<m> and retrain_<m>; nothing else.

Every run is for one partition: its partition key (`2013-02-03`) or, when a person triggers it, its param `partition`.
No task asks what day it is. Files in monitors/ that cannot be read are told by the DAG broken_monitors, which fails
until they are mended: an import error here would take every other monitor's DAGs down. docs/airflow.md tells the rest.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

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
    task,
)

from pipeline.errors import ConfigurationError, FailedMachinery, TablewatchError
from pipeline.monitor import Monitor, scan
from pipeline.settings import Settings
from pipeline.timetable import DayBeforeTimetable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow.sdk.bases.timetable import BaseTimetable

KEY_FORMAT = "%Y-%m-%d"
RETRIES = 3
TIMEOUTS = {"validate": timedelta(hours=1), "score": timedelta(hours=1), "retrain": timedelta(hours=4)}
ONE_TIME_OF_DAY = re.compile(r"\d+ +\d+ .*")

RETRY_ONLY_IO = ExceptionRetryPolicy(
    rules=[
        RetryRule([FailedMachinery, OSError], RetryAction.RETRY, reason="machinery: the same call may succeed later"),
        RetryRule(TablewatchError, RetryAction.FAIL, reason="data or configuration: trying again cannot help"),
    ],
    default=RetryAction.FAIL,
)

SUMMARY = {
    "validate": "Checks one partition of {name} and sets aside the records that break its expectations",
    "score": "Scores the accepted records of one partition of {name} and keeps the anomalies with their reasons",
    "retrain": "Trains a challenger for {name}; it replaces the champion only if it passes the gate",
}
RUNS = {
    "validate": "at `{schedule}` ({timezone}), for the day before",
    "score": "as soon as `validate_{name}` has validated a partition, for that partition; anomalies never fail it",
    "retrain": "at `{training_schedule}` ({timezone}), through the day before",
}
COMMAND = {
    "validate": "tablewatch validate {name} --partition 2013-02-03",
    "score": "tablewatch score {name} --partition 2013-02-03",
    "retrain": "tablewatch train {name} --through 2013-02-03",
}
GUIDE = """\
{summary}. {description}

**Owner:** {owner}

**Runs** {runs}. By hand: trigger it with a partition key, or with the param `partition`.

**When it fails**, the task's log ends with what and where:

- `RefusedData`, `EmptyPartition`: the data cannot be trusted and nothing of them was used; trying again cannot help.
  Look with `tablewatch partitions {name}`, mend or load the table again, then clear the task.
- `ConfigurationError`: the monitor's file or the run names what does not exist; `tablewatch check` says which.
- `CorruptBundle`: the model on disk is not the one that was saved; `tablewatch rollback {name}`, then `retrain_{name}`.
- `FailedMachinery`: a source, a database or a disk did not answer in {tries} tries; `tablewatch doctor`, then clear the
  task.

**The same by hand**

    {command}
    tablewatch anomalies {name} --partition 2013-02-03
    tablewatch models {name}
"""
BROKEN_GUIDE = """\
These monitors have no DAGs until their files are mended:

    {problems}

**Owner:** data-team

**When it fails**, which it does until then: `tablewatch check`, mend the files, and wait for the next parse. This DAG
goes away with the last broken file.
"""


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
    if errors:
        broken_dag(errors)


def monitor_dags(monitor: Monitor) -> None:
    """Makes the three DAGs of one monitor. ConfigurationError, and no DAG, if a schedule names a partition twice."""
    nightly = day_before(monitor, monitor.schedule)
    training = day_before(monitor, monitor.training.schedule)
    validated = Asset(
        name=f"{monitor.name}_validated", uri=f"tablewatch://{monitor.name}/validated", group="tablewatch"
    )
    _validate_dag(monitor, nightly, validated)
    _score_dag(monitor, validated)
    _retrain_dag(monitor, training)


def _validate_dag(monitor: Monitor, nightly: DayBeforeTimetable, validated: Asset) -> None:
    with _dag("validate", monitor, nightly):

        @task(outlets=[validated], multiple_outputs=False)
        def validate(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            partition = partition_of(context)
            outcome = steps.validate(monitor.name, partition)
            # A run triggered by its param alone has no key of its own, and score_<m> listens for keys.
            context["outlet_events"][validated].add_partitions(partition)
            return outcome.as_dict()

        validate()


def _score_dag(monitor: Monitor, validated: Asset) -> None:
    same_day = StartOfDayMapper(timezone=monitor.timezone, input_format=KEY_FORMAT, output_format=KEY_FORMAT)
    with _dag("score", monitor, PartitionedAssetTimetable(assets=validated, default_partition_mapper=same_day)):

        @task(multiple_outputs=False)
        def score(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            return steps.score(monitor.name, partition_of(context)).as_dict()

        score()


def _retrain_dag(monitor: Monitor, training: DayBeforeTimetable) -> None:
    with _dag("retrain", monitor, training):

        @task(multiple_outputs=False)
        def train(**context: Any) -> dict[str, Any]:
            from pipeline import steps

            return steps.train(monitor.name, through=partition_of(context)).as_dict()

        train()


def broken_dag(errors: Sequence[ConfigurationError]) -> None:
    """Makes the DAG broken_monitors: it fails with every error, as soon as Airflow sees it and then every night."""
    problems = [line for error in errors for line in str(error).splitlines()]
    with DAG(
        dag_id="broken_monitors",
        description=f"Monitors that cannot be read: {len(errors)}",
        schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=True),
        is_paused_upon_creation=False,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=10),
        tags=["tablewatch", "broken_monitors"],
        default_args=_task_defaults("data-team", timedelta(minutes=5)),
        doc_md=BROKEN_GUIDE.format(problems="\n    ".join(problems)),
    ):

        @task
        def tell() -> None:
            raise ConfigurationError("\n".join(problems))

        tell()


def partition_of(context: Mapping[str, Any]) -> str:
    """The partition that the run is for, an ISO date. ConfigurationError if it names none, two, or something else."""
    dag_id: str = context["dag"].dag_id
    key: str | None = context["partition_key"]
    asked: str | None = context["params"]["partition"]
    if key and asked and key != asked:
        raise ConfigurationError(f"{dag_id}: the partition key is {key!r} but the param is {asked!r}; give one")
    partition = key or asked
    if not partition:
        raise ConfigurationError(
            f"{dag_id}: the run names no partition; trigger it with a partition key, "
            'or with the param `partition`, for example {"partition": "2013-02-03"}'
        )
    if not _is_iso_date(partition):
        raise ConfigurationError(f"{dag_id}: {partition!r} is not a partition; write a date such as 2013-02-03")
    return partition


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def day_before(monitor: Monitor, cron: str) -> DayBeforeTimetable:
    """Runs at each tick of the cron text for the monitor's local day before it. ConfigurationError if a day has two.

    A DAG seen for the first time waits for its next tick (`run_immediately` of zero): deploying never starts work.
    """
    if not ONE_TIME_OF_DAY.fullmatch(cron):
        raise ConfigurationError(
            f"{monitor.name}: the schedule {cron!r} comes more than once a day, and every time for the same partition, "
            "the day before; write one minute and one hour, as in '0 2 * * *'"
        )
    return DayBeforeTimetable(cron, timezone=monitor.timezone, run_immediately=timedelta(0), key_format=KEY_FORMAT)


def _dag(kind: str, monitor: Monitor, schedule: BaseTimetable | DayBeforeTimetable) -> DAG:
    words = {
        "name": monitor.name,
        "description": monitor.description,
        "owner": monitor.owner,
        "timezone": monitor.timezone,
        "schedule": monitor.schedule,
        "training_schedule": monitor.training.schedule,
        "tries": RETRIES + 1,
    }
    summary, runs, command = (texts[kind].format(**words) for texts in (SUMMARY, RUNS, COMMAND))
    return DAG(
        dag_id=f"{kind}_{monitor.name}",
        description=summary,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=(RETRIES + 1) * TIMEOUTS[kind],
        tags=["tablewatch", monitor.name],
        params={"partition": _partition_param()},
        default_args=_task_defaults(monitor.owner, TIMEOUTS[kind]),
        doc_md=GUIDE.format(summary=summary, runs=runs, command=command, **words),
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


def _partition_param() -> Param:
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Partition",
        description="The partition to work on, an ISO date. Leave it empty when the run has a partition key.",
    )


register(Settings().monitors)

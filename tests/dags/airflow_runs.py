"""Runs of the DAGs in this process, on Airflow's own database."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


def run(dag: Any, **conf: Any) -> dict[str, Any]:
    """One run of the DAG with that conf, as a person triggers it. Its task instances by id."""
    return _instances(_test(dag, conf))


def run_again(dag: Any, made: Any) -> dict[str, Any]:
    """The run that Airflow has made and not started. Its task instances by id."""
    from airflow.models import dagrun
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    def existing(*, dag: Any, session: Any, **_: Any) -> Any:
        found = session.scalars(select(DagRun).where(DagRun.id == made.id)).one()
        found.dag, found.state = dag, DagRunState.RUNNING
        session.commit()
        return found

    with mock.patch.object(dagrun, "get_or_create_dagrun", existing):
        return _instances(_test(dag, {}))


def step(dag: Any, **conf: Any) -> Any:
    """The first task instance of one run of the DAG, whose state is checked to be the run's."""
    instances = run(dag, **conf)
    (root,) = dag.roots
    first = instances[root.task_id]
    assert first.dag_run.state == first.state
    return first


def without_delay(dag: Any) -> Any:
    """The DAG, whose tasks are tried again at once."""
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = dt.timedelta(0), 0
    return dag


@contextmanager
def database() -> Iterator[Any]:
    """A session of Airflow's database."""
    from airflow.utils.session import create_session

    with create_session() as session:
        yield session


def queued(partition: str) -> list[str]:
    """The DAGs that wait to run for the partition because an asset was published."""
    from airflow.models.asset import AssetPartitionDagRun
    from sqlalchemy import select

    with database() as session:
        wanted = select(AssetPartitionDagRun).where(
            AssetPartitionDagRun.partition_key == partition, AssetPartitionDagRun.created_dag_run_id.is_(None)
        )
        return sorted(waiting.target_dag_id for waiting in session.scalars(wanted))


def scheduled(dag_id: str, partition: str) -> Any:
    """The run for the partition that the scheduler makes of what is queued."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    with database() as session:
        job = Job()
        session.add(job)
        session.flush()
        SchedulerJobRunner(job=job)._create_dagruns_for_partitioned_asset_dags(session)
        wanted = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.partition_key == partition)
        return session.scalars(wanted).one()


def _test(dag: Any, conf: dict[str, Any]) -> Any:
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        return dag.test(run_conf=conf or None)
    finally:
        signal.signal(signal.SIGTERM, on_term)  # dag.test leaves one behind that does nothing


def _instances(dag_run: Any) -> dict[str, Any]:
    return {instance.task_id: instance for instance in dag_run.get_task_instances()}

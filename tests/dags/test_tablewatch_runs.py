"""The DAGs as Airflow runs them."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_runs import step, without_delay
from fake_steps import VERSION, FakeSteps

from pipeline.errors import FailedMachinery, RefusedData


@pytest.mark.slow
def test_p30_the_partition_reaches_each_step(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    for kind in ("validate", "score", "retrain"):
        instance = step(flights[f"{kind}_flights"], partition="2013-02-03")
        assert instance.xcom_pull(task_ids=instance.task_id) == {
            "kind": instance.task_id,
            "monitor": "flights",
            "partition": "2013-02-03",
            "counts": {"flagged": 7},
            "model_version": VERSION,
            "message": "trained",
            "retrain": [],
            "awaits_approval": False,
        }
    assert steps.calls == [(kind, "flights", "2013-02-03") for kind in ("validate", "score", "train")]


@pytest.mark.slow
def test_p30_the_key_of_the_run_reaches_the_step(
    database: None, flights: dict[str, Any], steps: FakeSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import dagrun

    make = dagrun.get_or_create_dagrun

    def make_with_key(**wanted: Any) -> Any:
        run = make(**wanted)
        run.partition_key = "2013-02-04"
        wanted["session"].commit()
        return run

    monkeypatch.setattr(dagrun, "get_or_create_dagrun", make_with_key)
    assert step(flights["score_flights"]).state == "success"
    assert steps.calls == [("score", "flights", "2013-02-04")]


@pytest.mark.slow
def test_p30_validation_publishes_its_partition(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    from airflow.models.asset import AssetEvent, AssetPartitionDagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    instance = step(flights["validate_flights"], partition="2013-02-05")
    with create_session() as session:
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == instance.run_id)).all()
        queued = session.scalars(select(AssetPartitionDagRun).where(AssetPartitionDagRun.partition_key == "2013-02-05"))
        assert [(event.name, event.partition_key) for event in events] == [("flights_validated", "2013-02-05")]
        assert [waiting.target_dag_id for waiting in queued] == ["score_flights"]


@pytest.mark.slow
def test_p30_a_run_that_names_no_partition_fails(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    for dag in flights.values():
        assert step(without_delay(dag)).state == "failed"
    assert steps.calls == []


@pytest.mark.slow
def test_refused_data_fail_at_once_and_publish_nothing(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    steps.errors = [RefusedData("flights 2013-02-06: column 'dep_delay' is missing")]
    instance = step(without_delay(flights["validate_flights"]), partition="2013-02-06")
    assert (instance.state, instance.try_number) == ("failed", 1)
    assert len(steps.calls) == 1
    with create_session() as session:
        assert session.scalar(select(AssetEvent).where(AssetEvent.source_run_id == instance.run_id)) is None


@pytest.mark.slow
def test_failed_machinery_is_tried_again(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    steps.errors = [FailedMachinery("flights 2013-02-03: no answer"), ConnectionError()]
    instance = step(without_delay(flights["score_flights"]), partition="2013-02-03")
    assert (instance.state, instance.try_number) == ("success", 3)
    assert steps.calls == [("score", "flights", "2013-02-03")] * 3


@pytest.mark.slow
def test_machinery_that_stays_down_fails_in_the_end(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    steps.errors = [FailedMachinery("down")] * 9
    instance = step(without_delay(flights["retrain_flights"]), partition="2013-02-03")
    assert (instance.state, instance.try_number) == ("failed", 4)
    assert len(steps.calls) == 4

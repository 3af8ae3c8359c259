"""A person between a challenger and its promotion: Airflow's own required action, answered as its API answers it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from airflow_runs import run
from fake_steps import VERSION, FakeSteps
from flights_monitor import MONITOR


@pytest.fixture
def retrain(parse: Callable[..., Any]) -> Any:
    """retrain_flights of a monitor that asks for approval."""
    return parse(flights=MONITOR + "training: {approval: true}\n").dags["retrain_flights"]


@contextmanager
def _parked() -> Iterator[tuple[Any, Any]]:
    """A session of its own, which the run under way does not notice, and the task that waits for a person."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    waiting = select(TaskInstance).where(TaskInstance.state == "awaiting_input")
    waiting = waiting.options(joinedload(TaskInstance.hitl_detail))
    with create_session(scoped=False) as session:
        yield session, session.scalars(waiting).one()


def _answer(option: str) -> dict[str, Any]:
    """A person answers in the UI: what its route does with the answer. What they were asked."""
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail

    person = mock.Mock(get_id=lambda: "7", get_name=lambda: "Anna\x1b[31m Bauer")
    with _parked() as (session, waiting):
        asked = waiting.hitl_detail
        told = {"task": waiting.task_id, "subject": asked.subject, "body": asked.body, "defaults": asked.defaults}
        payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={})
        update_hitl_detail("retrain_flights", waiting.run_id, "approve", payload, person, session)
    return told


def _say_nothing() -> dict[str, Any]:
    """The days pass: the scheduler's own sweep of unanswered questions. How much time was left."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    with _parked() as (session, waiting):
        left = waiting.trigger_timeout - dt.datetime.now(dt.UTC)
        waiting.trigger_timeout = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
        session.flush()
        SchedulerJobRunner(job=Job()).check_awaiting_input_timeouts(session=session)
    return {"left": left}


def _trained_with(retrain: Any, partition: str, person: Callable[[], dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """The instances of a run during which somebody acts, once, while dag.test waits for it; what that tells."""
    told: list[dict[str, Any]] = []

    def wait(_: float) -> None:
        assert not told, "the run still waits after the answer"
        told.append(person())

    with mock.patch("time.sleep", wait):
        done = run(retrain, partition=partition)
    assert done["train"].dag_run.state == "success"
    return done, told[0]


@pytest.mark.slow
def test_an_approved_challenger_becomes_champion(database: None, retrain: Any, steps: FakeSteps) -> None:
    steps.awaits_approval = True
    done, asked = _trained_with(retrain, "2013-04-01", lambda: _answer("Approve"))
    assert done["promote"].state == "success"
    reason = r"trained through 2013-04-01, approved in Airflow by Anna\x1b[31m Bauer"
    assert steps.promoted == [("flights", VERSION, reason)], "and no escape reaches a terminal"
    assert (asked["task"], asked["defaults"]) == ("approve", ["Reject"])
    assert asked["subject"] == f"flights: is {VERSION} to become champion?"
    for words in ("trained.", f"| {VERSION} | flights's champion |", f"`tablewatch promote flights {VERSION}`"):
        assert words in asked["body"]


@pytest.mark.slow
def test_a_rejected_challenger_does_not(database: None, retrain: Any, steps: FakeSteps) -> None:
    steps.awaits_approval = True
    done, _ = _trained_with(retrain, "2013-04-02", lambda: _answer("Reject"))
    assert (done["approve"].state, done["promote"].state) == ("success", "skipped")
    assert steps.promoted == []


@pytest.mark.slow
def test_no_answer_is_a_no(database: None, retrain: Any, steps: FakeSteps) -> None:
    steps.awaits_approval = True
    done, waited = _trained_with(retrain, "2013-04-03", _say_nothing)
    assert (done["approve"].state, done["promote"].state) == ("success", "skipped")
    assert steps.promoted == []
    assert dt.timedelta(days=5, hours=23) < waited["left"] < dt.timedelta(days=6)


@pytest.mark.slow
def test_nobody_is_asked_where_nothing_waits(database: None, retrain: Any, steps: FakeSteps) -> None:
    with mock.patch("time.sleep", side_effect=AssertionError("the run waits for a person")):
        done = run(retrain, partition="2013-04-04")
    assert done["train"].dag_run.state == done["train"].state == "success"
    assert {done[task].state for task in ("approve", "promote")} == {"skipped"}
    assert steps.promoted == []


def test_the_run_leaves_room_for_the_answer_and_ends_before_the_next_week(retrain: Any) -> None:
    answer = retrain.task_dict["approve"].response_timeout
    assert answer + 4 * retrain.task_dict["train"].execution_timeout <= retrain.dagrun_timeout < dt.timedelta(days=7)
    assert "no answer in 6 days is a no" in retrain.doc_md


def test_without_approval_training_is_one_task(flights: dict[str, Any]) -> None:
    assert set(flights["retrain_flights"].task_dict) == {"train"}
    assert flights["retrain_flights"].dagrun_timeout < dt.timedelta(days=1)
    assert "approve" not in flights["retrain_flights"].doc_md

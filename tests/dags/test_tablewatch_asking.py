"""What asks for training, and what a backfill leaves untold, as Airflow runs it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow_runs import database, queued, run, run_again, scheduled, step
from fake_steps import FakeDelivered, FakeSteps

from pipeline.errors import FailedMachinery

DRIFTED = "dep_delay has drifted: PSI 0.40 (bound 0.25)"
REASONS = (DRIFTED, "the champion's window ended with 2013-01-28, 36 partitions ago (training.max_age 35)")


def _events(instance: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """What the run published: each asset's name, partition and extra."""
    from airflow.models.asset import AssetEvent
    from sqlalchemy import select

    with database() as session:
        wanted = select(AssetEvent).where(AssetEvent.source_run_id == instance.run_id)
        return [(event.name, event.partition_key, event.extra) for event in session.scalars(wanted)]


# --- asking for training ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_drift_asks_for_training_through_its_partition(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    steps.retrain = REASONS
    asked = run(flights["score_flights"], partition="2013-03-01")["ask_for_training"]
    assert asked.state == "success"
    assert _events(asked) == [("flights_to_retrain", "2013-03-01", {"reasons": list(REASONS)})]
    assert queued("2013-03-01") == ["retrain_flights"]
    trained = run_again(flights["retrain_flights"], scheduled("retrain_flights", "2013-03-01"))
    assert trained["train"].state == "success"
    assert steps.calls == [("score", "flights", "2013-03-01"), ("train", "flights", "2013-03-01")]


@pytest.mark.slow
def test_nothing_asks_for_training_where_nothing_has_changed(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    done = run(flights["score_flights"], partition="2013-03-02")
    assert (done["score"].state, done["ask_for_training"].state) == ("success", "skipped")
    assert done["score"].dag_run.state == "success"
    assert _events(done["score"]) == [] and queued("2013-03-02") == []


@pytest.mark.slow
def test_the_clock_asks_for_training_through_its_partition(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    (name, partition, extra), *others = _events(step(flights["ask_retrain_flights"], partition="2013-03-03"))
    assert (name, partition, others) == ("flights_to_retrain", "2013-03-03", [])
    assert extra == {"reasons": ["the schedule '0 4 * * 0' (Europe/Zurich)"]}
    assert queued("2013-03-03") == ["retrain_flights"]
    assert steps.calls == [], "asking trains nothing"


@pytest.mark.slow
def test_who_asks_at_the_same_time_gets_one_training(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    steps.retrain = REASONS
    run(flights["score_flights"], partition="2013-03-04")
    step(flights["ask_retrain_flights"], partition="2013-03-04")
    assert queued("2013-03-04") == ["retrain_flights"]


# --- backfills --------------------------------------------------------------------------------------------------------


def _backfill(first: str, last: str, conf: dict[str, Any] | None = None, behavior: str = "none") -> list[Any]:
    """What `airflow backfill create` makes: its runs, in the order in which they start."""
    from airflow.models.backfill import Backfill, BackfillDagRun, ReprocessBehavior, _create_backfill
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    bounds = [dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) for day in (first, last)]
    made = _create_backfill(
        dag_id="validate_flights",
        from_date=bounds[0],
        to_date=bounds[1],
        max_active_runs=1,
        reverse=False,
        dag_run_conf=conf or {},
        triggering_user_name=None,
        reprocess_behavior=ReprocessBehavior(behavior),
    )
    with database() as session:
        wanted = select(DagRun).join(BackfillDagRun, BackfillDagRun.dag_run_id == DagRun.id)
        ordered = wanted.where(BackfillDagRun.backfill_id == made.id).order_by(BackfillDagRun.sort_ordinal)
        # Only one backfill of a DAG may go on, and it is the scheduler that ends one.
        session.get_one(Backfill, made.id).completed_at = dt.datetime.now(dt.UTC)
        return list(session.scalars(ordered))


def _known_to_airflow(flights: dict[str, Any]) -> None:
    """Any run writes all DAGs to Airflow's database; this one leaves the params of those under test as they are."""
    step(flights["ask_retrain_flights"], partition="2013-03-10")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partition", "conf", "told"),
    [("2013-03-11", None, False), ("2013-03-12", {"alerts": True}, True), ("2013-03-13", {"alerts": None}, False)],
)
def test_a_backfill_tells_people_only_if_it_is_asked_to(
    database: None, flights: dict[str, Any], steps: FakeSteps, partition: str, conf: dict[str, Any] | None, told: bool
) -> None:
    _known_to_airflow(flights)
    steps.retrain = REASONS
    (made,) = _backfill(partition, partition, conf)
    validated = run_again(flights["validate_flights"], made)["validate"]
    assert _events(validated) == [("flights_validated", partition, {"alerts": told, "backfill": True})]
    scored = run_again(flights["score_flights"], scheduled("score_flights", partition))
    assert steps.told == [told, told]
    assert steps.calls == [("validate", "flights", partition), ("score", "flights", partition)]
    assert scored["ask_for_training"].state == "skipped", "a backfill asks for no training"
    assert queued(partition) == []


@pytest.mark.slow
def test_a_night_and_what_follows_it_tell_people(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    step(flights["validate_flights"], partition="2013-03-14")
    run_again(flights["score_flights"], scheduled("score_flights", "2013-03-14"))
    assert steps.told == [True, True]


@pytest.mark.slow
def test_who_asks_for_silence_has_it(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    step(flights["validate_flights"], partition="2013-03-15", alerts=False)
    run_again(flights["score_flights"], scheduled("score_flights", "2013-03-15"))
    run(flights["score_flights"], partition="2013-03-15", alerts=False)
    assert steps.told == [False, False, False]


@pytest.mark.slow
def test_a_night_beside_a_backfill_of_its_partition_tells_people(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    step(flights["validate_flights"], partition="2013-03-16")
    (made,) = _backfill("2013-03-16", "2013-03-16")
    run_again(flights["validate_flights"], made)
    run_again(flights["score_flights"], scheduled("score_flights", "2013-03-16"))
    assert steps.told == [True, False, True]


@pytest.mark.slow
def test_a_backfill_is_in_order_and_not_done_twice(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    _known_to_airflow(flights)
    made = _backfill("2013-03-21", "2013-03-24")
    assert [each.partition_key for each in made] == [f"2013-03-{day}" for day in range(21, 25)]
    for each in made:
        run_again(flights["validate_flights"], each)
    assert _backfill("2013-03-21", "2013-03-24") == []
    again = _backfill("2013-03-21", "2013-03-24", behavior="completed")
    assert [each.partition_key for each in again] == [f"2013-03-{day}" for day in range(21, 25)]


# --- what the outbox still holds --------------------------------------------------------------------------------------


@pytest.fixture
def deliver(parse: Any) -> Any:
    """The DAG deliver_alerts."""
    from flights_monitor import MONITOR

    return parse(flights=MONITOR + "alerts: {to: [ops]}\n").dags["deliver_alerts"]


def test_nothing_is_delivered_where_nobody_is_told(flights: dict[str, Any]) -> None:
    assert "deliver_alerts" not in flights


@pytest.mark.slow
def test_an_endpoint_that_is_down_fails_no_delivery(
    database: None, deliver: Any, steps: FakeSteps, caplog: pytest.LogCaptureFixture
) -> None:
    steps.delivered = FakeDelivered(3, 1, {"ops": "HTTP 500"})
    delivered = step(deliver)
    assert (delivered.state, delivered.try_number) == ("success", 1)
    assert delivered.xcom_pull(task_ids="deliver") == {"sent": 3, "failed": 1}


@pytest.mark.slow
def test_late_nights_are_told_before_delivery(
    database: None, deliver: Any, steps: FakeSteps, caplog: pytest.LogCaptureFixture
) -> None:
    steps.late = ["flights 2013-02-03: late, not scored by 08:00"]
    assert step(deliver).state == "success"
    assert steps.late[0] in caplog.text and len(steps.calls) == 1


@pytest.mark.slow
def test_a_store_that_is_down_fails_delivery_in_the_end(database: None, deliver: Any, steps: FakeSteps) -> None:
    from airflow_runs import without_delay

    steps.errors = [FailedMachinery("the store does not answer")] * 9
    delivered = step(without_delay(deliver))
    assert (delivered.state, delivered.try_number) == ("failed", 4)

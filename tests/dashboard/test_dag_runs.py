"""What the dashboard shows inside Airflow: the night of a DAG run, from the ids of the DAG and the run."""

from __future__ import annotations

import pytest
from test_pages import links, opened, text
from wrong_night import LAST, PATTERN, WrongNight

from pipeline.errors import RefusedData
from pipeline.monitor import find
from pipeline.steps import House
from pipeline.steps.house import run_row

RUN = "manual__2013-02-04T02:00:00+00:00"


def begun(night: WrongNight, dag: str, kind: str, partition: str = LAST) -> str:
    """A run of ours in that run of the DAG; its id."""
    return night.store.start_run("nights", partition, kind, "0" * 12, f"{dag}/{RUN}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dag", "kind", "shown"),
    [
        ("score_nights", "score", f"nights, night of {LAST}"),
        ("validate_nights", "validate", "expectations hold"),
        ("retrain_nights", "train", "trained on 80 records"),
        ("a_dag_of_their_own", "run", f"nights, night of {LAST}"),
    ],
)
def test_a_dag_run_leads_to_its_very_night(night: WrongNight, dag: str, kind: str, shown: str) -> None:
    night.store.finish_run(begun(night, dag, kind), "done")
    assert shown in text(opened(dag=dag, dag_run=RUN))


def test_the_night_of_a_dag_run_is_not_the_last_one(night: WrongNight) -> None:
    night.store.finish_run(begun(night, "score_nights", "score", "2013-02-02"), "done")
    told = opened(dag="score_nights", dag_run=RUN)
    assert "nights, night of 2013-02-02" in text(told)
    assert any(PATTERN in link for link in links(told))


def test_the_latest_try_of_a_dag_run_counts(night: WrongNight) -> None:
    night.store.finish_run(begun(night, "score_nights", "score"), "failed", "the store is down")
    night.store.finish_run(begun(night, "score_nights", "score"), "done")
    assert "night of" in text(opened(dag="score_nights", dag_run=RUN))


def test_a_dag_run_that_was_refused_says_why(night: WrongNight) -> None:
    night.store.finish_run(begun(night, "validate_nights", "validate"), "refused", f"nights {LAST}: <b>no</b> records")
    told = text(opened(dag="validate_nights", dag_run=RUN))
    assert f"validate of nights {LAST}" in told and "refused" in told and "<b>no</b> records" in told


def test_a_dag_run_that_goes_on_says_since_when(night: WrongNight) -> None:
    begun(night, "score_nights", "score")
    told = text(opened(dag="score_nights", dag_run=RUN))
    assert "running" in told and "has not ended" in told


@pytest.mark.parametrize(
    ("dag", "told"),
    [
        ("score_nights", "No task of this run has begun to read the table"),
        ("ask_retrain_nights", "No task of this run has begun to read the table"),
        ("load_<b>sales</b>", "load_<b>sales</b> is none of them"),
        ("deliver_alerts", "deliver_alerts is none of them"),
    ],
)
def test_any_other_dag_run_is_told_what_the_page_is_about(night: WrongNight, dag: str, told: str) -> None:
    shown = text(opened(dag=dag, dag_run=RUN))
    assert "what tablewatch found in the night of a run" in shown and told in shown


def test_a_dag_leads_to_its_monitor(night: WrongNight) -> None:
    assert "What if fewer were flagged" in text(opened(dag="score_nights"))
    assert "A DAG in Airflow" in text(opened(dag="load_sales"))


def test_a_run_in_a_task_of_airflow_knows_its_dag_run(night: WrongNight, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    monitor = find("nights", house.settings.monitors)
    for dag_run in (None, RUN):
        if dag_run:
            monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "score_nights")
            monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", dag_run)
        with pytest.raises(RefusedData), run_row(house, monitor, LAST, "score"):
            raise RefusedData("no")
    assert [run.dag_run for run in house.store.runs("nights", LAST, limit=2)] == [f"score_nights/{RUN}", None]

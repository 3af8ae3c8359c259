"""A monitor whose engine is Spark: its partitions are worked on through the Spark provider's connection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import step
from fake_steps import FakeOutcome, FakeSteps
from flights_monitor import MONITOR

from pipeline.errors import ConfigurationError, FailedMachinery, RefusedData
from tests import spark_jvm

ON_SPARK = f"{MONITOR}engine: spark\n"


@pytest.fixture
def dags(parse: Callable[..., Any]) -> dict[str, Any]:
    pytest.importorskip("pyspark", reason="needs the extra `spark`")
    bag = parse(flights=ON_SPARK, trains=MONITOR)
    assert not bag.import_errors
    return bag.dags


def test_the_tasks_of_a_partition_go_through_the_connection_and_no_others(dags: dict[str, Any]) -> None:
    from airflow.providers.apache.spark.operators.spark_pyspark import PySparkOperator

    on_spark = {task.task_id: task for dag in dags.values() for task in dag.tasks if isinstance(task, PySparkOperator)}
    assert {(task.dag_id, task.task_id, task.conn_id) for task in on_spark.values()} == {
        ("validate_flights", "validate", "spark_default"),
        ("score_flights", "score", "spark_default"),
    }
    assert [asset.name for asset in on_spark["validate"].outlets] == ["flights_validated"]
    assert on_spark["score"].downstream_task_ids == {"ask_for_training"}


def test_a_master_that_does_not_answer_is_tried_again_and_refused_data_is_not(dags: dict[str, Any]) -> None:
    from py4j.protocol import Py4JNetworkError

    policy = dags["score_flights"].get_task("score").retry_policy
    for error, action in (
        (Py4JNetworkError("gone"), "retry"),
        (FailedMachinery("gone"), "retry"),
        (RefusedData("cut"), "fail"),
        (ConfigurationError("no"), "fail"),
        (ZeroDivisionError(), "fail"),
    ):
        assert policy.evaluate(error, try_number=1, max_tries=3).action.value == action


def test_without_the_provider_only_the_monitor_that_needs_it_is_broken(
    parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.apache.spark.decorators.pyspark", None)
    bag = parse(flights=ON_SPARK, trains=MONITOR)
    assert not bag.import_errors
    assert "score_trains" in bag.dags and "score_flights" not in bag.dags
    mend = "flights: engine spark needs Airflow's provider of Spark; install tablewatch[spark], or write engine: local"
    assert mend in bag.dags["broken_monitors"].doc_md


def test_nothing_of_spark_loads_with_the_dags(monitors: Callable[..., Path], dags_folder: Path) -> None:
    pytest.importorskip("pyspark", reason="needs the extra `spark`")
    monitors(flights=ON_SPARK)
    script = f"""
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("dags_tablewatch", {str(dags_folder / "tablewatch.py")!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print("RESULT", json.dumps([name for name in ("pyspark", "pyarrow", "pandas", "ibis") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.split("RESULT ")[1]) == []


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection whose master is Spark in this process."""
    pytest.importorskip("pyspark", reason="needs the extra `spark`")
    if shutil.which("java") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Java: make java")
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "3", "spark.driver.memory": "512m"}
    written = {"conn_type": "spark", "host": "local[1]", "extra": settings}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(written))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    yield
    from pyspark.sql import SparkSession

    assert SparkSession.getActiveSession() is None, "the session outlives the task"
    spark_jvm.end()


@pytest.mark.slow
@pytest.mark.spark
def test_a_step_finds_the_session_of_the_connection_and_what_it_returns_is_kept(
    database: None, dags: dict[str, Any], steps: FakeSteps, connection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import spark
    from pipeline.settings import Settings

    seen: list[tuple[str, str | None, str | None]] = []

    def score(name: str, partition: str, alerts: bool = True) -> FakeOutcome:
        session = spark.session(name, Settings())
        conf = session.conf.get("spark.sql.shuffle.partitions"), session.conf.get("spark.sql.session.timeZone")
        seen.append((session.sparkContext.master, *conf))
        return steps.score(name, partition, alerts)

    monkeypatch.setattr(sys.modules["pipeline.steps"], "score", score)
    instance = step(dags["score_flights"], partition="2013-02-03")
    assert instance.state == "success" and seen == [("local[1]", "3", "UTC")]
    assert instance.xcom_pull(task_ids="score")["counts"] == {"flagged": 7}

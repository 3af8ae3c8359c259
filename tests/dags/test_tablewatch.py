"""The DAGs that are made of monitors, the partition of a run, and what is tried again."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from flights_monitor import MONITOR

from pipeline.errors import ConfigurationError, CorruptBundle, EmptyPartition, FailedMachinery, RefusedData

BROKEN = "primry_key: [flight_id]\n"
TELLS = "alerts: {to: [ops]}\n"
APPROVED = "training: {approval: true}\n"

KINDS = ("validate", "score", "ask_retrain", "retrain")
HEAVY = ("tensorflow", "keras", "great_expectations", "pandas", "ibis")


# --- what is made ---------------------------------------------------------------------------------------------------


def test_each_monitor_has_four_dags(parse: Callable[..., Any]) -> None:
    bag = parse(flights=MONITOR, taxis=MONITOR)
    assert set(bag.dags) == {f"{kind}_{name}" for kind in KINDS for name in ("flights", "taxis")}


def test_every_dag_keeps_the_house_rules(parse: Callable[..., Any]) -> None:
    bag = parse(flights=MONITOR + TELLS, taxis=MONITOR + APPROVED, broken=BROKEN)
    assert len(bag.dags) == 10
    of_all = {"broken_monitors", "deliver_alerts"}
    for dag in bag.dags.values():
        name = dag.dag_id if dag.dag_id in of_all else dag.dag_id.rpartition("_")[2]
        assert dag.tags == {"tablewatch", name}
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        assert dag.start_date is None, "with a start date an unpaused DAG would start work at once"
        for words in ("**Owner:**", "**When it fails**", "`tablewatch check`"):
            assert words in dag.doc_md
        for task in dag.tasks:
            assert task.owner == ("data-team" if dag.dag_id in of_all else "planes")
            assert task.retries == 3 and task.retry_policy is not None
            assert task.retry_exponential_backoff > 1
            assert dt.timedelta(0) < task.execution_timeout < dag.dagrun_timeout


def test_a_dag_tells_the_commands_that_do_the_same(flights: dict[str, Any]) -> None:
    assert "tablewatch validate flights --partition" in flights["validate_flights"].doc_md
    assert "tablewatch score flights --partition" in flights["score_flights"].doc_md
    assert "tablewatch train flights --through" in flights["retrain_flights"].doc_md
    assert "tablewatch train flights --through" in flights["ask_retrain_flights"].doc_md
    assert all("Flights that left New York" in dag.doc_md for dag in flights.values())


@pytest.mark.parametrize(
    "text",
    [BROKEN, MONITOR + 'schedule: "0 * * * *"\n', MONITOR + 'training: {schedule: "0 4,16 * * 0"}\n'],
    ids=["unknown key", "hourly", "trained twice a day"],
)
def test_a_broken_monitor_is_told_and_hides_no_other(parse: Callable[..., Any], text: str) -> None:
    bag = parse(flights=MONITOR, taxis=text)
    assert set(bag.dags) == {*(f"{kind}_flights" for kind in KINDS), "broken_monitors"}
    assert not bag.import_errors, "an import error makes Airflow drop every DAG of the file"
    broken = bag.dags["broken_monitors"]
    assert "taxis" in broken.doc_md
    assert broken.is_paused_upon_creation is False
    with pytest.raises(ConfigurationError, match="taxis"):
        broken.task_dict["tell"].python_callable()


def test_a_yml_file_is_told_and_makes_no_dag(monitors: Callable[..., Path], parse: Callable[..., Any]) -> None:
    (monitors() / "flights.yml").write_text(MONITOR, encoding="utf-8")
    bag = parse()
    assert set(bag.dags) == {"broken_monitors"}
    assert "rename the file to flights.yaml" in bag.dags["broken_monitors"].doc_md


def test_a_missing_folder_is_an_import_error(
    dags_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("TABLEWATCH_MONITORS", str(tmp_path / "absent"))
    bag = DagBag(dag_folder=dags_folder)
    assert not bag.dags
    assert "set TABLEWATCH_MONITORS" in "".join(bag.import_errors.values())


def test_parsing_reads_each_file_once_and_loads_nothing_heavy(monitors: Callable[..., Path], dags_folder: Path) -> None:
    folder = monitors(**{f"m{number}": MONITOR for number in range(100)})
    script = f"""
import collections, json, sys
opened = collections.Counter()
sys.addaudithook(lambda event, args: opened.update([str(args[0])]) if event == "open" else None)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder={str(dags_folder)!r})
heavy = [name for name in {HEAVY!r} if name in sys.modules]
of_monitors = {{path: times for path, times in opened.items() if path.startswith({str(folder)!r})}}
print("RESULT", json.dumps([len(bag.dags), heavy, of_monitors]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    dags, heavy, opened = json.loads(done.stdout.split("RESULT ")[1])
    assert dags == 400
    assert heavy == []
    assert opened == {str(path): 1 for path in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_process_of_a_task_makes_the_dags_of_its_monitor_alone(
    parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", f"{kind}_flights")
    bag = parse(flights=MONITOR, retrain_flights=MONITOR + TELLS, taxis=BROKEN)
    assert set(bag.dags) == {f"{each}_flights" for each in KINDS}


@pytest.mark.parametrize("dag_id", ["broken_monitors", "deliver_alerts"])
def test_the_process_of_a_task_for_all_monitors_makes_every_dag(
    parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
    bag = parse(flights=MONITOR + TELLS, taxis=BROKEN)
    assert set(bag.dags) == {*(f"{kind}_flights" for kind in KINDS), "broken_monitors", "deliver_alerts"}


# --- which partition a run is for -------------------------------------------------------------------------------------


def _context(key: str | None, param: str | None) -> dict[str, Any]:
    return {"dag": mock.Mock(dag_id="score_flights"), "partition_key": key, "params": {"partition": param}}


@pytest.mark.parametrize(
    ("key", "param"), [("2013-02-03", None), (None, "2013-02-03"), ("2013-02-03", "2013-02-03"), ("2013-02-03", "")]
)
def test_p30_the_partition_is_the_key_or_the_param(module: ModuleType, key: str | None, param: str | None) -> None:
    assert module.partition_of(_context(key, param)) == "2013-02-03"


@pytest.mark.parametrize(
    ("key", "param", "message"),
    [
        (None, None, "score_flights: the run names no partition"),
        ("2013-02-03", "2013-02-04", "the partition key is '2013-02-03' but the param is '2013-02-04'"),
        ("2013-2-3", None, "'2013-2-3' is not a partition"),
        ("20130203", None, "'20130203' is not a partition"),
        ("2013-02-30", None, "'2013-02-30' is not a partition"),
        ("2013-02-03T00:00:00", None, "is not a partition"),
        (None, "../2013-02-03", "is not a partition"),
    ],
)
def test_p30_a_run_without_one_clear_partition_is_refused(
    module: ModuleType, key: str | None, param: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        module.partition_of(_context(key, param))


# --- what is tried again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (FailedMachinery("store"), "retry"),
        (ConnectionRefusedError(), "retry"),
        (TimeoutError(), "retry"),
        (OSError(28, "No space left on device"), "retry"),
        (RefusedData("bad"), "fail"),
        (EmptyPartition("none"), "fail"),
        (ConfigurationError("typo"), "fail"),
        (CorruptBundle("digest"), "fail"),
        (ValueError("a mistake of ours"), "fail"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_only_machinery_is_tried_again(flights: dict[str, Any], error: Exception, action: str) -> None:
    for dag in flights.values():
        for task in dag.tasks:
            assert task.retry_policy.evaluate(error, try_number=1, max_tries=3).action.value == action

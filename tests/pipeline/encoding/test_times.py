"""Times of day on a circle; instants by their distance from the partition, their hour and weekday."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoding import EVENTS, Encoder

OUT_OF_RANGE, UNEXPECTED_NULL = EVENTS.index("out_of_range"), EVENTS.index("unexpected_null")
MINUTES = list(range(0, 1440, 7))


def column(values: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def clock(values: Any, type_: pa.DataType | None = None) -> Encoder:
    return Encoder.fit(column(values, type_), {"x": "clock"})


FORMS: dict[str, Callable[[int], Any]] = {
    "hhmm": lambda m: m // 60 * 100 + m % 60,
    "text": lambda m: f"{m // 60:02d}:{m % 60:02d}",
    "time": lambda m: dt.time(m // 60, m % 60),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_minute_is_a_point_on_the_circle_whatever_its_form(form: str) -> None:
    values = column([FORMS[form](minute) for minute in MINUTES])

    found = clock(values["x"]).encode(values).matrix

    angle = 2 * np.pi * np.array(MINUTES) / 1440
    np.testing.assert_allclose(found, 2**0.5 * np.stack([np.sin(angle), np.cos(angle)], axis=1), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_round_trip_of_a_clock(form: str, round_trip: Any) -> None:
    values = [FORMS[form](minute) for minute in MINUTES]
    assert round_trip(column([*values, None]), "x") == [*values, None]


@pytest.mark.parametrize("type_", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")], ids=str)
def test_times_of_every_unit(type_: pa.DataType, round_trip: Any) -> None:
    assert round_trip(column([dt.time(8, 30), dt.time(0, 0), dt.time(23, 59)], type_), "x") == [
        dt.time(8, 30),
        dt.time(0, 0),
        dt.time(23, 59),
    ]


def test_midnight_is_near_itself_from_both_sides() -> None:
    early, late, full, noon = clock([0, 1200]).encode(column([1, 2359, 2400, 1200])).matrix.astype(float)
    assert math.dist(early, late) < 0.02
    assert math.dist(early, full) < 0.01
    assert math.dist(early, noon) > 2.8


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            ["08:15", "23:59", "24:00", "7:05", "12:30:15.25"],
            ["24:01", "25:00", "12:60", "12:30 pm", "noon", "", "1230"],
        ),
        ([0, 59, 830, 2359, 2400], [60, 2401, -5, 9999]),
        ([0.0, 830.0], [830.5, float("inf"), 1e300]),
    ],
    ids=["texts", "integers", "floats"],
)
def test_an_impossible_time_is_out_of_range_and_missing(good: list[Any], bad: list[Any]) -> None:
    encoder = clock(good)

    fine, wrong = encoder.encode(column(good)), encoder.encode(column(bad, column(good)["x"].type))

    assert np.isfinite(fine.matrix).all() and not fine.events.any()
    assert np.isnan(wrong.matrix).all() and wrong.events[:, 0, OUT_OF_RANGE].all()
    assert not wrong.events[:, 0, UNEXPECTED_NULL].any()


def test_impossible_times_in_training_make_them_less_rare() -> None:
    encoder = clock([830] * 97 + [99] * 3)
    assert encoder.rarities()[0, OUT_OF_RANGE] == pytest.approx(4 / 101)
    assert encoder.rarities()[0, UNEXPECTED_NULL] == pytest.approx(1 / 101)


ZURICH = ZoneInfo("Europe/Zurich")
INSTANTS = [
    dt.datetime(2013, 2, 3, 4, 5, tzinfo=dt.UTC),
    dt.datetime(2013, 3, 31, 0, 59, tzinfo=dt.UTC),
    dt.datetime(2013, 10, 27, 0, 30, tzinfo=dt.UTC),
    dt.datetime(2013, 10, 27, 1, 30, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 58, tzinfo=dt.UTC),
]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_p10_round_trip_of_instants_in_a_zone(unit: str, round_trip: Any) -> None:
    values = pa.array(INSTANTS, pa.timestamp(unit, "Europe/Zurich"))
    found = round_trip(pa.table({"x": values}), "x")
    assert found == INSTANTS
    assert all(value.tzinfo is not None for value in found)


def test_round_trip_of_naive_instants(round_trip: Any) -> None:
    values = [value.replace(tzinfo=None) for value in INSTANTS]
    assert round_trip(column([*values, None], pa.timestamp("us")), "x") == [*values, None]


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()], ids=str)
def test_round_trip_of_dates(type_: pa.DataType, round_trip: Any) -> None:
    values = [dt.date(2020, 1, 1) + dt.timedelta(days=37 * i) for i in range(200)]
    assert round_trip(column([*values, None], type_), "x") == [*values, None]


def partitioned(days: list[dt.date], lag: int = 2, **more: Any) -> pa.Table:
    """Records of some partitions, whose instant is `lag` days and some hours before."""
    ago = [dt.datetime.combine(day, dt.time(6 + i % 12), dt.UTC) - dt.timedelta(lag) for i, day in enumerate(days)]
    return pa.table({"day": days, "x": ago, **more})


def test_round_trip_relative_to_the_partition(round_trip: Any) -> None:
    table = partitioned([dt.date(2013, 1, 1) + dt.timedelta(i // 5) for i in range(100)])
    assert round_trip(table, "x", anchor="day") == table["x"].to_pylist()


@given(st.integers(-40, 400))
def test_instants_do_not_drift_as_partitions_go_on(weeks: int) -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(i // 5) for i in range(100)]
    encoder = Encoder.fit(partitioned(days), anchor="day")

    then = encoder.encode(partitioned(days))
    later = encoder.encode(partitioned([day + dt.timedelta(weeks=weeks) for day in days]))

    np.testing.assert_allclose(later.matrix, then.matrix, atol=1e-4)
    assert not later.events.any()


@pytest.mark.parametrize("form", [lambda d: d, str, lambda d: dt.datetime.combine(d, dt.time(13))])
def test_the_partition_may_be_a_date_a_text_or_an_instant(form: Callable[[dt.date], Any]) -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(i) for i in range(30)]
    table = partitioned(days)
    other = table.set_column(0, "day", pa.array([form(day) for day in days]))
    expected = Encoder.fit(table, anchor="day").encode(table).matrix
    np.testing.assert_allclose(Encoder.fit(other, anchor="day").encode(other).matrix, expected, atol=1e-6)


def test_an_instant_far_from_its_partition_is_out_of_range() -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(i) for i in range(28)]
    encoder = Encoder.fit(partitioned(days), anchor="day")
    year_ago = encoder.encode(partitioned(days, lag=367))
    assert year_ago.events[:, 0, OUT_OF_RANGE].all()


@pytest.mark.parametrize("type_", [pa.timestamp("us"), pa.date32()], ids=str)
def test_p03_any_instant_in_a_column_of_nulls_is_out_of_range(type_: pa.DataType) -> None:
    encoder = Encoder.fit(pa.table({"x": pa.nulls(30, type_)}))
    found = encoder.encode(
        pa.table({"x": pa.array([0, None], pa.int32() if pa.types.is_date(type_) else pa.int64()).cast(type_)})
    )
    assert found.events[:, 0, OUT_OF_RANGE].tolist() == [True, False]


def test_the_hour_is_a_cell_only_where_there_are_hours() -> None:
    midnights = column([dt.datetime(2020, 1, i) for i in range(1, 20)])
    hours = column([dt.datetime(2020, 1, i, 5) for i in range(1, 20)])
    assert [cell.width for cell in Encoder.fit(midnights).cells] == [1, 2]
    assert [cell.width for cell in Encoder.fit(hours).cells] == [1, 2, 2]


def test_weekdays_seven_days_apart_are_the_same_point() -> None:
    table = column([dt.date(2020, 1, 1) + dt.timedelta(i) for i in range(15)])
    weekday = Encoder.fit(table).encode(table).matrix[:, 1:3].astype(float)
    assert math.dist(weekday[0], weekday[7]) < 1e-4
    assert min(math.dist(weekday[0], weekday[i]) for i in range(1, 7)) > 1.0


def test_a_far_date_such_as_9999_does_not_break_later_partitions() -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(i) for i in range(20)]
    table = pa.table({"day": days, "x": [dt.date(9999, 12, 31)] * 10 + [dt.date(1, 1, 1)] * 10})
    encoder = Encoder.fit(table, anchor="day")
    later = pa.table({"day": [dt.date(2030, 1, 1), dt.date(1990, 1, 1)]})

    found = encoder.decode("x", [np.array([[99.0], [-99.0]]), np.zeros((2, 2))], later)

    assert found == [dt.date(9999, 12, 31), dt.date(1, 1, 1)]


def test_p09_far_instants_do_not_wrap() -> None:
    near = pa.array([0, 86_400], pa.int64()).cast(pa.timestamp("s"))
    far = pa.array([2**40, 2**50, 2**62], pa.int64()).cast(pa.timestamp("s"))
    found = Encoder.fit(pa.table({"x": near})).encode(pa.table({"x": far}))
    assert (np.diff(found.matrix[:, 0].astype(float)) >= 0).all() and found.matrix[0, 0] > 1e6
    assert found.events[:, 0, OUT_OF_RANGE].all()


def test_hhmmss_numbers_are_times_to_the_second(round_trip: Any) -> None:
    seconds = np.random.default_rng(0).integers(0, 86_400, 300)
    values = seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60
    encoder = Encoder.fit(column(values))
    early, late = encoder.encode(column([59, 235_959])).matrix.astype(float)

    assert round_trip(column(values), "x") == values.tolist()
    assert math.dist(early, late) < 0.01
    wrong = encoder.encode(column([126_000, 120_060, 240_001, -1])).events
    assert wrong[:, 0, OUT_OF_RANGE].all()


def test_minutes_around_midnight_are_as_near_as_at_noon() -> None:
    five, late, noon, past = clock([0, 1200]).encode(column([5, 2355, 1155, 1205])).matrix.astype(float)
    assert math.dist(five, late) == pytest.approx(math.dist(noon, past), rel=1e-4)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("change", [dt.date(2024, 3, 31), dt.date(2024, 10, 27)], ids=["spring", "autumn"])
def test_p10_the_time_of_day_and_the_weekday_are_those_of_the_columns_zone(change: dt.date, round_trip: Any) -> None:
    days = [change + dt.timedelta(i) for i in range(-14, 15)]
    shown = [dt.datetime.combine(day, dt.time(0, 30), BERLIN) for day in days]
    table = pa.table({"day": days, "x": pa.array(shown, pa.timestamp("us", "Europe/Berlin"))})
    encoder = Encoder.fit(table, anchor="day")

    found = encoder.encode(table).matrix

    np.testing.assert_allclose(found[:, 1:3], np.tile(found[0, 1:3], (len(days), 1)), atol=1e-5)
    same_weekday = [i for i, day in enumerate(days) if day.weekday() == days[0].weekday()]
    np.testing.assert_allclose(found[same_weekday, 3:], np.tile(found[0, 3:], (len(same_weekday), 1)), atol=1e-4)
    assert len(np.unique(found[:7, 3:].round(3), axis=0)) == 7
    assert round_trip(table, "x", anchor="day") == shown


@pytest.mark.parametrize("change", [dt.date(2024, 3, 31), dt.date(2024, 10, 27)], ids=["spring", "autumn"])
def test_p10_every_half_hour_of_a_night_in_which_clocks_change_comes_back(change: dt.date, round_trip: Any) -> None:
    noon = dt.datetime.combine(change, dt.time(12), dt.UTC) - dt.timedelta(days=1)
    instants = [noon + dt.timedelta(minutes=30 * i) for i in range(96)]
    values = pa.array(instants, pa.timestamp("ns", "Europe/Berlin"))
    assert round_trip(pa.table({"x": values}), "x") == instants


def test_the_zone_in_which_a_later_batch_is_written_does_not_matter() -> None:
    table = pa.table({"x": pa.array(INSTANTS, pa.timestamp("us", "Europe/Zurich"))})
    other = pa.table({"x": pa.array(INSTANTS, pa.timestamp("ns", "UTC"))})
    encoder = Encoder.fit(table)
    np.testing.assert_array_equal(encoder.encode(other).matrix, encoder.encode(table).matrix)


def test_a_few_sentinel_dates_do_not_blind_a_column() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(i % 28) for i in range(3_000)]
    due = [day + dt.timedelta(i % 5) for i, day in enumerate(days)]
    sentinels = [dt.date(9999, 12, 31)] * 2 + due[2:]
    z = Encoder.fit(pa.table({"day": days, "x": sentinels}), anchor="day").encode(
        pa.table({"day": days[:2], "x": [days[0], days[1] + dt.timedelta(4)]})
    )
    assert z.matrix[1, 0] - z.matrix[0, 0] > 1.5


def nights(first: dt.date, count: int) -> pa.Table:
    days = [first + dt.timedelta(at) for at in range(count) for _ in range(3)]
    return pa.table({"night": days, "x": [dt.datetime.combine(day, dt.time(9, 30)) for day in days]})


def test_a_partition_of_a_weekday_that_the_window_had_not_counts_as_of_the_latest_before() -> None:
    """Of a Saturday the window of a Thursday and a Friday says nothing; every record would be out of the ordinary."""
    thursday, week = dt.date(2024, 5, 9), nights(dt.date(2024, 5, 9), 7)
    known = Encoder.fit(nights(thursday, 2), {"x": "datetime"}, "night").encode(week).matrix
    whole = Encoder.fit(week, {"x": "datetime"}, "night").encode(week).matrix
    np.testing.assert_array_equal(known[:, :3], whole[:, :3], "days from the partition and time of day are as ever")
    np.testing.assert_array_equal(known[:6, 3:5], whole[:6, 3:5])
    np.testing.assert_allclose(known[6:, 3:5], np.repeat(whole[5:6, 3:5], 15, axis=0), atol=1e-5)


def test_a_record_of_another_weekday_than_its_partition_is_still_told() -> None:
    encoder = Encoder.fit(nights(dt.date(2024, 5, 9), 2), {"x": "datetime"}, "night")
    late = pa.table({"night": [dt.date(2024, 5, 11)], "x": [dt.datetime(2024, 5, 12, 9, 30)]})
    angle = 2 * np.pi * 2 / 7
    expected = 2**0.5 * np.array([np.sin(angle), np.cos(angle)])
    np.testing.assert_allclose(encoder.encode(late).matrix[0, 3:5], expected, atol=1e-3, err_msg="the day after Friday")


def test_p08_an_instant_without_a_partition_is_missing_but_for_its_time_of_day() -> None:
    encoder = Encoder.fit(nights(dt.date(2024, 5, 9), 2), {"x": "datetime"}, "night")
    night = pa.array([None, dt.date(2024, 5, 11)], pa.date32())
    found = encoder.encode(pa.table({"night": night, "x": [dt.datetime(2024, 5, 11, 9, 30)] * 2})).matrix
    assert np.isnan(found[0]).tolist() == [True, False, False, True, True] and np.isfinite(found[1]).all()


def test_encoders_from_before_weekdays_were_kept_tell_every_weekday() -> None:
    week = nights(dt.date(2024, 5, 9), 7)
    state = Encoder.fit(nights(dt.date(2024, 5, 9), 2), {"x": "datetime"}, "night").to_state()
    assert state["columns"][0].pop("weekdays") == [0, 1]
    whole = Encoder.fit(week, {"x": "datetime"}, "night").encode(week).matrix
    np.testing.assert_array_equal(Encoder.from_state(state).encode(week).matrix[:, 3:5], whole[:, 3:5])

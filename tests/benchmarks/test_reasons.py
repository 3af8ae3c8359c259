"""The benchmark of the reasons: what counts as contradicted, as nearer, and how the cases are counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from benchmarks.flight_laws import Laws, minutes
from benchmarks.reasons import Case, by_laws, by_neighbours, cases, grouped, is_nearer, show, wilson
from pipeline.detector import Detector, network
from pipeline.monitor import Kind
from pipeline.results import Contribution

FLIGHT: dict[str, Any] = {
    "flight_date": dt.date(2013, 1, 3),
    "dep_time": 2355,
    "sched_dep_time": 2350,
    "dep_delay": 5,
    "arr_time": 210,
    "sched_arr_time": 200,
    "arr_delay": 10,
    "carrier": "UA",
    "flight": 1,
    "tailnum": "N1",
    "origin": "EWR",
    "dest": "ORD",
    "air_time": 100,
    "distance": 719,
    "hour": 23,
    "minute": 50,
    "time_hour": dt.datetime(2013, 1, 4, 4, tzinfo=dt.UTC),
}
OTHER = FLIGHT | {"carrier": "AA", "flight": 2, "tailnum": "N2", "dest": "MIA", "distance": 1085, "air_time": 150}
OTHER |= {"arr_time": 300, "arr_delay": 60}
CANCELLED = FLIGHT | dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"))
BROKEN = [
    ({"minute": 51}, "hour and minute"),
    ({"hour": 5}, "time_hour"),
    ({"time_hour": dt.datetime(2013, 1, 5, 4, tzinfo=dt.UTC)}, "time_hour"),
    ({"dep_delay": 6}, "departure less schedule"),
    ({"arr_time": 211}, "arrival less schedule"),
    ({"dep_delay": None}, "together"),
    ({"air_time": None, "arr_delay": None, "arr_time": None, "dep_time": None}, "together"),
    ({"origin": None}, "without a null"),
    ({"distance": 720}, "its distances"),
    ({"dest": "MIA"}, "its distances"),
    ({"carrier": "AA", "flight": 2}, "its routes"),
    ({"carrier": "AA"}, "its carriers"),
    ({"air_time": 101}, "air times"),
    ({"sched_arr_time": 201}, "scheduled durations"),
    ({"arr_time": 211}, "not in the air"),
]


@pytest.fixture(scope="module")
def laws() -> Laws:
    return Laws.of([FLIGHT, OTHER, CANCELLED])


@pytest.mark.parametrize(("change", "law"), BROKEN)
def test_a_wrong_value_breaks_its_law(laws: Laws, change: dict[str, Any], law: str) -> None:
    assert any(law in name for name in laws.broken(FLIGHT | change))


@pytest.mark.parametrize(
    "flight",
    [
        FLIGHT,
        OTHER,
        CANCELLED,
        FLIGHT | {"air_time": None, "arr_delay": None},  # diverted, and landed
        FLIGHT | {"tailnum": "N3"},  # an aircraft that was never seen
        FLIGHT | {"flight": 3},
    ],
)
def test_laws_say_nothing_of_what_is_right_or_unknown(laws: Laws, flight: dict[str, Any]) -> None:
    assert laws.broken(flight) == set()


def test_midnight_is_written_in_two_ways() -> None:
    assert (minutes(2400), minutes(0), minutes(1259)) == (0, 0, 779)


def test_only_a_flight_that_kept_all_laws_and_breaks_one_is_contradicted() -> None:
    table = pa.Table.from_pylist([FLIGHT, OTHER])
    before = [FLIGHT, FLIGHT, FLIGHT | {"minute": 51}]
    now = [FLIGHT | {"distance": 1}, FLIGHT | {"tailnum": "N3"}, FLIGHT | {"minute": 51, "distance": 1}]
    tables = [pa.Table.from_pylist(flights, table.schema) for flights in (now, before)]
    assert by_laws(table)(*tables).tolist() == [True, False, False]


def test_neighbours_contradict_what_none_of_them_has() -> None:
    at = np.arange(600.0) / 100
    window = pa.table({"a": at, "b": 2 * at})
    before = pa.table({"a": [3.0, 3.0, 3.0], "b": [6.0, 6.0, 9.0]})
    now = pa.table({"a": [3.0, 3.0, 3.0], "b": [6.1, 9.0, 2.0]})
    assert by_neighbours(window)(now, before).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("kind", "expected", "observed", "truth", "nearer"),
    [
        ("numeric", "12", "1", "10", True),
        ("numeric", "20", "1", "10", False),
        ("numeric", "12", None, "10", True),
        ("numeric", None, "1", "10", False),
        ("numeric", None, "1", None, True),
        ("numeric", "3", "1", None, False),
        ("clock", "10", "1200", "2350", True),
        ("clock", "1150", "2350", "10", False),
        ("datetime", "2013-01-03T05:00:00+00:00", "2013-02-02T04:00:00+00:00", "2013-01-03T04:00:00+00:00", True),
        ("datetime", "2013-01-05", "2013-01-04", "2013-01-03", False),
        ("categorical", "UA", "AA", "UA", True),
        ("categorical", "B6", "AA", "UA", False),
        ("boolean", "true", "false", "true", True),
        ("text", "(a text of about 6 characters)", "N14", "N14228", True),
        ("text", "(a text of about 1 characters)", "N14", "N14228", False),
        ("text", "(a text of about 6 characters)", "N24211", "N14228", None),
    ],
)
def test_nearer_by_kind(kind: Kind, expected: str | None, observed: str | None, truth: str | None, nearer: Any) -> None:
    assert is_nearer(kind, expected, observed, truth) is nearer


@pytest.mark.parametrize(("right", "of"), [(0, 7), (9, 10), (180, 200), (5, 5)])
def test_wilson_is_scipys(right: int, of: int) -> None:
    theirs = binomtest(right, of).proportion_ci(method="wilson")
    assert wilson(right, of) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_line_counts_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def case(column: str, leads: str, nearer: bool | None) -> Case:
        return Case(column, "swapped", "1", (Contribution(leads, "2", "1", 1.0, 1, "reconstruction"),), nearer)

    found = [case("a", "a", True), case("a", "b", False), case("a", "a", None), case("b", "b", True)]
    show("column", grouped(found, lambda each: each.column))
    _, _, of_a, of_b = capsys.readouterr().out.split("\n")[:4]
    assert of_a.split()[:5] == ["a", "3", "2", "of", "3"]
    assert "1 of 2" in of_a
    assert of_b.split()[:5] == ["b", "1", "1", "of", "1"]


@pytest.fixture(scope="module")
def numbers() -> Callable[[int], pa.Table]:
    def make(seed: int) -> pa.Table:
        draw = np.random.default_rng(seed)
        a = draw.normal(10, 2, 400)
        return pa.table({"a": a, "b": 2 * a + draw.normal(0, 0.1, 400), "c": draw.choice(["x", "y"], 400)})

    return make


@pytest.mark.slow
def test_cases_are_contradicted_flagged_and_explained(numbers: Callable[[int], pa.Table]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", {"ensemble": network.Schedule(200, 64, 3e-3, fewest=200)})
        detector = Detector().fit(numbers(0))

    def contradicted(wrong: pa.Table, originals: pa.Table) -> np.ndarray:
        pairs = zip(wrong.to_pylist(), originals.to_pylist(), strict=True)
        changed = [[name for name in now if now[name] != before[name]] for now, before in pairs]
        assert changed == [["a"]] * 20 + [["b"]] * 20 + [["c"]] * 20
        return np.array([names == ["b"] for names in changed])

    found, made = cases(detector, numbers(1), contradicted, 20, 0.05, 0)

    assert made["made"] == 60
    assert made["contradicted"] == 20
    assert made["flagged"] == len(found) > 5
    assert {case.column for case in found} == {"b"}
    assert all({each.column_name for each in case.why} == {"a", "b", "c"} for case in found)
    assert np.mean([case.first for case in found]) > 0.6

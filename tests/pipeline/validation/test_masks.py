"""Judged over Arrow or over a frame by Great Expectations: the same records break the same expectations."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.monitor import Monitor
from pipeline.validation import engine, learn, records
from pipeline.validation.conform import plain
from pipeline.validation.frames import frame_for
from pipeline.validation.masks import breaking_rows
from pipeline.validation.suite import BETWEEN, IN_SET, NOT_NULL, Spec, learned

MakeMonitor = Callable[..., Monitor]
ZURICH = ZoneInfo("Europe/Zurich")
WHOLE = st.sampled_from([0, 1, -1, 7, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
SMALL = st.integers(-128, 127)
REAL = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 0.5, 2.0**53, 2.0**53 + 2, 1.7976931348623157e308]))
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)) | st.sampled_from([dt.date(1, 1, 1), dt.date(9999, 12, 31)])
TIMES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
FAR_TIMES = TIMES | st.sampled_from([dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)])
ZONED = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(ZURICH))
TEXTS = st.sampled_from(["", "a", "A", "é", "e\u0301", "a\x00", "nan", "None"]) | st.text(max_size=2)
FRACTIONS = st.decimals(-999, 999, places=2)
HUGE = st.sampled_from([Decimal(10) ** 30, Decimal(2**53), Decimal(2**53 + 1), Decimal(5)])

COLUMNS: list[tuple[pa.DataType, Any]] = [
    (pa.int64(), WHOLE),
    (pa.int8(), SMALL),
    (pa.uint64(), st.sampled_from([0, 1, 2**53 + 1, 2**64 - 1])),
    (pa.float64(), REAL),
    (pa.float32(), st.floats(width=32)),
    (pa.decimal128(9, 2), FRACTIONS),
    (pa.decimal128(38, 0), HUGE),
    (pa.date32(), DAYS),
    (pa.timestamp("us"), FAR_TIMES),
    (pa.timestamp("ns"), TIMES),
    (pa.timestamp("us", "Europe/Zurich"), ZONED),
    (pa.timestamp("us", "UTC"), ZONED),
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.bool_(), st.booleans()),
]


@st.composite
def judged(draw: Any) -> tuple[pa.Table, list[Spec]]:
    """A batch of hostile columns, and expectations on them whose arguments are as hostile."""
    rows = draw(st.integers(1, 6))
    columns: dict[str, Any] = {}
    specs: list[Spec] = []
    for at, (kind, values) in enumerate(COLUMNS):
        name, nulls = f"c{at}", draw(st.booleans())
        each = st.none() | values if nulls else values
        columns[name] = plain(pa.chunked_array([pa.array(draw(st.lists(each, min_size=rows, max_size=rows)), kind)]))
        bounds = [draw(st.none() | values | (REAL if pa.types.is_integer(kind) else values)) for _ in range(2)]
        arguments = dict(zip(("min_value", "max_value"), map(_jsonable, bounds), strict=True))
        strict = {key: True for key in ("strict_min", "strict_max") if draw(st.booleans())}
        sets = draw(st.lists(values, max_size=4))
        specs.append(learned("record", NOT_NULL, "error", column=name))
        specs.append(learned("record", BETWEEN, "error", column=name, **arguments, **strict))
        specs.append(learned("record", IN_SET, "error", column=name, value_set=[_jsonable(one) for one in sets]))
    return pa.table(columns), specs


def _jsonable(value: Any) -> Any:
    """A value as a suite keeps it."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def over_arrow(spec: Spec, table: pa.Table) -> list[int] | None:
    return breaking_rows(spec["type"], engine.native(spec["kwargs"], table.schema, ZURICH), table)


@given(judged())
@settings(max_examples=40, deadline=None)
def test_over_arrow_the_same_records_break_as_over_a_frame(
    monitor: MakeMonitor, case: tuple[pa.Table, list[Spec]]
) -> None:
    table, specs = case
    zoned = monitor(timezone="Europe/Zurich")
    found = {at: rows for at, spec in enumerate(specs) if (rows := over_arrow(spec, table)) is not None}
    certain = [specs[at] for at in found]
    outcomes = engine.validate(zoned, "2013-02-03", frame_for(table, certain), certain, table.schema)
    told = [(spec["type"], spec["kwargs"], outcome.rows) for spec, outcome in zip(certain, outcomes, strict=True)]
    assert told == [(specs[at]["type"], specs[at]["kwargs"], rows) for at, rows in found.items()]


@pytest.mark.parametrize(
    ("kind", "values", "low", "high", "broken"),
    [
        (pa.float64(), [1.0, None, math.inf, 9.5], 0, 9.5, [2]),
        (pa.int64(), [1, 2**53 + 2, -1], 0, 2**53, [1, 2]),
        (pa.int32(), [1, None, 12], 0.5, 11.5, [2]),
        (pa.decimal128(9, 2), [Decimal("1.10"), Decimal("1.11")], None, 1.1, [1]),
        (pa.date32(), [dt.date(2013, 1, 1), dt.date(1900, 1, 1)], "2000-01-01", None, [1]),
        (pa.timestamp("us"), [dt.datetime(2013, 1, 1), None], "2014-01-01T00:00:00", None, [0]),
        (pa.timestamp("us", "UTC"), [dt.datetime(2013, 1, 1)] * 2, "2000-01-01T00:00:00+00:00", None, []),
    ],
)
def test_what_training_learns_is_judged_over_arrow(
    kind: pa.DataType, values: list[Any], low: Any, high: Any, broken: list[int]
) -> None:
    spec = learned("record", BETWEEN, "error", column="a", min_value=low, max_value=high)
    assert over_arrow(spec, pa.table({"a": pa.array(values, kind)})) == broken


@pytest.mark.parametrize(
    "changes",
    [
        {"min_value": None, "max_value": None},
        {"min_value": 2, "max_value": 1},
        {"min_value": True},
        {"min_value": "1"},
        {"min_value": math.nan},
        {"min_value": 10**400},
        {"min_value": 1, "row_condition": "a > 1", "condition_parser": "pandas"},
        {"min_value": 1, "column": "gone"},
    ],
    ids=str,
)
def test_what_is_not_certain_is_left_to_the_engine(changes: dict[str, Any]) -> None:
    assert breaking_rows(BETWEEN, {"column": "a", **changes}, pa.table({"a": [1.0]})) is None


def test_a_learned_suite_needs_no_frame_and_gives_the_same_outcome(
    monitor: MakeMonitor, run: Any, orders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = pa.concat_tables([orders(500, f"2013-01-{day:02}", day) for day in range(1, 5)])
    suite = learn(monitor(), window, [{"rows": 500}] * 4)
    night = orders(2_000, seed=9)
    amounts, shops = night.column("amount").to_pylist(), night.column("shop").to_pylist()
    night = night.set_column(2, "amount", pa.array([-1.0, None, math.inf, *amounts[3:]]))
    night = night.set_column(5, "shop", pa.array(["Paris", None, *shops[2:]]))
    with monkeypatch.context() as patched:
        patched.setattr(records, "frame_for", lambda table, specs: pytest.fail(f"a frame for {specs}"))
        fast = run(monitor(), suite, night, rows=700)
    monkeypatch.setattr(records, "breaking_rows", lambda *arguments: None)
    slow = run(monitor(), suite, night, rows=700)
    assert fast == slow
    assert {one.row for one in fast.quarantined} == {0, 1, 2}
    assert not fast.result(IN_SET, "shop").success

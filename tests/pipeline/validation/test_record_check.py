from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.validation import KeyCensus, RecordCheck, Suite, first_suite, learn
from pipeline.validation.suite import BETWEEN, IN_SET, NOT_NULL, OF_TYPE, UNIQUE, UNIQUE_TOGETHER, combine, learned

MakeMonitor = Callable[..., Monitor]
Run = Callable[..., Any]
MakeTable = Callable[..., pa.Table]


def suite_of(monitor: Monitor, table: pa.Table, *taught: Any) -> Suite:
    """The first suite, with expectations as if they had been learned, for the types of the table."""
    own = [spec for spec in first_suite(monitor, table.schema).record if spec["origin"] == "monitor"]
    floating = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    return combine(monitor, taught, own, floating, {field.name: str(field.type) for field in table.schema})


def between(column: str, low: Any, high: Any, severity: Any = "error") -> Any:
    return learned("record", BETWEEN, severity, column=column, min_value=low, max_value=high)


def test_a_record_is_quarantined_once_for_each_expectation_it_breaks(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": [10, 11, 12, 13], "a": [1, 99, 99, None], "b": [1, -1, 1, 1]})
    suite = suite_of(monitor(), table, between("a", 0, 9), between("b", 0, 9),
                     learned("record", NOT_NULL, "error", column="a"))  # fmt: skip
    checked = run(monitor(), suite, table)
    assert checked.why() == [(1, "a", "be_between", "99"), (1, "b", "be_between", "-1"),
                             (2, "a", "be_between", "99"), (3, "a", "not_be_null", None)]  # fmt: skip
    assert [one.record_key for one in checked.quarantined] == ["11", "11", "12", "13"]
    assert checked.quarantined[0].record == {"id": 11, "a": 99, "b": -1}
    assert checked.accepted.to_pylist() == [{"id": 10, "a": 1, "b": 1}]


def test_a_warning_counts_and_quarantines_nobody(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": [1, 2, 3], "shop": ["Bern", "Paris", None]})
    suite = suite_of(monitor(), table, learned("record", IN_SET, "warning", column="shop", value_set=["Bern"]))
    checked = run(monitor(), suite, table)
    assert checked.quarantined == []
    assert checked.accepted == table
    result = checked.result(IN_SET, "shop")
    assert (result.success, result.severity, result.checked, result.unexpected) == (False, "warning", 3, 1)
    assert result.observed == ["Paris"]


def test_results_count_over_all_batches(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": list(range(100)), "a": [n % 10 for n in range(100)]})
    checked = run(monitor(), suite_of(monitor(), table, between("a", 0, 7)), table, rows=7)
    result = checked.result(BETWEEN, "a")
    assert (result.success, result.checked, result.unexpected, result.observed) == (False, 100, 20, ["8", "9"])
    assert [one.row for one in checked.quarantined] == [n for n in range(100) if n % 10 > 7]
    assert checked.result(OF_TYPE, "a").success
    assert checked.result(UNIQUE, "id").checked == 100


def test_every_position_of_a_large_break_is_found(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": list(range(3_000)), "a": [1.0] * 500 + [99.0] * 2_500})
    checked = run(monitor(), suite_of(monitor(), table, between("a", 0, 9)), table)
    assert [one.row for one in checked.quarantined] == list(range(500, 3_000))


def test_p08_nan_counts_as_null_and_infinity_is_out_of_every_range(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": [1, 2, 3, 4], "a": [1.0, float("nan"), float("inf"), float("-inf")]})
    checked = run(monitor(), first_suite(monitor(), table.schema), table)
    assert checked.why() == [(2, "a", "be_between", "inf"), (3, "a", "be_between", "-inf")]
    assert checked.accepted.column("a").to_pylist() == [1.0, None]
    filled = suite_of(monitor(), table, learned("record", NOT_NULL, "error", column="a"))
    assert (1, "a", "not_be_null", "nan") in run(monitor(), filled, table).why()


def test_p07_offending_cells_are_named_and_never_become_null(monitor: MakeMonitor, run: Run) -> None:
    trained = pa.table({"id": [1], "a": [1]})
    suite = suite_of(monitor(), trained, between("a", 0, 100), learned("record", NOT_NULL, "error", column="a"))
    table = pa.table({"id": [1, 2, 3, 4, 5], "a": ["12", "abc", None, "7.5", "400"]})
    checked = run(monitor(), suite, table)
    assert checked.why() == [(1, "a", "be_of_type", "abc"), (2, "a", "not_be_null", None),
                             (3, "a", "be_of_type", "7.5"), (4, "a", "be_between", "400")]  # fmt: skip
    assert checked.accepted.to_pylist() == [{"id": 1, "a": 12}]
    assert checked.accepted.schema.field("a").type == pa.int64()
    result = checked.result(OF_TYPE, "a")
    assert (result.success, result.unexpected, result.observed) == (False, 2, ["abc", "7.5"])


@given(st.lists(st.one_of(st.text(max_size=4), st.integers().map(str), st.none()), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_p07_every_record_is_accepted_with_its_value_or_named(
    monitor: MakeMonitor, run: Run, values: list[str | None]
) -> None:
    suite = suite_of(monitor(), pa.table({"id": [1], "a": [1.5]}))
    table = pa.table({"id": list(range(len(values))), "a": pa.array(values, pa.string())})
    checked = run(monitor(), suite, table)
    kept = dict(zip(*(checked.accepted.column(name).to_pylist() for name in ("id", "a")), strict=True))
    assert {*kept} | {one.row for one in checked.quarantined} == set(range(len(values)))
    assert {one.row: one.value for one in checked.quarantined} == {
        row: value for row, value in enumerate(values) if row not in kept
    }
    assert all((kept[row] is None) == (values[row] is None) for row in kept)


def test_an_integer_column_may_become_a_floating_one(monitor: MakeMonitor, run: Run) -> None:
    suite = suite_of(monitor(), pa.table({"id": [1], "a": [1]}))
    whole = run(monitor(), suite, pa.table({"id": [1, 2], "a": [1.0, 2.0]}))
    assert whole.quarantined == []
    assert whole.accepted.schema.field("a").type == pa.int64()
    fractions = run(monitor(), suite, pa.table({"id": [1, 2], "a": [1.0, 2.5]}))
    assert fractions.quarantined == []
    assert fractions.accepted.column("a").to_pylist() == [1.0, 2.5]


def test_p09_neighbours_of_huge_integers_stay_apart(monitor: MakeMonitor, run: Run) -> None:
    huge = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    table = pa.table({"id": huge, "a": [None, *huge[1:]]})
    checked = run(monitor(), suite_of(monitor(), table, learned("record", IN_SET, "error", column="a",
                                                                value_set=[2**53 + 1, 2**63 - 1])), table)  # fmt: skip
    assert checked.accepted.column("id").to_pylist() == huge[:3]
    assert checked.why() == [(3, "a", "be_in_set", str(-(2**63)))]
    assert checked.quarantined[0].record_key == str(-(2**63))


def test_p11_null_and_conflicting_keys_are_quarantined_and_of_equal_records_one_stays(
    monitor: MakeMonitor, run: Run
) -> None:
    table = pa.table({"id": [1, 2, 2, None, 3, 3, 3], "x": ["a", "b", "c", "d", "e", "e", "e"]})
    checked = run(monitor(), suite_of(monitor(), table), table, rows=2)
    assert checked.why() == [(1, "id", "be_unique", "2"), (2, "id", "be_unique", "2"), (3, "id", "not_be_null", None),
                             (5, "id", "be_unique", "3"), (6, "id", "be_unique", "3")]  # fmt: skip
    assert [one.record_key for one in checked.quarantined] == ["2", "2", None, "3", "3"]
    assert checked.accepted.column("id").to_pylist() == [1, 3]
    assert checked.result(UNIQUE, "id").unexpected == 4


def test_p11_a_key_of_several_columns(monitor: MakeMonitor, run: Run) -> None:
    keyed = monitor(primary_key=["shop", "nr"])
    table = pa.table({"shop": ["a", "a", "b", "b"], "nr": [1, 1, 1, None], "x": [1, 2, 3, 4]})
    checked = run(keyed, suite_of(keyed, table), table)
    assert [(one.row, one.expectation, one.column, one.record_key) for one in checked.quarantined] == [
        (0, UNIQUE_TOGETHER, None, '["a", 1]'.replace("1", '"1"')),
        (1, UNIQUE_TOGETHER, None, '["a", "1"]'),
        (3, NOT_NULL, "nr", None),
    ]
    assert json.loads(checked.quarantined[0].value or "") == {"shop": "a", "nr": 1}


@given(
    st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from("ab")), min_size=1, max_size=16),
    st.integers(1, 5),
)
@settings(max_examples=15, deadline=None)
def test_p11_where_the_batches_end_changes_nothing(
    monitor: MakeMonitor, run: Run, records: list[tuple[int | None, str]], rows: int
) -> None:
    table = pa.table({"id": pa.array([key for key, _ in records], pa.int64()), "x": [x for _, x in records]})
    suite = suite_of(monitor(), table)
    cut, whole = run(monitor(), suite, table, rows), run(monitor(), suite, table)
    assert cut.quarantined == whole.quarantined
    assert cut.accepted.to_pylist() == whole.accepted.to_pylist()
    keys = whole.accepted.column("id").to_pylist()
    assert None not in keys
    assert len({*keys}) == len(keys)
    assert len(keys) + len({one.row for one in whole.quarantined}) == len(records)


def test_what_the_monitor_expects_to_be_unique_is_so_across_batches(monitor: MakeMonitor, run: Run) -> None:
    watched = monitor(expectations=[{"expect_column_values_to_be_unique": {"column": "mail"}},
                                    {"expect_column_values_to_be_unique": {"column": "id"}}])  # fmt: skip
    table = pa.table({"id": [1, 2, 3], "mail": ["a", "b", "a"]})
    checked = run(watched, suite_of(watched, table), table, rows=1)
    assert checked.why() == [(0, "mail", "be_unique", "a"), (2, "mail", "be_unique", "a")]
    repeated = run(watched, suite_of(watched, table), pa.table({"id": [1, 1], "mail": ["a", "a"]}))
    assert repeated.why() == [(1, "id", "be_unique", "1"), (1, "mail", "be_unique", "a")]


def test_p33_values_of_sensitive_columns_leave_only_as_hashes(
    monitor: MakeMonitor, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    watched = monitor(
        columns={"sensitive": ["mail", "pay"]},
        expectations=[
            {"expect_column_values_to_match_regex": {"column": "mail", "regex": "@"}},
            {"expect_column_pair_values_to_be_equal": {"column_A": "mail", "column_B": "shop"}, "severity": "warning"},
            {"expect_column_most_common_value_to_be_in_set": {"column": "mail", "value_set": ["x"]},
             "severity": "warning"},
        ],
    )  # fmt: skip
    trained = pa.table({"id": [1], "mail": ["x"], "pay": [1], "shop": ["a"]})
    table = pa.table({"id": [1, 2], "mail": ["MARKER-1", "a@b"], "pay": ["1", "MARKER-2"], "shop": ["a", "a"]})
    with caplog.at_level(logging.DEBUG):
        checked = run(watched, suite_of(watched, trained), table)
    assert [one[:3] for one in checked.why()] == [(0, "mail", "expect_column_values_to_match_regex"[24:]),
                                                  (1, "pay", "be_of_type")]  # fmt: skip
    assert all((one.value or "").startswith("sha256:") for one in checked.quarantined)
    assert "MARKER" not in repr((checked.quarantined, checked.results)) + caplog.text


def test_p33_an_expectation_that_fails_to_compute_does_not_quote_a_sensitive_value(
    monitor: MakeMonitor, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    watched = monitor(
        columns={"sensitive": ["mail"]},
        expectations=[{"expect_column_values_to_be_between": {"column": "mail", "min_value": 1}}],
    )
    table = pa.table({"id": [1], "mail": ["MARKER"]})
    with caplog.at_level(logging.WARNING), pytest.raises(ConfigurationError, match="'mail' could not be computed") as e:
        run(watched, first_suite(watched, table.schema), table)
    assert "MARKER" not in str(e.value) + caplog.text


@pytest.mark.parametrize("column", ["shop", "gone"])
def test_an_expectation_that_cannot_be_computed_is_an_error_and_no_success(
    monitor: MakeMonitor, run: Run, column: str
) -> None:
    table = pa.table({"id": [1], "shop": ["Bern"]})
    suite = suite_of(monitor(), table, between(column, 1, 2))
    with pytest.raises(ConfigurationError) as error:
        run(monitor(), suite, table)
    told = str(error.value)
    assert told.startswith(f"orders 2013-02-03: expect_column_values_to_be_between on '{column}' could not be computed")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("values", "kind", "low", "high", "outside"),
    [
        ([dt.date(2013, 1, 1), dt.date(1900, 1, 1)], pa.date32(), "2000-01-01", "2030-01-01", [1]),
        ([dt.datetime(2013, 1, 1), dt.datetime(9999, 1, 1)], pa.timestamp("us"), "2000-01-01T00:00:00",
         "2030-01-01T00:00:00", [1]),
        ([dt.datetime(2013, 1, 1), dt.datetime(1999, 1, 1)], pa.timestamp("ns"), "2000-01-01T00:00:00",
         "2030-01-01T00:00:00", [1]),
        ([dt.datetime(2013, 1, 1), dt.datetime(1999, 1, 1)], pa.timestamp("us", tz="Europe/Zurich"),
         "2000-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00", [1]),
        ([Decimal("1.10"), Decimal("1.11"), None], pa.decimal128(9, 2), 1.1, 1.1, [1]),
        ([1, None, 8], pa.int32(), 0, 5, [2]),
        ([1, 2**64 - 1], pa.uint64(), 0, 5, [1]),
        ([0.5, 7.0], pa.float32(), 0, 5, [1]),
    ],
)  # fmt: skip
def test_ranges_hold_in_every_type(
    monitor: MakeMonitor, run: Run, values: list[Any], kind: pa.DataType, low: Any, high: Any, outside: list[int]
) -> None:
    table = pa.table({"id": list(range(len(values))), "a": pa.array(values, kind)})
    checked = run(monitor(), suite_of(monitor(), table, between("a", low, high)), table)
    assert [one.row for one in checked.quarantined] == outside
    assert checked.accepted.schema.field("a").type == kind


@pytest.mark.filterwarnings("ignore:.*condition:DeprecationWarning")
def test_rules_across_columns_and_under_conditions_judge_each_record(monitor: MakeMonitor, run: Run) -> None:
    watched = monitor(
        expectations=[
            {"expect_column_pair_values_a_to_be_greater_than_b": {"column_A": "to", "column_B": "from"}},
            {"expect_column_values_to_be_between": {"column": "from", "max_value": 5, "row_condition": 'shop == "Bern"',
                                                    "condition_parser": "pandas"}},
        ]
    )  # fmt: skip
    table = pa.table({"id": [1, 2, 3], "from": [1, 9, 9], "to": [0, 10, 10], "shop": ["Bern", "Genf", "Bern"]})
    checked = run(watched, suite_of(watched, table), table)
    assert [(one.row, one.column, one.value) for one in checked.quarantined] == [
        (0, None, '{"to": 0, "from": 1}'),
        (2, "from", "9"),
    ]


def test_column_names_may_be_anything(monitor: MakeMonitor, run: Run) -> None:
    for name in ["we\"ird x.é`'", "class", "rows", "a.b", "%", "ünï"]:
        table = pa.table({"id": [1, 2], name: [1.0, 99.0]})
        assert [
            one.row for one in run(monitor(), suite_of(monitor(), table, between(name, 0, 9)), table).quarantined
        ] == [1]


def test_batches_without_records_and_partitions_without_batches(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": pa.array([], pa.int64()), "a": pa.array([], pa.float64())})
    suite = suite_of(monitor(), table, between("a", 0, 1))
    judge = RecordCheck(monitor(), "2013-02-03", suite, KeyCensus({("id",): frozenset()}, {("id",): frozenset()}))
    assert [result.checked for result in judge.results()] == [0] * len(judge.results())
    assert judge.check(table, 0).accepted.num_rows == 0


def test_honest_new_orders_are_accepted_as_they_are(monitor: MakeMonitor, run: Run, orders: MakeTable) -> None:
    days = [f"2013-01-{day:02}" for day in range(1, 11)]
    window = pa.concat_tables([orders(500, day, seed) for seed, day in enumerate(days)])
    profiles = [
        {"rows": 500, "amount.median": 20 + n % 3, "items.median": 2 + n % 2, "balance.mean": n % 4} for n in range(10)
    ]
    suite = learn(monitor(), window, profiles)
    new = orders(20_000, "2013-03-01", seed=99)
    checked = run(monitor(), suite, new)
    assert checked.quarantined == []
    assert checked.accepted == new
    assert all(result.success for result in checked.results)
    poisoned = new.set_column(2, "amount", pa.array(np.append(new.column("amount").to_numpy()[1:], [-1.0])))
    assert run(monitor(), suite, poisoned).why() == [(19_999, "amount", "be_between", "-1")]


def test_the_batch_is_not_changed(monitor: MakeMonitor, run: Run) -> None:
    table = pa.table({"id": [1, 2], "a": [1.0, float("inf")]})
    before = table.to_pydict()
    run(monitor(), first_suite(monitor(), table.schema), table)
    assert table.to_pydict() == before


OWN = [{"expect_column_sum_to_be_between": {"column": "a", "max_value": 10}, "severity": "warning"}]


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 60), st.integers(1, 20), st.integers(1, 20))
def test_p15_checks_of_stretches_add_up_to_one_of_the_whole(cells: list[int], cut: int, one: int, other: int) -> None:
    watched = Monitor.model_validate(
        {"name": "m", "source": {"files": "x"}, "partition_by": "day", "primary_key": ["id"], "expectations": OWN}
    )
    table = pa.table({"id": list(range(len(cells))), "a": pa.array(cells, pa.int64()), "b": [n % 3 for n in cells]})
    specs = between("a", 0, 20), between("a", 5, 10, "warning"), between("b", 0, 0, "warning")
    suite = suite_of(watched, table, *specs)
    suite = replace(suite, partition=first_suite(watched, table.schema).partition)

    def checked(part: pa.Table, first: int, rows: int) -> RecordCheck:
        check = RecordCheck(watched, "2013-02-03", suite, KeyCensus({("id",): frozenset()}, {("id",): frozenset()}))
        for batch in part.to_batches(rows):
            check.check(batch, first)
        return check

    added = checked(table.slice(0, 0), 0, one)
    added.take(checked(table.slice(0, cut), 0, one).checked())
    added.take(checked(table.slice(cut), cut, other).checked())
    assert added.results() == checked(table, 0, 7).results()


def test_the_examples_are_the_first_different_values_whatever_the_batches(monitor: MakeMonitor, run: Run) -> None:
    cells = [50] * 60 + [51, 50, 52, None, 53, 54, 55]
    table = pa.table({"id": list(range(len(cells))), "a": pa.array(cells, pa.int64())})
    suite = suite_of(monitor(), table, between("a", 0, 9, "warning"))
    for rows in (1, 30, 100):
        assert run(monitor(), suite, table, rows=rows).result(BETWEEN, "a").observed == ["50", "51", "52", "53", "54"]

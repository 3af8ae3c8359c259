from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.monitor import Monitor
from pipeline.validation import Suite, first_suite, readable
from pipeline.validation.suite import BETWEEN, NOT_NULL, ROW_COUNT, UNIQUE, UNIQUE_TOGETHER, Spec, combine, learned

MakeMonitor = Callable[..., Monitor]
SCHEMA = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("amount", pa.float64())])


def test_before_training_the_key_the_number_of_records_and_infinity_are_watched(monitor: MakeMonitor) -> None:
    suite = first_suite(monitor(), SCHEMA)
    assert [(spec["type"], spec["kwargs"].get("column")) for spec in suite.record] == [
        (NOT_NULL, "id"),
        (UNIQUE, "id"),
        (BETWEEN, "amount"),
    ]
    assert [(spec["type"], spec["kwargs"]) for spec in suite.partition] == [(ROW_COUNT, {"min_value": 1})]
    assert {spec["origin"] for spec in (*suite.record, *suite.partition)} == {"built-in"}
    assert suite.schema == {}


def test_a_key_of_several_columns_is_unique_as_a_whole(monitor: MakeMonitor) -> None:
    suite = first_suite(monitor(primary_key=["id", "day"]), SCHEMA)
    assert suite.record[2]["type"] == UNIQUE_TOGETHER
    assert suite.record[2]["kwargs"] == {"column_list": ["id", "day"]}


def test_an_excluded_column_is_not_watched_for_infinity(monitor: MakeMonitor) -> None:
    suite = first_suite(monitor(columns={"exclude": ["amount"]}), SCHEMA)
    assert all(spec["kwargs"].get("column") != "amount" for spec in suite.record)


def test_what_the_monitor_writes_replaces_what_was_learned_of_the_same_type_and_column(monitor: MakeMonitor) -> None:
    taught = [
        learned("record", BETWEEN, "error", column="amount", min_value=0, max_value=10),
        learned("record", BETWEEN, "error", column="items", min_value=0, max_value=10),
        learned("partition", ROW_COUNT, "error", min_value=5),
        learned("partition", ROW_COUNT, "warning", min_value=50),
    ]
    own: list[Spec] = [
        {**taught[0], "origin": "monitor", "kwargs": {"column": "amount", "min_value": 1}},
        {**taught[2], "origin": "monitor", "kwargs": {"max_value": 9}},
    ]
    suite = combine(monitor(), taught, own, ["amount", "items"], {})
    between = [(spec["origin"], spec["kwargs"]["column"]) for spec in suite.record if spec["type"] == BETWEEN]
    # One bound alone lets an infinity pass, so the built-in expectation stays beside the monitor's.
    assert between == [("built-in", "amount"), ("learned", "items"), ("monitor", "amount")]
    assert [(spec["origin"], spec["kwargs"]) for spec in suite.partition] == [
        ("built-in", {"min_value": 1}),
        ("monitor", {"max_value": 9}),
    ]


def test_a_suite_survives_json_and_its_version_tells_suites_apart(monitor: MakeMonitor) -> None:
    suite = first_suite(monitor(), SCHEMA)
    again = Suite.from_json(suite.to_json())
    assert again == suite
    assert again.version == suite.version
    assert len(suite.version) == 12
    assert int(suite.version, 16) >= 0
    other = Suite(suite.record, suite.partition, {"amount": "double"})
    assert other.version != suite.version


def test_a_version_does_not_depend_on_the_order_in_which_arguments_were_written() -> None:
    one = learned("record", BETWEEN, "error", column="a", min_value=0)
    other = learned("record", BETWEEN, "error", min_value=0, column="a")
    assert (
        Suite((one,), (), {"a": "double", "b": "string"}).version
        == Suite((other,), (), {"b": "string", "a": "double"}).version
    )


def test_a_suite_is_plain_json_that_holds_no_nan() -> None:
    suite = Suite((learned("record", BETWEEN, "error", column="a", min_value=float("nan")),), (), {})
    with pytest.raises(ValueError, match="JSON"):
        suite.to_json()
    assert set(json.loads(Suite((), (), {}).to_json())) == {"record", "partition", "schema"}


def test_a_suite_can_be_read_in_words(monitor: MakeMonitor) -> None:
    taught = [
        learned("record", BETWEEN, "error", column="amount", min_value=0, max_value=49_800),
        learned("record", "expect_column_values_to_be_in_set", "warning", column="shop", value_set=["Bern", "Genf"]),
        learned("record", "expect_column_values_to_match_regex", "error", column="code", regex="^A"),
        learned("partition", "expect_column_mean_to_be_between", "warning", column="amount", min_value=1.5),
    ]
    assert readable(combine(monitor(), taught, [], [], {})) == [
        "error: id is never null (built-in)",
        "error: id is unique (built-in)",
        "error: amount is from 0 to 49,800 (learned)",
        "warning: shop is one of 'Bern', 'Genf' (learned)",
        "error: expect_column_values_to_match_regex(column='code', regex='^A') (learned)",
        "error: the number of records is at least 1 (built-in)",
        "warning: the mean of amount is at least 1.5 (learned)",
    ]


def test_a_suite_knows_which_columns_to_read(monitor: MakeMonitor) -> None:
    pair = learned("record", "expect_column_pair_values_to_be_equal", "error", column_A="a", column_B="b")
    suite = combine(monitor(primary_key=["id", "nr"]), [pair], [], [], {"shop": "string"})
    assert suite.columns == {"id", "nr", "a", "b", "shop"}

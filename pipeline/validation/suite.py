"""An expectation suite as a plain, versioned value: what must hold for a record and for a partition. Pure.

Every expectation says where it comes from: "built-in" (the key, at least one record, no infinity), "learned" from the
training window, or "monitor": written by the user, and then it overrides a learned one of the same type and column.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pipeline.monitor import Monitor
from pipeline.results import Severity

Scope = Literal["record", "partition"]
Origin = Literal["built-in", "learned", "monitor"]

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
OF_TYPE = "expect_column_values_to_be_of_type"
LENGTHS = "expect_column_value_lengths_to_be_between"
UNIQUE = "expect_column_values_to_be_unique"
UNIQUE_TOGETHER = "expect_compound_columns_to_be_unique"
ROW_COUNT = "expect_table_row_count_to_be_between"
ROW_COUNT_EQUAL = "expect_table_row_count_to_equal"
MAX = "expect_column_max_to_be_between"
MEAN = "expect_column_mean_to_be_between"
MEDIAN = "expect_column_median_to_be_between"
DISTINCT = "expect_column_unique_value_count_to_be_between"
FILLED = "expect_column_proportion_of_non_null_values_to_be_between"
UNIQUE_SHARE = "expect_column_proportion_of_unique_values_to_be_between"


class Spec(TypedDict):
    """One expectation as JSON values; `type` is its snake_case name in Great Expectations."""

    scope: Scope
    type: str
    kwargs: dict[str, Any]
    severity: Severity
    origin: Origin


@dataclass(frozen=True)
class Suite:
    """The record suite, the partition suite, and each column's Arrow type as trained ({} before any training)."""

    record: tuple[Spec, ...]
    partition: tuple[Spec, ...]
    schema: dict[str, str]

    @property
    def version(self) -> str:
        """12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def columns(self) -> frozenset[str]:
        """The columns to read: those trained on, and those that an expectation names."""
        named = {name for spec in (*self.record, *self.partition) for name in columns_of(spec["kwargs"])}
        return frozenset(self.schema) | named

    def to_json(self) -> str:
        """The canonical JSON: the same text for the same suite."""
        body = {"record": self.record, "partition": self.partition, "schema": self.schema}
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Suite:
        """The suite that `to_json` wrote."""
        body = json.loads(text)
        return cls(tuple(body["record"]), tuple(body["partition"]), body["schema"])


def columns_of(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns whose values an expectation reads, in its own order."""
    single = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return (*single, *kwargs.get("column_list", ()))


def key_is_usable(monitor: Monitor) -> list[Spec]:
    """Built in: no part of the primary key is null, and no two records share a key."""
    key = list(monitor.primary_key)
    unique = (UNIQUE, {"column": key[0]}) if len(key) == 1 else (UNIQUE_TOGETHER, {"column_list": key})
    return [_built_in("record", NOT_NULL, {"column": name}) for name in key] + [_built_in("record", *unique)]


def has_records() -> Spec:
    """Built in: a partition has at least one record."""
    return _built_in("partition", ROW_COUNT, {"min_value": 1})


def is_finite(column: str) -> Spec:
    """Built in: a floating-point column holds no infinity."""
    largest = 1.7976931348623157e308
    return _built_in("record", BETWEEN, {"column": column, "min_value": -largest, "max_value": largest})


def learned(scope: Scope, kind: str, severity: Severity, **kwargs: Any) -> Spec:
    """An expectation that the training window taught."""
    return {"scope": scope, "type": kind, "kwargs": kwargs, "severity": severity, "origin": "learned"}


def combine(
    monitor: Monitor, taught: Iterable[Spec], own: Sequence[Spec], floating: Iterable[str], schema: dict[str, str]
) -> Suite:
    """Built-in, learned and the monitor's own together; `floating` names the columns that could hold an infinity."""
    overridden = {(spec["type"], columns_of(spec["kwargs"])) for spec in own}
    kept = [spec for spec in taught if (spec["type"], columns_of(spec["kwargs"])) not in overridden]
    bounded = {spec["kwargs"]["column"] for spec in [*kept, *own] if _bounds_both_sides(spec)}
    finite = [is_finite(column) for column in floating if column not in bounded]
    specs = [*key_is_usable(monitor), has_records(), *finite, *kept, *own]
    record = tuple(spec for spec in specs if spec["scope"] == "record")
    return Suite(record, tuple(spec for spec in specs if spec["scope"] == "partition"), schema)


def _built_in(scope: Scope, kind: str, kwargs: dict[str, Any]) -> Spec:
    return {"scope": scope, "type": kind, "kwargs": kwargs, "severity": "error", "origin": "built-in"}


def _bounds_both_sides(spec: Spec) -> bool:
    bounds = [spec["kwargs"].get(name) for name in ("min_value", "max_value")]
    return (
        (spec["scope"], spec["type"], spec["severity"]) == ("record", BETWEEN, "error")
        and None not in bounds
        and "row_condition" not in spec["kwargs"]
    )

"""The expectations that a monitor may name: each core one of Great Expectations that answers from a pandas frame."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.monitor import Expectation, Monitor
from pipeline.monitor_file import did_you_mean, one_line
from pipeline.validation.engine import expectation_class, expectation_names
from pipeline.validation.suite import (
    ROW_COUNT,
    ROW_COUNT_EQUAL,
    UNIQUE,
    UNIQUE_TOGETHER,
    Scope,
    Spec,
    columns_of,
)

# Answered by a query or by another table, which a frame is not.
_NEED_SQL = frozenset({"expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"})
# Written per record, yet the verdict on one record depends on the others.
_COMPARE_RECORDS = frozenset(
    {
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_not_be_outliers",
    }
)


def own_specs(monitor: Monitor, columns: Sequence[str] | None = None) -> list[Spec]:
    """The monitor's own expectations, checked; `columns` are the table's where they are known.

    ConfigurationError naming the expectation: no such name (with the nearest), wrong arguments, or no such column.
    """
    return [_own(monitor, expectation, columns) for expectation in monitor.expectations]


def needs_records(spec: Spec) -> bool:
    """Whether a partition expectation is answered from the accepted records, not from the partition's profile."""
    return spec["origin"] == "monitor" and (
        spec["type"] not in (ROW_COUNT, ROW_COUNT_EQUAL) or "row_condition" in spec["kwargs"]
    )


def _own(monitor: Monitor, expectation: Expectation, columns: Sequence[str] | None) -> Spec:
    name, kwargs = expectation.name, dict(expectation.kwargs)
    _check_name(monitor, name)
    _check_arguments(monitor, name, kwargs)
    if columns is not None and name != "expect_column_to_exist":
        _check_columns(monitor, name, kwargs, columns)
    return {
        "scope": _scope(name, kwargs),
        "type": name,
        "kwargs": kwargs,
        "severity": expectation.severity,
        "origin": "monitor",
    }


def _check_name(monitor: Monitor, name: str) -> None:
    known = [known for known in expectation_names() if known not in _NEED_SQL]
    if name in _NEED_SQL:
        raise ConfigurationError(f"{monitor.name}: {name} needs a SQL query, which validation does not run; drop it")
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3)
        mend = f"the nearest are {', '.join(nearest)}" if nearest else "see the gallery of Great Expectations"
        raise ConfigurationError(one_line(f"{monitor.name}: unknown expectation {name!r}; {mend}"))


def _check_arguments(monitor: Monitor, name: str, kwargs: Mapping[str, Any]) -> None:
    # Of pydantic's second version would be ours; Great Expectations still validates with its first.
    from pydantic.v1 import ValidationError

    try:
        expectation_class(name)(**kwargs)
    except ValidationError as error:
        problems = {".".join(map(str, problem["loc"])): problem["msg"] for problem in error.errors()}
        told = "; ".join(f"{where}: {what}".removeprefix("__root__: ") for where, what in problems.items())
        raise ConfigurationError(one_line(f"{monitor.name}: {name} has wrong arguments: {told}")) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(one_line(f"{monitor.name}: {name} has wrong arguments: {error}")) from error


def _check_columns(monitor: Monitor, name: str, kwargs: Mapping[str, Any], columns: Sequence[str]) -> None:
    for column in columns_of(kwargs):
        if column not in columns:
            mend = did_you_mean(column, columns)
            raise ConfigurationError(
                one_line(f"{monitor.name}: {name} names no column of the table: {column!r}; {mend}")
            )


def _scope(name: str, kwargs: Mapping[str, Any]) -> Scope:
    """ "record" only if the expectation judges each record, and judges it alone or by the census of keys."""
    kind = expectation_class(name)
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    row_level = issubclass(kind, ColumnMapExpectation | ColumnPairMapExpectation | MulticolumnMapExpectation)
    whole = (
        name in _COMPARE_RECORDS
        or kwargs.get("mostly", 1) < 1
        or (name in (UNIQUE, UNIQUE_TOGETHER) and "row_condition" in kwargs)
    )
    return "record" if row_level and not whole else "partition"

"""Expectations in words, for people who read a suite or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.results import ExpectationResult
from pipeline.validation.suite import (
    BETWEEN,
    DISTINCT,
    FILLED,
    IN_SET,
    LENGTHS,
    MEAN,
    MEDIAN,
    NOT_NULL,
    OF_TYPE,
    ROW_COUNT,
    ROW_COUNT_EQUAL,
    UNIQUE,
    UNIQUE_SHARE,
    UNIQUE_TOGETHER,
    Suite,
    columns_of,
)

_SUBJECTS = {
    BETWEEN: "{column}",
    LENGTHS: "the number of characters of {column}",
    ROW_COUNT: "the number of records",
    ROW_COUNT_EQUAL: "the number of records",
    FILLED: "the share of {column} that is not null",
    MEAN: "the mean of {column}",
    MEDIAN: "the median of {column}",
    DISTINCT: "the number of distinct values of {column}",
    UNIQUE_SHARE: "the share of distinct values among those of {column}",
}
_LISTED = 12


def readable(suite: Suite) -> list[str]:
    """The suite in words, a line an expectation, such as `error: distance is from 0 to 49,800 (learned)`."""
    return [
        f"{spec['severity']}: {phrase(spec['type'], spec['kwargs'])} ({spec['origin']})"
        for spec in (*suite.record, *suite.partition)
    ]


def in_words(result: ExpectationResult) -> str:
    """How one expectation fared: what was expected, and what was observed or how many records break it."""
    expected = phrase(result.expectation, result.kwargs)
    if result.scope == "partition":
        return f"expected that {expected}; observed {_observed(result.observed)}"
    if result.success:
        return f"{result.checked:,} records keep to: {expected}"
    found = [repr(value) for value in result.observed or () if value is not None]
    examples = f", with {', '.join(found)}" if found else ""
    return f"{result.unexpected:,} of {result.checked:,} records break: {expected}{examples}"


def phrase(kind: str, kwargs: Mapping[str, Any]) -> str:
    """What one expectation expects, in words; in its own name and arguments where there are no words for it."""
    column = ", ".join(columns_of(kwargs))
    if kwargs.keys() & {"mostly", "row_condition"}:
        return _as_written(kind, kwargs)
    match kind:
        case _ if kind in _SUBJECTS:
            return f"{_SUBJECTS[kind].format(column=column)} is {limits(kwargs)}"
        case _ if kind == NOT_NULL:
            return f"{column} is never null"
        case _ if kind == UNIQUE:
            return f"{column} is unique"
        case _ if kind == UNIQUE_TOGETHER:
            return f"{column} are unique together"
        case _ if kind == OF_TYPE:
            return f"{column} is of type {kwargs['type_']}"
        case _ if kind == IN_SET:
            return f"{column} is one of {_listed(kwargs['value_set'])}"
    return _as_written(kind, kwargs)


def limits(kwargs: Mapping[str, Any]) -> str:
    """`from 1 to 20`, `at least 1`, `more than 0.05`, `at most 20`, `less than 20`, or `7` for an exact value."""
    if "value" in kwargs:
        return number(kwargs["value"])
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = "" if low is None else f"{'more than' if kwargs.get('strict_min') else 'at least'} {number(low)}"
    below = "" if high is None else f"{'less than' if kwargs.get('strict_max') else 'at most'} {number(high)}"
    if above.startswith("at least") and below.startswith("at most"):
        return f"from {number(low)} to {number(high)}"
    return " and ".join(part for part in (above, below) if part)


def number(value: Any) -> str:
    """A bound or an observed value for people: thousands apart, six digits at most after the point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not 1e-4 <= abs(value) < 1e15 and value != 0:
        return f"{value:g}"
    return f"{round(value, 6):,}".removesuffix(".0")


def _observed(value: Any) -> str:
    return "nothing" if value is None else number(value)


def _listed(values: list[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:_LISTED])
    return shown if len(values) <= _LISTED else f"{shown} and {len(values) - _LISTED} more"


def _as_written(kind: str, kwargs: Mapping[str, Any]) -> str:
    return f"{kind}({', '.join(f'{name}={value!r}' for name, value in kwargs.items())})"

"""The expectations of a learned suite judged over Arrow: which records break one, exactly as over a pandas frame.

What is not certain to be judged alike, whether for the column's type, the bounds or another argument, is left to Great
Expectations' own engine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.validation.frames import EXACT_IN_FLOAT, comparable
from pipeline.validation.suite import BETWEEN, IN_SET, NOT_NULL

Kwargs = Mapping[str, Any]


def breaking_rows(expectation: str, kwargs: Kwargs, table: pa.Table) -> list[int] | None:
    """The positions of the records that break an expectation, ascending; None where Arrow cannot say.

    `kwargs` hold dates and times as the values that the column holds.
    """
    if expectation not in _JUDGES or kwargs.get("column") not in table.column_names:
        return None
    judge, arguments = _JUDGES[expectation]
    if {*kwargs} - {"column", "mostly", *arguments}:
        return None
    try:
        broken = judge(table.column(kwargs["column"]), kwargs)
    except (pa.ArrowException, OverflowError):
        return None
    return broken if broken is None else np.flatnonzero(broken).tolist()


def _null(column: pa.ChunkedArray, kwargs: Kwargs) -> Any:
    return pc.is_null(column) if column.null_count else []


def _outside(column: pa.ChunkedArray, kwargs: Kwargs) -> Any:
    """Most batches keep within the bounds with their extremes, and then no record needs a look of its own."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    known = [bound for bound in (low, high) if bound is not None]
    column = _as_bounded(column, known)
    if column is None or (len(known) == 2 and known[0] > known[1]):
        return None
    below = pc.less_equal if kwargs.get("strict_min") else pc.less
    above = pc.greater_equal if kwargs.get("strict_max") else pc.greater
    sides = [
        (compare, _scalar(bound, column.type), end)
        for compare, bound, end in ((below, low, "min"), (above, high, "max"))
        if bound is not None
    ]
    ends = pc.min_max(column)
    found = [compare(column, bound) for compare, bound, end in sides if compare(ends[end], bound).as_py()]
    return pc.fill_null(found[0] if len(found) == 1 else pc.or_(*found), False) if found else []


def _as_bounded(column: pa.ChunkedArray, bounds: list[Any]) -> pa.ChunkedArray | None:
    """The column in the type in which its values are compared with such bounds; None where that is not certain."""
    types, kind = {type(bound) for bound in bounds}, column.type
    if pt.is_date32(kind) and types == {dt.date}:
        return column
    if pt.is_timestamp(kind) and types == {dt.datetime}:
        return column if all((bound.tzinfo is None) == (kind.tz is None) for bound in bounds) else None
    if not types or types - {int, float} or any(bound != bound for bound in bounds):
        return None
    if not (pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind)):
        return None
    # Great Expectations keeps bounds as floating-point numbers, and compares as such what it holds in 64 bits.
    column = comparable(column)
    if column.type == pa.int64() and not column.null_count:
        column = column.cast(pa.float64(), safe=False)
    return column if pt.is_floating(column.type) else None


def _scalar(bound: Any, kind: pa.DataType) -> pa.Scalar:
    if pt.is_floating(kind):
        return pa.scalar(float(bound), kind)
    if pt.is_timestamp(kind):
        return pa.scalar(bound, pa.timestamp("us", kind.tz)).cast(kind)
    return pa.scalar(bound, kind)


def _outside_set(column: pa.ChunkedArray, kwargs: Kwargs) -> Any:
    known, kind = kwargs.get("value_set"), column.type
    if not isinstance(known, list):
        return None
    texts = (pt.is_string(kind) or pt.is_large_string(kind)) and all(type(value) is str for value in known)
    exact = all(type(value) is int and abs(value) <= EXACT_IN_FLOAT for value in known)
    if not (texts or (pt.is_integer(kind) and exact)):
        return None
    return pc.and_not(pc.is_valid(column), pc.is_in(column, pa.array(known, kind)))


_JUDGES: dict[str, tuple[Callable[[pa.ChunkedArray, Kwargs], Any], tuple[str, ...]]] = {
    NOT_NULL: (_null, ()),
    BETWEEN: (_outside, ("min_value", "max_value", "strict_min", "strict_max")),
    IN_SET: (_outside_set, ("value_set",)),
}
JUDGED = frozenset(_JUDGES)

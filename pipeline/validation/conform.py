"""Brings the columns of a batch to the types they had in training, and names the cells that cannot be brought there.

Within a family (numbers; dates and times; text) nothing offends: a column is cast where every cell survives exactly,
and otherwise keeps the wider type in which it came. Between families a cell offends unless it reads as the trained
type. A NaN is a null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import as_text

Family = Literal["number", "boolean", "text", "instant"]


@dataclass(frozen=True)
class Conformed:
    """The table in trained types; `offending` holds the 0-based positions of the cells that are null in it instead."""

    table: pa.Table
    offending: dict[str, list[int]]


def conform(table: pa.Table, trained: Mapping[str, str], zone: str) -> Conformed:
    """The table with each column in its trained Arrow type; `zone` is the time zone of naive times."""
    columns: dict[str, pa.ChunkedArray] = {}
    offending: dict[str, list[int]] = {}
    for name in table.column_names:
        values = plain(table.column(name))
        target = arrow_type(trained[name]) if name in trained else None
        columns[name] = values if target is None else _to_type(values, target, zone)
        # No conversion makes a value of a null.
        if columns[name].null_count > values.null_count:
            lost = pc.and_(pc.is_null(columns[name]), pc.is_valid(values))
            offending[name] = np.flatnonzero(lost.to_numpy()).tolist()
    return Conformed(pa.table(columns), offending)


def arrow_type(text: str) -> pa.DataType | None:
    """The Arrow type of that text; None for nested and binary ones, which are left as they come."""
    if match := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", text):
        return pa.timestamp(match[1], tz=match[2])
    if match := re.fullmatch(r"decimal(128|256)\((\d+), (-?\d+)\)", text):
        make = pa.decimal128 if match[1] == "128" else pa.decimal256
        return make(int(match[2]), int(match[3]))
    try:
        return pa.type_for_alias(text)
    except ValueError:
        return None


def type_text(kind: pa.DataType) -> str:
    """The text that `arrow_type` reads; a dictionary's type is that of its values."""
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary encoding, and null where it is NaN."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        absent = pc.is_nan(values)
        return pc.if_else(absent, pa.scalar(None, values.type), values) if pc.any(absent).as_py() else values
    return values


def _family(kind: pa.DataType) -> Family | None:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "instant" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None


def _to_type(values: pa.ChunkedArray, target: pa.DataType, zone: str) -> pa.ChunkedArray:
    if values.type == target or pa.types.is_null(target):
        return values
    if pa.types.is_null(values.type):
        return values.cast(target)
    family, wanted = _family(values.type), _family(target)
    if wanted == "instant":
        values = _in_zone(values, target, zone)
    if family is not None and family == wanted:
        return _exact(values, target)
    readings: dict[tuple[Family | None, Family | None], Callable[[Any], Any]] = {
        ("text", "number"): partial(_number, target=target),
        ("text", "boolean"): partial(_parsed, target=target),
        ("text", "instant"): partial(_moment, target=target, zone=zone),
        ("number", "boolean"): lambda value: bool(value) if value in (0, 1) else None,
        ("boolean", "number"): int,
    }
    read = as_text if wanted == "text" else readings.get((family, wanted), lambda value: None)
    return _each_distinct(values, read, target)


def _exact(values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """The values in another type of their family, or as they are where one of them would not come back the same."""
    try:
        # Arrow casts an integer to a decimal only by way of one that holds any integer.
        by_way = pa.types.is_integer(values.type) and pa.types.is_decimal(target)
        cast = (values.cast(pa.decimal128(20, 0)) if by_way else values).cast(target)
        same = pc.all(pc.equal(cast.cast(values.type), values)).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return values
    return values if same is False else cast


def _in_zone(values: pa.ChunkedArray, target: pa.DataType, zone: str) -> pa.ChunkedArray:
    """Dates and naive times as instants of the monitor's zone where instants were trained, and the other way round."""
    if not pa.types.is_timestamp(target):
        return values
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp(target.unit))
    if not pa.types.is_timestamp(values.type):
        return values
    if values.type.tz is None and target.tz is not None:
        return pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="earliest")
    if values.type.tz is not None and target.tz is None:
        return pc.local_timestamp(values.cast(pa.timestamp(values.type.unit, tz=zone)))
    return values


def _each_distinct(values: pa.ChunkedArray, read: Callable[[Any], Any], target: pa.DataType) -> pa.ChunkedArray:
    """The values read one distinct value at a time; null where `read` gives None or what the target cannot hold."""
    encoded = values.combine_chunks().dictionary_encode()
    cells = [_held(read(value), target) for value in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(cells, target).take(encoded.indices)])


def _held(value: Any, target: pa.DataType) -> Any:
    try:
        return pa.scalar(value, target).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None


def _parsed(text: str, target: pa.DataType) -> Any:
    try:
        return pa.scalar(text).cast(target).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _number(text: str, target: pa.DataType) -> Any:
    value = _parsed(text, target)
    if value is None and pa.types.is_integer(target):
        real = _parsed(text, pa.float64())
        return int(real) if real is not None and abs(real) < 2**53 and real == int(real) else None
    return None if isinstance(value, float) and math.isnan(value) else value


def _moment(text: str, target: pa.DataType, zone: str) -> Any:
    if pa.types.is_timestamp(target) and target.tz is not None:
        naive = _parsed(text, pa.timestamp(target.unit))
        if naive is not None:
            return _in_zone(pa.chunked_array([[naive]], pa.timestamp(target.unit)), target, zone)[0].as_py()
    return _parsed(text, target)

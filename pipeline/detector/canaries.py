"""Canaries: records in which one field was corrupted, so that it is known what a detector ought to find."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from pipeline.monitor import Kind

TRIES = 20
EMPTIED_EVERY = 10
"""One canary in so many loses its value: nulls are found by any method, so that more of them would tell nothing."""


@dataclass(frozen=True)
class Canaries:
    """Corrupted records, the place of each one's original, the column that was changed and the kind of corruption.

    `table` has the schema of the originals and n records, `originals` is int64 (n,).
    """

    table: pa.Table
    originals: np.ndarray
    columns: tuple[str, ...]
    corruptions: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """What a corruption may look up: the values, None for null; those that are there; their standard deviation.

    The standard deviation of what is no number is 0.
    """

    kind: Kind
    field: pa.Field
    values: list[Any]
    present: list[Any]
    spread: float

    @classmethod
    def of(cls, table: pa.Table, name: str, kind: Kind) -> Column:
        """The column of `table`; a float that is not a number counts as null."""
        values = [None if value != value else value for value in table.column(name).to_pylist()]
        present = [value for value in values if value is not None]
        field = table.schema.field(name)
        numbers = np.array(present if _is_number(_value_type(field)) else (), dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        return cls(kind, field, values, present, float(numbers.std()) if len(numbers) else 0.0)


Corruption = Callable[[Any, Column, np.random.Generator], Any]
"""A wrong value in place of a right one; the same value where there is nothing to corrupt."""


def make_canaries(table: pa.Table, kinds: Mapping[str, Kind], count: int, seed: int) -> Canaries:
    """Corrupt one field each of `count` different records of `table`, fewer where there are fewer that can be.

    `kinds` names the columns that may be corrupted, each as likely as any other. A corruption that would leave the
    value as it is, or make one that the column's type cannot hold, is drawn again, up to `TRIES` times; then another
    column is.
    """
    draw = np.random.default_rng(seed)
    columns = {name: Column.of(table, name, kind) for name, kind in kinds.items()}
    made: list[tuple[int, str, str, pa.Array]] = []
    for row in draw.permutation(table.num_rows).tolist():
        if len(made) == count:
            break
        found = _corrupted(row, columns, draw, emptying=len(made) % EMPTIED_EVERY == 0)
        if found:
            made.append((row, *found))
    originals = np.array([row for row, *_ in made], dtype=np.int64)
    changed = [(name, value) for _, name, _, value in made]
    return Canaries(
        _replaced(table.take(pa.array(originals)), changed),
        originals,
        tuple(name for _, name, _, _ in made),
        tuple(corruption for _, _, corruption, _ in made),
    )


def scaled(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """The decimal point slipped, or a digit too many or too few: ten times the number or a tenth."""
    if draw.random() < 0.5:
        return value * 10
    return value // 10 if isinstance(value, int) else value / 10


def negated(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """The sign flipped."""
    return -value


def shifted(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """Four to ten standard deviations more or less."""
    offset = column.spread * draw.uniform(4, 10) * draw.choice([-1, 1])
    if isinstance(value, int):
        return value + round(offset)
    if isinstance(value, Decimal):
        return (value + Decimal(float(offset))).quantize(value)
    return value + float(offset)


def swapped(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """The value of another record: a valid one in the wrong company."""
    return column.present[draw.integers(len(column.present))]


def flipped(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """True for false and false for true."""
    return not value


def hours_off(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """A time of day, written as hhmm or hh:mm or a time, three hours or more off."""
    hours = int(draw.integers(3, 22))
    if isinstance(value, dt.time):
        return value.replace(hour=(value.hour + hours) % 24)
    if isinstance(value, str):
        hour, colon, rest = value.partition(":")
        return f"{(int(hour) + hours) % 24:02d}:{rest}" if colon else value
    return (value // 100 + hours) % 24 * 100 + value % 100


def month_off(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """Thirty days too early or too late."""
    return value + dt.timedelta(days=30 * int(draw.choice([-1, 1])))


def truncated(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """The first half of a text."""
    return value[: max(1, len(value) // 2)]


def emptied(value: Any, column: Column, draw: np.random.Generator) -> Any:
    """Null where a value was."""
    return None


def corruptions(column: Column) -> tuple[Corruption, ...]:
    """The corruptions that fit a column's kind and Arrow type; the value of another record fits any."""
    kind, values = column.kind, _value_type(column.field)
    text = pt.is_string(values) or pt.is_large_string(values)
    if kind == "numeric" and _is_number(values):
        return scaled, negated, shifted, swapped
    if kind == "boolean" and pt.is_boolean(values):
        return (flipped,)
    if kind == "clock" and (text or pt.is_time(values) or _is_number(values)):
        return hours_off, swapped
    if kind == "datetime" and (pt.is_date(values) or pt.is_timestamp(values)):
        return month_off, swapped
    if kind == "text" and text:
        return truncated, swapped
    return (swapped,)


def _corrupted(
    row: int, columns: Mapping[str, Column], draw: np.random.Generator, emptying: bool
) -> tuple[str, str, pa.Array] | None:
    """A column, the kind of corruption and the wrong value as an array of one; None where nothing could be changed."""
    names = [name for name, column in columns.items() if column.present]
    for name in draw.permutation(names).tolist():
        column, value = columns[name], columns[name].values[row]
        fitting = (swapped,) if value is None else corruptions(column)
        for _ in range(TRIES):
            corrupt = emptied if emptying and column.field.nullable else fitting[draw.integers(len(fitting))]
            try:
                wrong = pa.array([corrupt(value, column, draw)], column.field.type)
            except (pa.ArrowException, ArithmeticError, ValueError):
                continue  # the column's type cannot hold it
            if wrong[0].as_py() != value:
                return name, corrupt.__name__, wrong
    return None


def _replaced(table: pa.Table, changed: list[tuple[str, pa.Array]]) -> pa.Table:
    """`table` with one value of each record replaced: in record i that of column `changed[i][0]`."""
    for name in dict.fromkeys(name for name, _ in changed):
        rows = [row for row, (changed_name, _) in enumerate(changed) if changed_name == name]
        places = np.arange(table.num_rows)
        places[rows] = table.num_rows + np.arange(len(rows))
        at = table.column_names.index(name)
        every = pa.chunked_array([*table.column(name).chunks, *(changed[row][1] for row in rows)])
        table = table.set_column(at, table.schema.field(name), every.take(pa.array(places)))
    return table


def _value_type(field: pa.Field) -> pa.DataType:
    return field.type.value_type if pt.is_dictionary(field.type) else field.type


def _is_number(values: pa.DataType) -> bool:
    return bool(pt.is_integer(values) or pt.is_floating(values) or pt.is_decimal(values))

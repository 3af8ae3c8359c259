"""The primary key of a table: the column, or the smallest set of columns, that tells a partition's records apart."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.drafting.looking import Calendar, Look, distinct, filled, spread
from pipeline.source import read

CANDIDATES = 12
MOST_COLUMNS = 3
TRIED_RECORDS = 20_000
VERIFIED_RECORDS = 500_000

_DAY = "tablewatch:day"
_IDENTITY = re.compile(r"(^|_)(id|key|uuid|guid|pk)$|[a-z]Id$", re.IGNORECASE)
_NUMBERING = re.compile(r"(^|_)(number|no|nr|num|code|ref|serial|seq|name)$", re.IGNORECASE)


@dataclass(frozen=True)
class Key:
    """The columns of a primary key; `repeated` counts the records looked at that share theirs with another."""

    columns: tuple[str, ...]
    records: int
    repeated: int = 0


def find_key(look: Look) -> Key:
    """The primary key: one column if one is unique, else two or three; the nearest to one if none is unique.

    Unique is what is unique within each partition, in as many whole partitions as hold VERIFIED_RECORDS.
    """
    names = _candidates(look)
    if not names:
        return Key((look.calendar.column,), look.sample.num_rows, look.sample.num_rows)
    records = _records(look, names)
    tried = records.slice(0, TRIED_RECORDS)
    for columns in _combinations(tried, names):
        if _repeated(tried, columns) == 0 and _repeated(records, columns) == 0:
            return Key(columns, records.num_rows)
    widest = itertools.combinations(names, min(MOST_COLUMNS, len(names)))
    nearest = min(widest, key=lambda columns: _repeated(tried, columns))
    return Key(nearest, records.num_rows, _repeated(records, nearest))


def _candidates(look: Look) -> list[str]:
    """The columns that are never null and could be part of a key, the likeliest first."""
    able = [
        field
        for field in look.schema
        if field.name != look.calendar.column
        and not (pa.types.is_floating(field.type) or pa.types.is_boolean(field.type))
        and all(distinct(profile, field.name) is not None for profile in look.profiles)
        and filled(look.profiles, field.name)
    ]
    alone = [f for f in able if all(distinct(profile, f.name) == profile["rows"] for profile in look.profiles)]
    others = [field for field in able if field not in alone]
    return [field.name for group in (alone, others) for field in sorted(group, key=_unlikeliness)][:CANDIDATES]


def _unlikeliness(field: pa.Field) -> int:
    if _IDENTITY.search(field.name):
        return 0
    if _NUMBERING.search(field.name):
        return 1
    if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
        return 2
    return 3 if pa.types.is_integer(field.type) else 4


def _records(look: Look, names: Sequence[str]) -> pa.Table:
    """The candidate columns of whole partitions, with the day of each record."""
    days = spread(look.calendar, max(1, int(VERIFIED_RECORDS / look.calendar.typical)))
    table = read(look.source, days, [*names, look.calendar.column])
    return table.select(list(names)).append_column(_DAY, _days(look.calendar, table))


def _days(calendar: Calendar, table: pa.Table) -> pa.ChunkedArray:
    column = table.column(calendar.column)
    if pa.types.is_date(calendar.kind) or pa.types.is_timestamp(calendar.kind):
        return column.cast(pa.date32(), safe=False)
    return pc.utf8_slice_codeunits(column, 0, 10)


def _combinations(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One column, then two, then three, the likeliest first; those with too few different values are left out."""
    levels = {name: len(table.column(name).unique()) * len(table.column(_DAY).unique()) for name in names}
    for size in range(1, MOST_COLUMNS + 1):
        for places in sorted(itertools.combinations(range(len(names)), size), key=sum):
            columns = tuple(names[place] for place in places)
            if math.prod(levels[name] for name in columns) >= table.num_rows:
                yield columns


def _repeated(table: pa.Table, columns: Sequence[str]) -> int:
    """The records beyond the first of their key and day; null keys are one key."""
    return int(table.num_rows - table.group_by([_DAY, *columns]).aggregate([]).num_rows)

"""The records set aside, with the value that broke an expectation as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.records import as_text, record_json, record_keys
from pipeline.results import Quarantined


@dataclass(frozen=True)
class Break:
    """The positions of the records of a batch that break one expectation on some columns."""

    expectation: str
    columns: tuple[str, ...]
    rows: list[int]


def quarantine(
    monitor: Monitor, records: pa.Table, conformed: pa.Table, breaks: Sequence[Break], first_row: int
) -> list[Quarantined]:
    """The records that break something, by row, once for each expectation and column; values as they were read."""
    rows = sorted({row for broken in breaks for row in broken.rows})
    if not rows:
        return []
    keys_of_rows = record_keys(conformed.take(rows), monitor.primary_key, monitor.columns.sensitive)
    keys = dict(zip(rows, keys_of_rows, strict=True))
    bodies = dict(zip(rows, _bodies(monitor, records.take(rows)), strict=True))
    found: dict[tuple[int, str, tuple[str, ...]], Quarantined] = {}
    for broken in breaks:
        column = broken.columns[0] if len(broken.columns) == 1 else None
        values = value_texts(monitor, records, broken.columns, broken.rows)
        for row, value in zip(broken.rows, values, strict=True):
            one = Quarantined(first_row + row, keys[row], column, broken.expectation, value, bodies[row])
            found.setdefault((row, broken.expectation, broken.columns), one)
    return sorted(found.values(), key=lambda one: one.row)


def value_texts(monitor: Monitor, records: pa.Table, columns: Sequence[str], rows: Sequence[int]) -> list[str | None]:
    """The text of one column's value in each of some records, or of several columns' values as a JSON object.

    A sensitive value is hashed.
    """
    if not rows:
        return []
    cells = _bodies(monitor, records.select(list(columns)).take(list(rows)))
    if len(columns) == 1:
        return [as_text(cell[columns[0]]) for cell in cells]
    return [json.dumps(cell, ensure_ascii=False) for cell in cells]


def first_of_each(records: pa.Table, columns: Sequence[str], rows: Sequence[int]) -> Sequence[int]:
    """Of some records those whose value of some columns does not come before; all where values cannot be compared."""
    names = [str(at) for at in range(len(columns))]
    values = records.select(list(columns)).take(list(rows)).rename_columns(names)
    try:
        first = (
            values.append_column("row", pa.array(rows)).group_by(names, use_threads=False).aggregate([("row", "min")])
        )
    except pa.ArrowNotImplementedError:
        return rows
    found: list[int] = first["row_min"].to_pylist()
    return sorted(found)


def _bodies(monitor: Monitor, records: pa.Table) -> list[dict[str, object]]:
    return [record_json(record, monitor.columns.sensitive) for record in records.to_pylist()]

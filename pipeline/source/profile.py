"""Metrics of partitions, aggregated by the engine in one query."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline.source.contract import Profile
from pipeline.source.days import KEY_COLUMN, ROWS_COLUMN, Days
from pipeline.source.engine import Engine
from pipeline.source.tables import View

# Databases bound the columns of a result (PostgreSQL at 1,664), and a column has up to six metrics.
_COLUMNS_A_QUERY = 200


def profiles(engine: Engine, view: View, days: Days, wanted: Sequence[Any]) -> list[Profile]:
    """One row of metrics a day, in their order."""
    table = view.table.filter(days.within(view.table, wanted))
    table = table.mutate(days.label(table, wanted).name(KEY_COLUMN))
    found: dict[str, Profile] = {day.isoformat(): {"partition": day.isoformat(), "rows": 0} for day in wanted}
    for start in range(0, len(view.schema), _COLUMNS_A_QUERY):
        fields = list(view.schema)[start : start + _COLUMNS_A_QUERY]
        metrics = {metric: value for field in fields for metric, value in _metrics(engine, table, field)}
        # Databases cut long names, so that metrics go by number.
        aliases = {f"m{number}": metric for number, metric in enumerate(metrics)}
        values = dict(zip(aliases, metrics.values(), strict=True))
        rows = engine.rows(table.group_by(KEY_COLUMN).aggregate(**{ROWS_COLUMN: table.count()}, **values))
        by_day = {row[KEY_COLUMN]: row for row in rows}
        for key, profile in found.items():
            row = by_day.get(key, {})
            profile["rows"] = row.get(ROWS_COLUMN, 0)
            none = {alias: 0 for alias, metric in aliases.items() if metric.endswith(".distinct")}
            profile |= {metric: _plain(row.get(alias, none.get(alias))) for alias, metric in aliases.items()}
    return list(found.values())


def _metrics(engine: Engine, table: Any, field: pa.Field) -> Iterator[tuple[str, Any]]:
    from ibis.expr.operations import IsNan, Median

    # The Arrow type tells what a column holds: in SQLite the engine's own only tells how it is stored.
    column, name, dtype = table[field.name], field.name, field.type
    floating = pa.types.is_floating(dtype)
    missing, value = column.isnull(), column
    if floating and engine.backend.has_operation(IsNan):
        missing |= column.isnan()
        value = missing.ifelse(None, column)
    yield f"{name}.null_share", missing.cast("int32").cast("float64").mean()
    if column.type().is_nested() or pa.types.is_binary(dtype):
        return
    yield f"{name}.distinct", value.nunique()
    if pa.types.is_boolean(dtype):
        yield f"{name}.mean", value.cast("int32").cast("float64").mean()
    elif floating or pa.types.is_integer(dtype) or pa.types.is_decimal(dtype):
        if floating and (infinite := engine.infinite(column)) is not None:
            value = infinite.ifelse(None, value)
        number = value.cast("float64")
        extreme = value if pa.types.is_integer(dtype) else number
        yield from ((f"{name}.mean", number.mean()), (f"{name}.min", extreme.min()), (f"{name}.max", extreme.max()))
        if engine.backend.has_operation(Median):
            yield f"{name}.median", number.median()


def _plain(value: Any) -> float | int | str | None:
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value

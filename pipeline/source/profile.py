"""Metrics of partitions, aggregated by the engine in one query."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline.source.contract import Profile
from pipeline.source.days import KEY_COLUMN, ROWS_COLUMN, Days
from pipeline.source.engine import Engine
from pipeline.source.tables import View

# Databases bound the columns of a result (PostgreSQL at 1,664).
_METRICS_A_QUERY = 1_000
_HELD = 5_000_000
"""So many values a query may hold at once, which it does of what it takes the median or the distinct values of."""
_HOLDING = ("median", "distinct")


def profiles(
    engine: Engine, view: View, days: Days, wanted: Sequence[Any], only: Collection[str] | None = None
) -> list[Profile]:
    """One row of metrics a day, in their order; of all metrics, or of those alone."""
    table = view.table.filter(days.within(view.table, wanted))
    table = table.mutate(days.label(table, wanted).name(KEY_COLUMN))
    of_fields = (pair for field in view.schema for pair in _metrics(engine, table, field))
    metrics = {metric: value for metric, value in of_fields if only is None or metric in only}
    found: dict[str, Profile] = {day.isoformat(): {"partition": day.isoformat(), "rows": 0} for day in wanted}
    holding = [metric for metric in metrics if metric.rpartition(".")[2] in _HOLDING]
    _aggregate(engine, table, {name: metrics[name] for name in metrics if name not in holding}, found)
    at_once = max(1, _HELD // max(1, sum(int(profile["rows"] or 0) for profile in found.values())))
    for start in range(0, len(holding), at_once):
        _aggregate(engine, table, {name: metrics[name] for name in holding[start : start + at_once]}, found)
    return [{name: found[key][name] for name in ("partition", "rows", *metrics)} for key in found]


def _aggregate(engine: Engine, table: Any, metrics: Mapping[str, Any], found: Mapping[str, Profile]) -> None:
    """Add the number of rows and the metrics to what is found of each day."""
    for start in range(0, max(1, len(metrics)), _METRICS_A_QUERY):
        # Databases cut long names, so that metrics go by number.
        aliases = {f"m{number}": name for number, name in enumerate(list(metrics)[start : start + _METRICS_A_QUERY])}
        values = {alias: metrics[name] for alias, name in aliases.items()}
        # One day is all there is: groups would cost a fifth more.
        days = table.group_by(KEY_COLUMN) if len(found) > 1 else table
        rows = engine.rows(days.aggregate(**{ROWS_COLUMN: table.count()}, **values))
        by_day = {row[KEY_COLUMN]: row for row in rows} if len(found) > 1 else dict(zip(found, rows, strict=True))
        none = {alias: 0 for alias, name in aliases.items() if name.endswith(".distinct")}
        for key, profile in found.items():
            row = by_day.get(key, {})
            profile["rows"] = row.get(ROWS_COLUMN, 0)
            profile |= {name: _plain(row.get(alias, none.get(alias))) for alias, name in aliases.items()}


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

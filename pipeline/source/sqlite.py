"""A table of SQLite, whose columns only suggest a type: cells are checked, then turned into Arrow here.

ibis would read SQLite through pandas, which loses digits of nullable integers and holds the whole result in memory.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.records import as_text
from pipeline.source import cells
from pipeline.source.days import Days
from pipeline.source.engine import Engine, in_calendar
from pipeline.source.tables import View

_EXACT = Context(prec=38)


class SqliteEngine(Engine):
    """SQLite's rows, each cell as it is stored."""

    def rows(self, expression: Any) -> list[dict[str, Any]]:
        names = expression.columns
        return [dict(zip(names, row, strict=True)) for row in self.backend.raw_sql(self.backend.compile(expression))]

    def stream(self, expression: Any, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        backend = self._beside(expression)
        try:
            cursor = backend.raw_sql(backend.compile(expression))
            while found := cursor.fetchmany(rows):
                columns = dict(zip(expression.columns, zip(*found, strict=True), strict=True))
                arrays = [_array(columns[field.name], field.type) for field in schema]
                yield in_calendar(pa.RecordBatch.from_arrays(arrays, schema=schema))
        finally:
            backend.disconnect()


class SqliteTable:
    """A table whose columns are the declared types where every cell fits, text where not.

    Integers and floats are 64 bits wide whatever was declared, as they are in SQLite; times are text that is parsed.
    """

    def __init__(self, engine: Engine, table: Any, days: Days, primary_key: Sequence[str]) -> None:
        import ibis

        self.engine = engine
        self.names = list(table.columns)
        self._days = days
        self._declared = {name: _declared(dtype, name in primary_key) for name, dtype in table.schema().items()}
        stored = ibis.schema({name: _stored(dtype) for name, dtype in self._declared.items()})
        self._table = table.op().copy(schema=stored).to_expr()
        partition = self._declared.get(days.column)
        if partition is not None and partition.is_timestamp() and partition.timezone:
            problem = f"column {days.column!r} holds zoned times, which SQLite cannot compare"
            raise ConfigurationError(f"{days.monitor}: {problem}; partition by a date column")

    def calendar(self) -> Any:
        return self._table.select(self._days.column)

    def view(self, days: Sequence[dt.date]) -> View:
        import ibis

        read = self._table.filter(self._days.within(self._table, days)) if days else self._table
        candidates = {name: [dtype] for name, dtype in self._declared.items() if not dtype.is_string()}
        fitting = cells.fitting(self.engine, read, candidates, cells.sqlite_fits)
        broken = {name for name, types in fitting.items() if not types}
        types = {name: "string" if name in broken else dtype for name, dtype in self._declared.items()}
        return View(self._table, ibis.schema(types).to_pyarrow())


def _declared(dtype: Any, in_key: bool) -> Any:
    import ibis.expr.datatypes as types

    if dtype.is_boolean() or dtype.is_temporal() or dtype.is_binary():
        return dtype
    if dtype.is_integer():
        return types.int64
    if dtype.is_floating() or dtype.is_decimal():
        exact = dtype.is_decimal() and dtype.precision is not None and dtype.precision <= 38
        return dtype if exact else types.string if in_key and dtype.is_decimal() else types.float64
    return types.string


def _stored(dtype: Any) -> str:
    if dtype.is_boolean() or dtype.is_integer():
        return "int64"
    if dtype.is_decimal() or dtype.is_floating():
        return "float64"
    return "binary" if dtype.is_binary() else "string"


def _array(values: Sequence[Any], dtype: pa.DataType) -> pa.Array:
    if pa.types.is_string(dtype):
        return pa.array([as_text(value) for value in values], dtype)
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return pa.array(values, pa.string()).cast(dtype)
    return pa.array([None if value is None else _value(value, dtype) for value in values], dtype)


def _value(value: Any, dtype: pa.DataType) -> Any:
    if pa.types.is_boolean(dtype):
        return bool(value)
    if pa.types.is_floating(dtype):
        return float(value)
    if pa.types.is_decimal(dtype):
        return _EXACT.quantize(Decimal(str(value)), Decimal(1).scaleb(-dtype.scale))
    if pa.types.is_time(dtype):
        return dt.time.fromisoformat(value)
    return value

"""A connected ibis backend: small results as rows, records as a stream of Arrow batches on a connection of its own."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import as_text
from pipeline.source.connection import Connect

THREADS = 2
"""As many as score beside it; each holds pages of every column."""
MEMORY = 256
"""MiB that the embedded engine takes before it spills to disk: a partition costs no more for having more records."""
OUT_OF_MEMORY = "Out of Memory Error"
"""The class of the error depends on who meets it: DuckDB, or Arrow's reader of its batches."""


class Engine:
    """One backend. A stream gets another connection: a query beside it would silently end it on the same one."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.backend = connect()

    def rows(self, expression: Any) -> list[dict[str, Any]]:
        """All rows of a small result."""
        found: list[dict[str, Any]] = self.backend.to_pyarrow(expression).to_pylist()
        return found

    def stream(self, expression: Any, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of an expression whose columns hold those of `schema`, as batches of that schema."""
        backend = self._beside(expression)
        try:
            for batch in backend.to_pyarrow_batches(expression, chunk_size=rows):
                yield in_calendar(conform(batch, schema))
        finally:
            backend.disconnect()

    def infinite(self, number: Any) -> Any | None:
        """Whether a floating-point expression is infinite, as an expression; None where the backend cannot tell."""
        from ibis.expr.operations import IsInf

        return number.isinf() if self.backend.has_operation(IsInf) else None

    def orders(self, dtype: Any) -> bool:
        """Whether rows can be sorted by values of an ibis type."""
        return not dtype.is_nested()

    def _beside(self, expression: Any) -> Any:
        return self._connect()


class EmbeddedEngine(Engine):
    """DuckDB inside this process. What is registered is a view that a stream's own cursor has to be given again.

    Each thread holds some pages of every column, which of a wide table is more than `MEMORY`: what does not fit is
    asked again with twice as much, as long as there is as much.
    """

    def __init__(self) -> None:
        import ibis

        # What does not fit in memory is spilled here. A file can ask for an extension; none is fetched for it.
        spill = Path(tempfile.gettempdir()) / f"tablewatch-{uuid.uuid4().hex}"
        self._memory = MEMORY
        options = {"memory_limit": f"{MEMORY}MiB", "threads": THREADS}
        options |= {"temp_directory": str(spill), "autoinstall_known_extensions": False}
        super().__init__(lambda: ibis.duckdb.connect(**options))
        self._views: dict[str, Callable[[Any, str], Any]] = {}

    def rows(self, expression: Any) -> list[dict[str, Any]]:
        """See Engine."""
        while True:
            try:
                return super().rows(expression)
            except Exception as error:
                self._take_more(error)

    def stream(self, expression: Any, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """See Engine. The rows are sorted by all their columns, so that those told before are known by their number."""
        told = 0
        while True:
            seen = 0
            try:
                for batch in super().stream(expression, schema, rows):
                    new = batch.slice(min(max(told - seen, 0), batch.num_rows))
                    seen += batch.num_rows
                    if new.num_rows:
                        told += new.num_rows
                        yield new
            except Exception as error:
                self._take_more(error)
            else:
                return

    def orders(self, dtype: Any) -> bool:
        """See Engine."""
        return True

    def register(self, make: Callable[[Any, str], Any]) -> Any:
        """The table that `make(backend, name)` makes a view of."""
        name = f"tablewatch:{len(self._views)}"
        self._views[name] = make
        return make(self.backend, name)

    def _take_more(self, error: Exception) -> None:
        """Twice the memory where that is what was missing; else the error."""
        if OUT_OF_MEMORY not in str(error) or 2 * self._memory > _most():
            raise error
        self._memory *= 2
        self.backend.raw_sql(f"SET memory_limit = '{self._memory}MiB'")

    def _beside(self, expression: Any) -> Any:
        import ibis
        from ibis.expr.operations import DatabaseTable

        backend = ibis.duckdb.from_connection(self.backend.con.cursor())
        for table in expression.op().find(DatabaseTable):
            if table.name in self._views:
                self._views[table.name](backend, table.name)
        return backend


@cache
def _most() -> int:
    """MiB that DuckDB would take by itself: four fifths of the memory of the machine, or of the container."""
    import ibis

    own = ibis.duckdb.connect()
    said = own.raw_sql("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchone()
    own.disconnect()
    return int(said[0]) >> 20


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a schema out of a batch, in its types; nested values as JSON. ArrowException if one cannot be."""
    return pa.RecordBatch.from_arrays(
        [_conform(batch.column(field.name), field.type) for field in schema], schema=schema
    )


def in_calendar(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch itself. ValueError if a date or time of it is of no year from 1 to 9999, which Python cannot tell."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not (pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)):
            continue
        ends = pc.min_max(column)
        for end in (ends["min"], ends["max"]):
            try:
                end.as_py()
            except (OverflowError, ValueError):
                raise ValueError(
                    f"column {field.name!r} holds a time outside the years 1 to 9999; exclude it"
                ) from None
    return batch


def _conform(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    if column.type == dtype:
        return column
    if pa.types.is_nested(column.type):
        return pa.array([None if value is None else _json(value) for value in column.to_pylist()], dtype)
    return column.cast(dtype)


def _json(value: Any) -> str:
    return json.dumps(value, default=as_text, ensure_ascii=False, sort_keys=True)

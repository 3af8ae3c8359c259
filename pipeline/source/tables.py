"""A database's table, as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.monitor_file import did_you_mean
from pipeline.source.days import Days
from pipeline.source.engine import Engine


@dataclass(frozen=True)
class View:
    """A table as it is read for some days: an ibis expression, and the Arrow types that its columns come out in."""

    table: Any
    schema: pa.Schema


class Place(Protocol):
    """Where a monitor's records are held."""

    @property
    def engine(self) -> Engine:
        """What runs the expressions of the views."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Every column, as the place spells it."""
        ...

    def calendar(self) -> Any:
        """An ibis expression with the partition column, in a type that `Days` takes."""
        ...

    def view(self, days: Sequence[Any]) -> View:
        """The table as it is read for some days; for none, the whole table."""
        ...


class DatabaseTable:
    """A table or view behind a connection."""

    def __init__(self, engine: Engine, table: Any, days: Days, primary_key: Sequence[str]) -> None:
        self.engine = engine
        self.names = list(table.columns)
        self._days = days
        self._view = as_read(table, primary_key)

    def calendar(self) -> Any:
        return self._view.table.select(self._days.column)

    def view(self, days: Sequence[Any]) -> View:
        return self._view


def find_table(engine: Engine, name: str, monitor: str) -> Any:
    """The table of that name, `schema.table` or `catalog.schema.table`. ConfigurationError with the nearest name."""
    from ibis.common.exceptions import TableNotFound

    *database, table = name.split(".")
    location = tuple(database) if len(database) > 1 else "".join(database) or None
    try:
        return engine.backend.table(table, database=location)
    except TableNotFound:
        known = engine.backend.list_tables(database=location)
    raise ConfigurationError(f"{monitor}: there is no table {name!r}; {did_you_mean(table, known)}")


def as_read(table: Any, primary_key: Sequence[str] = ()) -> View:
    """The table with columns of types that Arrow has no like of cast to text by the engine."""
    casts = {name: to for name, dtype in table.schema().items() if (to := _cast(dtype, name in primary_key))}
    columns = [table[name].cast(casts[name]).name(name) if name in casts else table[name] for name in table.columns]
    view = table.select(*columns) if casts else table
    fields = [
        pa.field(name, pa.string() if dtype.is_nested() else dtype.to_pyarrow())
        for name, dtype in view.schema().items()
    ]
    return View(view, pa.schema(fields))


def _cast(dtype: Any, in_key: bool) -> str | None:
    if dtype.is_decimal():
        # Without a declared precision there is no Arrow type that is sure to hold it; a key must stay exact.
        declared = dtype.precision is not None and dtype.precision <= 38
        return None if declared else "string" if in_key else "float64"
    kept = dtype.is_numeric() or dtype.is_boolean() or dtype.is_string() or dtype.is_binary() or dtype.is_nested()
    return None if kept or dtype.is_date() or dtype.is_timestamp() or dtype.is_time() else "string"

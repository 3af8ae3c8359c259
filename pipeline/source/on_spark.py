"""Parquet files whose records Spark reads. What a partition's files are, and are refused for, the embedded engine says.

So a missing column, a cut file or a bomb is told in the same words, and columns have the same Arrow types, whatever
reads the records.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import spark
from pipeline.errors import RefusedData, TablewatchError
from pipeline.monitor import Monitor
from pipeline.source.contract import Profile
from pipeline.source.engine import Engine, conform, in_calendar
from pipeline.source.failures import Failures
from pipeline.source.parquet import ParquetFiles
from pipeline.source.profile import profiles
from pipeline.source.reading import IbisSource
from pipeline.source.tables import View

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class SparkSource(IbisSource):
    """A Source whose profiles Spark aggregates, and which gives the records of a partition to it."""

    def __init__(
        self,
        monitor: Monitor,
        files: ParquetFiles,
        failures: Failures,
        families: dict[str, type[TablewatchError]],
        start: Callable[[], SparkSession],
    ) -> None:
        super().__init__(monitor, files, failures, families)
        self._files, self._start = files, start
        self._tables: dict[tuple[date, ...], Any] = {}

    @cached_property
    def _engine(self) -> SparkEngine:
        # What opening a source refuses needs no cluster.
        return SparkEngine(self._start(), self._monitor.name)

    def profiles(self, keys: Sequence[str], metrics: Collection[str] | None = None) -> list[Profile]:
        """See Source."""
        days = self._days.of(keys)
        if not days:
            return []
        view, engine = self._view(days), self._engine
        # Every column is read here, so that what Spark cannot read shows before anything else is asked of it.
        every = {f"{name}.null_share" for name in view.schema.names}
        wanted = None if metrics is None else every.union(metrics)
        try:
            with spark.told(f"{self._monitor.name} {days[0]}"):
                found = profiles(engine, View(self._table(days), view.schema), self._days, days, wanted)
        except RefusedData:
            # The embedded engine tells what is wrong with the file; and in the words of a monitor without Spark.
            super().profiles(keys, wanted)
            raise
        by_key = {row["partition"]: row for row in found}
        return [by_key[key] for key in dict.fromkeys(keys)]

    def records(self, key: str, columns: Sequence[str]) -> DataFrame:
        """The records of one partition in no order, in Spark's types; `arriving` gives them those of `batches`."""
        days = self._days.of([key])
        with spark.told(f"{self._monitor.name} {key}"):
            table = self._table(days)
            return self._engine.frame(table.filter(self._days.within(table, days)).select(list(columns)))

    def order(self, key: str, columns: Sequence[str]) -> list[str]:
        """By which of the columns records are sorted: as locally, but for nested ones, which Spark cannot all sort."""
        table = self._table(self._days.of([key]))
        needed = dict.fromkeys([*self._monitor.primary_key, *columns])
        return [name for name in needed if name in columns and self._engine.orders(table[name].type())]

    def _table(self, days: tuple[date, ...]) -> Any:
        if days not in self._tables:
            paths, of_folders = self._files.holding(days)
            table = self._engine.parquet(paths)
            types = {name: self._view(days).table[name].type() for name in of_folders}
            self._tables[days] = table.mutate(**{name: table[name].cast(dtype) for name, dtype in types.items()})
        return self._tables[days]


class SparkEngine(Engine):
    """Spark as a backend; records stay where it has them."""

    def __init__(self, session: SparkSession, name: str) -> None:
        import ibis

        super().__init__(lambda: ibis.pyspark.connect(session))
        self._session, self._view = session, f"tablewatch_{name}"

    def parquet(self, paths: Sequence[str]) -> Any:
        """The files as one table."""
        reader = self._session.read.option("mergeSchema", len(paths) > 1).option("basePath", _root(paths))
        reader.parquet(*map(_literal, paths)).createOrReplaceTempView(self._view)
        return self.backend.table(self._view)

    def frame(self, expression: Any) -> DataFrame:
        """The rows of an expression, not computed yet."""
        return self._session.sql(self.backend.compile(expression))

    def rows(self, expression: Any) -> list[dict[str, Any]]:
        """See Engine."""
        found: list[dict[str, Any]] = self.frame(expression).toArrow().to_pylist()
        return found

    def infinite(self, number: Any) -> Any:
        """See Engine."""
        import ibis

        return number.abs() == ibis.literal("Infinity").cast("float64")


def arriving(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, monitor: str, partition: str
) -> Iterator[pa.RecordBatch]:
    """Spark's batches on a worker, in the columns and types that `batches` of a Source has. RefusedData as from it."""
    failures = Failures(monitor)
    failures.known |= {*schema.names}
    for batch in batches:
        with failures.told(partition):
            arrived = in_calendar(conform(batch, schema))
        yield arrived


def _root(paths: Sequence[str]) -> str:
    """The folder below which folders are named `column=value`; without such folders, that of the files."""
    roots = []
    for path in paths:
        parts = Path(path).parent.parts
        named = next((at for at, part in enumerate(parts) if "=" in part), len(parts))
        roots.append(str(Path(*parts[:named])))
    return _literal(os.path.commonpath(roots))


def _literal(path: str) -> str:
    """A local path for Hadoop, which would take `*`, `?`, `[` and `{` in a file's name for a glob."""
    return "file://" + re.sub(r"([\\*?\[\]{}])", r"\\\1", path)

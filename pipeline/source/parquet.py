"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import RefusedData
from pipeline.source.days import Days
from pipeline.source.failures import Failures
from pipeline.source.files import FILE_COLUMN, Files, literal, most_inflated
from pipeline.source.tables import View, as_read

# In characters, as of a CSV file's lines; a column of long cells may not repeat few of them without end.
MAX_CELL = 2_000_000
LONG_CELL = 10_000


class ParquetFiles(Files):
    """Columns in the files' own types. Folders such as `day=2013-02-03` are columns too."""

    def __init__(self, paths: Sequence[str], days: Days, primary_key: Sequence[str], failures: Failures) -> None:
        super().__init__(paths, days, failures)
        self._primary_key = primary_key
        self._whole = self._opened(self.paths)
        self._of_folders = [name for name in self._whole.columns if name not in {*self.names, FILE_COLUMN}]
        self.names += self._of_folders

    def calendar(self) -> Any:
        return self._whole.select(self._days.column, FILE_COLUMN)

    def view(self, days: Sequence[date]) -> View:
        paths = self._holding(days)
        table = self._whole if len(paths) == len(self.paths) else self._opened(paths)
        names = [*self.shown(paths, days), *self._of_folders]
        if days:
            self._check_cells(table.filter(self._days.within(table, days)), names, sum(map(most_inflated, paths)))
        return as_read(table.select(names), self._primary_key)

    def holding(self, days: Sequence[date]) -> tuple[list[str], list[str]]:
        """The files that hold records of some days, and the columns that the names of their folders tell."""
        return self._holding(days), self._of_folders

    def _check_cells(self, table: Any, names: Sequence[str], allowed: int) -> None:
        """ValueError if cells are longer than anybody reads: no page's header tells how long its cells will be."""
        import ibis

        @ibis.udf.scalar.builtin(signature=((ibis.dtype("binary"),), ibis.dtype("int64")))
        def octet_length(cell): ...  # type: ignore[no-untyped-def]

        lengths = {name: table[name].length() for name in names if table[name].type().is_string()}
        lengths |= {name: octet_length(table[name]) for name in names if table[name].type().is_binary()}
        long = list(lengths)
        ends = {f"longest{at}": lengths[name].max() for at, name in enumerate(long)}
        sums = {f"total{at}": lengths[name].sum() for at, name in enumerate(long)}
        counts = {f"cells{at}": lengths[name].count() for at, name in enumerate(long)}
        row = self.engine.rows(table.aggregate(**ends, **sums, **counts))[0] if long else {}
        for at, name in enumerate(long):
            if (row[f"longest{at}"] or 0) > MAX_CELL:
                raise ValueError(f"column {name!r} has a cell of more than {MAX_CELL:,} characters")
            total = row[f"total{at}"] or 0
            if total > max(allowed, LONG_CELL * row[f"cells{at}"]):
                raise ValueError(f"column {name!r} inflates to {total:,} characters")

    def _columns_of(self, path: str) -> Sequence[str]:
        import pyarrow.parquet as parquet

        with self._failures.told(path, otherwise=RefusedData):
            # The footer tells the inflated size before a page is read.
            footer = parquet.read_metadata(Path(path))
            inflated = sum(footer.row_group(at).total_byte_size for at in range(footer.num_row_groups))
            if inflated > most_inflated(path):
                raise ValueError(f"it inflates to {inflated} bytes, more than {most_inflated(path)}")
            columns: list[str] = footer.schema.to_arrow_schema().names
        return columns

    def _opened(self, paths: Sequence[str]) -> Any:
        return self.engine.register(partial(_open, paths=literal(paths)))


def _open(backend: Any, name: str, paths: Sequence[str]) -> Any:
    return backend.read_parquet(paths, table_name=name, union_by_name=True, filename=FILE_COLUMN)

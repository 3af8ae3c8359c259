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
from pipeline.source.files import FILE_COLUMN, Files, literal
from pipeline.source.tables import View, as_read


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
        return as_read(table.select(names), self._primary_key)

    def _columns_of(self, path: str) -> Sequence[str]:
        import pyarrow.parquet as parquet

        with self._failures.told(path, otherwise=RefusedData):
            columns: list[str] = parquet.read_schema(Path(path)).names
        return columns

    def _opened(self, paths: Sequence[str]) -> Any:
        return self.engine.register(partial(_open, paths=literal(paths)))


def _open(backend: Any, name: str, paths: Sequence[str]) -> Any:
    return backend.read_parquet(paths, table_name=name, union_by_name=True, filename=FILE_COLUMN)

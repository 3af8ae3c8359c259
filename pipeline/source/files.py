"""What Parquet and CSV files share: a glob, the file of each record, the files that hold some days."""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.source.columns import check_names
from pipeline.source.days import Days
from pipeline.source.engine import EmbeddedEngine
from pipeline.source.failures import Failures
from pipeline.source.tables import View

FILE_COLUMN = "tablewatch:file"
MAX_INFLATION = 200
FREE_INFLATION = 256 << 20


def matching(pattern: str, monitor: str) -> list[str]:
    """The absolute paths of the files that match, sorted. ConfigurationError if none does."""
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 (pathlib takes no absolute pattern)
    paths = sorted(str(Path(path).absolute()) for path in found if Path(path).is_file())
    if not paths:
        raise ConfigurationError(f"{monitor}: no file matches {pattern}; mend source.files")
    return paths


class Files(ABC):
    """Files that are read as one table. A read opens only the files that hold its days.

    So a column that is missing in tonight's file is missing tonight, whatever the older files have, and a column that
    changed its type in one of them does not change it in the others.
    """

    def __init__(self, paths: Sequence[str], days: Days, failures: Failures) -> None:
        self.engine = EmbeddedEngine()
        self.paths = paths
        self._days = days
        self._failures = failures
        self._columns = {path: self._columns_of(path) for path in paths}
        for path, columns in self._columns.items():
            check_names(columns, f"{failures.monitor} {path}")
        self.names = list(dict.fromkeys(name for columns in self._columns.values() for name in columns))
        check_names(self.names, failures.monitor)
        failures.known |= {*paths, *self.names}

    @abstractmethod
    def calendar(self) -> Any:
        """The partition column, and the file, of every record."""

    @abstractmethod
    def view(self, days: Sequence[date]) -> View:
        """The files that hold some days, as they are read; without days, all of them."""

    @abstractmethod
    def _columns_of(self, path: str) -> Sequence[str]:
        """The columns that the file says it has, as it spells them."""

    def shown(self, paths: Sequence[str], days: Sequence[date]) -> list[str]:
        """The columns that every one of some files has; without days, those of any file."""
        columns = [set(self._columns[path]) for path in paths]
        some = set.intersection(*columns) if days else set.union(*columns)
        return [name for name in self.names if name in some]

    def _holding(self, days: Sequence[date]) -> list[str]:
        """The files that hold records of some days; all files if none does, so that there is a schema to show."""
        if not days or len(self.paths) == 1:
            return list(self.paths)
        calendar = self.calendar()
        held = calendar.filter(self._days.within(calendar, days)).select(FILE_COLUMN).distinct()
        return sorted(row[FILE_COLUMN] for row in self.engine.rows(held)) or list(self.paths)


def most_inflated(path: str) -> int:
    """The bytes that a compressed file may inflate to."""
    return max(FREE_INFLATION, MAX_INFLATION * Path(path).stat().st_size)


def literal(paths: Collection[str]) -> list[str]:
    """Paths for an engine that would take `*`, `?` and `[` in a file's name for a glob."""
    return [glob.escape(path) for path in paths]

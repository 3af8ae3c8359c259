"""A monitor's source, opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import ConfigurationError, RefusedData, TablewatchError
from pipeline.monitor import Monitor
from pipeline.source.connection import Environment, connector, url_of
from pipeline.source.contract import Source
from pipeline.source.delimited import CsvFiles
from pipeline.source.engine import Engine
from pipeline.source.failures import Failures
from pipeline.source.files import matching
from pipeline.source.on_spark import SparkSource
from pipeline.source.parquet import ParquetFiles
from pipeline.source.reading import IbisSource, days_in
from pipeline.source.sqlite import SqliteEngine, SqliteTable
from pipeline.source.tables import DatabaseTable, Place, find_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
# What DuckDB cannot make of a file is the file's fault; of a table it would be the monitor's.
_FILE_FAMILIES: dict[str, type[TablewatchError]] = {"ProgrammingError": RefusedData}
_CONNECT_FAMILIES: dict[str, type[TablewatchError]] = {
    "ValueError": ConfigurationError,
    "DatabaseError": ConfigurationError,
}


def open_source(monitor: Monitor, types: Mapping[str, pa.DataType | str] | None = None) -> Source:
    """The monitor's table or files, connected and with their columns checked.

    `types` are the Arrow types that CSV columns had in training, or their texts: a column is of that type if every
    cell read fits it, and text otherwise. Other places have types of their own.

    ConfigurationError for what the monitor or the environment names wrongly, RefusedData for a file that is broken,
    FailedMachinery for a place that does not answer.
    """
    if monitor.source.files is not None:
        return _open_files(monitor, types, _paths(monitor), Failures(monitor.name))
    return _open_table(monitor, monitor.source.connection or "", monitor.source.table or "")


def open_on_spark(monitor: Monitor, start: Callable[[], SparkSession]) -> SparkSource:
    """The monitor's Parquet files, to be read by Spark in the session that `start` gives.

    Raises as `open_source` does, and ConfigurationError for files of other kinds.
    """
    paths, failures = _paths(monitor), Failures(monitor.name)
    if others := sorted({"".join(Path(path).suffixes) for path in paths if not path.lower().endswith(_PARQUET)}):
        mend = "save them as Parquet, or write engine: local"
        raise ConfigurationError(
            f"{monitor.name}: engine spark reads Parquet files, not those that end in {others}; {mend}"
        )
    with failures.told(families=_FILE_FAMILIES):
        files = ParquetFiles(paths, days_in(monitor), monitor.primary_key, failures)
        return SparkSource(monitor, files, failures, _FILE_FAMILIES, start)


def _paths(monitor: Monitor) -> list[str]:
    return matching(Environment(monitor.name).expand(monitor.source.files or "", "source.files"), monitor.name)


def _open_files(
    monitor: Monitor, types: Mapping[str, pa.DataType | str] | None, paths: list[str], failures: Failures
) -> Source:
    with failures.told(families=_FILE_FAMILIES):
        endings = {"".join(Path(path).suffixes[-2:]).lower() for path in paths}
        place: Place
        if all(ending.endswith(_PARQUET) for ending in endings):
            place = ParquetFiles(paths, days_in(monitor), monitor.primary_key, failures)
        elif all(ending.endswith(_CSV) for ending in endings):
            place = CsvFiles(paths, days_in(monitor), types, failures)
        else:
            mend = f"let the glob match only {', '.join(_PARQUET)} or only {', '.join(_CSV)}"
            raise ConfigurationError(
                f"{monitor.name}: source.files matches files that end in {sorted(endings)}; {mend}"
            )
        return IbisSource(monitor, place, failures, _FILE_FAMILIES)


def _open_table(monitor: Monitor, connection: str, name: str) -> Source:
    environment = Environment(monitor.name)
    url = url_of(connection, environment)
    failures = Failures(monitor.name, environment.secrets)
    failures.known.add(name)
    sqlite = url.startswith("sqlite:")
    with failures.told("source.connection", otherwise=ConfigurationError, families=_CONNECT_FAMILIES):
        engine = (SqliteEngine if sqlite else Engine)(connector(url, monitor.name))
    with failures.told():
        table = find_table(engine, name, monitor.name)
        place: Place
        if sqlite:
            place = SqliteTable(engine, table, days_in(monitor), monitor.primary_key)
        else:
            place = DatabaseTable(engine, table, days_in(monitor), monitor.primary_key)
        return IbisSource(monitor, place, failures)

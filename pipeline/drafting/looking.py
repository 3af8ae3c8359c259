"""A first look at a table of which nothing is known: its columns, its days, and a sample of its records."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean, median
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor, SourceConfig

if TYPE_CHECKING:
    from pipeline.source import Partition, Source
    from pipeline.source.contract import Profile

SAMPLE_RECORDS = 30_000
SAMPLE_CELLS = 4_000_000
READ_RECORDS = 1_000_000
FEWEST_DAYS, MOST_DAYS = 10, 100

_OF_DAYS = re.compile(r"(^|_)(date|day|dt|ds|night|partition)(_|$)|date$", re.IGNORECASE)
_OF_TIMES = re.compile(r"(^|_)(time|ts|timestamp)(_|$)|_(at|on)$|time$", re.IGNORECASE)
_OF_SOMETHING_ELSE = re.compile(r"birth|dob|expir|due|valid|updated|modified|changed|deleted", re.IGNORECASE)


@dataclass(frozen=True)
class Calendar:
    """A column that could tell partitions: the days it names, and the records in which it names none."""

    column: str
    kind: pa.DataType
    days: list[Partition]
    undated: int

    @property
    def typical(self) -> float:
        """The median of the records of a day."""
        return median(day.rows for day in self.days)

    @property
    def gaps(self) -> int:
        """The days between the first and the last that hold no record."""
        span = date.fromisoformat(self.days[-1].key) - date.fromisoformat(self.days[0].key)
        return span.days + 1 - len(self.days)

    def fitness(self) -> float:
        """How much like nightly partitions it is: dense, even, busy, many, and called so; at most about 6."""
        rows = [day.rows for day in self.days]
        dated = sum(rows) / (sum(rows) + self.undated)
        dense = len(rows) / (len(rows) + self.gaps)
        even = min(1.0, self.typical / fmean(rows))
        named = bool(_OF_DAYS.search(self.column)) - bool(_OF_SOMETHING_ELSE.search(self.column))
        typed = 0.2 if pa.types.is_date(self.kind) else 0.1 if pa.types.is_timestamp(self.kind) else 0.0
        return dated + dense + even + min(1.0, self.typical / 20) + min(1.0, len(rows) / 7) + 0.5 * named + typed


@dataclass(frozen=True)
class Look:
    """What was seen of a table.

    `sample` holds records of some partitions spread over its history, `profiles` the exact metrics of those partitions
    (in the order of `keys`), `source` reads more.
    """

    schema: pa.Schema
    calendar: Calendar
    others: list[Calendar]
    keys: list[str]
    profiles: list[Profile]
    sample: pa.Table
    source: Source


def look(name: str, source: SourceConfig) -> Look:
    """Look at a table. ConfigurationError if it has no records or no column that holds dates."""
    names = column_names(name, source)
    if not names:
        raise ConfigurationError(f"{name}: the table has no columns; name another")
    schema = _opened(name, source, names[0]).schema()
    calendar, *others = _calendars(name, source, schema)
    chosen = _opened(name, source, calendar.column, schema)
    keys = _sampled(calendar)
    rows = {day.key: day.rows for day in calendar.days}
    sample = _sample(chosen.batches(keys), chosen.schema(keys), sum(rows[key] for key in keys))
    return Look(schema, calendar, others, keys, chosen.profiles(keys), sample, chosen)


def column_names(name: str, source: SourceConfig) -> list[str]:
    """Every column of a table or of files, before it is known what any of them is."""
    from pipeline.source.connection import Environment, connector, url_of
    from pipeline.source.days import Days
    from pipeline.source.delimited import CsvFiles
    from pipeline.source.engine import Engine
    from pipeline.source.failures import Failures
    from pipeline.source.files import matching
    from pipeline.source.parquet import ParquetFiles
    from pipeline.source.tables import find_table

    environment, days = Environment(name), Days("", ZoneInfo("UTC"), name)
    if source.files is not None:
        paths, failures = matching(environment.expand(source.files, "source.files"), name), Failures(name)
        with failures.told():
            if paths[0].endswith((".parquet", ".pq")):
                return list(ParquetFiles(paths, days, (), failures).names)
            return list(CsvFiles(paths, days, None, failures).names)
    url = url_of(source.connection or "", environment)
    with Failures(name, environment.secrets).told("source.connection", otherwise=ConfigurationError):
        return list(find_table(Engine(connector(url, name)), source.table or "", name).columns)


def _opened(name: str, source: SourceConfig, partition_by: str, schema: pa.Schema | None = None) -> Source:
    """The source under a partition column; a known schema spares the search for the types of CSV columns."""
    from pipeline.source import open_source

    monitor = Monitor(name=name, source=source, partition_by=partition_by, primary_key=(partition_by,))
    return open_source(monitor, None if schema is None else {field.name: field.type for field in schema})


def _calendars(name: str, source: SourceConfig, schema: pa.Schema) -> list[Calendar]:
    """The columns that could tell partitions, the fittest first.

    Of text columns those with a date's name are tried first: to count the days of any text is to read every record.
    """
    dates = [f.name for f in schema if pa.types.is_date(f.type) or pa.types.is_timestamp(f.type)]
    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    likely = [text for text in texts if _OF_DAYS.search(text) or _OF_TIMES.search(text)]
    for columns in ([*dates, *likely], [text for text in texts if text not in likely]):
        found = [_calendar(name, source, schema, column) for column in columns]
        calendars = [calendar for calendar in found if calendar is not None]
        if calendars:
            return sorted(calendars, key=Calendar.fitness, reverse=True)
    raise ConfigurationError(
        f"{name}: no column holds dates, so there are no partitions to watch; add one, such as the day a record was "
        f"loaded; columns are {', '.join(schema.names)}"
    )


def _calendar(name: str, source: SourceConfig, schema: pa.Schema, column: str) -> Calendar | None:
    """The days of a column; None if most of its values are none."""
    try:
        partitions = _opened(name, source, column, schema).partitions()
    except ConfigurationError:
        return None
    days = [partition for partition in partitions if partition.key]
    undated = sum(partition.rows for partition in partitions if not partition.key)
    if sum(day.rows for day in days) <= undated:
        return None
    return Calendar(column, schema.field(column).type, days, undated)


def spread(calendar: Calendar, count: int) -> list[str]:
    """The keys of so many partitions, evenly from the first to the last; all of them if there are fewer."""
    last, steps = len(calendar.days) - 1, min(count, len(calendar.days)) - 1
    return sorted({calendar.days[round(step * last / max(steps, 1))].key for step in range(steps + 1)})


def _sampled(calendar: Calendar) -> list[str]:
    """The keys of some partitions: many small ones or a few large ones."""
    wanted = min(max(math.ceil(SAMPLE_RECORDS / calendar.typical), FEWEST_DAYS), MOST_DAYS)
    return spread(calendar, min(wanted, max(2, int(READ_RECORDS / calendar.typical))))


def _sample(batches: Iterable[pa.RecordBatch], schema: pa.Schema, records: int) -> pa.Table:
    """Every n-th record, as many as fit in SAMPLE_CELLS."""
    step = max(1, math.ceil(records * len(schema) / SAMPLE_CELLS))
    kept: list[pa.RecordBatch] = []
    seen = 0
    for batch in batches:
        kept.append(batch.take(pa.array(range(-seen % step, batch.num_rows, step))))
        seen += batch.num_rows
    return pa.Table.from_batches(kept, schema)


def distinct(profile: Profile, column: str) -> int | None:
    """How many distinct values a column has in a profile's partition; None where that is not counted."""
    found = profile.get(f"{column}.distinct")
    return None if found is None else int(found)


def filled(profiles: Sequence[Profile], column: str) -> bool:
    """Whether a column is never null in the partitions of the profiles."""
    return all(profile.get(f"{column}.null_share") == 0 for profile in profiles)

"""What every source is to the other stages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

Profile = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Partition:
    """A day of the table: `key` is its ISO date, or "" for records whose partition column holds no date."""

    key: str
    rows: int


class Source(Protocol):
    """A table to read. Keys are ISO dates. Every method raises tablewatch's own errors:

    ConfigurationError for a key, table or column that cannot be; RefusedData for records that cannot be trusted, also
    from within the iterator of `batches`; FailedMachinery for a place that did not answer.
    """

    def schema(self, keys: Sequence[str] = ()) -> pa.Schema:
        """The columns as `batches` yields them, in table order; for files, those that every file of `keys` has.

        Without keys, every column of the table. Nested columns are text that holds JSON.
        """
        ...

    def partitions(self) -> list[Partition]:
        """Every partition that holds records, sorted by key."""
        ...

    def batches(
        self, keys: Sequence[str], columns: Sequence[str] | None = None, rows: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """The records of some partitions, sorted by primary key, then by the other columns; at most `rows` a batch."""
        ...

    def profiles(self, keys: Sequence[str], metrics: Collection[str] | None = None) -> list[Profile]:
        """One row of metrics a key, aggregated where the records are, in the order of `keys`.

        `partition`, `rows`; for each column `<column>.null_share` (NaN counts as null) and `<column>.distinct`; for
        numbers `.mean`, `.min`, `.max` and, where the backend has it, `.median`, all over finite values; for booleans
        `.mean`, the share of true. None where there is nothing to aggregate. With `metrics` these are enough:
        medians and distinct values take by far the longest.
        """
        ...


def read(source: Source, keys: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """All batches of some partitions as one table."""
    batches = list(source.batches(keys, columns))
    if batches:
        return pa.Table.from_batches(batches)
    schema = source.schema(keys)
    return (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()

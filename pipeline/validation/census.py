"""Which values that must be unique come twice in a partition: counted before its records are judged batch by batch.

Equality is that of the text of the value, as in a record key. What is kept of every value is a word of 8 bytes; only
of values whose words come again is the text looked at, and a digest of 16 bytes kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.records import record_json, record_keys
from pipeline.validation.conform import conform
from pipeline.validation.key_words import Suspects, Words, kinds_of, more_than_once, words_of
from pipeline.validation.suite import UNIQUE, UNIQUE_TOGETHER, Suite, columns_of

Columns = tuple[str, ...]
Read = Callable[[list[str] | None], Iterable[pa.RecordBatch]]
Hits = Callable[[pa.Table, Columns], list[tuple[int, bytes]]]
"""Position and digest of the records of a conformed table whose value of some columns is looked for."""


@dataclass(frozen=True)
class KeyCensus:
    """For each set of columns that must be unique, the digests of the values that come more than once.

    Those in `conflicting` come with different records; of the others every record is the same, to the last column.
    `suspects` tell fast which records cannot be among them; where they are left out, every record is looked at.
    """

    repeated: dict[Columns, frozenset[bytes]]
    conflicting: dict[Columns, frozenset[bytes]]
    suspects: dict[Columns, Suspects] = field(default_factory=dict, compare=False)

    def repeats(self, table: pa.Table, group: Columns) -> list[tuple[int, bytes]]:
        """Position and digest of each record of a conformed table whose value comes more than once."""
        repeated = self.repeated[group]
        if not repeated:
            return []
        return [(row, value) for row, value in _suspected(table, group, self.suspects.get(group)) if value in repeated]


def duplicate_keys(monitor: Monitor, suite: Suite, read: Read) -> KeyCensus:
    """Counts the values of a partition that must be unique, exactly, in 8 bytes a record.

    `read(columns)` gives the batches of the partition with those columns, or with all of them for None. It is called
    once, and a second time for whole records only if a value seems to come twice.
    """
    suspects = _suspects(monitor, suite, unique_columns(suite), read)
    nothing = {group: frozenset[bytes]() for group in suspects}
    if all(found.words is not None and not len(found.words) for found in suspects.values()):
        return KeyCensus(nothing, nothing, suspects)
    counted = {group: _Contents() for group in suspects}

    def hits(table: pa.Table, group: Columns) -> list[tuple[int, bytes]]:
        return _suspected(table, group, suspects[group])

    for batch in read(None):
        for group, value, content in contents(monitor, suite, suspects, hits, batch):
            counted[group].add(value, content)
    return KeyCensus(
        {group: frozenset(found.repeated) for group, found in counted.items()},
        {group: frozenset(found.conflicting) for group, found in counted.items()},
        suspects,
    )


def unique_columns(suite: Suite) -> list[Columns]:
    """The sets of columns that the record suite expects to be unique: the primary key and the monitor's own."""
    specs = [spec for spec in suite.record if spec["type"] in (UNIQUE, UNIQUE_TOGETHER)]
    return list(dict.fromkeys(columns_of(spec["kwargs"]) for spec in specs))


def digests(table: pa.Table, columns: Sequence[str]) -> list[bytes | None]:
    """16 bytes for the value of some columns in each record; None where any of them is null."""
    return [None if text is None else _digest(text) for text in record_keys(table, columns)]


def values(
    monitor: Monitor, suite: Suite, groups: Sequence[Columns], batch: pa.RecordBatch
) -> Iterator[tuple[Columns, list[bytes]]]:
    """For each set of columns the digests of its values in a batch, in order, without those that are null."""
    table = conform(pa.Table.from_batches([batch]), suite.schema, monitor.timezone).table
    for group in groups:
        yield group, [digest for digest in digests(table, group) if digest is not None]


def contents(
    monitor: Monitor, suite: Suite, groups: Iterable[Columns], hits: Hits, batch: pa.RecordBatch
) -> Iterator[tuple[Columns, bytes, bytes]]:
    """For each record of a batch that is a hit: the columns, the digest of their value, that of the whole record."""
    records = pa.Table.from_batches([batch])
    table = conform(records, suite.schema, monitor.timezone).table
    for group in groups:
        found = hits(table, group)
        whole = records.take([row for row, _ in found]).to_pylist() if found else []
        for (_, value), record in zip(found, whole, strict=True):
            yield group, value, _digest(json.dumps(record_json(record)))


@dataclass
class _Contents:
    """The digest of the first record seen with each value, the values seen again, and those with another record."""

    first: dict[bytes, bytes] = field(default_factory=dict)
    repeated: set[bytes] = field(default_factory=set)
    conflicting: set[bytes] = field(default_factory=set)

    def add(self, value: bytes, content: bytes) -> None:
        if value not in self.first:
            self.first[value] = content
            return
        self.repeated.add(value)
        if self.first[value] != content:
            self.conflicting.add(value)


def _suspects(monitor: Monitor, suite: Suite, groups: Sequence[Columns], read: Read) -> dict[Columns, Suspects]:
    seen: dict[Columns, list[Words]] = {group: [] for group in groups}
    kinds: dict[Columns, set[tuple[pa.DataType, ...]]] = {group: set() for group in groups}
    for batch in read(sorted({name for group in groups for name in group})):
        table = conform(pa.Table.from_batches([batch]), suite.schema, monitor.timezone).table
        for group in groups:
            words, there = words_of(table, group)
            seen[group].append(words[there])
            kinds[group].add(kinds_of(table, group))
    return {
        group: Suspects(
            next(iter(kinds[group]), ()),
            more_than_once(np.concatenate(seen[group] or [np.zeros(0, np.uint64)])) if len(kinds[group]) < 2 else None,
        )
        for group in groups
    }


def _suspected(table: pa.Table, group: Columns, suspects: Suspects | None) -> list[tuple[int, bytes]]:
    """Position and digest of the records whose value, which is not null, may come more than once."""
    rows = range(table.num_rows) if suspects is None else suspects.rows(table, group).tolist()
    values = digests(table.select(list(group)).take(pa.array(rows, pa.int64())), group)
    return [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()

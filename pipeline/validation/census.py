"""Which values that must be unique come twice in a partition: counted before its records are judged batch by batch.

Equality is that of the text of the value, as in a record key. What is kept of a value is a digest of 16 bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.records import record_json, record_keys
from pipeline.validation.conform import conform
from pipeline.validation.suite import UNIQUE, UNIQUE_TOGETHER, Suite, columns_of

Columns = tuple[str, ...]
Read = Callable[[list[str] | None], Iterable[pa.RecordBatch]]


@dataclass(frozen=True)
class KeyCensus:
    """For each set of columns that must be unique, the digests of the values that come more than once.

    Those in `conflicting` come with different records; of the others every record is the same, to the last column.
    """

    repeated: dict[Columns, frozenset[bytes]]
    conflicting: dict[Columns, frozenset[bytes]]


def duplicate_keys(monitor: Monitor, suite: Suite, read: Read) -> KeyCensus:
    """Counts the values of a partition that must be unique, exactly, in 16 bytes a record.

    `read(columns)` gives the batches of the partition with those columns, or with all of them for None. It is called
    once, and a second time for whole records only if a value comes twice.
    """
    groups = unique_columns(suite)
    repeated = _repeated(monitor, suite, groups, read)
    if not any(repeated.values()):
        return KeyCensus(repeated, repeated)
    return KeyCensus(repeated, _conflicting(monitor, suite, repeated, read))


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
    monitor: Monitor, suite: Suite, repeated: Mapping[Columns, Collection[bytes]], batch: pa.RecordBatch
) -> Iterator[tuple[Columns, bytes, bytes]]:
    """For each record of a batch with a repeated value: the columns, the digest of the value, that of the record."""
    records = pa.Table.from_batches([batch])
    table = conform(records, suite.schema, monitor.timezone).table
    for group, wanted in repeated.items():
        hits = [
            (row, value) for row, value in enumerate(digests(table, group)) if value is not None and value in wanted
        ]
        rows = records.take([row for row, _ in hits]).to_pylist() if hits else []
        for (_, value), record in zip(hits, rows, strict=True):
            yield group, value, _digest(json.dumps(record_json(record)))


@dataclass
class _Contents:
    """The digest of the first record seen with each repeated value, and the values seen with another one since."""

    first: dict[bytes, bytes] = field(default_factory=dict)
    conflicting: set[bytes] = field(default_factory=set)

    def add(self, value: bytes, content: bytes) -> None:
        if self.first.setdefault(value, content) != content:
            self.conflicting.add(value)


def _repeated(monitor: Monitor, suite: Suite, groups: Sequence[Columns], read: Read) -> dict[Columns, frozenset[bytes]]:
    seen: dict[Columns, list[npt.NDArray[np.uint64]]] = {group: [] for group in groups}
    for batch in read(sorted({name for group in groups for name in group})):
        for group, present in values(monitor, suite, groups, batch):
            seen[group].append(np.frombuffer(b"".join(present), np.uint64).reshape(-1, 2))
    return {group: _more_than_once(np.concatenate(parts)) if parts else frozenset() for group, parts in seen.items()}


def _more_than_once(values: npt.NDArray[np.uint64]) -> frozenset[bytes]:
    """Of digests, each a row of two words, those that come again."""
    ordered = values[np.lexsort(values.T)]
    again = (ordered[1:] == ordered[:-1]).all(axis=1)
    return frozenset(row.tobytes() for row in ordered[1:][again])


def _conflicting(
    monitor: Monitor, suite: Suite, repeated: dict[Columns, frozenset[bytes]], read: Read
) -> dict[Columns, frozenset[bytes]]:
    found = {group: _Contents() for group in repeated}
    for batch in read(None):
        for group, value, content in contents(monitor, suite, repeated, batch):
            found[group].add(value, content)
    return {group: frozenset(each.conflicting) for group, each in found.items()}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()

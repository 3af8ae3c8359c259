"""What people said of the records of a training window."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.monitor import Monitor
from pipeline.records import record_keys, storable

if TYPE_CHECKING:
    from pipeline.store import Store

Keys = Mapping[str, Collection[str]]
"""Record keys by partition."""


@dataclass(frozen=True)
class WindowLabels:
    """The keys of the window's records that are `confirmed`, and of those that are `expected`, by partition."""

    monitor: Monitor
    confirmed: Keys = field(default_factory=dict)
    expected: Keys = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, monitor: Monitor, partitions: Collection[str]) -> WindowLabels:
        """The labels of a monitor's partitions as they stand."""
        confirmed = store.labelled_keys(monitor.name, "confirmed", partitions)
        return cls(monitor, confirmed, store.labelled_keys(monitor.name, "expected", partitions))

    def are_confirmed(self, records: pa.Table | pa.RecordBatch) -> np.ndarray:
        """Which records are confirmed to be wrong, bool (n,)."""
        return self._bear(records, self.confirmed)

    def are_expected(self, records: pa.Table | pa.RecordBatch) -> np.ndarray:
        """Which records are expected, bool (n,)."""
        return self._bear(records, self.expected)

    def _bear(self, records: pa.Table | pa.RecordBatch, keys: Keys) -> np.ndarray:
        """Whose key is among `keys` of its partition, bool (n,); only keys of partitions that are there are made."""
        found = np.zeros(records.num_rows, dtype=bool)
        if not keys:
            return found
        table = records if isinstance(records, pa.Table) else pa.Table.from_batches([records])
        partitions = partition_texts(table.column(self.monitor.partition_by), self.monitor.timezone)
        for partition, labelled in keys.items():
            here = np.flatnonzero(pc.fill_null(pc.equal(partitions, partition), False).to_numpy())
            texts = record_keys(table.take(pa.array(here)), self.monitor.primary_key, self.monitor.columns.sensitive)
            found[here] = [text is not None and storable(text) in labelled for text in texts]
        return found


def partition_texts(column: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    """The partition of each record from its partition column (dates, times or ISO text), as ISO dates."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.utf8_slice_codeunits(column, 0, 10)
    if pa.types.is_timestamp(kind) and kind.tz:
        column = pc.local_timestamp(column.cast(pa.timestamp(kind.unit, str(ZoneInfo(timezone)))))
    return column.cast(pa.date32(), safe=False).cast(pa.string())

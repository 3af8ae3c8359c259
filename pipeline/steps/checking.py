"""One partition on its way through validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import FailedMachinery
from pipeline.monitor import Monitor
from pipeline.steps.house import House

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.results import ExpectationResult
    from pipeline.source import Source
    from pipeline.store import ModelVersion
    from pipeline.validation import CheckedBatch, RecordCheck, Suite


class Checking:
    """One partition on its way through validation; counts what it has seen, so that no record is lost or invented."""

    def __init__(self, monitor: Monitor, partition: str, source: Source, suite: Suite) -> None:
        from pipeline.validation import RecordCheck, check_partition, check_schema, duplicate_keys, refuse_if_broken

        self.read = self.accepted = 0
        self.set_aside: set[int] = set()
        schema = source.schema([partition])
        self.warnings = check_schema(monitor, partition, schema, suite)
        self.columns = [n for n in schema.names if n not in monitor.columns.exclude or n in suite.columns]
        self._monitor, self._source, self._partition = monitor, source, partition
        profile = next(iter(source.profiles([partition])), {"rows": 0})
        self._counted = profile["rows"]
        self._of_partition = check_partition(monitor, partition, profile, suite)
        refuse_if_broken(monitor, partition, self._of_partition)
        self.warnings += [_warning(monitor, partition, r) for r in self._of_partition if not r.success]
        census = duplicate_keys(monitor, suite, self._batches)
        self._check: RecordCheck = RecordCheck(monitor, partition, suite, census)

    @classmethod
    def of(cls, house: House, monitor: Monitor, partition: str, champion: ModelVersion | None) -> Checking:
        from pipeline.validation import first_suite

        if champion is None:
            source = house.source(monitor)
            return cls(monitor, partition, source, first_suite(monitor, source.schema()))
        suite = house.suite(monitor, champion)
        return cls(monitor, partition, house.source(monitor, suite.schema), suite)

    def _batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        return self._source.batches([self._partition], self.columns if columns is None else columns)

    def batches(self) -> Iterator[CheckedBatch]:
        """The checked records; FailedMachinery in the end when they are not as many as were counted before."""
        for batch in self._batches():
            checked = self._check.check(batch, self.read)
            self.read += batch.num_rows
            self.accepted += checked.accepted.num_rows
            self.set_aside.update(q.row for q in checked.quarantined)
            yield checked
        if self.read != self._counted:
            raise FailedMachinery(
                f"{self._monitor.name} {self._partition}: {self.read} records were read and {self._counted} counted "
                "before; the table changed meanwhile; try again"
            )

    def counts(self) -> dict[str, int]:
        counts = {"read": self.read, "accepted": self.accepted, "quarantined": len(self.set_aside)}
        if counts["read"] != counts["accepted"] + counts["quarantined"]:
            raise AssertionError(f"records were lost or invented: {counts}")
        return counts

    def results(self) -> list[ExpectationResult]:
        """All results of the partition, once its records are read; RefusedData when one that needed them all broke."""
        from pipeline.validation import refuse_if_broken

        of_records = self._check.results()
        refuse_if_broken(self._monitor, self._partition, of_records)
        if self.read and not self.accepted:
            self.warnings.append(f"{self._monitor.name} {self._partition}: every record is quarantined")
        return [*self._of_partition, *of_records]


def _warning(monitor: Monitor, partition: str, result: ExpectationResult) -> str:
    from pipeline.validation import in_words

    return f"{monitor.name} {partition}: {in_words(result)}"

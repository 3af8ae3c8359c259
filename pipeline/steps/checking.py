"""One partition on its way through validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import FailedMachinery
from pipeline.monitor import Monitor
from pipeline.steps.house import House

if TYPE_CHECKING:
    from typing import Self

    import pyarrow as pa

    from pipeline.results import ExpectationResult, Quarantined
    from pipeline.scores_file import Write
    from pipeline.scoring import ScoredBatch
    from pipeline.source import Source
    from pipeline.steps.tally import Counted, Tally
    from pipeline.store import ModelVersion
    from pipeline.validation import CheckedBatch, KeyCensus, RecordCheck, Suite


class Checking:
    """One partition on its way through validation; counts what it has seen, so that no record is lost or invented."""

    def __init__(self, monitor: Monitor, partition: str, source: Source, suite: Suite) -> None:
        from pipeline.validation import RecordCheck, check_partition, check_schema, metrics_of, refuse_if_broken

        self.read = self.accepted = 0
        self.set_aside: set[int] = set()
        schema = source.schema([partition])
        self.warnings = check_schema(monitor, partition, schema, suite)
        self.columns = [n for n in schema.names if n not in monitor.columns.exclude or n in suite.columns]
        self._monitor, self._source, self._partition = monitor, source, partition
        profile = next(iter(source.profiles([partition], metrics_of(suite))), {"rows": 0})
        self._counted = int(profile["rows"] or 0)
        self._of_partition = check_partition(monitor, partition, profile, suite)
        refuse_if_broken(monitor, partition, self._of_partition)
        self.warnings += [_warning(monitor, partition, r) for r in self._of_partition if not r.success]
        self._check: RecordCheck = RecordCheck(monitor, partition, suite, self._census(suite))

    @classmethod
    def of(cls, house: House, monitor: Monitor, partition: str, champion: ModelVersion | None) -> Self:
        from pipeline.validation import first_suite

        if champion is None:
            source = cls.source(house, monitor, None)
            return cls(monitor, partition, source, first_suite(monitor, source.schema()))
        suite = house.suite(monitor, champion)
        return cls(monitor, partition, cls.source(house, monitor, suite.schema), suite)

    @staticmethod
    def source(house: House, monitor: Monitor, schema: dict[str, str] | None) -> Source:
        """What reads the monitor's records."""
        return house.source(monitor, schema)

    def _census(self, suite: Suite) -> KeyCensus:
        from pipeline.validation import duplicate_keys

        return duplicate_keys(self._monitor, suite, self._batches)

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
        self._all_were_read()

    def quarantined(self) -> list[Quarantined]:
        """Check all records; those set aside. Raises as `batches` does."""
        return [one for batch in self.batches() for one in batch.quarantined]

    def score(self, tally: Tally, write: Write | None = None) -> None:
        """Check and tally all records, and `write` the scores of the accepted ones. Raises as `batches` does."""
        from pipeline.detector.side_by_side import side_by_side

        def scored(batch: CheckedBatch) -> tuple[CheckedBatch, ScoredBatch, Counted]:
            return batch, *tally.scored(batch)

        for batch, scores, counted in side_by_side(scored, self.batches()):
            tally.take(scores.flagged, counted, batch.quarantined)
            if write is not None:
                write(batch.accepted, scores.score, scores.p_value)

    def _all_were_read(self) -> None:
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

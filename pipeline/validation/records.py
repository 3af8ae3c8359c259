"""Judges the records of a partition one batch at a time: accepted, or quarantined with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.records import LONGEST_KEY
from pipeline.results import ExpectationResult, Quarantined
from pipeline.validation import engine
from pipeline.validation.catalogue import needs_records
from pipeline.validation.census import Columns, KeyCensus
from pipeline.validation.conform import Conformed, conform
from pipeline.validation.frames import frame_for
from pipeline.validation.key_words import too_long
from pipeline.validation.masks import JUDGED, breaking_rows
from pipeline.validation.quarantine import Break, first_of_each, quarantine, value_texts
from pipeline.validation.suite import LENGTHS, OF_TYPE, UNIQUE, UNIQUE_TOGETHER, Spec, Suite, columns_of
from pipeline.validation.whole import WholePartition

_EXAMPLES = 5


@dataclass(frozen=True)
class CheckedBatch:
    """A batch parted in two. `accepted` has the types as trained; a record is quarantined once for each break."""

    accepted: pa.Table
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class Checked:
    """What a stretch of a partition's records told: of each expectation [checked, nulls, unexpected, examples].

    `kept` holds the columns of the accepted records that expectations on the whole partition read, None of none.
    """

    counts: list[list[Any]]
    kept: pa.Table | None


@dataclass
class _Tally:
    """How one expectation fared over the batches so far, with the first few values that broke it."""

    spec: Spec
    checked: int = 0
    nulls: int = 0
    unexpected: int = 0
    examples: list[str | None] = field(default_factory=list)

    def add(self, checked: int, nulls: int, unexpected: int, examples: Sequence[str | None]) -> None:
        self.checked += checked
        self.nulls += nulls
        self.unexpected += unexpected
        self.examples = list(dict.fromkeys([*self.examples, *examples]))[:_EXAMPLES]

    def told(self) -> list[Any]:
        """What `add` of another tally takes."""
        return [self.checked, self.nulls, self.unexpected, self.examples]

    def result(self, success: bool) -> ExpectationResult:
        names = columns_of(self.spec["kwargs"])
        return ExpectationResult(
            scope="record",
            expectation=self.spec["type"],
            column=names[0] if len(names) == 1 else None,
            kwargs=self.spec["kwargs"],
            severity=self.spec["severity"],
            origin=self.spec["origin"],
            success=success,
            checked=self.checked,
            unexpected=self.unexpected,
            observed=self.examples or None,
        )


class RecordCheck:
    """The record suite over one partition; `check` takes its batches in the order in which they are read."""

    def __init__(self, monitor: Monitor, partition: str, suite: Suite, census: KeyCensus) -> None:
        self._monitor, self._partition, self._suite, self._census = monitor, partition, suite, census
        self._types = [_Tally(_of_type(column, kind)) for column, kind in suite.schema.items()]
        self._key = _Tally(_storable_key(monitor))
        self._tallies = [_Tally(spec) for spec in suite.record]
        self._met: dict[Columns, set[bytes]] = {group: set() for group in census.repeated}
        self._whole = WholePartition(monitor, partition, [spec for spec in suite.partition if needs_records(spec)])

    def check(self, batch: pa.Table | pa.RecordBatch, first_row: int) -> CheckedBatch:
        """Parts one batch whose first record has the number `first_row` in the partition.

        ConfigurationError naming an expectation that could not be computed.
        """
        records = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        conformed = conform(records, self._suite.schema, self._monitor.timezone)
        breaks = []
        for tally, checked, rows in [
            *self._judge_types(conformed),
            self._judge_key(conformed),
            *self._judge(conformed),
        ]:
            columns = columns_of(tally.spec["kwargs"])
            self._count(tally, conformed, checked, rows, records)
            if rows and tally.spec["severity"] == "error":
                breaks.append(Break(tally.spec["type"], columns, rows))
        accepted = _without(conformed.table, breaks)
        self._whole.keep(accepted)
        return CheckedBatch(accepted, quarantine(self._monitor, records, conformed.table, breaks, first_row))

    def results(self) -> list[ExpectationResult]:
        """How each expectation fared over the batches so far; those on the whole partition on its accepted records.

        ConfigurationError naming an expectation that could not be computed.
        """
        return [tally.result(self._succeeds(tally)) for tally in self._all()] + self._whole.results()

    def checked(self) -> Checked:
        """What the records checked so far told, for the check of another stretch of the partition to `take`."""
        return Checked([each.told() for each in self._all()], self._whole.kept())

    def take(self, stretch: Checked) -> None:
        """As if this had checked, after its own, the records of a stretch that another RecordCheck has."""
        for tally, told in zip(self._all(), stretch.counts, strict=True):
            tally.add(*told)
        if stretch.kept is not None:
            self._whole.keep(stretch.kept)

    def _all(self) -> list[_Tally]:
        return [*self._types, self._key, *self._tallies]

    def _count(self, tally: _Tally, conformed: Conformed, checked: int, rows: Sequence[int], records: pa.Table) -> None:
        columns = columns_of(tally.spec["kwargs"])
        nulls = sum(conformed.table.column(name).null_count for name in columns)
        texts: list[str | None] = []
        if rows and len(tally.examples) < _EXAMPLES:
            # Whatever the batches are, the first few different values are told.
            distinct = first_of_each(records, columns, rows)
            texts = value_texts(self._monitor, records, columns, distinct[: _EXAMPLES * 4])
        tally.add(checked, nulls, len(rows), texts)

    def _judge_types(self, conformed: Conformed) -> Iterator[tuple[_Tally, int, list[int]]]:
        for tally in self._types:
            yield tally, conformed.table.num_rows, conformed.offending.get(tally.spec["kwargs"]["column"], [])

    def _judge_key(self, conformed: Conformed) -> tuple[_Tally, int, list[int]]:
        rows = too_long(conformed.table, self._monitor.primary_key, self._monitor.columns.sensitive)
        return self._key, conformed.table.num_rows, rows

    def _judge(self, conformed: Conformed) -> Iterator[tuple[_Tally, int, list[int]]]:
        """For each expectation of the record suite, how many records it judged and which of them broke it."""
        table = conformed.table
        for tally, (checked, rows) in zip(self._tallies, self._outcomes(table), strict=True):
            columns = columns_of(tally.spec["kwargs"])
            # A cell of a wrong type is told as that, not as a null as well.
            told = {row for column in columns for row in conformed.offending.get(column, [])}
            yield tally, checked, [row for row in rows if row not in told] if told else rows

    def _outcomes(self, table: pa.Table) -> list[tuple[int, list[int]]]:
        """What can be judged over Arrow is; only what cannot goes through a frame."""
        repeats = {group: self._repeats(table, group) for group in self._census.repeated}
        found = [self._over_arrow(table, spec, repeats) for spec in self._suite.record]
        left = [spec for spec, rows in zip(self._suite.record, found, strict=True) if rows is None]
        outcomes = iter(self._over_frame(table, left) if left else [])
        return [next(outcomes) if rows is None else (table.num_rows, rows) for rows in found]

    def _over_arrow(self, table: pa.Table, spec: Spec, repeats: dict[Columns, list[int]]) -> list[int] | None:
        if spec["type"] in (UNIQUE, UNIQUE_TOGETHER):
            return repeats[columns_of(spec["kwargs"])]
        kwargs = engine.native(spec["kwargs"], table.schema, ZoneInfo(self._monitor.timezone))
        return breaking_rows(spec["type"], kwargs, table)

    def _over_frame(self, table: pa.Table, specs: Sequence[Spec]) -> list[tuple[int, list[int]]]:
        frame = frame_for(table, specs)
        outcomes = engine.validate(self._monitor, self._partition, frame, specs, table.schema)
        return [(outcome.checked, outcome.rows) for outcome in outcomes]

    def _repeats(self, table: pa.Table, group: Columns) -> list[int]:
        """The records whose value comes again: all where the records differ, all but the first where they are one."""
        conflicting, met = self._census.conflicting[group], self._met[group]
        rows = []
        for row, value in self._census.repeats(table, group):
            if value in conflicting or value in met:
                rows.append(row)
            else:
                met.add(value)
        return rows

    def _succeeds(self, tally: _Tally) -> bool:
        """What Great Expectations' expectation concludes from the counts over all batches."""
        if tally.spec["type"] not in JUDGED:
            return tally.unexpected == 0
        counts = engine.counts_of(tally.spec, tally.checked, tally.nulls, tally.unexpected)
        return engine.conclude(self._monitor, self._partition, tally.spec, counts).success


def _without(table: pa.Table, breaks: Sequence[Break]) -> pa.Table:
    """The records that break nothing."""
    if not breaks:
        return table
    kept = np.ones(table.num_rows, bool)
    kept[[row for broken in breaks for row in broken.rows]] = False
    return table.filter(pa.array(kept))


def _of_type(column: str, kind: str) -> Spec:
    kwargs = {"column": column, "type_": kind}
    return {"scope": "record", "type": OF_TYPE, "kwargs": kwargs, "severity": "error", "origin": "learned"}


def _storable_key(monitor: Monitor) -> Spec:
    """Built in: the text of a record's key is short enough for the store's indexes."""
    key = monitor.primary_key
    columns = {"column": key[0]} if len(key) == 1 else {"column_list": list(key)}
    kwargs = {**columns, "max_value": LONGEST_KEY}
    return {"scope": "record", "type": LENGTHS, "kwargs": kwargs, "severity": "error", "origin": "built-in"}

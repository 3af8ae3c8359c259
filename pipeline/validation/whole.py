"""The monitor's own expectations on a partition as a whole: sums, quantiles, distinct values, order, `mostly`."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.results import ExpectationResult
from pipeline.validation import engine
from pipeline.validation.frames import columns_for, frame_for
from pipeline.validation.suite import Spec, columns_of


class WholePartition:
    """Holds of the accepted records the columns that the expectations read, and no others, until they are asked."""

    def __init__(self, monitor: Monitor, partition: str, specs: Sequence[Spec]) -> None:
        self._monitor, self._partition, self._specs = monitor, partition, specs
        self._kept: list[pa.Table] = []

    def keep(self, accepted: pa.Table) -> None:
        """Adds a batch of accepted records."""
        if self._specs:
            needed = columns_for(self._specs, accepted.column_names)
            blank = pa.nulls(accepted.num_rows)
            columns = [accepted.column(name) if name in needed else blank for name in accepted.column_names]
            self._kept.append(pa.table(columns, names=accepted.column_names))

    def kept(self) -> pa.Table | None:
        """All that was kept; None where there is nothing."""
        return pa.concat_tables(self._kept, promote_options="permissive") if self._kept else None

    def results(self) -> list[ExpectationResult]:
        """One result for each expectation; with no accepted record none of them holds."""
        table = self.kept()
        if table is None or table.num_rows == 0:
            return [self._result(spec, success=False, checked=0, observed=None) for spec in self._specs]
        # Expectations on the table's columns see them all.
        frame = frame_for(table, self._specs).reindex(columns=table.column_names)
        outcomes = engine.validate(self._monitor, self._partition, frame, self._specs, table.schema)
        return [
            self._result(spec, outcome.success, table.num_rows, outcome.observed)
            for spec, outcome in zip(self._specs, outcomes, strict=True)
        ]

    def _result(self, spec: Spec, success: bool, checked: int, observed: object) -> ExpectationResult:
        names = columns_of(spec["kwargs"])
        return ExpectationResult(
            scope="partition",
            expectation=spec["type"],
            column=names[0] if len(names) == 1 else None,
            kwargs=spec["kwargs"],
            severity=spec["severity"],
            origin=spec["origin"],
            success=success,
            checked=checked,
            unexpected=int(not success),
            observed=None if {*names} & {*self._monitor.columns.sensitive} else observed,
        )

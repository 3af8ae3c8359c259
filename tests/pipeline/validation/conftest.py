"""Values and runs that the tests of validation share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.monitor import Monitor
from pipeline.results import ExpectationResult, Quarantined
from pipeline.validation import RecordCheck, Suite, duplicate_keys

DAY = "2013-02-03"


@dataclass(frozen=True)
class Checked:
    """A partition that went through the record suite."""

    accepted: pa.Table
    quarantined: list[Quarantined]
    results: list[ExpectationResult]

    def why(self) -> list[tuple[int, str | None, str, str | None]]:
        """Row, column, expectation without its prefix, and value of every quarantined record."""
        return [
            (one.row, one.column, one.expectation.removeprefix("expect_column_values_to_"), one.value)
            for one in self.quarantined
        ]

    def result(self, expectation: str, column: str | None = None) -> ExpectationResult:
        """The one result of that expectation on that column."""
        found = [one for one in self.results if (one.expectation, one.column) == (expectation, column)]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="session")
def monitor() -> Callable[..., Monitor]:
    """Makes a monitor of orders: key `id`, partitioned by `day`."""

    def make(**changes: Any) -> Monitor:
        written = {
            "name": "orders",
            "source": {"files": "orders.parquet"},
            "partition_by": "day",
            "primary_key": ["id"],
        }
        return Monitor.model_validate({**written, **changes})

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., Checked]:
    """Runs a partition through census and record suite, in batches of some number of records."""

    def check(monitor: Monitor, suite: Suite, table: pa.Table, rows: int = 65_536) -> Checked:
        def read(columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
            chosen = table if columns is None else table.select(list(columns))
            yield from chosen.combine_chunks().to_batches(rows)

        judge = RecordCheck(monitor, DAY, suite, duplicate_keys(monitor, suite, read))
        first, accepted, quarantined = 0, [], []
        for batch in read(None):
            checked = judge.check(batch, first)
            first += batch.num_rows
            accepted.append(checked.accepted)
            quarantined += checked.quarantined
        whole = pa.concat_tables(accepted, promote_options="permissive") if accepted else table
        return Checked(whole, quarantined, judge.results())

    return check


@pytest.fixture(scope="session")
def orders() -> Callable[..., pa.Table]:
    """Makes honest orders: a heavy-tailed amount, a count, a shop, a time, a flag and a note that is often null."""

    def make(records: int, day: str = DAY, seed: int = 0, first_id: int = 0) -> pa.Table:
        rng = np.random.default_rng(seed)
        date = dt.date.fromisoformat(day)
        midnight = int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp() * 1_000_000)
        return pa.table(
            {
                "id": pa.array(np.arange(first_id, first_id + records)),
                "day": pa.array([date] * records, pa.date32()),
                "amount": pa.array(rng.lognormal(3, 1, records)),
                "items": pa.array(rng.poisson(2, records)),
                "balance": pa.array(rng.normal(0, 100, records)),
                "shop": pa.array(rng.choice(["Bern", "Genf", "Zürich"], records)),
                "at": pa.array(midnight + rng.integers(0, 86_400_000_000, records), pa.timestamp("us")),
                "paid": pa.array(rng.random(records) < 0.9),
                "note": pa.array(rng.choice(["a", "b"], records), mask=rng.random(records) < 0.3),
            }
        )

    return make


@pytest.fixture(scope="session")
def profile() -> Callable[..., dict[str, Any]]:
    """The profile of a partition as a source gives it."""

    def make(table: pa.Table, day: str = DAY) -> dict[str, Any]:
        metrics: dict[str, Any] = {"partition": day, "rows": table.num_rows}
        for name in table.column_names:
            column = table.column(name)
            metrics[f"{name}.null_share"] = column.null_count / table.num_rows if table.num_rows else None
            metrics[f"{name}.distinct"] = pc.count_distinct(column).as_py()
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                numbers = column.drop_null().to_numpy()
                metrics[f"{name}.mean"] = float(np.mean(numbers)) if len(numbers) else None
                metrics[f"{name}.median"] = float(np.median(numbers)) if len(numbers) else None
        return metrics

    return make

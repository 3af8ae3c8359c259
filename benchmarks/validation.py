"""What it costs to check the records of one partition, beside the same checks written by hand over Arrow compute.

A partition of 30 columns, a key and a date; its suite is learned from ten earlier ones, as training learns it. Both
ways get the same batches, judge the same expectations and leave the same number of records; they take turns in one
process, so that the ratio of their CPU seconds says more than the seconds.

    python benchmarks/validation.py [--rows 300000] [--rounds 5] [--wrong 0] [--text-key]
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from pipeline.encoding import Encoder
from pipeline.monitor import Monitor
from pipeline.validation import RecordCheck, Suite, check_partition, duplicate_keys, learn

NUMBERS, CATEGORIES, BATCH = 20, 6, 65_536
WINDOW, DAY = [dt.date(2024, 5, day) for day in range(1, 11)], dt.date(2024, 5, 11)


def monitor(text_key: bool = False) -> Monitor:
    """The monitor of the made-up table."""
    key = "reference" if text_key else "id"
    written = {"name": "made_up", "source": {"files": "made_up.parquet"}, "partition_by": "day", "primary_key": [key]}
    return Monitor.model_validate({**written, "columns": {"exclude": ["id" if text_key else "reference"]}})


def records(count: int, seed: int, day: dt.date = DAY) -> pa.Table:
    """Honest records: numbers of several scales and types, categories, times, a free text, a flag; some are null."""
    draw = np.random.default_rng(seed)
    midnight = int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1_000_000)
    first = day.toordinal() * 10_000_000
    columns: dict[str, pa.Array] = {
        "id": pa.array(first + np.arange(count)),
        "reference": pa.array([f"{first + at:032x}" for at in range(count)]),
        "day": pa.array([day] * count, pa.date32()),
    }
    for at in range(NUMBERS):
        values = draw.normal(100, 10, count) if at < 12 else draw.lognormal(3, 1, count)
        numbers = values.astype(np.int64) if at % 4 == 3 else values
        columns[f"number_{at:02}"] = pa.array(numbers, mask=draw.random(count) < 0.02 if at % 5 == 4 else None)
    for at in range(CATEGORIES):
        names = [f"kind {at}{level:02}" for level in range(4 + 6 * at)]
        columns[f"category_{at}"] = pa.array(draw.choice(names, count), mask=draw.random(count) < 0.01 if at else None)
    for name in ("ordered", "shipped"):
        columns[name] = pa.array(midnight + draw.integers(0, 86_400_000_000, count), pa.timestamp("us"))
    words = np.array(["blue", "chair", "for", "the", "garden", "No.", "table", "with"])
    numbers = draw.integers(100, 1_000, count)
    texts = zip(*(words[draw.integers(0, len(words), count)] for _ in range(3)), numbers, strict=True)
    columns["note"] = pa.array([" ".join(map(str, each)) for each in texts])
    columns["paid"] = pa.array(draw.random(count) < 0.9)
    return pa.table(columns)


def with_wrong(table: pa.Table, share: float) -> pa.Table:
    """The records with a number far out in a share of them, in one column after the other."""
    wrong = np.flatnonzero(np.random.default_rng(9).random(table.num_rows) < share)
    for at in range(NUMBERS):
        name = f"number_{at:02}"
        column = table.column(name)
        far = np.isin(np.arange(table.num_rows), wrong[at::NUMBERS])
        changed = pc.if_else(pa.array(far), pa.scalar(10**12).cast(column.type), column)
        table = table.set_column(table.column_names.index(name), name, changed)
    return table


def taught(watched: Monitor) -> tuple[Suite, list[dict[str, Any]]]:
    """The suite that ten earlier days teach, and their profiles."""
    days = [records(5_000, seed, day).drop(list(watched.columns.exclude)) for seed, day in enumerate(WINDOW)]
    profiles = [profile(day) for day in days]
    return learn(watched, pa.concat_tables(days), profiles), profiles


def profile(table: pa.Table) -> dict[str, Any]:
    """The metrics of a partition, as a source gives them."""
    found: dict[str, Any] = {"rows": table.num_rows}
    for name in table.column_names:
        column = table.column(name)
        found[f"{name}.null_share"] = column.null_count / table.num_rows
        found[f"{name}.distinct"] = pc.count_distinct(column).as_py()
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            numbers = column.cast(pa.float64()) if not pa.types.is_boolean(column.type) else column.cast(pa.int8())
            found[f"{name}.mean"] = pc.mean(numbers).as_py()
            found[f"{name}.median"] = float(np.median(numbers.drop_null().to_numpy()))
    return found


def by_tablewatch(watched: Monitor, suite: Suite, batches: Sequence[pa.RecordBatch]) -> int:
    """How many records are accepted."""

    def read(columns: list[str] | None) -> Iterable[pa.RecordBatch]:
        return (batch if columns is None else batch.select(columns) for batch in batches)

    check = RecordCheck(watched, DAY.isoformat(), suite, duplicate_keys(watched, suite, read))
    accepted, row = 0, 0
    for batch in batches:
        accepted += check.check(batch, row).accepted.num_rows
        row += batch.num_rows
    check.results()
    return accepted


def by_hand(watched: Monitor, suite: Suite, batches: Sequence[pa.RecordBatch]) -> int:
    """The same checks, with a mask for each expectation, and the records that keep to all."""
    [key] = watched.primary_key
    counted = pa.chunked_array([batch.column(key) for batch in batches]).value_counts()
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    accepted = 0
    for batch in batches:
        wrong = [pc.is_in(batch.column(key), repeated)] if len(repeated) else []
        for spec in suite.record:
            told = _breaks(batch, spec)
            if told is not None and pc.sum(told).as_py() and spec["severity"] == "error":
                wrong.append(told)
        kept = batch.filter(pc.invert(functools.reduce(pc.or_, wrong))) if wrong else batch
        accepted += kept.num_rows
    return accepted


def _breaks(batch: pa.RecordBatch, spec: Any) -> pa.Array | None:
    """Which records break an expectation of a learned suite; None for the uniqueness of the key."""
    kwargs = spec["kwargs"]
    column = batch.column(kwargs["column"])
    match spec["type"]:
        case "expect_column_values_to_not_be_null":
            return pc.is_null(column, nan_is_null=True)
        case "expect_column_values_to_be_between":
            low, high = (_bound(kwargs.get(each), column.type) for each in ("min_value", "max_value"))
            below = pc.less(column, low) if low is not None else None
            above = pc.greater(column, high) if high is not None else None
            outside = below if above is None else above if below is None else pc.or_(below, above)
            return pc.fill_null(outside, False)
        case "expect_column_values_to_be_in_set":
            known = pc.is_in(column, pa.array(kwargs["value_set"], column.type))
            return pc.and_not(pc.is_valid(column), known)
    return None


def _bound(value: Any, kind: pa.DataType) -> pa.Scalar | None:
    if value is None:
        return None
    return pa.scalar(dt.datetime.fromisoformat(value) if isinstance(value, str) else value, kind)


def encoded(watched: Monitor, batches: Sequence[pa.RecordBatch]) -> Callable[[], object]:
    """Encodes the batches by an encoder that was fitted on the first of them."""
    table = pa.Table.from_batches(batches).drop([*watched.primary_key])
    encoder = Encoder.fit(table.slice(0, 20_000), anchor="day")
    return lambda: [encoder.encode(pa.Table.from_batches([batch])) for batch in table.to_batches()]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the CPU seconds of each way, as medians over the rounds, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wrong", type=float, default=0.0, help="the share of records with a number far out")
    parser.add_argument("--text-key", action="store_true", help="a key of 32 characters in place of a whole number")
    options = parser.parse_args()
    print(environment())
    watched = monitor(options.text_key)
    suite, profiles = taught(watched)
    file = pa.BufferOutputStream()
    made = with_wrong(records(options.rows, 99), options.wrong).drop(list(watched.columns.exclude))
    pq.write_table(made, file)
    batches = list(pq.ParquetFile(pa.BufferReader(file.getvalue())).iter_batches(BATCH))
    ways: dict[str, Callable[[], object]] = {
        "by hand over Arrow": lambda: by_hand(watched, suite, batches),
        "census and record suite": lambda: by_tablewatch(watched, suite, batches),
        "partition suite": lambda: check_partition(watched, DAY.isoformat(), profiles[-1], suite),
        "encoding": encoded(watched, batches),
    }
    accepted = [ways[name]() for name in list(ways)[:2]]
    if accepted[0] != accepted[1]:
        raise AssertionError(f"the ways differ: {accepted}")
    expectations = f"{len(suite.record)} expectations on records, {len(suite.partition)} on the partition"
    print(f"{made.num_rows:,} records, {accepted[0]:,} accepted; {expectations}")
    rounds = [{name: seconds(work) for name, work in ways.items()} for _ in range(options.rounds)]
    hand = statistics.median(each["by hand over Arrow"] for each in rounds)
    for name in ways:
        cost = statistics.median(each[name] for each in rounds)
        print(f"{name:24} {cost:8.3f} CPU seconds {cost / hand:8.1f} times by hand")


if __name__ == "__main__":
    main()

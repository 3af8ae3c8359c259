"""What benchmarks/throughput.py makes of what it measured."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.made_up_table import ParquetFiles, schema
from benchmarks.stages import Cost, Stage, floors, rest
from benchmarks.throughput import Whole, growth

STAGES = [
    Stage("read", 100, Cost(2.0, 1.0), Cost(1.0, 0.5)),
    Stage("encode", 100, Cost(4.0, 3.0)),
    Stage("score", 100, Cost(8.0, 6.0), Cost(3.0, 2.0)),
]


def test_the_floors_of_a_larger_partition_grow_with_it() -> None:
    assert floors(STAGES, 100) == Cost(4.0, 2.5)
    assert floors(STAGES, 1_000) == Cost(40.0, 25.0)


def test_the_rest_is_what_the_whole_takes_beyond_its_stages() -> None:
    assert rest(Stage("whole", 100, Cost(16.0, 11.0)), STAGES) == Stage("rest of the step", 100, Cost(2.0, 1.0))
    assert rest(Stage("whole", 100, Cost(16.0, 9.0)), STAGES) is None


@pytest.mark.parametrize("order", [1, -1])
def test_memory_is_compared_from_the_smallest_to_the_largest(order: int) -> None:
    sizes = [(100, 50.0), (500, 60.0), (1_000, 75.0)][::order]
    wholes = [Whole(Stage("whole", rows, Cost(1.0, 1.0)), peak) for rows, peak in sizes]
    assert growth(wholes) == "10 times the rows take 1.50 times the peak memory"
    assert growth(wholes[:1]) is None


def test_a_day_is_replaced_and_has_its_thirty_columns(tmp_path: Path) -> None:
    table, day = ParquetFiles(tmp_path / "data"), dt.date(2024, 5, 11)
    for rows in (20, 10):
        table.write(day, rows, 0)
    found = pq.read_table(tmp_path / "data" / f"{day}.parquet")
    assert found.column("id").to_pylist() == list(range(10))
    assert len(schema().names) == 2 + 30

"""The embedded engine's memory: little at first, more where rows are wide, and never a record lost or told twice."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from source_places import in_parquet

from pipeline.errors import FailedMachinery
from pipeline.source import engine, open_source
from pipeline.source.engine import EmbeddedEngine, Engine

DAY = dt.date(2013, 2, 3)
KEY = DAY.isoformat()


def wide(rows: int, columns: int) -> pa.Table:
    draw = np.random.default_rng(0)
    held = {"id": draw.permutation(rows), "day": pa.repeat(pa.scalar(DAY), rows)}
    return pa.table(held | {f"c{at}": draw.random(rows) for at in range(columns)})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engine asks of DuckDB's settings, from a beginning that is too small for a wide table."""
    monkeypatch.setattr(engine, "MEMORY", 16)
    asked: list[str] = []
    take = EmbeddedEngine._take_more

    def told(self: EmbeddedEngine, error: Exception) -> None:
        take(self, error)
        asked.append(self.backend.raw_sql("SELECT current_setting('memory_limit')").fetchone()[0])

    monkeypatch.setattr(EmbeddedEngine, "_take_more", told)
    return asked


def test_a_table_too_wide_for_the_memory_gets_more(monitor: Any, tmp_path: Any, machine: list[str]) -> None:
    table = wide(20_000, 150)
    source = open_source(monitor(in_parquet(table, tmp_path)))
    got = pa.Table.from_batches(source.batches([KEY], rows=1_024))
    assert got.equals(table.sort_by("id"))
    assert source.profiles([KEY], {"c0.mean"})[0]["c0.mean"] == pytest.approx(table["c0"].to_numpy().mean())
    assert machine[0] == "32.0 MiB" and machine == sorted(machine, key=lambda said: float(said.split()[0]))


@pytest.mark.parametrize("before", [0, 1, 7])
def test_what_was_told_before_the_memory_ran_out_is_not_told_again(
    monitor: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, machine: list[str], before: int
) -> None:
    whole, calls = Engine.stream, []

    def cut(self: Engine, expression: Any, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        calls.append(rows)
        for at, batch in enumerate(whole(self, expression, schema, rows + 13 * len(calls))):
            if len(calls) < 3 and at == before * len(calls):
                raise OSError("Out of Memory Error: failed to pin block of size 256.0 KiB")
            yield batch

    monkeypatch.setattr(Engine, "stream", cut)
    table = wide(5_000, 2)
    source = open_source(monitor(in_parquet(table, tmp_path)))
    assert pa.Table.from_batches(source.batches([KEY], rows=100)).equals(table.sort_by("id"))
    assert len(calls) == 3 and machine == ["32.0 MiB", "64.0 MiB"]


def test_p11_records_that_differ_in_nested_columns_alone_come_in_one_order(monitor: Any, tmp_path: Any) -> None:
    count = 2_000
    values = np.random.default_rng(0).permutation(count).tolist()
    held: dict[str, Any] = {"id": [1] * count, "day": [DAY] * count}
    for name, nested, dtype in (
        ("list", [[value] for value in values], pa.list_(pa.int64())),
        (
            "struct",
            [{"x": [{"y": value}]} for value in values],
            pa.struct({"x": pa.list_(pa.struct({"y": pa.int64()}))}),
        ),
        ("map", [[(f"{value:04}", value)] for value in values], pa.map_(pa.string(), pa.int64())),
    ):
        folder = tmp_path / name
        folder.mkdir()
        source = open_source(monitor(in_parquet(pa.table(held | {name: pa.array(nested, dtype)}), folder)))
        got = pa.Table.from_batches(source.batches([KEY], rows=100))[name].to_pylist()
        inner = [int(re.findall(r"\d+", text)[-1]) for text in got]
        assert inner == list(range(count)), name


def test_there_is_an_end_to_it_and_other_errors_are_no_lack_of_memory(
    monitor: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, machine: list[str]
) -> None:
    said = "Out of Memory Error: failed to allocate data of size 4.0 MiB"

    def fails(self: Engine, expression: Any) -> list[dict[str, Any]]:
        raise OSError(said)

    source = open_source(monitor(in_parquet(wide(10, 1), tmp_path)))
    monkeypatch.setattr(Engine, "rows", fails)
    monkeypatch.setattr(engine, "_most", lambda: 100)
    with pytest.raises(FailedMachinery, match="Out of Memory"):
        source.profiles([KEY])
    assert machine == ["32.0 MiB", "64.0 MiB"]
    machine.clear()
    monkeypatch.setattr(engine, "_most", lambda: 1_000)
    said = "Network is unreachable"
    with pytest.raises(FailedMachinery, match="unreachable"):
        source.profiles([KEY])
    assert machine == []

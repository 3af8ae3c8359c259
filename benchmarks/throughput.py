"""Where the time of a night goes: records a second of each stage and of the whole, beside the floor of each stage.

A made-up partition of 30 columns (20 numeric, 6 categorical, 2 datetime, 1 text, 1 boolean) in a Parquet file is scored
by a champion that was trained for a few steps, as what is measured does not depend on how well. Each stage is run alone
over the same records; its floor is the least that has to be done: reading the columns with pyarrow, the same checks by
hand over Arrow compute, the matrix products of the passes. The whole is the step itself, Parquet in, flagged rows
stored, in a process of its own whose peak memory is told.

    python benchmarks/throughput.py [--rows 1000000] [--whole 1000000,10000000]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import validation as made_up
from benchmarks.environment import environment
from pipeline import steps
from pipeline.settings import Settings
from pipeline.source import open_source
from pipeline.steps.house import House

WINDOW_RECORDS, PIECE = 2_000, 250_000
MONITOR = """\
source: {{files: "{data}/*.parquet"}}
partition_by: day
primary_key: [id]
training: {{window: 10}}
expectations: [{{expect_table_row_count_to_be_between: {{min_value: 1}}}}]
"""


@dataclass(frozen=True)
class Cost:
    """What some work took."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, work: Callable[[], Any]) -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


def settings(folder: Path) -> Settings:
    """The home in `folder`, with the one monitor that reads its data."""
    monitors = folder / "monitors"
    monitors.mkdir(exist_ok=True)
    (monitors / "made_up.yaml").write_text(MONITOR.format(data=folder / "data"), encoding="utf-8")
    return Settings(home=folder / "home", monitors=monitors)


def write_day(path: Path, day: dt.date, rows: int, seed: int) -> None:
    """The records of a day as a Parquet file, made a piece at a time."""
    writer: pq.ParquetWriter | None = None
    for at, first in enumerate(range(0, rows, PIECE)):
        table = made_up.records(min(PIECE, rows - first), seed + at, day).drop_columns(["reference"])
        table = table.set_column(0, "id", pa.array(first + np.arange(table.num_rows)))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=PIECE)
    if writer:
        writer.close()


def prepared(folder: Path) -> Settings:
    """A home with a champion."""
    from pipeline.detector import network

    (folder / "data").mkdir()
    for seed, day in enumerate(made_up.WINDOW):
        write_day(folder / "data" / f"{day}.parquet", day, WINDOW_RECORDS, seed)
    network.SCHEDULES.update(dict.fromkeys(network.SCHEDULES, network.Schedule(400, 128, 3e-3, fewest=400)))
    here = settings(folder)
    steps.train("made_up", made_up.WINDOW[-1].isoformat(), settings=here)
    return here


def stages(folder: Path, here: Settings) -> Iterator[tuple[str, Cost, Cost | None]]:
    """Each stage's name, its cost and that of its floor, the first time not counted."""
    from pipeline import training
    from pipeline.detector import explain
    from pipeline.validation import RecordCheck, duplicate_keys, metrics_of

    house, partition = House(here), made_up.DAY.isoformat()
    monitor = house.monitor("made_up")
    champion = house.champion(monitor)
    suite = house.suite(monitor, champion)
    source = open_source(monitor, types=suite.schema)
    columns = source.schema([partition]).names
    file = folder / "data" / f"{partition}.parquet"
    batches = list(source.batches([partition], columns))
    arrow = Cost.of(lambda: [None for _ in pq.ParquetFile(file).iter_batches(65_536)])
    yield "profile", Cost.of(lambda: source.profiles([partition], metrics_of(suite))), None
    yield "read, by key", Cost.of(lambda: [None for _ in source.batches([partition], columns)]), arrow

    def read(names: list[str] | None) -> Iterator[pa.RecordBatch]:
        return (batch if names is None else batch.select(names) for batch in batches)

    accepted: list[pa.Table] = []

    def checked() -> None:
        check = RecordCheck(monitor, partition, suite, duplicate_keys(monitor, suite, read))
        accepted[:] = [check.check(batch, 0).accepted for batch in batches]

    by_hand = Cost.of(lambda: made_up.by_hand(monitor, suite, batches))
    yield "census and records", Cost.of(checked), by_hand
    detector = training.restore(monitor, *house.registry.load("made_up", champion.version, champion.sha256))
    rate = training.flag_rate(monitor, WINDOW_RECORDS)
    encoded = [detector.encoder.encode(table) for table in accepted]
    yield "encode", Cost.of(lambda: [detector.encoder.encode(table) for table in accepted]), None
    detector.score_encoded(encoded[0], rate)
    scored: list[Any] = []
    cost = Cost.of(lambda: scored.extend(detector.score_encoded(each, rate) for each in encoded))
    measured = sum(int((each.surprise > 0).any(axis=1).sum()) for each in scored)
    screened = sum(len(each.score) for each in scored)
    yield f"score ({measured / screened:.1%} in full)", cost, gemm(detector, screened, measured)
    flagged = [(table, each) for table, each in zip(accepted, scored, strict=True) if (each.p_value <= rate).any()]

    def explained() -> None:
        for table, each in flagged:
            rows = np.flatnonzero(each.p_value <= rate)
            explain(detector, table.take(pa.array(rows)), each.take(rows))

    yield f"explain {sum(int((e.p_value <= rate).sum()) for _, e in flagged):,}", Cost.of(explained), None


def gemm(detector: Any, screened: int, measured: int) -> Cost:
    """The matrix products of the residual blocks alone, for the passes of the screen and of the full measure."""
    spec = detector.network.spec
    screen = max(detector.screen.groups) + 1 if detector.screen else 0
    full = len(detector.voices) * spec.members * sum(max(groups) + 1 for groups in detector.network.partitions)
    block = 3_072
    wide, back = (
        np.ones(shape, np.float32) for shape in ((spec.hidden, 2 * spec.hidden), (2 * spec.hidden, spec.hidden))
    )
    rows = np.ones((block, spec.hidden), np.float32)

    def products() -> None:
        for _ in range((screened * screen + measured * full) // block):
            for _ in range(2):
                rows @ wide @ back

    return Cost.of(products)


def whole(folder: Path, rows: int) -> dict[str, float]:
    """The step in a process of its own: wall and CPU seconds of scoring, and the peak of its memory in MB."""
    command = [sys.executable, __file__, "--score", str(folder)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
    return {**json.loads(told.splitlines()[-1]), "rows": rows}


def score(folder: Path) -> None:
    """What `whole` starts: TensorFlow and Great Expectations are loaded by a small partition first."""
    here = settings(folder)
    steps.score("made_up", made_up.WINDOW[-1].isoformat(), settings=here, alerts=False)
    cost = Cost.of(lambda: steps.score("made_up", made_up.DAY.isoformat(), settings=here, alerts=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": cost.wall, "cpu": cost.cpu, "peak": peak}))


def main() -> None:
    """Print a line a stage, then a line for each size of the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--whole", default="1000000")
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.score:
        return score(options.score)
    print(environment())
    folder = Path(tempfile.mkdtemp(prefix="tablewatch-throughput-"))
    file = folder / "data" / f"{made_up.DAY}.parquet"
    try:
        here = prepared(folder)
        write_day(file, made_up.DAY, options.rows, 99)
        print(f"{'stage':28} {'rows a second':>13} {'CPU us a row':>12} {'of floor, CPU':>13}")
        for name, cost, floor in stages(folder, here):
            times = f"{cost.cpu / floor.cpu:12.1f}x" if floor else ""
            print(
                f"{name:28} {options.rows / cost.wall:13,.0f} {cost.cpu / options.rows * 1e6:12.2f} {times}", flush=True
            )
        for rows in (int(each) for each in options.whole.split(",") if each):
            write_day(file, made_up.DAY, rows, 99)
            told = whole(folder, rows)
            print(
                f"whole, {rows:12,} rows {rows / told['wall']:13,.0f} {told['cpu'] / rows * 1e6:12.2f}"
                f"   peak {told['peak']:,.0f} MB",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)
    return None


if __name__ == "__main__":
    main()

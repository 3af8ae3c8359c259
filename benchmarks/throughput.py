"""Where the time of a night goes: records a second of each stage and of the whole, beside the floor of each stage.

A made-up partition of 30 columns (20 numeric, 6 categorical, 2 datetime, 1 text, 1 boolean) in Parquet files or in a
PostgreSQL of this script's own is scored by a champion that was trained for a few steps, as what is measured does not
depend on how well. Each stage is run alone over the same records; its floor is the least that has to be done: reading
the columns by pyarrow, or by COPY to the client; the same checks by hand over Arrow compute; the matrix products of the
passes; a bare COPY of the flagged rows. The whole is the step itself, from the source to the flagged rows in a
PostgreSQL store, in a process of its own whose peak memory is told; its floor is that of all stages together. CPU is
this process's: what a PostgreSQL takes is in the seconds alone.

    python benchmarks/throughput.py [--source postgres] [--small] [--rows 1000000] [--whole 1000000,10000000]
        [--picture docs/images/throughput.png]

The champion is such as a table of large partitions gets, or with `--small` one of small ones: its screen is then the
first member of its network, instead of a smaller network of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import validation as made_up
from benchmarks.environment import environment
from benchmarks.made_up_table import DatabaseTable, ParquetFiles, Table
from benchmarks.postgres import databases
from benchmarks.stages import Cost, Stage, floors, rest, stages
from pipeline import steps
from pipeline.steps.house import House

WINDOW_ROWS, SEED = 2_000, 99
PLACES = {"parquet": "in Parquet files", "postgres": "in PostgreSQL"}
MONITOR = """\
source: {source}
partition_by: day
primary_key: [id]
training: {{window: 10}}
expectations: [{{expect_table_row_count_to_be_between: {{min_value: 1}}}}]
"""


@dataclass(frozen=True)
class Whole:
    """The step over so many records, and the most memory that its process held, in MB."""

    stage: Stage
    peak: float


def train(table: Table, monitors: Path, small: bool) -> None:
    """Write the monitor and a window of few records, and make a champion, of `small` partitions or of large ones."""
    from pipeline import training
    from pipeline.detector import network

    (monitors / "made_up.yaml").write_text(MONITOR.format(source=table.source), encoding="utf-8")
    for seed, day in enumerate(made_up.WINDOW):
        table.write(day, WINDOW_ROWS, seed)
    network.SCHEDULES.update(dict.fromkeys(network.SCHEDULES, network.Schedule(400, 128, 3e-3, fewest=400)))
    training.LARGE_PARTITION = WINDOW_ROWS + small
    steps.train("made_up", made_up.WINDOW[-1].isoformat())


def whole(rows: int, parts: Sequence[Stage]) -> Whole:
    """The step in a process of its own, over the partition as it is."""
    told = subprocess.run([sys.executable, __file__, "--score"], check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
    said = json.loads(told.splitlines()[-1])
    return Whole(Stage(f"whole, {rows:,} rows", rows, Cost(**said["cost"]), floors(parts, rows)), said["peak"])


def score() -> None:
    """What `whole` starts: Great Expectations is loaded by a small partition first."""
    steps.score("made_up", made_up.WINDOW[-1].isoformat(), alerts=False)
    cost = Cost.of(lambda: steps.score("made_up", made_up.DAY.isoformat(), alerts=False))
    print(json.dumps({"cost": asdict(cost), "peak": peak()}))


def peak() -> float:
    """The most memory that this process held, in MB; `getrusage` would count what its parent held when it began."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else float("nan")


def line(stage: Stage) -> str:
    """A line of the table that `main` prints."""
    floor = stage.floor
    times = f" {stage.cost.wall / floor.wall:14.1f}x {stage.cost.cpu / floor.cpu:12.1f}x" if floor else ""
    return f"{stage.name:28} {stage.a_second:13,.0f} {stage.microseconds:12.2f}{times}"


def growth(wholes: Sequence[Whole]) -> str | None:
    """How the peak of memory grows from the smallest to the largest; None where there is one size."""
    small, large = (pick(wholes, key=lambda each: each.stage.rows) for pick in (min, max))
    if small.stage.rows == large.stage.rows:
        return None
    times = f"{large.peak / small.peak:.2f} times the peak memory"
    return f"{large.stage.rows / small.stage.rows:,.0f} times the rows take {times}"


def measure(table: Table, rows: int, sizes: Sequence[int]) -> tuple[list[Stage], list[Whole]]:
    """Print a line a stage, then a line for each size of the whole."""
    print(f"{'stage':28} {'rows a second':>13} {'CPU us a row':>12} {'of floor, time':>15} {'of floor, CPU':>13}")
    table.write(made_up.DAY, rows, SEED)
    parts = []
    for stage in stages(House(), table, rows, WINDOW_ROWS):
        parts.append(stage)
        print(line(stage), flush=True)
    print(line(Stage("floors together", rows, floors(parts, rows))))
    wholes = []
    for size in sizes:
        table.write(made_up.DAY, size, SEED)
        wholes.append(whole(size, parts))
        print(f"{line(wholes[-1].stage)}   peak {wholes[-1].peak:,.0f} MB", flush=True)
    if wholes and (grown := growth(wholes)):
        print(grown)
    return parts, wholes


def bars(parts: Sequence[Stage], wholes: Sequence[Whole]) -> list[Stage]:
    """What the picture shows: the stages, and what a whole of their size took beyond them."""
    beyond = (rest(each.stage, parts) for each in wholes if each.stage.rows == parts[0].rows)
    return [*parts, *(each for each in beyond if each)]


def main() -> None:
    """Make the table and a champion, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=PLACES, default="parquet")
    parser.add_argument("--small", action="store_true", help="the champion of a table of small partitions")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--whole", default="1000000")
    parser.add_argument("--picture", type=Path, help="write a PNG of where the time goes")
    parser.add_argument("--score", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.score:
        return score()
    if options.picture:  # before anything is measured, and not in the process whose memory is told
        from benchmarks.time_picture import draw
    print(f"{environment()}; {PLACES[options.source]}")
    with databases() as make, tempfile.TemporaryDirectory(prefix="tablewatch-throughput-") as name:
        folder = Path(name)
        os.environ |= {
            "TABLEWATCH_HOME": str(folder / "home"),
            "TABLEWATCH_MONITORS": name,
            "TABLEWATCH_STORE_URL": make("store"),
        }
        in_files = options.source == "parquet"
        table = ParquetFiles(folder / "data") if in_files else DatabaseTable(make("watched"))
        train(table, folder, options.small)
        parts, wholes = measure(table, options.rows, [int(each) for each in options.whole.split(",") if each])
        if options.picture:
            title = f"Where the time goes: {options.rows:,} records of 30 columns, {PLACES[options.source]}"
            draw(bars(parts, wholes), title, options.picture)
            print(f"wrote {options.picture}")
    return None


if __name__ == "__main__":
    main()

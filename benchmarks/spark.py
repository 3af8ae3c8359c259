"""One partition scored in this process and on Spark, side by side: seconds, and whether the results are the same.

    python benchmarks/spark.py --records 50000 200000 --master spark://127.0.0.1:7077

Without --master Spark's workers are threads of its own, two of them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from pipeline import steps
from pipeline.detector import network
from pipeline.settings import Settings

COLUMNS = 20
WINDOW = 5_000
MONITOR = """\
source: {{files: "{data}/*.parquet"}}
partition_by: night
primary_key: [id]
training: {{window: 1}}
engine: {engine}
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--records", type=int, nargs="+", default=[50_000, 200_000])
    asked.add_argument("--master", default="local[2]")
    arguments = asked.parse_args()
    os.environ["TABLEWATCH_SPARK_MASTER"] = arguments.master
    print(environment(arguments.master))
    folder = Path(tempfile.mkdtemp(prefix="tablewatch-spark-"))
    try:
        measure(folder, arguments.records)
    finally:
        shutil.rmtree(folder)


def environment(master: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("tablewatch", "pyspark", "pyarrow", "keras"))
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {load}; master {master}"


def measure(folder: Path, sizes: Sequence[int]) -> None:
    """Train once, then score a partition of each size by either engine; the first of Spark starts its session."""
    data = folder / "data"
    data.mkdir()
    days = [(dt.date(2024, 3, 1) + dt.timedelta(days=at)).isoformat() for at in range(len(sizes) + 1)]
    for day, count in zip(days, [WINDOW, *sizes], strict=True):
        pq.write_table(records(day, count), data / f"{day}.parquet", row_group_size=50_000)
    here, there = (settings(folder, data, engine) for engine in ("local", "spark"))
    # What is measured does not depend on how well the model was trained.
    network.SCHEDULES.update(dict.fromkeys(network.SCHEDULES, network.Schedule(150, 128, 3e-3)))
    steps.train("numbers", days[0], settings=here)
    shutil.copytree(here.home, there.home)
    seconds(here, days[0])
    print(f"{'records':>10} {'local s':>9} {'Spark s':>9} {'again s':>9}  same flags")
    for day, count in zip(days[1:], sizes, strict=True):
        taken = [seconds(each, day) for each in (here, there, there)]
        same = flags(here, day) == flags(there, day)
        print(f"{count:>10,} {taken[0]:>9.1f} {taken[1]:>9.1f} {taken[2]:>9.1f}  {same}", flush=True)


def settings(folder: Path, data: Path, engine: str) -> Settings:
    monitors = folder / engine
    monitors.mkdir()
    (monitors / "numbers.yaml").write_text(MONITOR.format(data=data, engine=engine), encoding="utf-8")
    return Settings(home=folder / f"home-{engine}", monitors=monitors)


def records(day: str, count: int) -> pa.Table:
    """Numbers that hang together, and categories."""
    draw = np.random.default_rng(int(day[-2:]))
    base = draw.normal(size=(count, 3))
    columns = {f"number_{at}": base[:, at % 3] * (at + 1) + draw.normal(0, 0.1, count) for at in range(COLUMNS - 4)}
    columns |= {f"level_{at}": draw.choice(["a", "b", "c", "d"], count) for at in range(4)}
    return pa.table({"id": np.arange(count), "night": pa.array([dt.date.fromisoformat(day)] * count), **columns})


def seconds(of: Settings, day: str) -> float:
    start = time.perf_counter()
    steps.score("numbers", day, settings=of, alerts=False)
    return time.perf_counter() - start


def flags(of: Settings, day: str) -> list[tuple[str, float]]:
    engine = sa.create_engine(f"sqlite:///{of.home / 'store.db'}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        asked = sa.text("SELECT record_key, p_value FROM anomalies WHERE partition = :day ORDER BY record_key")
        found = connection.execute(asked, {"day": day})
        return [(key, float(f"{p_value:.5g}")) for key, p_value in found]


if __name__ == "__main__":
    main()

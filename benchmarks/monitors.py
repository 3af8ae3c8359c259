"""Many monitors in one night: under a real Airflow with its LocalExecutor, and by `tablewatch run --all`.

Each monitor watches a table of its own: deliveries of ten columns, made up by another seed, 10,000 in the night. The
first champion is trained on small nights and for a few steps, the other monitors get it as a copy: the tables are of
one kind, and what is measured does not depend on how well it finds errors.

    python benchmarks/monitors.py [--monitors 200] [--rows 10000] [--parallelism 2] [--first score]

- Airflow: a scheduler, a DAG processor and an api-server, with its metadata and the store on a PostgreSQL of this
  script's own (`fsync=off`). A run of every `score_` DAG waits, paused, and all are let go at once; the night ends with
  the last task. With `--first validate` it is those of `validate_`, which the scoring follows as in a real night.
- run --all: one process scores the same nights into the same store, afterwards.

What a monitor waits for is told: from the start of the night until its scoring begins, and until it has ended. CPU and
memory are of all processes, PostgreSQL included. Bytecode is cached, as after an installation.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.drift import WRONG, Change, deliveries, exchange
from benchmarks.environment import environment
from benchmarks.process_tree import ProcessTree
from demo import airflow_home, ui
from pipeline import steps
from pipeline.settings import Settings
from pipeline.steps.house import House
from pipeline.store import TrainedModel
from tests.dags.real_airflow import RealAirflow, until
from tests.postgres import Postgres, server_programs

WINDOW, TRAINED = 7, 500
NIGHT = str(np.datetime64("2024-02-01") + WINDOW)
MONITOR = """\
source: {{files: "{folder}/*.parquet"}}
partition_by: night
primary_key: [id]
training: {{window: 7}}
expectations: [{{expect_table_row_count_to_be_between: {{min_value: 1}}}}]
"""
PAGE = 100
"""The most that Airflow tells at a time."""


def write_tables(airflow: RealAirflow, names: list[str], rows: int) -> None:
    """The monitors' files and the nights of their tables: the first one's window, and the last night of each."""
    for at, name in enumerate(names):
        folder, draw = airflow.folder / "data" / name, np.random.default_rng(at)
        folder.mkdir(parents=True)
        for night in range(WINDOW) if at == 0 else ():
            write_night(folder, night, deliveries(night, TRAINED, draw, Change()))
        columns = deliveries(WINDOW, rows, draw, Change())
        exchange(columns, WRONG, draw)
        write_night(folder, WINDOW, columns)
        (airflow.monitors / f"{name}.yaml").write_text(MONITOR.format(folder=folder), encoding="utf-8")


def write_night(folder: Path, night: int, columns: dict[str, np.ndarray]) -> None:
    rows = len(columns["kind"])
    pq.write_table(pa.table({"id": night * 10_000_000 + np.arange(rows), **columns}), folder / f"{night}.parquet")


def crown(settings: Settings) -> None:
    """A champion for every monitor, the first one's. What scoring loads is compiled and cached on the way."""
    from pipeline.detector import network

    house = House(settings)
    first, *others = sorted(path.stem for path in settings.monitors.glob("*.yaml"))
    network.SCHEDULES.update(dict.fromkeys(network.SCHEDULES, network.Schedule(400, 128, 3e-3, fewest=400)))
    steps.train(first, str(np.datetime64(NIGHT) - 1), settings=settings, alerts=False)
    steps.score(first, NIGHT, settings=settings, alerts=False)
    champion = house.champion(house.monitor(first))
    manifest, arrays = house.registry.load(first, champion.version, champion.sha256)
    suite = house.store.suite(first, champion.suite_version)
    trained = {each.name: getattr(champion, each.name) for each in fields(TrainedModel)}
    for name in others:
        saved = house.registry.save(name, champion.window_last, manifest, arrays)
        own = {"monitor": name, "version": saved.version, "config_hash": house.monitor(name).config_hash}
        house.store.add_suite(name, champion.suite_version, suite)
        house.store.add_model_version(TrainedModel(**{**trained, **own}))
        house.store.promote(name, saved.version, f"a copy of {first}'s")


def by_airflow(airflow: RealAirflow, variables: Mapping[str, str], names: Sequence[str], first: str) -> ProcessTree:
    """The night under Airflow, which starts and ends here: what it took; what each monitor waited for is printed."""
    with airflow.started(dict(variables)) as components:
        until(lambda: total(airflow, "dags?dag_id_prefix_pattern=score_&paused=true") == len(names) or None)
        for name in names:
            airflow.trigger(f"{first}_{name}", partition_key=NIGHT)
        with ProcessTree() as tree:
            began = dt.datetime.now(dt.UTC)
            for kind in dict.fromkeys((first, "score")):
                airflow.unpause(f"{kind}_")
            while ended(airflow) < len(names):
                ui.check_all_alive(components)
                time.sleep(2)
        print_waits(list(tasks(airflow)), began)
    return tree


def ended(airflow: RealAirflow) -> int:
    """How many monitors have nothing more to come: their scoring has ended, or what it follows has failed."""
    ends = ("score_&state=success&state=failed", "validate_&state=failed")
    return sum(total(airflow, f"dags/~/dagRuns?dag_id_prefix_pattern={end}") for end in ends)


def total(airflow: RealAirflow, what: str) -> int:
    return int(airflow.get(f"/api/v2/{what}&limit=1")["total_entries"])


def tasks(airflow: RealAirflow) -> Iterator[dict[str, Any]]:
    """All task instances of the night, a page at a time."""
    path, at = f"/api/v2/dags/~/dagRuns/~/taskInstances?order_by=id&limit={PAGE}", 0
    while page := airflow.get(f"{path}&offset={at}")["task_instances"]:
        yield from page
        at += len(page)


def print_waits(instances: Sequence[Mapping[str, Any]], began: dt.datetime) -> None:
    """A line for each duration, over the monitors, and one for how the tasks ended. SystemExit where none scored."""

    def since(moment: str) -> float:
        return (dt.datetime.fromisoformat(moment) - began).total_seconds()

    scored = [(since(each["start_date"]), since(each["end_date"])) for each in instances if each["task_id"] == "score"]
    if not scored:
        raise SystemExit("no task scored; the logs of Airflow tell why")
    print(f"{'under Airflow, seconds':40} {'least':>8} {'median':>8} {'most':>8}")
    for what, seconds in {
        "from the start of the night to scoring": [start for start, _ in scored],
        "the task that scores": [end - start for start, end in scored],
        "from the start of the night to its end": [end for _, end in scored],
    }.items():
        print(f"{what:40} {min(seconds):8.1f} {statistics.median(seconds):8.1f} {max(seconds):8.1f}")
    states = Counter(f"{each['task_id']} {each['state']}" for each in instances)
    again = sum(each["try_number"] > 1 for each in instances)
    print(f"tasks: {', '.join(f'{count} {name}' for name, count in sorted(states.items()))}; tried again: {again}\n")


def by_run_all(variables: Mapping[str, str], names: Sequence[str]) -> ProcessTree:
    """The night by `tablewatch run --all`: what it took. SystemExit where a monitor was not scored."""
    command = "from pipeline.cli import main; main()"
    arguments = ["run", "--all", "--partition", NIGHT, "--json", "--no-alerts"]
    with ProcessTree() as tree:
        told = run_python(variables, "-c", command, *arguments)
    scored = [outcome["monitor"] for outcome in map(json.loads, told.splitlines()) if outcome["status"] == "done"]
    if scored != sorted(names):
        raise SystemExit(f"run --all scored {len(scored)} of {len(names)} monitors:\n{told[-2000:]}")
    return tree


def run_python(variables: Mapping[str, str], *arguments: str) -> str:
    """What a process of this Python, in the environment of the night, writes to its standard output."""
    command, environ = [sys.executable, *arguments], {**os.environ, **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def house_of(names: list[str], rows: int, parallelism: int) -> Iterator[tuple[RealAirflow, dict[str, str]]]:
    """An Airflow that was never started, the environment of its processes, and a champion for each monitor."""
    programs = server_programs()
    if programs is None:
        raise SystemExit("this needs PostgreSQL's server programs (make postgres)")
    folder, server = Path(tempfile.mkdtemp(prefix="tablewatch-monitors-")), Postgres(programs)
    try:
        airflow = RealAirflow(folder / "airflow", server.url)
        airflow.make()
        variables = airflow.environment(
            AIRFLOW__CORE__PARALLELISM=str(parallelism),
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True",
            AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL="30",
            PYTHONPATH=str(airflow_home.REPO),
            PYTHONDONTWRITEBYTECODE="",
            PYTHONPYCACHEPREFIX=str(folder / "bytecode"),
        )
        write_tables(airflow, names, rows)
        run_python(variables, __file__, "--crown")
        airflow_home._migrate(variables)
        yield airflow, variables
    finally:
        server.stop()
        shutil.rmtree(folder)


def main() -> None:
    """Print what each monitor waited for under Airflow, then what either way took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--monitors", type=int, default=200)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--first", choices=("validate", "score"), default="score")
    parser.add_argument("--crown", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crown:
        return crown(Settings())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    names = [f"table_{at:03}" for at in range(options.monitors)]
    print(environment())
    print(f"{options.monitors} monitors of {options.rows:,} records a night, parallelism {options.parallelism}\n")
    with house_of(names, options.rows, options.parallelism) as (airflow, variables):
        ways = {"Airflow": by_airflow(airflow, variables, names, options.first)}
        ways["run --all"] = by_run_all(variables, names)
    print(f"{'':12} {'wall s':>10} {'CPU s':>10} {'CPU s a monitor':>16} {'peak MB (PSS)':>14}")
    for name, tree in ways.items():
        print(f"{name:12} {tree.wall:10,.1f} {tree.cpu:10,.1f} {tree.cpu / len(names):16.2f} {tree.peak:14,.0f}")
    print(
        f"CPU of a monitor under Airflow: {ways['Airflow'].cpu / ways['run --all'].cpu:.1f} times that in one process"
    )
    return None


if __name__ == "__main__":
    main()

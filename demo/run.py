"""`make demo`: real flights through the DAGs, forty errors planted in the last night, and what became of them.

The last line counts records of the last night: C planted ones were caught, Q of them quarantined and F flagged; X others
were flagged, of all R that were accepted, planted ones included (as the DAG run counts them).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import duckdb
import yaml

from demo import planting, warehouse
from demo.airflow_home import REPO, prepare
from pipeline.errors import CorruptBundle, FailedMachinery, TablewatchError
from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from pipeline.results import Contribution
    from pipeline.store import StoredAnomaly, StoredQuarantined

MONITOR = "flights"
MODELS = ("ensemble", "autoencoder", "vae")
TRAINED_THROUGH = "2013-01-28"
SCORED = ("2013-01-29", "2013-01-30", planting.NIGHT)

Say = Callable[[str], None]
Truth = dict[str, planting.Planted]  # by record key


@dataclass(frozen=True)
class Results:
    """What the last night left: quarantined and flagged records, records accepted, and the truth about the planted."""

    quarantined: dict[str, list[StoredQuarantined]]  # by record key
    flagged: dict[str, StoredAnomaly]  # by record key, the worst first
    accepted: int
    truth: Truth

    @property
    def missed(self) -> list[planting.Planted]:
        """The planted records that are neither quarantined nor flagged."""
        return [self.truth[key] for key in self.truth.keys() - self.quarantined.keys() - self.flagged.keys()]

    def others(self, found: dict[str, Any]) -> int:
        """How many of the records found were not planted."""
        return len(found.keys() - self.truth.keys())

    def last_line(self) -> str:
        """The line that the module's docstring explains."""
        quarantined, flagged = (len(self.truth.keys() & found.keys()) for found in (self.quarantined, self.flagged))
        return (
            f"demo: planted {len(self.truth)}, caught {len(self.truth) - len(self.missed)} "
            f"(quarantined {quarantined}, flagged {flagged}), "
            f"{self.others(self.flagged)} other records flagged of {self.accepted} accepted"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 after a line on stderr that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description="Watches a month of real flights.")
    parser.add_argument("--model", choices=MODELS, help="train this model, in a home of its own inside the demo's")
    model: str | None = parser.parse_args(arguments).model
    home = Settings().home.absolute() / (model or "")
    log = home / "demo.log"
    try:
        with only_our_words(log) as screen:
            say = partial(print, file=screen, flush=True)
            say(f"home: {home}\nlog:  {log}")
            report(run(home, model, say), say)
    except TablewatchError as error:
        print(f"{error}\nmore in {log}", file=sys.stderr)
        return 1
    return 0


def run(home: Path, model: str | None, say: Say) -> Results:
    """Makes the warehouse and the Airflow home, then retrains and goes through the nights by the DAGs.

    FailedMachinery, with the reason, if a DAG run fails.
    """
    choose_monitors(home, model)
    with timed(say, "warehouse: 336,776 flights in 365 nights; 40 errors planted in the last night to be scored"):
        path = warehouse.prepare(home)
    with timed(say, "Airflow: a home on SQLite"):
        os.environ.update(prepare(home, REPO))
    with timed(say, "Airflow: loaded, with its DAGs"):
        dags = load_dags()
    say(f"\n{'DAG':18}{'partition':12}{'state':9}{'seconds':>7}  result")
    house = House()
    if (champion := champion_of_window(house)) is None:
        run_dag(dags["retrain"], TRAINED_THROUGH, say)
    else:
        say(_run_line("retrain", TRAINED_THROUGH, "skipped", 0.0, f"champion {champion} is trained through it already"))
    for partition in SCORED:
        run_dag(dags["validate"], partition, say)
        counts = run_dag(dags["score"], partition, say)
    return results(house, counts["accepted"], path)


@contextmanager
def only_our_words(log: Path) -> Iterator[TextIO]:
    """A stream to stdout, while all else that this process and its libraries, in C++ too, write goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(1), os.dup(2)
    with log.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        with os.fdopen(os.dup(kept[0]), "w") as screen:
            yield screen
    finally:
        for stream, number, was in zip((sys.stdout, sys.stderr), (1, 2), kept, strict=True):
            stream.flush()
            os.dup2(was, number)
            os.close(was)


@contextmanager
def timed(say: Say, what: str) -> Iterator[None]:
    """Says what was done and how long it took."""
    started = time.monotonic()
    yield
    say(f"{what} ({time.monotonic() - started:.1f} s)")


def choose_monitors(home: Path, model: str | None) -> None:
    """Makes the repository's monitors the ones that are watched, or a copy of the demo's with another model.

    The results stay in the demo's home, whatever store the environment names.
    """
    os.environ.pop("TABLEWATCH_STORE_URL", None)
    folder = REPO / "monitors"
    if model:
        monitor = yaml.safe_load((folder / f"{MONITOR}.yaml").read_text(encoding="utf-8"))
        monitor["training"]["model"] = model
        folder = home / "monitors"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{MONITOR}.yaml").write_text(yaml.safe_dump(monitor, sort_keys=False), encoding="utf-8")
    os.environ["TABLEWATCH_MONITORS"] = str(folder)


def load_dags() -> dict[str, DAG]:
    """The demo's DAGs as Airflow parses them: retrain, validate, score. The environment must be set by now."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    if bag.import_errors:
        raise FailedMachinery(f"the DAGs cannot be parsed: {next(iter(bag.import_errors.values()))}")
    return {kind: bag.dags[f"{kind}_{MONITOR}"] for kind in ("retrain", "validate", "score")}


def champion_of_window(house: House) -> str | None:
    """The champion's version if it is of the demo's window and of the monitor as it is now, and can be read."""
    from pipeline import training

    monitor = house.monitor(MONITOR)
    champion = house.store.champion(MONITOR)
    if champion is None or (champion.window_last, champion.config_hash) != (TRAINED_THROUGH, monitor.config_hash):
        return None
    try:
        training.restore(monitor, *house.registry.load(MONITOR, champion.version, champion.sha256))
    except CorruptBundle:
        return None
    return champion.version


def run_dag(dag: DAG, partition: str, say: Say) -> dict[str, int]:
    """Runs one DAG for one partition in this process and says how it went; the counts of its step.

    FailedMachinery with the reason if the run does not succeed.
    """
    reasons: list[BaseException] = []
    for task in dag.tasks:
        task.on_failure_callback = [lambda context: reasons.append(context["exception"])]
        # Airflow's handler of TERM calls this, and stays after the run.
        task.on_kill = partial(os._exit, 128 + signal.SIGTERM)
    started = time.monotonic()
    dag_run = dag.test(run_conf={"partition": partition})
    kind = dag.dag_id.removesuffix(f"_{MONITOR}")
    (instance,) = dag_run.get_task_instances()
    outcome = instance.xcom_pull(task_ids=instance.task_id) or {"message": "", "counts": {}, "warnings": ()}
    say(_run_line(kind, partition, dag_run.state, time.monotonic() - started, outcome["message"]))
    for warning in outcome["warnings"]:
        say(f"{'':18}warning: {warning}")
    if dag_run.state != "success":
        raise FailedMachinery(f"{dag.dag_id} {partition} {dag_run.state}: {'; '.join(map(str, reasons))}")
    return outcome["counts"]


def _run_line(kind: str, partition: str, state: str, seconds: float, result: str) -> str:
    return f"{f'{kind}_{MONITOR}':18}{partition:12}{state:9}{seconds:7.1f}  {result}"


def results(house: House, accepted: int, path: Path) -> Results:
    """What the store holds of the last night, beside the truth in the warehouse."""
    broken = house.store.quarantine(MONITOR, planting.NIGHT)
    with duckdb.connect(path, read_only=True) as connection:
        truth = {str(planted.flight_id): planted for planted in planting.planted(connection)}
    by_record = groupby(broken, key=lambda record: record.record_key or f"row {record.row}")
    return Results(
        {key: list(each) for key, each in by_record},
        {anomaly.record_key: anomaly for anomaly in house.store.anomalies(MONITOR, planting.NIGHT)},
        accepted,
        truth,
    )


def report(found: Results, say: Say) -> None:
    """Every record that was set aside, flagged or missed in the last night, with its reason; then the count."""
    say(f"\nQuarantined in {planting.NIGHT}: {len(found.quarantined)} records")
    for key, broken in found.quarantined.items():
        why = "; ".join(f"{each.column} {each.value or 'null'} breaks {each.expectation}" for each in broken)
        say(_record_line(key, found.truth, why))
    say(f"\nFlagged in {planting.NIGHT}: {len(found.flagged)} records, the worst first")
    for key, anomaly in found.flagged.items():
        say(_record_line(key, found.truth, _in_words(anomaly.contributions[0])))
    if found.missed:
        say(f"\nMissed: {len(found.missed)} planted records")
    for planted in found.missed:
        why = f"{planted.column_name} {planted.value} (was {planted.original})"
        say(_record_line(str(planted.flight_id), found.truth, why))
    say(f"\nNot planted: {found.others(found.quarantined)} quarantined, {found.others(found.flagged)} flagged")
    say(found.last_line())


def _record_line(key: str, truth: Truth, why: str) -> str:
    return f"  {key:8}{truth[key].kind if key in truth else '':40}{why}"


def _in_words(why: Contribution) -> str:
    reason = "" if why.reason == "reconstruction" else f", {why.reason.replace('_', ' ')}"
    return f"{why.column_name} {why.observed or 'null'} (expected {why.expected or 'null'}{reason})"


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: real flights through the DAGs, errors planted in two nights, and what became of them.

In one night forty records got a wrong field each, in the next ninety went wrong in three ways. The last line counts
records of the former: C planted ones were caught, Q of them quarantined and F flagged; X others were flagged, of the R
that were accepted, planted ones included, as the DAG run counts them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
    from pipeline.store import ModelVersion, StoredAnomaly, StoredIncident

MONITOR = "flights"
MODELS = ("ensemble", "autoencoder", "vae")
TRAINED_THROUGH = "2013-01-28"
SCORED = ("2013-01-29", "2013-01-30", planting.NIGHT, planting.NIGHT_OF_PATTERNS)

Say = Callable[..., None]  # print, to the screen
Truth = dict[str, planting.Planted]  # by record key


@dataclass(frozen=True)
class Results:
    """What the last night left, by record key: why a record was quarantined, and the anomalies, the worst first.

    `accepted` counts records; `truth` holds the planted errors. `incidents` are those of the night of patterns, the
    worst first; `of_record` tells to which one each of its records belongs, `patterns` what was planted in them.
    """

    quarantined: dict[str, list[str]]
    flagged: dict[str, StoredAnomaly]
    accepted: int
    truth: Truth
    incidents: list[StoredIncident]
    of_record: dict[str, str]
    patterns: dict[str, str]

    @property
    def missed(self) -> list[planting.Planted]:
        """The planted records that are neither quarantined nor flagged."""
        return [each for key, each in self.truth.items() if key not in {*self.quarantined, *self.flagged}]

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
    """0, or 1 after a line on stderr that says what failed, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description="Watches a month of real flights.")
    parser.add_argument("--model", choices=MODELS, help="train this model, in a home of its own inside the demo's")
    model: str | None = parser.parse_args(arguments).model
    home = Settings().home.absolute() / (model or "")
    log = home / "demo.log"
    started = time.monotonic()
    try:
        with only_our_words(log) as screen:
            say = partial(print, file=screen, flush=True)
            say(f"home: {home}\nlog:  {log}")
            found = run(home, model, say)
            report(found, say)
            say(f"\nall of it took {time.monotonic() - started:.0f} s\n{found.last_line()}")
    except TablewatchError as error:
        print(f"{error}\nmore in {log}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def run(home: Path, model: str | None, say: Say) -> Results:
    """Makes the warehouse and the Airflow home, then retrains and goes through the nights by the DAGs.

    FailedMachinery, with the reason, if a DAG run fails.
    """
    choose_monitors(home, model)
    with timed(say, "warehouse: 336,776 flights in 365 nights; 130 errors planted in the last two to be scored"):
        path = warehouse.prepare(home)
    with timed(say, "Airflow: a home on SQLite"):
        os.environ.update(prepare(home, REPO))
    with timed(say, "Airflow: loaded, with its DAGs"):
        dags = load_dags()
    say(f"\n{'DAG':18}{'partition':12}{'state':9}{'seconds':>7}  result")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a task would take Ctrl-C for a failure of its own
    house = House()
    retrain(house, dags["retrain"], say)
    accepted = {}
    for partition in SCORED:
        run_dag(dags["validate"], partition, say)
        accepted[partition] = run_dag(dags["score"], partition, say)["accepted"]
    return results(house, accepted[planting.NIGHT], path)


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


def retrain(house: House, dag: DAG, say: Say) -> None:
    """Runs the DAG, unless the champion is of the demo's window and of the monitor as it is, and can be read."""
    started = time.monotonic()
    champion = house.store.champion(MONITOR)
    wanted = TRAINED_THROUGH, house.monitor(MONITOR).config_hash
    if champion and (champion.window_last, champion.config_hash) == wanted and is_readable(house, champion):
        say(_beginning(dag, TRAINED_THROUGH), end="")
        say(_ending("kept", started, f"trained through that night already; champion is {champion.version}"))
    else:
        run_dag(dag, TRAINED_THROUGH, say)


def is_readable(house: House, champion: ModelVersion) -> bool:
    """Whether this tablewatch can score with that model version."""
    from pipeline import training

    try:
        training.restore(house.monitor(MONITOR), *house.registry.load(MONITOR, champion.version, champion.sha256))
    except CorruptBundle:
        return False
    return True


def run_dag(dag: DAG, partition: str, say: Say) -> dict[str, int]:
    """Runs one DAG for one partition in this process and says how it went; the counts of its step.

    FailedMachinery with the reason if the run does not succeed.
    """
    say(_beginning(dag, partition), end="")
    started = time.monotonic()
    reasons = _end_early(dag)
    dag_run = dag.test(run_conf={"partition": partition})
    (step,) = dag.roots
    outcome: dict[str, Any] = dag_run.get_task_instance(step.task_id).xcom_pull(task_ids=step.task_id) or {}
    say(_ending(dag_run.state, started, outcome.get("message", "")))
    if dag_run.state != "success":
        raise FailedMachinery(f"{dag.dag_id} failed: {'; '.join(reasons) or dag_run.state}")
    if step.task_id != "score":  # which checks again what is validated already
        for warning in outcome["warnings"]:
            say(f"  warning: {warning}")
    counts: dict[str, int] = outcome["counts"]
    return counts


def _end_early(dag: DAG) -> list[str]:
    """Makes the demo end with the first failure, and at once with TERM; a list that receives why a task failed."""
    reasons: list[str] = []
    for task in dag.tasks:
        task.retries = 0  # minutes apart
        task.on_failure_callback = [lambda context: reasons.append(_reason(context["exception"]))]
        # Airflow's handler of TERM calls this and does nothing else.
        task.on_kill = partial(os._exit, 128 + signal.SIGTERM)  # type: ignore[method-assign, union-attr]
    return reasons


def _reason(error: object) -> str:
    return str(error) or type(error).__name__


def _beginning(dag: DAG, partition: str) -> str:
    return f"{dag.dag_id:18}{partition:12}"


def _ending(state: str, started: float, result: str) -> str:
    return f"{state:9}{time.monotonic() - started:7.1f}  {result}"


def results(house: House, accepted: int, path: Path) -> Results:
    """What the store holds of the last night, beside the truth in the warehouse."""
    from pipeline.validation.words import phrase

    expected = {
        (result.expectation, result.column): phrase(result.expectation, result.kwargs)
        for result in house.store.validations(MONITOR, planting.NIGHT)
    }
    quarantined: dict[str, list[str]] = {}
    for each in house.store.quarantine(MONITOR, planting.NIGHT):
        why = f"{each.column} {each.value or 'null'} (expected: {expected[each.expectation, each.column]})"
        quarantined.setdefault(each.record_key or f"row {each.row}", []).append(why)
    flagged = {anomaly.record_key: anomaly for anomaly in house.store.anomalies(MONITOR, planting.NIGHT)}
    with duckdb.connect(path, read_only=True) as connection:
        truth = {str(planted.flight_id): planted for planted in planting.planted(connection)}
        patterns = planting.patterns(connection)
    night = planting.NIGHT_OF_PATTERNS
    found = [*house.store.anomalies(MONITOR, night), *house.store.quarantine(MONITOR, night)]
    of_record = {each.record_key: each.incident_id for each in found if each.record_key and each.incident_id}
    incidents = house.store.incidents(MONITOR, night)
    return Results(quarantined, flagged, accepted, truth, incidents, of_record, patterns)


def report(found: Results, say: Say) -> None:
    """Every record that was set aside, flagged or missed in the last night, with its reason."""
    say(f"\nQuarantined in {planting.NIGHT}: {len(found.quarantined)} records")
    for key, reasons in found.quarantined.items():
        say(_record_line(key, found.truth, "; ".join(reasons)))
    say(f"\nFlagged in {planting.NIGHT}: {len(found.flagged)} records, the worst first")
    for key, anomaly in found.flagged.items():
        say(_record_line(key, found.truth, _in_words(anomaly.contributions[0])))
    if found.missed:
        say(f"\nMissed: {len(found.missed)} planted records")
    for planted in found.missed:
        why = f"{planted.column_name} {planted.value} (was {planted.original})"
        say(_record_line(str(planted.flight_id), found.truth, why))
    say(f"\nNot planted: {found.others(found.quarantined)} quarantined, {found.others(found.flagged)} flagged")
    report_incidents(found, say)


def report_incidents(found: Results, say: Say) -> None:
    """What went wrong together in the night of patterns, in a sentence each, and what was planted in its records."""
    patterns = [incident for incident in found.incidents if incident.kind != "single"]
    say(f"\nIncidents in {planting.NIGHT_OF_PATTERNS}: {len(patterns)}")
    for incident in patterns:
        members = [key for key, incident_id in found.of_record.items() if incident_id == incident.incident_id]
        planted = Counter(found.patterns.get(key, "not planted") for key in members)
        say(f"  {incident.severity}: {incident.summary}")
        say(f"    planted: {', '.join(f'{count} {what}' for what, count in planted.most_common())}")
    say(f"  and {len(found.incidents) - len(patterns)} single records\n")


def _record_line(key: str, truth: Truth, why: str) -> str:
    return f"  {key:8}{truth[key].kind if key in truth else '':40}{why}"


def _in_words(why: Contribution) -> str:
    reason = "" if why.reason == "reconstruction" else f", {why.reason.replace('_', ' ')}"
    return f"{why.column_name} {why.observed or 'null'} (expected {why.expected or 'null'}{reason})"


if __name__ == "__main__":
    sys.exit(main())

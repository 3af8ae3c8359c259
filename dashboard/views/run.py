"""The address that Airflow shows beside a DAG or one of its runs: it leads to what the run was about."""

from __future__ import annotations

from typing import Any

from dashboard import address, data, markup
from dashboard.markup import badge

KINDS = {"validate": "quality", "score": "incident", "run": "incident", "train": "models"}
"""Where a run that is done shows best."""
PREFIXES = ("validate_", "score_", "ask_retrain_", "retrain_")


def page() -> None:
    """The night of the DAG run that the address names; a sentence where there is none, or where it did not end well."""
    dag, dag_run = address.given("dag") or "", address.given("dag_run")
    found = data.of_dag_run(f"{dag}/{dag_run}") if dag_run else None
    if found is None:
        _of_dag(dag, dag_run)
    elif found["status"] == "done":
        address.go(KINDS[found["kind"]], monitor=found["monitor"], partition=found["partition"])
    else:
        _not_done(found)


def _not_done(found: dict[str, Any]) -> None:
    about = " ".join(filter(None, (found["monitor"], found["partition"])))
    markup.title(f"{found['kind']} of {about}", badge(found["status"]))
    markup.says(found["reason"] or f"It began at {markup.moment(found['started_at'])} and has not ended.")
    address.link("quality", "The night's expectations →", monitor=found["monitor"], partition=found["partition"])
    address.link("monitor", "The monitor →", monitor=found["monitor"])


def _of_dag(dag: str, dag_run: str | None) -> None:
    """What can be said of a DAG by its name alone."""
    names = [row["monitor"] for row in data.health()]
    monitor = next((name for name in names if dag in [prefix + name for prefix in PREFIXES]), None)
    if monitor and not dag_run:
        address.go("monitor", monitor=monitor)
    markup.title("A run in Airflow" if dag_run else "A DAG in Airflow")
    markup.says("Here is what tablewatch found in the night of a run, for the DAGs that validate, score or train.")
    if monitor:
        markup.says("No task of this run has begun to read the table.")
        address.link("monitor", "The monitor →", monitor=monitor)
    else:
        markup.says(f"{dag} is none of them, or it has not run yet.")
    address.link("tonight", "Tonight, all monitors →")

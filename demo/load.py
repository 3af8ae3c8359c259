"""`docker compose --profile demo up`: the demo's warehouse, and its nights through the Airflow that runs there.

What is done already is not done again: a second start reports what the store holds.
"""

from __future__ import annotations

import os
import sys

from demo import planting, warehouse
from demo.airflow_api import Airflow
from demo.run import MONITOR, SCORED, TRAINED_THROUGH, report, results
from pipeline.errors import FailedMachinery, TablewatchError
from pipeline.steps import House

RETRAIN, VALIDATE, SCORE = (f"{kind}_{MONITOR}" for kind in ("retrain", "validate", "score"))


def main() -> int:
    """0, or 1 after a line on stderr that says what failed."""
    try:
        load(Airflow(os.environ["AIRFLOW_URL"], "admin", os.environ["AIRFLOW_ADMIN_PASSWORD"]))
    except TablewatchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def load(airflow: Airflow) -> None:
    """Trains, goes through the nights, and says what was found in the night of planted errors."""
    house = House()
    path = warehouse.prepare(house.settings.home.absolute())
    airflow.wait_for_dags(RETRAIN, VALIDATE, SCORE)
    succeed(airflow, RETRAIN, TRAINED_THROUGH)
    for partition in SCORED:
        succeed(airflow, VALIDATE, partition)
        succeed(airflow, SCORE, partition, follows=True)
    (night,) = [state for state in house.store.partition_states(MONITOR) if state.partition == planting.NIGHT]
    found = results(house, night.accepted or 0, path)
    report(found, print)
    print(found.last_line())


def succeed(airflow: Airflow, dag_id: str, partition: str, *, follows: bool = False) -> None:
    """Runs the DAG for the partition, unless it has succeeded before or `follows` another; waits until it succeeds."""
    if not follows and not any(run["state"] == "success" for run in airflow.runs(dag_id, partition)):
        airflow.trigger(dag_id, partition)
    state = airflow.wait(dag_id, partition)["state"]
    print(f"{dag_id:18}{partition:12}{state}", flush=True)
    if state != "success":
        raise FailedMachinery(f"{dag_id} failed for {partition}; its log is in Airflow")


if __name__ == "__main__":
    sys.exit(main())

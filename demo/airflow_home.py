"""Prepares an Airflow home in TABLEWATCH_HOME/airflow: SQLite, this repository's DAGs, configured by the environment.

`environment` must be in os.environ before airflow is imported, which reads its configuration once; so this file never
imports it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from pipeline.errors import FailedMachinery
from pipeline.settings import Settings

REPO = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
MIGRATION_SECONDS = 600


def environment(home: Path, repo: Path, port: int = 8080) -> dict[str, str]:
    """The variables under which Airflow runs the DAGs: `home` is TABLEWATCH_HOME, `repo` holds dags/ and monitors/."""
    airflow_home = home.absolute() / "airflow"
    address = f"http://{LOOPBACK}:{port}"
    return {
        "TABLEWATCH_HOME": str(home.absolute()),
        "TABLEWATCH_MONITORS": str(repo.absolute() / Settings().monitors),
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(repo.absolute() / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        # No DAG has a start date, so an unpaused one waits for its next tick: nothing starts by itself.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
    }


def prepare(home: Path, repo: Path, port: int = 8080) -> dict[str, str]:
    """Makes the Airflow home if need be and returns its environment; quick once this Airflow has migrated it.

    Raises FailedMachinery with the end of Airflow's own output if the migration fails.
    """
    variables = environment(home, repo, port)
    airflow_home = Path(variables["AIRFLOW_HOME"])
    airflow_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrated = airflow_home / "migrated"
    with (airflow_home / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second start waits instead of migrating the same file
        if not _is_migrated(migrated, airflow_home / "airflow.db"):
            _migrate(variables)
            migrated.write_text(_airflow_version(), encoding="utf-8")
    return variables


def airflow_command(*arguments: str) -> list[str]:
    """The command line of this interpreter's own Airflow, whatever PATH says."""
    return [sys.executable, "-m", "airflow", *arguments]


def _airflow_version() -> str:
    return version("apache-airflow")


def _is_migrated(marker: Path, database: Path) -> bool:
    return database.exists() and marker.exists() and marker.read_text(encoding="utf-8") == _airflow_version()


def _migrate(variables: dict[str, str]) -> None:
    done = subprocess.run(
        airflow_command("db", "migrate"),
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MIGRATION_SECONDS,
        check=False,
    )
    if done.returncode:
        raise FailedMachinery(f"airflow db migrate failed in {variables['AIRFLOW_HOME']}:\n{done.stdout[-2000:]}")


if __name__ == "__main__":
    print(prepare(Settings().home, REPO)["AIRFLOW_HOME"])

"""A running Airflow by its REST API: starts runs of DAGs for a partition and waits for how they end."""

from __future__ import annotations

import time
from typing import Any

import httpx

from pipeline.errors import FailedMachinery

ENDED = ("success", "failed")
PAUSE_SECONDS = 2
PATIENCE_SECONDS = 300


class Airflow:
    """Airflow at `url` as one user. What goes wrong is FailedMachinery."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)
        answer = self._ask("POST", "/auth/token", {"username": user, "password": password})
        self._client.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def wait_for_dags(self, *dag_ids: str, seconds: float = 300) -> None:
        """Waits until Airflow has parsed them."""
        wanted = set(dag_ids)
        deadline = time.monotonic() + seconds
        while wanted - {dag["dag_id"] for dag in self._ask("GET", "/api/v2/dags?limit=1000")["dags"]}:
            if time.monotonic() > deadline:
                raise FailedMachinery(f"Airflow knows no {', '.join(sorted(wanted))} after {seconds:.0f} s")
            time.sleep(PAUSE_SECONDS)

    def trigger(self, dag_id: str, partition: str) -> None:
        """Starts a run of the DAG for the partition."""
        self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "partition_key": partition})

    def runs(self, dag_id: str, partition: str) -> list[dict[str, Any]]:
        """The runs of the DAG for the partition, the oldest first."""
        found = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=1000&order_by=id")["dag_runs"]
        return [run for run in found if run["partition_key"] == partition]

    def wait(self, dag_id: str, partition: str, seconds: float = 1800) -> dict[str, Any]:
        """The last run of the DAG for the partition, once there is one and it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.runs(dag_id, partition)
            if runs and runs[-1]["state"] in ENDED:
                return runs[-1]
            if time.monotonic() > deadline:
                state = runs[-1]["state"] if runs else "not there"
                raise FailedMachinery(f"the run of {dag_id} for {partition} is {state} after {seconds:.0f} s")
            time.sleep(PAUSE_SECONDS)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._answer(method, path, body)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise FailedMachinery(f"Airflow refused {method} {path}: {error.response.text[:500]}") from None
        except httpx.HTTPError as error:
            raise FailedMachinery(f"Airflow did not answer {method} {path}: {error or type(error).__name__}") from error
        return answer.json()

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """The answer; what only reads is asked again while Airflow restarts or is busy."""
        give_up = time.monotonic() + (PATIENCE_SECONDS if method == "GET" else 0)
        while True:
            try:
                return self._client.request(method, path, json=body)
            except httpx.TransportError:
                if time.monotonic() + PAUSE_SECONDS > give_up:
                    raise
                time.sleep(PAUSE_SECONDS)

"""The demo in a running Airflow: nothing runs twice, and what failed is said."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from demo import airflow_api
from demo.airflow_api import Airflow
from demo.load import SCORE, VALIDATE, succeed
from pipeline.errors import FailedMachinery


class Server:
    """An Airflow whose runs end at once in `ends`."""

    def __init__(self, ends: str) -> None:
        self.ends = ends
        self.runs: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            right = json.loads(request.content) == {"username": "admin", "password": "right"}
            return httpx.Response(201, json={"access_token": "t"}) if right else httpx.Response(401, text="Invalid")
        assert request.headers["Authorization"] == "Bearer t"
        _, _, _, _, dag_id, _ = request.url.path.split("/")
        if request.method == "POST":
            asked = json.loads(request.content)
            assert asked["logical_date"] is None
            self.runs.append({"dag_id": dag_id, "partition_key": asked["partition_key"], "state": self.ends})
        return httpx.Response(200, json={"dag_runs": [run for run in self.runs if run["dag_id"] == dag_id]})


def login(server: Server, monkeypatch: pytest.MonkeyPatch, password: str = "right") -> Airflow:
    made = httpx.Client
    monkeypatch.setattr(
        airflow_api.httpx, "Client", lambda **given: made(transport=httpx.MockTransport(server), **given)
    )
    return Airflow("http://airflow", "admin", password)


def test_a_run_that_succeeded_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("success")
    airflow = login(server, monkeypatch)
    for partition in ("2013-01-29", "2013-01-29", "2013-01-30"):
        succeed(airflow, VALIDATE, partition)
    assert [run["partition_key"] for run in server.runs] == ["2013-01-29", "2013-01-30"]


def test_a_run_that_failed_ends_the_demo_and_is_run_again_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("failed")
    airflow = login(server, monkeypatch)
    with pytest.raises(FailedMachinery, match="validate_flights failed for 2013-01-29"):
        succeed(airflow, VALIDATE, "2013-01-29")
    server.ends = "success"
    succeed(airflow, VALIDATE, "2013-01-29")
    assert len(server.runs) == 2


def test_what_follows_another_is_waited_for_and_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("success")
    airflow = login(server, monkeypatch)
    with pytest.raises(FailedMachinery, match="score_flights for 2013-01-29 is not there after 0 s"):
        airflow.wait(SCORE, "2013-01-29", seconds=0)
    server.runs.append({"dag_id": SCORE, "partition_key": "2013-01-29", "state": "success"})
    succeed(airflow, SCORE, "2013-01-29", follows=True)
    assert len(server.runs) == 1


def test_a_wrong_password_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedMachinery, match="Airflow refused POST /auth/token: Invalid"):
        login(Server("success"), monkeypatch, "wrong")


def test_an_airflow_that_does_not_answer_at_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server, asked = Server("success"), []
    airflow = login(server, monkeypatch)
    monkeypatch.setattr(airflow_api, "PAUSE_SECONDS", 0)

    def busy(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) < 3:
            raise httpx.ReadTimeout("busy")
        return server(request)

    monkeypatch.setattr(airflow._client, "_transport", httpx.MockTransport(busy))
    assert airflow.runs(VALIDATE, "2013-01-29") == [] and asked == ["GET"] * 3
    asked.clear()
    with pytest.raises(FailedMachinery, match="did not answer POST"):  # it may have begun the run all the same
        airflow.trigger(VALIDATE, "2013-01-29")
    assert asked == ["POST"]

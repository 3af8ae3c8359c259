"""The plugins by which Airflow knows tablewatch, and the dashboard inside of it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, distribution
from typing import Any

import pytest

from dashboard.airflow_plugin import DashboardPlugin, views

URL = "https://watch.example.com/"
OURS = [each for each in distribution("tablewatch").entry_points if each.group == "airflow.plugins"]
# What would answer, or stand in the way of, a request to Airflow's server; `react_apps` runs code in its pages.
SERVES = (
    *("fastapi_apps", "fastapi_root_middlewares", "flask_blueprints", "appbuilder_views", "appbuilder_menu_items"),
    *("admin_views", "menu_links", "react_apps", "listeners", "macros"),
)


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.name)
def test_no_plugin_of_ours_adds_a_route(entry: EntryPoint) -> None:
    plugin = entry.load()
    assert {name: getattr(plugin, name) for name in SERVES} == {name: [] for name in SERVES}


def test_both_plugins_are_installed() -> None:
    assert {each.name for each in OURS} == {"tablewatch_timetable", "tablewatch_dashboard"}
    assert len({each.load().name for each in OURS}) == 2, "of two with one name Airflow takes the first"


def test_the_dashboard_is_in_the_navigation_and_beside_each_dag_and_run() -> None:
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    shown = [ExternalViewResponse.model_validate(each) for each in views(URL)]
    assert {each.destination: each.href for each in shown} == {
        "nav": "https://watch.example.com/",
        "dag": "https://watch.example.com/?dag={DAG_ID}",
        "dag_run": "https://watch.example.com/?dag={DAG_ID}&dag_run={RUN_ID}",
    }
    assert len({each.url_route for each in shown}) == 3, "of two with one route Airflow takes the first"


@pytest.mark.parametrize("url", [None, ""])
def test_without_an_url_there_is_no_view(url: str | None) -> None:
    assert views(url) == []
    assert DashboardPlugin.external_views == [], "the tests' environment names none"


def test_the_plugins_load_nothing_heavy() -> None:
    heavy = ("streamlit", "pandas", "altair", "tensorflow", "keras", "ibis", "great_expectations", "apprise")
    code = (
        "import sys; from airflow.plugins_manager import AirflowPlugin; before = set(sys.modules)\n"
        "import pipeline.timetable, dashboard.airflow_plugin\n"
        f"found = {{name.partition('.')[0] for name in set(sys.modules) - before}} & set({heavy!r})\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.slow
def test_a_task_knows_its_dag_run(database: None, flights: dict[str, Any], steps: Any) -> None:
    from airflow_runs import step

    from pipeline.settings import Settings

    seen: list[str | None] = []
    steps.score, scored = lambda *a, **k: seen.append(Settings().dag_run) or scored(*a, **k), steps.score
    sys.modules["pipeline.steps"].score = steps.score  # type: ignore[attr-defined]
    instance = step(flights["score_flights"], partition="2013-02-03")
    assert seen == [f"score_flights/{instance.run_id}"]

"""The DAGs under a real scheduler, with Airflow's own database and the store on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_airflow import SHORT, RealAirflow, until
from test_telemetry import Daemon

from tests.endpoint_servers import Webhook

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

MONITORS = ("east", "west")


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    listening = Daemon()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook, daemon: Daemon) -> Iterator[RealAirflow]:
    """It runs, and knows of no monitor yet."""
    server = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("needs PostgreSQL: make postgres, or TABLEWATCH_TEST_POSTGRES_URL")
    real = RealAirflow(tmp_path_factory.mktemp("scheduler"), server)
    own = {"TABLEWATCH_ALERTS__OPS": webhook.url, "TABLEWATCH_DASHBOARD_URL": real.dashboard}
    metrics = {"STATSD_ON": "True", "STATSD_PORT": str(daemon.port), "METRICS_ALLOW_LIST": "^tablewatch"}
    with real.running(**own, **{f"AIRFLOW__METRICS__{name}": value for name, value in metrics.items()}):
        yield real


@pytest.fixture(scope="module")
def tick(airflow: RealAirflow) -> dt.datetime:
    """The minute, a little ahead, at which the schedules of both monitors come; Airflow knows of it in time."""
    ahead = until(lambda: scheduled(airflow))
    old = airflow.store
    old.clock = lambda: ahead - dt.timedelta(days=7)
    old.finish_run(old.start_run("north", None, "train", "0" * 12), "done")
    airflow.watch("north", "0 0 * * *", "alerts: {to: [ops], deadline: 1m}\n")
    return ahead


@pytest.fixture(scope="module")
def night(tick: dt.datetime) -> str:
    return (tick.date() - dt.timedelta(days=1)).isoformat()


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def scheduled(airflow: RealAirflow) -> dt.datetime | None:
    """A tick of both monitors that Airflow heard of before it came; None where the machine was too busy for that."""
    ahead = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)).replace(second=0, microsecond=0)
    for name in MONITORS:
        airflow.watch(name, f"{ahead.minute} {ahead.hour} * * *")
    while dt.datetime.now(dt.UTC) < ahead:
        next_runs = [airflow.next_run(f"validate_{name}") for name in MONITORS]
        if next_runs == [ahead] * len(MONITORS):
            return ahead
        time.sleep(1)
    return None


def test_a_refused_partition_is_red_with_its_reason(airflow: RealAirflow, tick: dt.datetime) -> None:
    run_id = airflow.trigger("validate_east", partition_key=SHORT)
    assert airflow.finished("validate_east", run_id=run_id)["state"] == "failed"
    path = f"/api/v2/dags/validate_east/dagRuns/{run_id}/taskInstances"
    (task,) = airflow.get(path)["task_instances"]
    assert (task["state"], task["try_number"]) == ("failed", 1)
    (run,) = airflow.store.runs("east", SHORT)
    assert (run.status, run.dag_run) == ("refused", f"validate_east/{run_id}")
    assert run.reason and run.reason.startswith(f"east {SHORT}: ") and "5" in run.reason
    log = airflow.log_of("validate_east", run_id, "validate")
    assert "RefusedData" in log and f"east {SHORT}: " in log
    assert all(other["partition_key"] != SHORT for other in airflow.runs("score_east"))


def test_a_deadline_alert_comes_once_where_no_night_was_ever_started(
    airflow: RealAirflow, tick: dt.datetime, webhook: Webhook
) -> None:
    for _ in range(2):
        run_id = airflow.trigger("deliver_alerts")
        assert airflow.finished("deliver_alerts", run_id=run_id)["state"] == "success"
    (alert,) = airflow.store.alerts("north")
    assert alert.kind == "late" and alert.delivered_at is not None
    (message,) = webhook.received
    assert message["key"] == alert.dedup_key and alert.partition and alert.partition in message["message"]
    assert "is the scheduler up, and the DAG validate_north not paused?" in message["message"]
    assert airflow.runs("validate_north") == []
    assert "north" in airflow.log_of("deliver_alerts", run_id, "deliver")


@pytest.mark.parametrize("monitor", MONITORS)
def test_a_night_triggers_and_its_scoring_follows_with_the_same_key(
    airflow: RealAirflow, tick: dt.datetime, night: str, monitor: str
) -> None:
    validated = airflow.finished(f"validate_{monitor}", partition=night)
    assert (validated["state"], validated["run_type"]) == ("success", "scheduled")
    assert moment(validated["run_after"]) == tick
    scored = airflow.finished(f"score_{monitor}", partition=night)
    assert (scored["state"], scored["run_type"]) == ("success", "asset_triggered")
    (event,) = airflow.get(f"/api/v2/assets/events?source_dag_id=validate_{monitor}")["asset_events"]
    assert (event["partition_key"], event["source_run_id"]) == (night, validated["dag_run_id"])
    runs = {run.kind: run for run in airflow.store.runs(monitor, night)}
    assert {kind: (run.status, run.dag_run) for kind, run in runs.items()} == {
        "validate": ("done", f"validate_{monitor}/{validated['dag_run_id']}"),
        "score": ("done", f"score_{monitor}/{scored['dag_run_id']}"),
    }
    assert runs["score"].counts["flagged"] >= 1


def test_two_monitors_run_side_by_side(airflow: RealAirflow, tick: dt.datetime, night: str) -> None:
    runs = [airflow.finished(f"validate_{monitor}", partition=night) for monitor in MONITORS]
    assert max(moment(run["start_date"]) for run in runs) < min(moment(run["end_date"]) for run in runs)
    rows = [next(run for run in airflow.store.runs(name, night) if run.kind == "validate") for name in MONITORS]
    ends = [row.finished_at for row in rows if row.finished_at is not None]
    assert len(ends) == 2 and max(row.started_at for row in rows) < min(ends)


def test_nothing_of_ours_answers_without_a_login(airflow: RealAirflow) -> None:
    for path in ("/api/v2/plugins", "/api/v2/dags", "/api/v2/plugins/importErrors"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(airflow.address + path, timeout=30)
        assert refused.value.code == 401
    assert airflow.get("/api/v2/plugins/importErrors")["total_entries"] == 0


def test_each_monitor_has_gauges(airflow: RealAirflow, daemon: Daemon, night: str) -> None:
    for monitor in MONITORS:
        airflow.finished(f"score_{monitor}", partition=night)
    names = {line.partition(":")[0] for line in daemon.received() if line.startswith("airflow.tablewatch.")}
    figures = ("read", "accepted", "quarantined", "flagged", "incidents", "champion_age_days")
    assert names == {f"airflow.tablewatch.{monitor}.{figure}" for monitor in MONITORS for figure in figures}


@pytest.mark.browser
def test_the_dashboard_draws_the_night_of_a_run_in_airflows_frame(
    airflow: RealAirflow, night: str, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: make chromium")
    scored = airflow.finished("score_west", partition=night)
    with airflow.looked_at(chromium, tmp_path) as page:
        page.goto(f"{airflow.address}/dags/score_west/runs/{scored['dag_run_id']}/plugin/tablewatch_run")
        frame = page.frame_locator('iframe[title="tablewatch"]')
        frame.locator("h1.tw", has_text=f"west, night of {night}").wait_for()
        frame.get_by_text("All flagged and quarantined records as CSV").wait_for()
        page.screenshot(path=tmp_path / "run.png")
        page.goto(f"{airflow.address}/dags/score_west/plugin/tablewatch_dag")
        frame.get_by_text("What if fewer were flagged").first.wait_for()
        page.goto(airflow.address)
        page.get_by_role("link", name="tablewatch").or_(page.get_by_role("button", name="Plugins")).first.wait_for()
        page.screenshot(path=tmp_path / "home.png")
        page.goto(f"{airflow.address}/plugin/tablewatch")
        frame.locator("h1.tw", has_text="Tonight").wait_for()
        page.screenshot(path=tmp_path / "nav.png")

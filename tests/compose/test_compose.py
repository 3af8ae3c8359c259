"""The stack for real: built, brought up, a night by the clock, a crash in the midst of it, taken down.

Run by `make compose-test`. Whatever crashes, the night comes out whole.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from demo.airflow_api import Airflow
from demo.planting import NIGHT
from tests.compose.payments import PASSWORD, RECORDS, TABLE, write_monitor
from tests.compose.stack import Stack, why_not

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

ALWAYS = ("postgres", "api-server", "scheduler", "dag-processor", "triggerer", "dashboard")
PAGE = """
from streamlit.testing.v1 import AppTest
import dashboard
page = AppTest.from_file(dashboard.__path__[0] + "/app.py", default_timeout=120).run()
assert not page.exception, page.exception
print(*(each.proto.body for each in page.get("html")), sep="\\n")
"""


@contextmanager
def running(folder: Path, *profiles: str, **settings: str) -> Iterator[Stack]:
    stack = Stack(folder, *profiles, **settings)
    try:
        stack.up()
        stack.wait_until_healthy(*ALWAYS)
        yield stack
    finally:
        stack.down()


def login(stack: Stack) -> Airflow:
    return Airflow(f"http://127.0.0.1:{stack['AIRFLOW_PORT']}", "admin", stack["AIRFLOW_ADMIN_PASSWORD"])


def get(port: str, path: str, password: str = "") -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", auth=("ann", password) if password else None, timeout=30)
    return answer.status_code, answer.text


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def in_midst_of(stack: Stack, kind: str, partition: str) -> bool:
    at_work = f"SELECT run_id FROM runs WHERE kind = '{kind}' AND partition = '{partition}' AND status = 'running'"
    return bool(stack.sql(at_work))


def check_whole(stack: Stack, monitor: str, night: str) -> tuple[int, int]:
    """Every record of the night was scored once, by one run that ended. The records read, and the records flagged."""
    ((read, accepted, quarantined, flagged),) = stack.sql(
        "SELECT records_read, accepted, quarantined, flagged FROM v_partition_summary"
        f" WHERE monitor = '{monitor}' AND partition = '{night}'"
    )
    assert int(read) == int(accepted) + int(quarantined)
    of_night = f"WHERE monitor = '{monitor}' AND partition = '{night}'"
    assert stack.sql(f"SELECT count(*) FROM anomalies {of_night}") == [[flagged]]
    assert stack.sql(f"SELECT count(*) FROM runs {of_night} AND kind = 'score' AND status = 'done'") == [["1"]]
    return int(read), int(flagged)


def check_dashboard(stack: Stack, *words: str) -> None:
    """It answers, and the page that it draws of the store holds the words."""
    assert get(stack["DASHBOARD_PORT"], "/_stcore/health") == (200, "ok")
    assert get(stack["DASHBOARD_PORT"], "/")[0] == get(stack["DASHBOARD_PORT"], "/", "admin")[0] == 401
    status, page = get(stack["DASHBOARD_PORT"], "/", stack["DASHBOARD_PASSWORD"])
    assert status == 200 and "<html" in page
    drawn = stack.compose("exec", "-T", "dashboard", "python", "-c", PAGE)
    assert not [word for word in words if word not in drawn], drawn[-3000:]


def check_closed(stack: Stack) -> None:
    """Nobody gets in without a password, nor from another machine; nothing of ours is root."""
    airflow, password = stack["AIRFLOW_PORT"], stack["AIRFLOW_ADMIN_PASSWORD"]
    assert get(airflow, "/api/v2/dags")[0] == 401
    with pytest.raises(Exception, match="Invalid credentials"):
        Airflow(f"http://127.0.0.1:{airflow}", "admin", "admin")
    for service in ALWAYS:
        state = stack.state(service)
        bound = [each for ports in state["NetworkSettings"]["Ports"].values() for each in ports or []]
        assert {each["HostIp"] for each in bound} <= {"127.0.0.1"}
        if service != "postgres":
            assert stack.compose("exec", "-T", service, "id", "-u").strip() == "10001"
            assert password not in state["Config"]["Cmd"]
    as_tablewatch = ("psql", "-h", "postgres", "-U", "tablewatch", "-tAc", "SELECT 1", "-d")
    given = ("exec", "-T", "-e", f"PGPASSWORD={stack['TABLEWATCH_DB_PASSWORD']}", "postgres", *as_tablewatch)
    assert stack.compose(*given, "tablewatch").strip() == "1"
    with pytest.raises(AssertionError, match="permission denied for database"):
        stack.compose(*given, "airflow")
    with pytest.raises(AssertionError, match="password authentication failed"):
        stack.compose("exec", "-T", "-e", "PGPASSWORD=tablewatch", "postgres", *as_tablewatch, "tablewatch")


def sell(stack: Stack, password: str) -> None:
    """Makes the shop's database and table."""
    stack.sql(f"CREATE ROLE shop LOGIN PASSWORD '{password}'")
    stack.sql("CREATE DATABASE shop OWNER shop")
    stack.sql(f"{TABLE}; ALTER TABLE payments OWNER TO shop", database="shop")


def by_the_clock(stack: Stack, folder: Path, airflow: Airflow) -> str:
    """Trains, then lets the scheduler validate a night at its next tick but one; the night."""
    now = dt.datetime.now(dt.UTC)
    airflow.wait_for_dags("retrain_payments", "validate_payments", "score_payments")
    through = (now - dt.timedelta(days=2)).date().isoformat()
    airflow.trigger("retrain_payments", through)
    assert airflow.wait("retrain_payments", through)["state"] == "success"
    tick = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=3)
    write_monitor(folder, tick)
    night = (tick - dt.timedelta(days=1)).date().isoformat()
    validated = airflow.wait("validate_payments", night, seconds=600)
    assert (validated["state"], validated["run_type"]) == ("success", "scheduled")
    return night


@pytest.mark.parametrize(
    ("executor", "profiles", "works"),
    [("LocalExecutor", [], ["scheduler"]), ("CeleryExecutor", ["celery"], ["worker-1", "worker-2"])],
    ids=["local", "celery"],
)
def test_p25_p38_a_scheduled_night_survives_a_crash(
    executor: str, profiles: list[str], works: list[str], tmp_path: Path
) -> None:
    monitors, password = tmp_path / "monitors", secrets.token_hex(16)
    monitors.mkdir()
    (tmp_path / "monitors.env").write_text(f"{PASSWORD}={password}\n", encoding="utf-8")
    write_monitor(monitors, dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    settings = {"AIRFLOW_EXECUTOR": executor, "TABLEWATCH_MONITORS_FOLDER": str(monitors)}
    with running(tmp_path, *profiles, **settings) as stack:
        stack.wait_until_healthy(*works)
        sell(stack, password)
        airflow = login(stack)
        night = by_the_clock(stack, monitors, airflow)
        wait_for(lambda: in_midst_of(stack, "score", night), 300)
        for service in works:
            stack.crash(service)
        assert airflow.wait("score_payments", night, seconds=900)["state"] == "success"
        stack.wait_until_healthy(*ALWAYS, *works)
        read, flagged = check_whole(stack, "payments", night)
        assert read == RECORDS and flagged >= 1
        wrong = f"SELECT observed FROM contributions WHERE partition = '{night}' AND reason = 'unseen_category'"
        assert stack.sql(wrong) == [["mammoth"]]
        check_dashboard(stack, "payments", night)
        check_closed(stack)


def test_p25_p38_the_demo_comes_out_whole_after_a_crash(tmp_path: Path) -> None:
    with running(tmp_path, "demo") as stack:

        def ended() -> bool:
            return not stack.state("demo")["State"]["Running"]

        wait_for(lambda: in_midst_of(stack, "score", NIGHT) or ended(), 1800)
        assert not ended(), stack.compose("logs", "--no-color", "demo")
        stack.crash("scheduler")
        wait_for(ended, 1800)
        said = stack.compose("logs", "--no-color", "demo")
        assert stack.state("demo")["State"]["ExitCode"] == 0, said
        assert "planted 40, caught 39" in said
        check_whole(stack, "flights", NIGHT)
        check_dashboard(stack, "flights")

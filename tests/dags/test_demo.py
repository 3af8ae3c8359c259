"""demo/airflow_home.py and demo/ui.py, without an Airflow."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo import airflow_home, ui
from pipeline.errors import ConfigurationError, FailedMachinery

# Leads a session and has a child with a process group of its own, as a running task has; both ignore TERM.
STUBBORN = r"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
os.write(1, b"ready\n")
time.sleep(600)
"""


class FakeMigration:
    """Stands in for the subprocess module: counts migrations, leaves a database if `status` is 0."""

    PIPE = STDOUT = subprocess.PIPE

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.commands: list[list[str]] = []

    def run(self, command: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command[1:])
        if self.status == 0:
            (Path(env["AIRFLOW_HOME"]) / "airflow.db").touch()
        return subprocess.CompletedProcess(command, self.status, "sqlite said no")


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> FakeMigration:
    fake = FakeMigration()
    monkeypatch.setattr(airflow_home, "subprocess", fake)
    return fake


def test_preparing_twice_migrates_once(migration: FakeMigration, tmp_path: Path) -> None:
    first = airflow_home.prepare(tmp_path, airflow_home.REPO)
    assert airflow_home.prepare(tmp_path, airflow_home.REPO) == first
    assert migration.commands == [["-m", "airflow", "db", "migrate"]]


def test_another_airflow_migrates_again(
    migration: FakeMigration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow_home.prepare(tmp_path, airflow_home.REPO)
    monkeypatch.setattr(airflow_home, "version", lambda _: "99.0")
    airflow_home.prepare(tmp_path, airflow_home.REPO)
    assert len(migration.commands) == 2


def test_a_failed_migration_is_told_and_tried_again(migration: FakeMigration, tmp_path: Path) -> None:
    migration.status = 1
    for _ in range(2):
        with pytest.raises(FailedMachinery, match="sqlite said no"):
            airflow_home.prepare(tmp_path, airflow_home.REPO)
    assert len(migration.commands) == 2


def test_two_that_prepare_at_once_migrate_once(migration: FakeMigration, tmp_path: Path) -> None:
    threads = [threading.Thread(target=airflow_home.prepare, args=(tmp_path, airflow_home.REPO)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(migration.commands) == 1


def test_p38_airflow_listens_on_loopback_only(tmp_path: Path) -> None:
    variables = airflow_home.environment(tmp_path, airflow_home.REPO, port=8099)
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    addresses = [value for value in variables.values() if value.startswith("http")]
    assert addresses and all(address.startswith("http://127.0.0.1:8099") for address in addresses)
    assert "--skip-serve-logs" in ui.COMPONENTS["scheduler"], "its log server listens on every interface"
    assert "triggerer" not in ui.COMPONENTS


def test_the_environment_has_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TABLEWATCH_MONITORS", raising=False)
    variables = airflow_home.environment(Path(".tablewatch"), Path("repo"))
    assert variables["AIRFLOW_HOME"] == str(tmp_path / ".tablewatch" / "airflow")
    assert variables["TABLEWATCH_MONITORS"] == str(tmp_path / "repo" / "monitors")
    assert variables["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "repo" / "dags")


def test_ending_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "PATIENCE_SECONDS", 1)
    leader = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    try:
        with leader.stdout:
            assert [leader.stdout.readline(), leader.stdout.readline()] == [b"ready\n"] * 2
        started = ui.members({leader.pid})
        assert len(started) == 2
        ui.end_sessions([leader])
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in started)
        assert leader.returncode is not None
    finally:
        for process in ui.members({leader.pid}):
            process.kill()


def test_a_port_in_use_is_left_alone() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui.free_port(str(port)) not in (0, port)


@pytest.mark.parametrize("wanted", ["", "eighty", "-1", "65536"])
def test_a_port_that_is_none_is_refused(wanted: str) -> None:
    with pytest.raises(ConfigurationError, match="TABLEWATCH_UI_PORT"):
        ui.free_port(wanted)


def test_a_component_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    log = tmp_path / "scheduler.log"
    log.write_text("no such table\n", encoding="utf-8")
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    ended.wait()
    with pytest.raises(FailedMachinery, match="scheduler ended with status 3(.|\n)*no such table"):
        ui.check_all_alive({log: ended})

"""`make ui`: Airflow on this machine alone, with this repository's DAGs, until Ctrl-C or TERM.

It starts what `airflow standalone` starts, less the triggerer (no task here defers) and the log servers (they listen on
every interface, and the UI reads the log files itself). Each component leads a session of its own, ended as a whole.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import psutil

from demo.airflow_home import LOOPBACK, REPO, airflow_command, prepare
from pipeline.errors import ConfigurationError, FailedMachinery, TablewatchError
from pipeline.settings import Settings

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}
WATCHED = ("metadatabase", "scheduler", "dag_processor")
HEALTHY_SECONDS = 300
PATIENCE_SECONDS = 15


def main() -> int:
    """Runs Airflow until it is asked to end: 0 after Ctrl-C or TERM, 1 if a component failed or was never healthy."""
    asked_to_end = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.set())
    try:
        port = free_port(os.environ.get("TABLEWATCH_UI_PORT", "8080"))
        print(f"Airflow is starting on http://{LOOPBACK}:{port}; this takes about a minute.", flush=True)
        variables = prepare(Settings().home, REPO, port)
        with components(variables) as running:
            if wait_until_healthy(port, running, asked_to_end):
                print(welcome(port, Path(variables["AIRFLOW_HOME"])), flush=True)
            while not asked_to_end.wait(1):
                check_all_alive(running)
            print("Airflow is ending.", flush=True)
    except TablewatchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def free_port(wanted: str) -> int:
    """The port wanted, or any free one if another program has it. ConfigurationError if it is not a port."""
    if not wanted.isdigit() or not 0 <= int(wanted) < 65536:
        raise ConfigurationError(f"TABLEWATCH_UI_PORT is {wanted!r}; give a port number such as 8080")
    for port in (int(wanted), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise FailedMachinery(f"no free port on {LOOPBACK}")


@contextmanager
def components(variables: Mapping[str, str]) -> Iterator[dict[Path, subprocess.Popen[bytes]]]:
    """Airflow's components by the file that their output goes to. On leaving, every process of theirs has ended."""
    running: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in COMPONENTS.items():
            log = Path(variables["AIRFLOW_HOME"]) / f"{name}.log"
            with log.open("wb") as output:
                running[log] = subprocess.Popen(
                    airflow_command(*arguments),
                    env={**os.environ, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        yield running
    finally:
        end_sessions(list(running.values()))


def end_sessions(leaders: list[subprocess.Popen[bytes]]) -> None:
    """TERM to every process of the sessions; whatever is left of them after PATIENCE_SECONDS is killed.

    A process group would not do: a running task has one of its own, but it stays in the session.
    """
    sessions = {leader.pid for leader in leaders}
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in members(sessions):
            with suppress(psutil.NoSuchProcess):
                end(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while members(sessions) and time.monotonic() < deadline:
            time.sleep(0.1)
    for leader in leaders:
        leader.wait()


def members(sessions: set[int]) -> list[psutil.Process]:
    """The processes that are alive in any of the sessions."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until_healthy(port: int, running: Mapping[Path, subprocess.Popen[bytes]], asked_to_end: Event) -> bool:
    """True once Airflow is healthy, False if it was asked to end first. FailedMachinery after HEALTHY_SECONDS."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not asked_to_end.wait(1):
        check_all_alive(running)
        if is_healthy(port):
            return True
        if time.monotonic() > deadline:
            raise FailedMachinery(
                f"Airflow is not healthy after {HEALTHY_SECONDS} s; see {', '.join(map(str, running))}"
            )
    return False


def is_healthy(port: int) -> bool:
    """Whether the database, the scheduler and the DAG processor all say so."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(health[name]["status"] == "healthy" for name in WATCHED)


def check_all_alive(running: Mapping[Path, subprocess.Popen[bytes]]) -> None:
    """FailedMachinery, with the end of its output, if a component has ended by itself."""
    for log, process in running.items():
        if process.poll() is not None:
            end = log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
            raise FailedMachinery(f"airflow {log.stem} ended with status {process.returncode}; {log} ends:\n{end}")


def welcome(port: int, airflow_home: Path) -> str:
    """The address and the login that Airflow made on its first start, and how to run a DAG."""
    passwords = json.loads((airflow_home / "simple_auth_manager_passwords.json.generated").read_text(encoding="utf-8"))
    logins = "\n".join(f"  user {user}, password {password}" for user, password in passwords.items())
    return (
        f"Airflow is ready: http://{LOOPBACK}:{port}\n{logins}\n"
        "  Trigger a validate_ DAG with a partition such as 2013-02-03; its score_ DAG follows by itself.\n"
        "  Ctrl-C ends it."
    )


if __name__ == "__main__":
    sys.exit(main())

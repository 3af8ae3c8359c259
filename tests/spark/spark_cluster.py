"""A standalone Spark master with workers on loopback, from PySpark's own wheel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 180.0


class Cluster:
    """A master and the workers started so far, each in a process group of its own, its log in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.master = self._start("master", ["--port", str(self.port)])

    @property
    def url(self) -> str:
        return f"spark://{HOST}:{self.port}"

    def add_worker(self) -> subprocess.Popen[bytes]:
        """A worker of one core, once the master knows it."""
        before = self._registered()
        work = self.folder / f"work-{len(self.workers)}"
        arguments = ["--cores", "1", "--memory", "1g", "--work-dir", str(work), self.url]
        worker = self._start("worker", arguments)
        self.workers.append(worker)
        until = time.monotonic() + PATIENCE
        while self._registered() <= before:
            assert time.monotonic() < until and worker.poll() is None, f"no worker; see {self.folder}"
            time.sleep(0.1)
        return worker

    def stop(self) -> None:
        for process in [*self.workers, self.master]:
            kill(process)

    def _registered(self) -> int:
        return (self.folder / "master-0.log").read_text(errors="replace").count("Registering worker")

    def _start(self, kind: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST}
        environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_DAEMON_MEMORY": "256m"}
        name = f"org.apache.spark.deploy.{kind}.{kind.title()}"
        command = [str(home / "bin" / "spark-class"), name, "--host", HOST, "--webui-port", "0", *arguments]
        log = self.folder / f"{kind}-{len(self.workers)}.log"
        with log.open("wb") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and to what it started: of a worker, to its executors too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port

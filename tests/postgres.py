"""A PostgreSQL of the tests' own on loopback: made in a temporary folder, thrown away at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class Postgres:
    """A running server; `url` names its database `postgres`."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="tablewatch-postgres-"))
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._port = _free_port()
        self._password = secrets.token_hex(16)
        self._make()
        self._server = self._start()
        self.url = f"postgresql://tests:{self._password}@127.0.0.1:{self._port}/postgres"

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)
        how = ["-U", "tests", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "-N"]
        self._call("initdb", "-D", self._folder / "data", *how)

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "fsync": "off", "max_connections": 200}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self._folder / "log").open("ab")
        command = [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder, *options]
        server = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user())
        self._wait(server)
        return server

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        for _ in range(300):
            if server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()}")
            ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
            if subprocess.run(ready).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not answer within half a minute")

    def _call(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, **self._as_user())

    def _as_user(self) -> dict[str, object]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "cwd": self._folder} if self._user else {}

    def crash(self) -> None:
        """End the server in the midst of what it does; nothing answers until `restart`."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(30)

    def restart(self) -> None:
        """Start it again on the same port with the same data."""
        self._server = self._start()

    def stop(self) -> None:
        """End the server and remove its folder."""
        self._server.terminate()
        self._server.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


def server_programs() -> Path | None:
    """Where PostgreSQL's server programs are, the newest first; None where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    return found[0].parent if found else Path(on_path).parent if on_path else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The stack of docker-compose.yml under a project name, an env file and ports of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from deploy.env import complete

ROOT = Path(__file__).parents[2]
BUILD_SECONDS, START_SECONDS = 1800, 600


def compose_program() -> list[str] | None:
    """`docker compose` or `docker-compose`, whichever is there."""
    if shutil.which("docker"):
        found = subprocess.run(["docker", "compose", "version"], capture_output=True)
        if found.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def why_not() -> str | None:
    """Why no stack can be started here; None if it can."""
    if os.environ.get("TABLEWATCH_TEST_COMPOSE") != "1":
        return "builds images and runs containers; set TABLEWATCH_TEST_COMPOSE=1, as `make compose-test` does"
    if compose_program() is None:
        return "neither `docker compose` nor `docker-compose` is installed"
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        return "no Docker Engine answers `docker info`"
    return None


class Stack:
    """One running stack. `settings` are variables of its .env, `monitors` its folder of monitors."""

    def __init__(self, folder: Path, *profiles: str, **settings: str) -> None:
        self.project = f"tablewatch-test-{secrets.token_hex(4)}"
        self.monitors_env = folder / "monitors.env"
        self.env = folder / ".env"
        ports = {name: str(free_port()) for name in ("AIRFLOW_PORT", "DASHBOARD_PORT")}
        given = {"TABLEWATCH_MONITORS_ENV": str(self.monitors_env), **ports, **settings}
        self.env.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
        complete(self.env)
        self._profiles = [part for profile in profiles for part in ("--profile", profile)]

    def __getitem__(self, variable: str) -> str:
        found = re.search(rf"^{variable}=(.*)$", self.env.read_text(encoding="utf-8"), re.MULTILINE)
        assert found, variable
        return found[1]

    def up(self) -> None:
        """Builds the image, starts every service and waits until each is healthy or has ended well."""
        self.compose("build", timeout=BUILD_SECONDS)
        self.compose("up", "--detach", timeout=START_SECONDS)

    def down(self) -> None:
        """Takes everything down, volumes too."""
        self.compose("down", "--volumes", "--timeout", "10")

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Runs the compose program on this stack; its output. AssertionError, with all that it said, if it fails."""
        program = [*(compose_program() or []), "--project-name", self.project, "--env-file", str(self.env)]
        done = subprocess.run(
            [*program, *self._profiles, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-5000:]}"
        return done.stdout

    def sql(self, query: str, database: str = "tablewatch") -> list[list[str]]:
        """The rows of a query as text, asked by PostgreSQL's superuser inside its container."""
        ask = ("psql", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-qAtc", query)
        return [line.split("|") for line in self.compose("exec", "-T", "postgres", *ask).splitlines()]

    def container(self, service: str) -> str:
        """The id of the service's container, also of one that has ended."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def state(self, service: str) -> dict[str, Any]:
        """What the engine knows of the service's container."""
        found = subprocess.run(
            ["docker", "inspect", self.container(service)], capture_output=True, text=True, check=True
        )
        described: dict[str, Any] = json.loads(found.stdout)[0]
        return described

    def wait_until_healthy(self, *services: str, seconds: float = START_SECONDS) -> None:
        """Waits until every one of the services is healthy."""
        deadline = time.monotonic() + seconds
        for service in services:
            while (seen := self.state(service)["State"])["Health"]["Status"] != "healthy":
                assert time.monotonic() < deadline, f"{service} is {seen}: {self.compose('logs', '--tail=50', service)}"
                time.sleep(2)

    def crash(self, service: str) -> None:
        """SIGKILL to everything that runs in the container, as where memory runs out; the engine starts it again."""
        before = self.state(service)["State"]["StartedAt"]
        subprocess.run(["docker", "exec", self.container(service), "sh", "-c", "kill -9 -1"], capture_output=True)
        deadline = time.monotonic() + 60
        while not (after := self.state(service)["State"])["Running"] or after["StartedAt"] == before:
            assert time.monotonic() < deadline, f"{service} was not started again: {after}"
            time.sleep(0.5)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

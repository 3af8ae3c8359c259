"""`make env`: writes .env, the secrets and settings of docker-compose.yml, readable by you alone.

Whatever stands in the file stays: only variables that are missing are added. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

Make = Callable[[], str]

FOR_MONITORS = """\
# What monitors name as ${VARIABLE}, and where alerts go; only the services that run monitors see it. For example
# SHOP_DB_PASSWORD=...
# TABLEWATCH_ALERTS__OPS=mailto://...
"""


def password() -> str:
    """256 random bits in 64 letters and digits, so that it may stand in a URL, in JSON and in a shell."""
    return secrets.token_hex(32)


def fernet_key() -> str:
    """A key with which Airflow encrypts connections and variables: 32 random bytes."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


VARIABLES: dict[str, tuple[str, Make]] = {
    "POSTGRES_PASSWORD": ("PostgreSQL's superuser, whom no service uses", password),
    "AIRFLOW_DB_PASSWORD": ("Airflow's user of its own database", password),
    "TABLEWATCH_DB_PASSWORD": ("tablewatch's user of the store", password),
    "AIRFLOW_FERNET_KEY": ("encrypts Airflow's connections and variables; without it they cannot be read", fernet_key),
    "AIRFLOW_JWT_SECRET": ("signs what Airflow's components tell each other", password),
    "AIRFLOW_API_SECRET_KEY": ("signs sessions in the browser", password),
    "AIRFLOW_ADMIN_PASSWORD": ("the login of Airflow's UI and API, user admin", password),
    "DASHBOARD_PASSWORD": ("the login of the dashboard, whatever the user's name", password),
    "REDIS_PASSWORD": ("the queue of the profile celery", password),
    "AIRFLOW_PORT": ("on 127.0.0.1", lambda: "8080"),
    "DASHBOARD_PORT": ("on 127.0.0.1", lambda: "8501"),
    "AIRFLOW_EXECUTOR": ("CeleryExecutor with the profile celery", lambda: "LocalExecutor"),
    "TABLEWATCH_MONITORS_FOLDER": ("one YAML file per watched table", lambda: "./monitors"),
    "TABLEWATCH_MONITORS_ENV": ("what monitors name as ${VARIABLE}, and where alerts go", lambda: "./monitors.env"),
}


def main() -> int:
    """Completes .env in the working directory, or the file named by the only argument."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    added = complete(path)
    print(f"{path}: added {', '.join(added)}" if added else f"{path}: nothing was missing")
    return 0


def complete(path: Path) -> list[str]:
    """Adds to the file what it lacks, and makes monitors.env beside it; the names of what was added."""
    with private(path) as file:
        file.seek(0)
        text = file.read()
        missing = {name: VARIABLES[name] for name in VARIABLES if name not in names(text)}
        if text and not text.endswith("\n"):
            file.write("\n")
        for name, (what_for, make) in missing.items():
            file.write(f"# {what_for}\n{name}={make()}\n")
    with private(path.with_name("monitors.env")) as file:
        if not file.tell():
            file.write(FOR_MONITORS)
    return list(missing)


def names(text: str) -> set[str]:
    """The variables that a file sets."""
    lines = (line.strip() for line in text.splitlines())
    return {line.partition("=")[0].strip() for line in lines if "=" in line and not line.startswith("#")}


def private(path: Path) -> IO[str]:
    """The file, made if need be, to be read and added to; nobody else may read it."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(number, 0o600)
    return os.fdopen(number, "a+", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

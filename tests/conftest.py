"""What all tests share: UTC, quiet libraries, and a PostgreSQL where its programs are installed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Postgres, server_programs

POSTGRES = "TABLEWATCH_TEST_POSTGRES_URL"

os.environ["TZ"] = "UTC"
time.tzset()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ["GX_ANALYTICS_ENABLED"] = "False"
for name in [name for name in os.environ if name.startswith("TABLEWATCH_")]:
    if not name.startswith("TABLEWATCH_TEST_"):
        del os.environ[name]

# No example fails for being slow, and CI tries the same examples every time; at home they are new ones.
SLOW_IS_FINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("home", **SLOW_IS_FINE)
settings.register_profile("ci", **SLOW_IS_FINE, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(autouse=True)
def no_task_of_airflow() -> Iterator[None]:
    """What `dag.test()` leaves in the environment would make the runs of later tests runs of its DAG."""
    yield
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CTX_")]:
        del os.environ[name]


def pytest_configure(config: pytest.Config) -> None:
    """Start one PostgreSQL for all workers, unless a URL is given or its programs are not installed."""
    is_worker = hasattr(config, "workerinput")
    programs = server_programs()
    if is_worker or POSTGRES in os.environ or programs is None or config.option.collectonly:
        return
    config.postgres = Postgres(programs)  # type: ignore[attr-defined]
    os.environ[POSTGRES] = config.postgres.url  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    server = getattr(config, "postgres", None)
    if server is not None:
        server.stop()

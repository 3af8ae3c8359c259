"""Where tablewatch keeps its things and whom it tells, as the environment says: TABLEWATCH_HOME and its like."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; relative paths are relative to the working directory."""

    model_config = SettingsConfigDict(env_prefix="TABLEWATCH_", frozen=True)

    home: Path = Path(".tablewatch")
    store_url: str | None = None
    monitors: Path = Path("monitors")
    author: str | None = None
    dashboard_url: str | None = None
    spark_master: str | None = None

    @cached_property
    def store(self) -> str:
        """The store's SQLAlchemy URL: SQLite in the home unless TABLEWATCH_STORE_URL says otherwise."""
        return self.store_url or f"sqlite:///{self.home.absolute() / 'store.db'}"

    @property
    def bundles(self) -> Path:
        """The folder of the registry's bundles."""
        return self.home.absolute() / "bundles"

    @property
    def dag_run(self) -> str | None:
        """The DAG run of the Airflow task that this process is, or was started by: its DAG's id, a slash, its own."""
        names = [os.environ.get(name) for name in ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID")]
        return "/".join(name for name in names if name) if all(names) else None

    def endpoint_url(self, endpoint: str) -> str | None:
        """The apprise URL of an endpoint, a secret, so no field of these settings; None where there is none."""
        return os.environ.get(endpoint_variable(endpoint), "").strip() or None


def endpoint_variable(endpoint: str) -> str:
    """The environment variable that holds the URL of an endpoint."""
    return f"TABLEWATCH_ALERTS__{endpoint.upper()}"

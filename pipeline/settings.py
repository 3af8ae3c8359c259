"""Where tablewatch keeps its things: TABLEWATCH_HOME, TABLEWATCH_STORE_URL, TABLEWATCH_MONITORS."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; relative paths are relative to the working directory."""

    model_config = SettingsConfigDict(env_prefix="TABLEWATCH_", frozen=True)

    home: Path = Path(".tablewatch")
    store_url: str | None = None
    monitors: Path = Path("monitors")

    @cached_property
    def store(self) -> str:
        """The store's SQLAlchemy URL: SQLite in the home unless TABLEWATCH_STORE_URL says otherwise."""
        return self.store_url or f"sqlite:///{self.home.absolute() / 'store.db'}"

    @property
    def bundles(self) -> Path:
        """The folder of the registry's bundles."""
        return self.home.absolute() / "bundles"

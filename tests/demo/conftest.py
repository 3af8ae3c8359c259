"""The demo's warehouse, and the same one with nothing planted; each is built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from demo import planting, warehouse


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose warehouse is built. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("demo")
    warehouse.prepare(folder)
    return folder


@pytest.fixture(scope="session")
def pristine_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse without a planted error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planting, "plant", lambda connection: connection.execute(planting.TRUTH))
        return warehouse.prepare(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def flights(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, to read."""
    with duckdb.connect(home / warehouse.FILE, read_only=True) as connection:
        yield connection


@pytest.fixture
def pristine(pristine_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The flights as they came from the file, to read."""
    with duckdb.connect(pristine_file, read_only=True) as connection:
        yield connection

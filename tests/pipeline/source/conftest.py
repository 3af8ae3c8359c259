"""A monitor, and a table in the kind of place that a test asks for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from source_places import WRITERS, Put, in_postgres

from pipeline.monitor import Monitor


@pytest.fixture
def monitor() -> Callable[..., Monitor]:
    """A monitor of `flights` whose partitions are the days of `day` and whose key is `id`."""

    def make(source: dict[str, str], **fields: Any) -> Monitor:
        return Monitor(**{"name": "flights", "source": source, "partition_by": "day", "primary_key": ("id",)} | fields)

    return make


@pytest.fixture
def postgres() -> Iterator[tuple[str, str]]:
    """A server's URL and an empty schema in it."""
    import psycopg

    url = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("set TABLEWATCH_TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this on PostgreSQL too")
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield url, schema
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Put:
    """Writes an Arrow table to the place named by the test's parameter; the monitor's `source` that reads it."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        return lambda table: in_postgres(table, *server)
    return lambda table: WRITERS[request.param](table, tmp_path)

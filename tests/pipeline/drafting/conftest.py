"""A drafted monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from drafted_orders import Draw

from pipeline.drafting import Draft, draft


@pytest.fixture
def drafted(tmp_path: Path) -> Draw:
    """Drafts a monitor of a table: in DuckDB, or in Parquet files."""

    def drafting(records: pa.Table, **arguments: Any) -> Draft:
        database = tmp_path / "shop.duckdb"
        with duckdb.connect(database) as connection:
            connection.from_arrow(records).create("orders")
        return draft(f"duckdb://{database}", "orders", None, **arguments)

    return drafting

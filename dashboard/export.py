"""Records as CSV files that a spreadsheet opens without running anything in them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import streamlit as st

from pipeline.spreadsheet import write_csv


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows with the same keys, as CSV."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_csv(pa.Table.from_pylist(list(rows)), path)
        return path.read_bytes()


def button(rows: Sequence[dict[str, Any]], name: str, label: str) -> None:
    """A button that downloads rows; none where there are none."""
    if rows:
        kept = [{each: value for each, value in row.items() if each != "key"} for row in rows]
        st.download_button(label, as_csv(kept), file_name=name, mime="text/csv")

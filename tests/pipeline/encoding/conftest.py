"""What the tests of the encoders share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.encoding import Cell, Encoder

RoundTrip = Callable[..., list[Any]]


def as_reconstructed(codes: np.ndarray, cell: Cell) -> np.ndarray:
    """What a model without error would put out for encoded `codes` (n, width): the numbers, or logits of the levels."""
    return 10.0 * np.eye(cell.levels)[codes[:, 0].astype(int)] if cell.levels else np.nan_to_num(codes)


@pytest.fixture(scope="session")
def round_trip() -> RoundTrip:
    """Encodes one column of a table and decodes it again, through a state that was written to strict JSON and read."""

    def run(table: pa.Table, column: str, **fit: Any) -> list[Any]:
        fitted = Encoder.fit(table, **fit)
        encoder = Encoder.from_state(json.loads(json.dumps(fitted.to_state(), allow_nan=False)))
        matrix = encoder.encode(table).matrix
        at = list(encoder.columns).index(column)
        cells = [
            as_reconstructed(matrix[:, start : start + cell.width], cell)
            for start, cell, owner in zip(encoder.starts, encoder.cells, encoder.column_of_cell, strict=True)
            if owner == at
        ]
        return encoder.decode(column, cells, table)

    return run

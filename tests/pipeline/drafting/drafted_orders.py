"""Tables to draft a monitor of, and the monitor in what was drafted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.drafting import Draft
from pipeline.monitor import Monitor, load

FIRST = dt.date(2013, 1, 1)


DAYS, ROWS = 40, 30


Draw = Callable[..., Draft]


def table(days: int = DAYS, rows: int = ROWS, **more: Any) -> pa.Table:
    """Orders of some days, as many each; `more` are columns by name, None takes a column away."""
    total = days * rows
    draw = np.random.default_rng(3)
    night = [FIRST + dt.timedelta(days=day) for day in range(days) for _ in range(rows)]
    columns: dict[str, Any] = {
        "order_id": np.arange(total),
        "order_date": night,
        "born_on": [dt.date(1950, 1, 1) + dt.timedelta(days=int(d)) for d in draw.integers(0, 20_000, total)],
        "year": [day.year for day in night],
        "day": [day.day for day in night],
        "shop": draw.choice(["north", "south", "west"], total),
        "amount": draw.gamma(2.0, 10.0, total).round(2),
    }
    return pa.table({name: values for name, values in (columns | more).items() if values is not None})


def read(drafted: Draft, folder: Path) -> Monitor:
    """The monitor in a drafted file."""
    path = folder / f"{drafted.name}.yaml"
    path.write_text(drafted.text, encoding="utf-8")
    return load(path)

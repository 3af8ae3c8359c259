"""A small house whose one monitor watches the file that a test writes, with a champion of a few steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_frames import DAY

from pipeline import steps
from pipeline.detector import network
from pipeline.settings import Settings

MONITOR = """\
source: {{files: {folder}/t.parquet}}
partition_by: day
primary_key: [id]
timezone: Europe/Zurich
training: {{model: autoencoder, min_rows: 20}}
threshold: {{false_alarm_rate: 0.05}}
"""


class House:
    """One home; `put` replaces the watched file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "monitors").mkdir()
        (folder / "monitors" / "t.yaml").write_text(MONITOR.format(folder=folder))
        self.settings = Settings(home=folder / "home", monitors=folder / "monitors")
        self.store = steps.House(self.settings).store

    def put(self, records: pa.Table) -> None:
        pq.write_table(records, self.folder / "t.parquet")


@pytest.fixture(scope="session")
def tiny() -> Iterator[None]:
    """Models learn for a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "PARTS", 2)
        patch.setattr(network, "SCHEDULES", dict.fromkeys(network.SCHEDULES, network.Schedule(60, 32, 3e-3, 60)))
        yield


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Without a champion."""
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: None) -> House:
    """With a champion of `normal`."""
    built = House(tmp_path_factory.mktemp("trained"))
    built.put(normal())
    steps.train("t", settings=built.settings)
    return built


def normal(rows: int = 600) -> pa.Table:
    """Ordinary records with a column of nearly every type."""
    draw = np.random.default_rng(0)
    seconds = pa.array(1_729_900_000 + 60 * draw.integers(0, 3_000, rows)).cast(pa.timestamp("s"))
    return pa.table(
        {
            "id": np.arange(rows),
            "day": [DAY] * rows,
            "whole": draw.integers(0, 50, rows),
            "real": draw.normal(size=rows),
            "word": draw.choice(["x", "y", "z"], rows),
            "note": [f"note {at}" for at in range(rows)],
            "flag": draw.random(rows) < 0.5,
            "seen": seconds.cast(pa.timestamp("us", "UTC")),
            "local": seconds.cast(pa.timestamp("us")),
            "born": [dt.date(1950, 1, 1) + dt.timedelta(int(at)) for at in draw.integers(0, 20_000, rows)],
            "clock": pa.array(draw.integers(0, 86_400, rows) * 10**6).cast(pa.time64("us")),
            "amount": pa.array(
                [Decimal(int(at)).scaleb(-2) for at in draw.integers(0, 10**5, rows)], pa.decimal128(10, 2)
            ),
            "huge": 2**53 + draw.integers(0, 10**5, rows),
            "blob": [bytes([at]) for at in draw.integers(0, 250, rows)],
            "tags": [[str(at)] for at in draw.integers(0, 5, rows)],
            "empty": pa.nulls(rows, pa.float64()),
            "constant": np.full(rows, 7.0),
        }
    )

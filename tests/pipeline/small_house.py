"""A small house for the tests of the command line and its reports: one Parquet table of three nights, one monitor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.results import Anomaly, Contribution, ExpectationResult, Incident, Neighbour, Quarantined
from pipeline.store import PartitionResults, Store, TrainedModel

NIGHTS = ("2013-02-01", "2013-02-02", "2013-02-03")
ROWS = 40
MONITOR = """\
source:
  files: {data}
partition_by: night
primary_key: [id]
training: {{window: 2, min_rows: 50}}
"""
AIR_TIME = Contribution("air_time", "9060", "151", 0.8, 1, "reconstruction")
AT_LEAST_ONE = ExpectationResult(
    scope="record",
    expectation="expect_column_values_to_be_between",
    column="air_time",
    kwargs={"column": "air_time", "min_value": 1},
    severity="error",
    origin="monitor",
    success=False,
    checked=ROWS,
    unexpected=1,
)
CARRIER = Contribution("carrier", "ZZ", "UA", 0.2, 2, "unseen_category")


class SmallHouse:
    """Its files, its environment and its store."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.data = folder / "nights.parquet"
        self.monitors = folder / "monitors"
        self.monitors.mkdir()
        pq.write_table(nights(), self.data)
        self.write("nights", MONITOR.format(data=self.data))
        patch.setenv("TABLEWATCH_HOME", str(folder / "home"))
        patch.setenv("TABLEWATCH_MONITORS", str(self.monitors))
        patch.delenv("TABLEWATCH_STORE_URL", raising=False)
        patch.delenv("TABLEWATCH_DEBUG", raising=False)
        self.store = Store(f"sqlite:///{folder / 'home' / 'store.db'}")
        self.store.migrate()

    def write(self, name: str, text: str) -> None:
        (self.monitors / f"{name}.yaml").write_text(text, encoding="utf-8")

    def score(
        self,
        partition: str,
        anomalies: Sequence[Anomaly] = (),
        quarantine: Sequence[Quarantined] = (),
        read: int = ROWS,
        incidents: Sequence[Incident] = (),
        neighbours: Sequence[Neighbour] = (),
    ) -> None:
        """Leave behind what a scoring run of the partition leaves."""
        run_id = self.store.start_run("nights", partition, "run", "0" * 12)
        accepted = read - len({broken.row for broken in quarantine})
        counts = {"read": read, "accepted": accepted, "quarantined": read - accepted, "flagged": len(anomalies)}
        results = PartitionResults(
            validations=[AT_LEAST_ONE],
            quarantine=quarantine,
            anomalies=anomalies,
            counts=counts,
            incidents=incidents,
            neighbours=neighbours,
        )
        self.store.replace_partition(run_id, "nights", partition, "2013-02-01-0badcafe", "0" * 12, results)

    def train(self, seed: int = 0) -> str:
        """A bundle of numbers that no detector made, promoted; its version."""
        from pipeline.steps import House

        registry = House().registry
        saved = registry.save("nights", "2013-02-02", {"seed": seed}, {"weights": np.zeros(3)})
        self.store.add_model_version(
            TrainedModel(
                monitor="nights",
                version=saved.version,
                sha256=saved.sha256,
                model="ensemble",
                seed=seed,
                window_first="2013-02-01",
                window_last="2013-02-02",
                window_records=80,
                suite_version="0" * 12,
                config_hash="0" * 12,
                metrics={
                    "loss": 0.125,
                    "columns": {"carrier": "categorical"},
                    "curves": [{"steps": [100, 200], "training": [0.5, 0.25], "validation": [0.75, 0.5]}],
                },
            )
        )
        self.store.promote("nights", saved.version, "trained through 2013-02-02")
        return saved.version


def nights(days: Sequence[str] = NIGHTS, rows: int = ROWS) -> pa.Table:
    """Records of some nights, the same number each."""
    number = np.arange(rows * len(days))
    draw = np.random.default_rng(1)
    return pa.table(
        {
            "id": pa.array(number),
            "night": pa.array([dt.date.fromisoformat(day) for day in days for _ in range(rows)]),
            "carrier": pa.array(draw.choice(["UA", "DL", "AA"], len(number))),
            "air_time": pa.array(draw.integers(30, 400, len(number))),
            "year": pa.array([int(day[:4]) for day in days for _ in range(rows)]),
        }
    )


def anomaly(key: str, score: float = 5.0, contributions: Sequence[Contribution] = (AIR_TIME, CARRIER)) -> Anomaly:
    """A flagged record."""
    return Anomaly(key, score, 0.0004, 2.5, {"id": key, "air_time": 9060, "carrier": "ZZ"}, tuple(contributions))


def broken(key: str, row: int = 0, value: str | None = "-3") -> Quarantined:
    """A quarantined record."""
    return Quarantined(row, key, "air_time", "expect_column_values_to_be_between", value, {"id": key, "air_time": -3})

"""Two houses with the same records and the same champion: the monitor of one scores locally, of the other on Spark."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.settings import Settings

NIGHTS = [f"2024-03-0{day}" for day in range(1, 7)]
LAST = NIGHTS[-1]
RECORDS, LAST_RECORDS = 300, 12_000
OF_A_RUN = {"run_id", "started_at", "finished_at", "created_at", "promoted_at", "first_detected_at", "sequence"}
OF_RESULTS = ("validations", "quarantine", "anomalies", "contributions", "incidents", "metrics", "column_metrics")
ANSWERED = ("expected", "summary")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")
A_TRACE = 1e-3
"""Columns that have no more part than this in an anomaly come in any order."""
MONITOR = """\
source: {{files: "{data}/*/*.parquet"}}
partition_by: night
primary_key: [shop, order_id]
columns: {{sensitive: [customer], exclude: [receipt]}}
training: {{window: 5}}
threshold: {{false_alarm_rate: 0.005}}
expectations:
  - {{expect_column_values_to_be_between: {{column: total, min_value: 0}}, severity: error}}
  - {{expect_column_values_to_be_in_set: {{column: product, value_set: [apple, bread, cheese]}}, severity: warning}}
  - {{expect_column_values_to_be_unique: {{column: receipt}}, severity: error}}
  - {{expect_column_sum_to_be_between: {{column: quantity, min_value: 1}}, severity: warning}}
engine: {engine}
"""


class TwoHouses:
    """`data` is common; `local` and `spark` are the settings of either house."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        for night in NIGHTS:
            self.write(night, orders(night, LAST_RECORDS if night == LAST else RECORDS))
        spoil(self.file(LAST))
        self.local, self.spark = (self._settings(engine) for engine in ("local", "spark"))
        steps.train("orders", NIGHTS[-2], settings=self.local)
        shutil.copytree(self.local.home, self.spark.home)

    def file(self, night: str) -> Path:
        return self.data / f"loaded={night}" / "orders [1].parquet"

    def write(self, night: str, table: pa.Table) -> Path:
        path = self.file(night)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=2_000)
        return path

    def _settings(self, engine: str) -> Settings:
        monitors = self.folder / engine
        monitors.mkdir()
        (monitors / "orders.yaml").write_text(MONITOR.format(data=self.data, engine=engine), encoding="utf-8")
        return Settings(home=self.folder / f"home-{engine}", monitors=monitors)


def orders(night: str, count: int) -> pa.Table:
    """Orders whose total is price times quantity, in an order of their own."""
    draw = np.random.default_rng(int(night[-2:]))
    product = draw.choice(["apple", "bread", "cheese"], count)
    quantity = draw.integers(1, 10, count)
    price = np.select([product == "apple", product == "bread"], [2.0, 4.5], 12.0)
    noon = dt.datetime.fromisoformat(night) + dt.timedelta(hours=12)
    weight = np.where(draw.random(count) < 0.02, np.nan, quantity * draw.normal(1.0, 0.1, count))
    table = pa.table(
        {
            "shop": pa.array([f"S{each % 3}" for each in range(count)]),
            "order_id": pa.array(np.arange(count), pa.uint32()),
            "night": pa.array([dt.date.fromisoformat(night)] * count),
            "product": pa.array(product).dictionary_encode(),
            "quantity": pa.array(quantity, pa.int16()),
            "total": pa.array([Decimal(str(each)).quantize(Decimal("0.01")) for each in price * quantity]),
            "weight": pa.array(weight, pa.float32()),
            "placed": pa.array([noon + dt.timedelta(seconds=int(each)) for each in draw.integers(-9000, 9000, count)]),
            "paid": pa.array(draw.random(count) < 0.9),
            "customer": pa.array([f"c{each}" for each in draw.integers(0, 40, count)]),
            "receipt": pa.array(np.arange(count)),
            "tags": pa.array([[{"a": int(each)}] for each in draw.integers(0, 2, count)]),
        }
    )
    return table.take(pa.array(draw.permutation(count)))


def spoil(path: Path) -> None:
    """What may be wrong with a night: keys and receipts that come twice, nulls, broken rules, records that look odd."""
    # The folder tells a column of its own, which is not the file's.
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    for at, change in enumerate(
        [{"total": Decimal("-1.00")}] * 30
        + [{"product": "durian"}] * 20
        + [{"quantity": 9, "total": Decimal("900.00")}] * 15
        + [{"shop": None}] * 3
        + [{"weight": float("inf")}] * 2
        + [{"quantity": None}] * 4
    ):
        rows[at * 7] |= change
    rows += [dict(rows[1000]), dict(rows[1000]), dict(rows[2000])]  # the same to the last column
    rows += [{**rows[3001], "paid": not rows[3001]["paid"]}]  # of one key, and different
    rows[4001]["receipt"] = rows[4002]["receipt"]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, row_group_size=2_000)


def found(settings: Settings, partition: str = LAST) -> dict[str, list[dict[str, Any]]]:
    """What the store holds of a partition, but for what names or times a run."""
    engine = sa.create_engine(f"sqlite:///{settings.home / 'store.db'}", poolclass=sa.NullPool)
    rows: dict[str, list[dict[str, Any]]] = {}
    with engine.connect() as connection:
        for name in OF_RESULTS:
            known = connection.execute(sa.text(f"SELECT * FROM {name} WHERE partition = :p"), {"p": partition})
            kept = [{key: value for key, value in row.items() if key not in OF_A_RUN} for row in known.mappings()]
            rows[name] = sorted(kept, key=_identity)
    rows["contributions"] = [row for row in rows["contributions"] if row["share"] > A_TRACE]
    return rows


def assert_same(one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]) -> None:
    """Every row is the same; what networks answer may differ in the last bits, by how many records they see at once."""
    for name in OF_RESULTS:
        (here, numbers_here), (there, numbers_there) = _parted(one[name]), _parted(other[name])
        assert here == there, name
        assert numbers_here == pytest.approx(numbers_there, rel=1e-4, abs=1e-12), name


def _identity(row: dict[str, Any]) -> str:
    """What tells the row from others, without what a network answers."""
    kept = {key: value for key, value in row.items() if key not in ANSWERED and not isinstance(value, float)}
    return json.dumps(kept, sort_keys=True)


def _parted(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[float]]:
    """The rows without the numbers in what a network answers, and those numbers."""
    numbers: list[float] = []
    bare = []
    for row in rows:
        answered = {key: value for key, value in row.items() if key in ANSWERED or isinstance(value, float)}
        texts = {key: str(value) for key, value in answered.items()}
        numbers += [float(found) for text in texts.values() for found in NUMBER.findall(text)]
        bare.append(row | {key: NUMBER.sub("#", text) for key, text in texts.items()})
    return bare, numbers


def last_score(settings: Settings, partition: str = LAST) -> dict[str, Any]:
    """The latest run that scored the partition: how it ended, its counts, its words."""
    engine = sa.create_engine(f"sqlite:///{settings.home / 'store.db'}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        scored = "SELECT * FROM runs WHERE partition = :p AND kind = 'score' ORDER BY started_at DESC LIMIT 1"
        row = connection.execute(sa.text(scored), {"p": partition}).mappings().one()
    return {key: value for key, value in row.items() if key not in OF_A_RUN}

"""A table whose sensitive columns hold markers: texts, numbers and times that occur nowhere else."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from pipeline.records import as_text

NIGHTS = [f"2024-03-0{day}" for day in range(1, 7)]
LAST = NIGHTS[-1]
EACH = 80
SENSITIVE = ["member", "name", "city", "badge", "salary", "bonus", "rate", "born", "seen"]
# Each expectation breaks on some record of the last night.
MONITOR = """\
source: {{files: {files}}}
partition_by: day
primary_key: {key}
columns:
  kinds: {{badge: categorical}}
  sensitive: [{sensitive}]
training: {{min_rows: 100, model: {model}}}
threshold: {{false_alarm_rate: 0.02}}
alerts: {{to: [ops], min_severity: info}}
expectations:
  - {{expect_column_values_to_match_regex: {{column: name, regex: "^zq"}}, severity: error}}
  - {{expect_column_values_to_be_between: {{column: salary, min_value: 0}}, severity: error}}
  - {{expect_column_values_to_be_between: {{column: rate, max_value: 1}}, severity: warning}}
  - {{expect_column_values_to_be_unique: {{column: name}}, severity: warning}}
  - {{expect_column_pair_values_to_be_equal: {{column_A: salary, column_B: badge}}, severity: warning}}
  - {{expect_column_max_to_be_between: {{column: salary, max_value: 1}}, severity: warning}}
  - {{expect_column_median_to_be_between: {{column: salary, max_value: 1}}, severity: warning}}
  - {{expect_column_most_common_value_to_be_in_set: {{column: city, value_set: [x]}}, severity: warning}}
"""


def records(nights: Iterable[str] = NIGHTS, seed: int = 0) -> pa.Table:
    """Ordinary nights, but for some records of the last one of `NIGHTS`."""
    draw = np.random.default_rng(seed)
    rows = [_record(draw, night, at) for night in nights for at in range(EACH)]
    last = [row for row in rows if row["day"].isoformat() == LAST]
    if last:
        last[0]["salary"] = 987_654_321_987
        last[1]["city"] = "zqcity-unseen-marker"
        last[2]["name"] = "not as the others: zqname-odd-marker"
        last[3]["salary"] = -93_847_561
        last[4]["member"] = last[5]["member"] = "zqmember-twice"
        last[4]["line"] = last[5]["line"] = 1
        last[6]["member"] = None
        last[7]["name"] = None
        last[8]["born"] = dt.date(1723, 11, 29)
        last[9] |= {"amount": 5e6, "shop": "nowhere"}
        last[10]["rate"] = 77.125375
        last[11]["member"] = "zqmember-" + "long" * 200
    names = list(rows[0])
    return pa.table({name: pa.array([row[name] for row in rows], TYPES[name]) for name in names})


TYPES = {
    "member": pa.string(),
    "line": pa.int64(),
    "day": pa.date32(),
    "name": pa.string(),
    "city": pa.string(),
    "badge": pa.int64(),
    "salary": pa.int64(),
    "bonus": pa.decimal128(20, 4),
    "rate": pa.float64(),
    "born": pa.date32(),
    "seen": pa.timestamp("us"),
    "shop": pa.string(),
    "amount": pa.float64(),
}


def _record(draw: np.random.Generator, night: str, at: int) -> dict[str, Any]:
    amount = float(draw.integers(100, 900))
    return {
        "member": f"zqmember-{night}-{at:05d}",
        "line": at % 3,
        "day": dt.date.fromisoformat(night),
        "name": f"zqname{draw.integers(10**9):09d}",
        "city": f"zqcity-{draw.integers(6)}-marker",
        "badge": 8_153_400_017 + 7_919 * int(draw.integers(5)),
        "salary": 51_234_567 + int(draw.integers(9_000_000)),
        "bonus": Decimal(int(draw.integers(10**9, 10**10))).scaleb(-4),
        "rate": round(float(draw.uniform(0.1, 0.9)), 9),
        "born": dt.date(1801, 1, 1) + dt.timedelta(int(draw.integers(9_000))),
        "seen": dt.datetime(1907, 5, 17, 3, 11, 29) + dt.timedelta(seconds=int(draw.integers(10**7))),
        "shop": f"shop {int(amount) // 300}",
        "amount": amount,
    }


def write(table: pa.Table, folder: Path, form: str) -> None:
    """The table as one file of that form, `parquet` or `csv`."""
    folder.mkdir(exist_ok=True)
    if form == "parquet":
        pq.write_table(table, folder / "t.parquet")
    else:
        csv.write_csv(table, folder / "t.csv")


def markers(table: pa.Table) -> set[bytes]:
    """How a sensitive value of the table might be written: as text, as JSON and as a machine's number.

    Nothing so short that it comes by chance, as six digits do among the microseconds of many clocks.
    """
    found: set[bytes] = set()
    for name in SENSITIVE:
        for value in set(table.column(name).to_pylist()) - {None}:
            written = {str(as_text(value)), str(value), json.dumps(str(value))[1:-1]}
            if isinstance(value, int | float | Decimal):
                written |= {repr(float(value)), f"{value:,}", f"{value:e}", f"{float(value):.7g}"}
            found |= {text.encode() for text in written}
            if isinstance(value, float | Decimal):
                found.add(struct.pack("<d", float(value)))
            elif isinstance(value, int):
                found |= {struct.pack("<d", float(value)), struct.pack("<q", value)}
    return {each for each in found if len(each) > 7}


def leaks(found: bytes, wanted: set[bytes]) -> list[bytes]:
    """The markers that are in some bytes."""
    return sorted(marker for marker in wanted if marker in found)

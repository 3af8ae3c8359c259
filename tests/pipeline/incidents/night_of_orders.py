"""A made-up night of orders, and things that go wrong in it, as flagged and quarantined records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.incidents import Earlier, Found, Night, Suppressing, find
from pipeline.monitor import Kind
from pipeline.results import Anomaly, Contribution, Quarantined, Reason

RATE = 0.001
PARTITION = "2024-03-05"
KINDS: dict[str, Kind] = {
    "shop": "categorical",
    "country": "categorical",
    "hour": "numeric",
    "quantity": "numeric",
    "total": "numeric",
    "placed": "clock",
    "paid": "boolean",
}
BETWEEN = "expect_column_values_to_be_between"
RULES = {(BETWEEN, "quantity"): "quantity is at least 1"}

Record = dict[str, Any]
Holds = Callable[[Record], bool]


def orders(count: int = 1_000, seed: int = 0) -> list[Record]:
    """Normal orders; the key is `id`."""
    draw = np.random.default_rng(seed)
    return [
        {
            "id": f"o{number:04d}",
            "shop": f"shop{draw.integers(12):02d}",
            "country": str(draw.choice(["CH", "DE", "FR", "IT"])),
            "hour": int(draw.integers(8, 20)),
            "quantity": int(draw.integers(1, 9)),
            "total": round(float(draw.uniform(5, 500)), 2),
            "placed": f"{draw.integers(8, 20):02d}:{draw.integers(60):02d}",
            "paid": bool(draw.random() < 0.9),
        }
        for number in range(count)
    ]


def why(column: str, observed: object, expected: object, reason: Reason = "reconstruction") -> tuple[Contribution, ...]:
    """One column leads, another has a small part."""
    told = [None if value is None else str(value) for value in (observed, expected)]
    other = "paid" if column != "paid" else "country"
    return (
        Contribution(column, told[0], told[1], 0.97, 1, reason),
        Contribution(other, "true", "true", 0.03, 2, "reconstruction"),
    )


@dataclass
class Wrong:
    """A night's wrong records, collected one by one."""

    records: list[Record] = field(default_factory=orders)
    anomalies: list[Anomaly] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def flag(
        self,
        which: Holds,
        change: Callable[[Record], tuple[str, object]],
        most: int = 30,
        reason: Reason = "reconstruction",
        p_value: float = 1e-6,
    ) -> list[str]:
        """Change one field of up to `most` records that are still right; their keys."""
        return [self._flagged(record, *change(record), reason, p_value) for record in self._right(which, most)]

    def quarantine(self, which: Holds, column: str, value: object, most: int = 30) -> list[str]:
        """Give one field of up to `most` records a value that breaks an expectation; their keys."""
        keys = []
        for record in self._right(which, most):
            record[column] = value
            told = None if value is None else str(value)
            place = self.records.index(record)
            self.quarantined.append(Quarantined(place, record["id"], column, BETWEEN, told, dict(record)))
            keys.append(record["id"])
        return keys

    def _flagged(self, record: Record, column: str, value: object, reason: Reason, p_value: float) -> str:
        expected, record[column] = record[column], value
        told = why(column, value, expected, reason)
        self.anomalies.append(Anomaly(record["id"], 9.0, p_value, 5.0, dict(record), told))
        return str(record["id"])

    def _right(self, which: Holds, most: int) -> list[Record]:
        wrong = {each.record_key for each in (*self.anomalies, *self.quarantined)}
        return [record for record in self.records if record["id"] not in wrong and which(record)][:most]

    def night(self, partition: str = PARTITION, columns: Iterable[str] = KINDS) -> Night:
        """What incidents need to know of it."""
        aside = {each.row for each in self.quarantined}
        accepted = [record for place, record in enumerate(self.records) if place not in aside]
        normal = pa.Table.from_pylist(accepted).select(list(columns))
        return Night("orders", partition, normal, len(accepted), RATE, KINDS, RULES)

    def find(
        self,
        partition: str = PARTITION,
        earlier: Sequence[Earlier] = (),
        suppressions: Sequence[Suppressing] = (),
        columns: Iterable[str] = KINDS,
    ) -> Found:
        return find(self.night(partition, columns), self.anomalies, self.quarantined, earlier, suppressions)


def in_shop(name: str) -> Holds:
    return lambda record: record["shop"] == name


def anywhere(record: Record) -> bool:
    return True


def hundredfold(record: Record) -> tuple[str, object]:
    return "total", round(record["total"] * 100, 2)


def keys_of(found: Found, incident_id: str) -> set[str | None]:
    """The keys of an incident's records."""
    flagged = {each.record_key for each in found.anomalies if each.incident_id == incident_id}
    return flagged | {each.record_key for each in found.quarantined if each.incident_id == incident_id}

"""Which normal records are kept beside the flagged ones, and what of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector.sizes import specs_of
from pipeline.encoding import Encoder
from pipeline.monitor import Monitor
from pipeline.records import hidden_text
from pipeline.results import Anomaly, Contribution
from pipeline.steps import neighbours as module
from pipeline.steps.neighbours import neighbours

CITIES = ("Bern", "Oslo", "Rome", "Cork")


def monitor(**changes: Any) -> Monitor:
    written = {"name": "t", "source": {"files": "t.csv"}, "partition_by": "day", "primary_key": ["id"]}
    return Monitor.model_validate({**written, **changes})


def trips(n: int = 400) -> pa.Table:
    """The distance follows from the city, the price from the distance; who travels is told by a marker."""
    city = np.arange(n) % len(CITIES)
    return pa.table(
        {
            "id": [f"r{at}" for at in range(n)],
            "city": [CITIES[at] for at in city],
            "distance": 100.0 * (1 + city),
            "price": 10.0 * (1 + city) + np.arange(n) % 7,
            "who": [f"zq{at % 5}" for at in range(n)],
        }
    )


TABLE = trips()


def detector() -> Any:
    """As far as neighbours need one: an encoder, and the shape of its cells."""
    encoder = Encoder.fit(TABLE.drop_columns(["id"]))
    return SimpleNamespace(encoder=encoder, network=SimpleNamespace(spec=specs_of("ensemble", encoder)[0]))


def flagged(rows: list[int], column: str = "distance", share: float = 0.9) -> tuple[list[Anomaly], np.ndarray]:
    """Records of the table with a wild distance, and their encoded rows."""
    wrong = TABLE.take(pa.array(rows)).set_column(2, "distance", [[9e5] * len(rows)])
    why = (
        Contribution(column, "9", "1", share, 1, "reconstruction"),
        Contribution("city", "", "", 1 - share, 2, "reconstruction"),
    )
    found = [Anomaly(f"r{row}", 9.0 - at, 1e-4, 1.0, {}, why) for at, row in enumerate(rows)]
    return found, detector().encoder.encode(wrong).matrix


def test_neighbours_are_like_it_in_all_but_the_column_to_blame() -> None:
    found = neighbours(monitor(), detector(), TABLE, *flagged([2]))
    assert [each.rank for each in found] == [1, 2, 3] and {each.record_key for each in found} == {"r2"}
    assert found[0].record["city"] == "Rome" and found[0].record["distance"] == 300
    assert found[0].record["who"] == "zq2" and found[0].distance < 0.2
    assert found[0].distance <= found[1].distance <= found[2].distance
    assert set(found[0].record) == {"city", "distance", "price", "who"}, "no key, no column that is not modelled"
    row = TABLE["id"].to_pylist().index(found[0].neighbour_key)
    assert TABLE["price"][row].as_py() == found[0].record["price"]


def test_a_flagged_record_is_nobodys_neighbour() -> None:
    rows = [2, *range(6, 400, 4)]
    found = neighbours(monitor(), detector(), TABLE, *flagged(rows[:-5]))
    assert len(found) == 3 * (len(rows) - 5)
    keys = {each.neighbour_key for each in found}
    assert not keys & {f"r{row}" for row in rows[:-5]} and keys <= {f"r{row}" for row in range(400)}


def test_every_column_with_a_part_in_the_score_is_left_out() -> None:
    (near, *_) = neighbours(monitor(), detector(), TABLE, *flagged([2], share=0.6))
    assert near.distance < 0.2
    (far, *_) = neighbours(monitor(), detector(), TABLE, *flagged([2], column="price"))
    assert far.distance > 3, "its wild distance counts where another column is blamed"


def test_p33_a_sensitive_column_neither_counts_nor_is_kept() -> None:
    found = neighbours(monitor(columns={"sensitive": ["who", "id"]}), detector(), TABLE, *flagged([2]))
    assert "zq" not in str(found) and [set(each.record) for each in found] == [{"city", "distance", "price"}] * 3
    plain = {hidden_text(f"r{row}"): TABLE["price"][row].as_py() for row in range(400)}
    assert [plain[each.neighbour_key] for each in found] == [each.record["price"] for each in found]
    every = list(detector().encoder.columns)
    assert neighbours(monitor(columns={"sensitive": every}), detector(), TABLE, *flagged([2])) == []


@pytest.mark.parametrize("many", [0, 1, 5])
def test_the_monitor_says_how_many(many: int) -> None:
    found = neighbours(monitor(neighbours=many), detector(), TABLE, *flagged([2, 7]))
    assert [each.rank for each in found] == 2 * list(range(1, many + 1))


def test_neighbours_are_kept_of_the_worst_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORST", 2)
    anomalies, matrix = flagged([2, 7, 9])
    found = neighbours(monitor(), detector(), TABLE, anomalies[::-1], matrix[::-1])
    assert [each.record_key for each in found] == ["r2"] * 3 + ["r7"] * 3


def test_where_all_are_flagged_there_are_none() -> None:
    anomalies, matrix = flagged([0, 1, 2])
    assert neighbours(monitor(), detector(), TABLE.slice(0, 3), anomalies, matrix) == []

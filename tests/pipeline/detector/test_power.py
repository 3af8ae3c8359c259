"""What a detector with a longer training finds, blames and leaves alone, on a table whose rules are known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, explain, network

pytestmark = pytest.mark.slow


def flights(n: int, seed: int) -> pa.Table:
    """`minutes` follow from `miles`, `arrival` from `departure` and `minutes`, `gate` from `carrier`."""
    draw = np.random.default_rng(seed)
    miles = draw.uniform(100, 2_500, n)
    minutes = np.round(30 + miles / 8 + draw.normal(0, 5, n))
    departure = draw.integers(0, 1_440, n)
    arrival = ((departure + minutes) % 1_440).astype(int)
    carrier = draw.choice(["AA", "BB", "CC", "DD"], n, p=[0.5, 0.3, 0.15, 0.05])
    return pa.table(
        {
            "day": [dt.date(2013, 1, 1)] * n,
            "miles": np.round(miles),
            "minutes": minutes,
            "departure": departure // 60 * 100 + departure % 60,
            "arrival": arrival // 60 * 100 + arrival % 60,
            "carrier": carrier,
            "gate": [f"{c[0]}{i}" for c, i in zip(carrier, draw.integers(1, 4, n), strict=True)],
        }
    )


@pytest.fixture(scope="module")
def trained(fit: Any) -> Detector:
    return fit("ensemble", flights(5_000, 0), schedule=network.Schedule(900, 128, 3e-3))


def replaced(table: pa.Table, column: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))


BROKEN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "minutes": ("miles", lambda value: value + 150 if value < 200 else value - 150),
    "arrival": ("departure", lambda value: (value + 600) % 2_400),
    "gate": ("carrier", lambda value: ("B" if value[0] == "A" else "A") + value[1]),
}
"""For each column the one that it disagrees with, and how it is made wrong: each value by itself is an ordinary one."""


@pytest.mark.parametrize("column", BROKEN)
def test_p18_a_broken_relation_is_found_and_the_wrong_column_blamed(trained: Detector, column: str) -> None:
    partner, spoil = BROKEN[column]
    table = flights(100, 1)
    truth = table[column].to_pylist()
    broken = replaced(table, column, [spoil(value) for value in truth])

    scores, reasons = trained.score(broken), explain(trained, broken)

    assert (scores.p_value <= 0.01).mean() >= 0.9
    assert np.mean([why[0].column_name in (column, partner) for why in reasons]) >= 0.9
    own = [(each.expected, truth[row]) for row, why in enumerate(reasons) for each in why if each.column_name == column]
    near = {
        "minutes": lambda expected, true: abs(float(expected) - true) < 75,
        "arrival": lambda expected, true: abs(int(expected) // 100 - true // 100) in (0, 1, 2, 22, 23),
        "gate": lambda expected, true: expected[0] == true[0],
    }[column]
    assert len(own) >= 95 and np.mean([near(expected, true) for expected, true in own]) >= 0.9


def test_p17_fresh_normal_records_are_not_flagged_more_often_than_asked(trained: Detector) -> None:
    found = trained.score(flights(8_000, 2)).p_value
    for rate in (0.05, 0.01, 0.005):
        spread = np.sqrt(rate * (1 - rate) * (1 / 5_000 + 1 / 8_000))
        assert rate / 4 <= (found <= rate).mean() <= rate + 5 * spread

"""A table of every kind of column, and detectors fitted on it with a tiny schedule, each once in a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, network

NAMES = ("autoencoder", "vae", "ensemble")
START = dt.date(2013, 1, 1)
Fit = Callable[..., Detector]


def make(n: int = 600, seed: int = 0) -> pa.Table:
    """Normal records: `double` is twice `amount`, `seen_at` is `departure` of `day`; constants and empty columns."""
    draw = np.random.default_rng(seed)
    day, minute = draw.integers(0, 20, n), draw.integers(300, 1380, n)
    midnight = [dt.datetime.combine(START, dt.time(), dt.UTC) + dt.timedelta(int(d)) for d in day]
    amount = draw.normal(10, 2, n)
    notes = zip(draw.integers(0, 10**6, n), draw.integers(0, 9, n), strict=True)
    return pa.table(
        {
            "day": [START + dt.timedelta(int(d)) for d in day],
            "amount": np.round(amount, 2),
            "double": np.round(2 * amount + draw.normal(0, 0.1, n), 2),
            "count": draw.poisson(5, n),
            "gap": np.where(draw.random(n) < 0.1, np.nan, draw.normal(0, 1, n)),
            "carrier": draw.choice(["AA", "BB", "CC"], n, p=[0.6, 0.3, 0.1]),
            "flag": draw.random(n) < 0.5,
            "departure": minute // 60 * 100 + minute % 60,
            "seen_at": pa.array(
                [m + dt.timedelta(minutes=int(at)) for m, at in zip(midnight, minute, strict=True)],
                pa.timestamp("us", "Europe/Zurich"),
            ),
            "note": [f"n{i:06d} {'x' * int(k)}" for i, k in notes],
            "constant": np.full(n, 7.0),
            "constant_integer": np.full(n, 3),
            "constant_text": ["same"] * n,
            "empty": pa.nulls(n, pa.float64()),
            "empty_instant": pa.nulls(n, pa.timestamp("us")),
        }
    )


def changed(table: pa.Table, column: str, value: Any) -> pa.Table:
    """A copy of `table` with `value` in every record's `column`."""
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array([value] * table.num_rows, table.schema.field(column).type))


@pytest.fixture(scope="session")
def normal() -> Callable[..., pa.Table]:
    """Makes tables of normal records: `normal(n, seed)`."""
    return cache(make)


@pytest.fixture(scope="session")
def with_value() -> Callable[[pa.Table, str, Any], pa.Table]:
    return changed


@pytest.fixture(scope="session")
def fit() -> Fit:
    """Fits a detector in a few seconds: 60 steps, or as `schedule` says."""

    def run(
        model: str,
        table: pa.Table,
        schedule: network.Schedule | None = None,
        progress: network.Progress | None = None,
        **options: Any,
    ) -> Detector:
        tiny = schedule or network.Schedule(60, 64, 3e-3)
        twice = replace(tiny, steps=2 * tiny.steps, fewest=2 * tiny.steps)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "PARTS", 3)
            patch.setattr(network, "SCHEDULES", {model: tiny, "screen": twice})
            return Detector(model, **{"anchor": "day", "seed": 1} | options).fit(table, progress)

    return run


@pytest.fixture(scope="session")
def fitted(fit: Fit, normal: Callable[..., pa.Table]) -> Iterator[Callable[[str], Detector]]:
    """The detector of a model's name, fitted on `normal()` once."""

    @cache
    def of(model: str) -> Detector:
        return fit(model, normal())

    yield of
    of.cache_clear()


@pytest.fixture(scope="session")
def numbers(normal: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """Makes tables of normal records that hold numbers and clocks only: `numbers(n, seed)`."""
    return lambda n=600, seed=0: normal(n, seed).select(["day", "amount", "double", "count", "gap", "departure"])


@pytest.fixture(scope="session")
def of_numbers(fit: Fit, numbers: Callable[..., pa.Table]) -> Detector:
    """The default detector of a table of numbers: a network that learns scales, a blunt one and a memory."""
    return fit("ensemble", numbers())


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> str:
    """The name of each model in turn."""
    return str(request.param)


@pytest.fixture
def detector(model: str, fitted: Callable[[str], Detector]) -> Detector:
    return fitted(model)

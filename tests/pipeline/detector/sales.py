"""Small tables for the estimator, and a fit of a few seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.detector import network


def shorten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(network, "PARTS", 1)
    patch.setattr(network, "SCHEDULES", {"ensemble": network.Schedule(100, 64, 3e-3)})


def sales(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Normal records, `price` about twice `cost`; the index is not 0, 1, 2."""
    draw = np.random.default_rng(seed)
    cost = draw.normal(10, 2, n)
    return pd.DataFrame(
        {
            "cost": np.round(cost, 2),
            "price": np.round(2 * cost + draw.normal(0, 0.2, n), 2),
            "count": np.where(draw.random(n) < 0.1, np.nan, draw.poisson(5, n)),
            "shop": draw.choice(["Bern", "Chur", "Thun"], n),
            "size": pd.Categorical(draw.choice([1, 2, 3, 4], n)),
            "sold": pd.Timestamp("2024-03-01") + pd.to_timedelta(draw.integers(0, 10 * 86_400, n), unit="s"),
            "note": [f"order {i:06d}" for i in draw.integers(0, 10**6, n)],
            "paid": draw.random(n) < 0.9,
        },
        index=pd.Index(range(1000, 1000 + n)),
    )


def spoilt() -> pd.DataFrame:
    """Three new records with a value each that is wrong: an unseen shop, a price out of range, no cost."""
    return sales(3, 9).assign(
        shop=["Bern", "Chur", "Ulm"], price=[1e4, 20.0, 21.0], cost=[10.0, np.nan, 10.5], count=5.0
    )


def blob(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, n)
    return np.stack([x, -x + draw.normal(0, 0.1, n), draw.normal(0, 1, n)], axis=1)

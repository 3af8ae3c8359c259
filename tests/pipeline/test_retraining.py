"""Retraining when there is a champion: the challenger takes its place, or it stays and the outcome says why."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import steps, training
from pipeline.detector import Detector, network
from pipeline.detector.baselines import measure
from pipeline.gate import objections
from pipeline.settings import Settings
from pipeline.store import ModelVersion

NIGHTS = [dt.date(2024, 3, day) for day in range(1, 6)]
EACH = 600
MONITOR = """\
source: {{files: {data}}}
partition_by: night
primary_key: [id]
training: {{window: 5, min_rows: 100}}
threshold: {{false_alarm_rate: 0.01}}
"""


def orders(poisoned: float = 0.0, seed: int = 0) -> pa.Table:
    """Orders whose total is price times quantity but for a `poisoned` share, whose total is another order's."""
    draw = np.random.default_rng(seed)
    count = EACH * len(NIGHTS)
    product, quantity = draw.integers(0, 4, count), draw.integers(1, 9, count)
    price = np.array([2.0, 4.5, 12.0, 7.25])[product]
    total = price * quantity
    wrong = np.flatnonzero(draw.random(count) < poisoned)
    total[wrong] = total[draw.permutation(count)[: len(wrong)]]
    return pa.table(
        {
            "id": np.arange(count),
            "night": pa.array([night for night in NIGHTS for _ in range(EACH)]),
            "product": np.array(["apple", "bread", "cheese", "dates"])[product],
            "quantity": quantity,
            "price": price,
            "total": total,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def small_model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small = dict.fromkeys(network.SCHEDULES, network.Schedule(400, 128, 3e-3, fewest=400))
        patch.setattr(network, "SCHEDULES", small)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_model: None) -> Path:
    """The home of a house with a champion of a clean window."""
    settings = furnished(tmp_path_factory.mktemp("trained"))
    steps.train("orders", settings=settings)
    return settings.home


@pytest.fixture
def house(tmp_path: Path, trained: Path) -> Settings:
    """A house of its own with that champion."""
    settings = furnished(tmp_path)
    shutil.copytree(trained, settings.home)
    return settings


def furnished(folder: Path) -> Settings:
    (folder / "monitors").mkdir()
    (folder / "monitors" / "orders.yaml").write_text(MONITOR.format(data=folder / "orders.parquet"))
    pq.write_table(orders(), folder / "orders.parquet")
    return Settings(home=folder / "home", monitors=folder / "monitors")


@pytest.fixture
def champion(house: Settings) -> Callable[[], ModelVersion]:
    def now() -> ModelVersion:
        found = steps.House(house).store.champion("orders")
        assert found is not None
        return found

    return now


def detector(house: Settings, version: ModelVersion) -> Detector:
    of = steps.House(house)
    return training.restore(of.monitor("orders"), *of.registry.load("orders", version.version, version.sha256))


@pytest.mark.slow
def test_a_challenger_as_good_as_the_champion_takes_its_place(
    house: Settings, champion: Callable[[], ModelVersion]
) -> None:
    before = champion()
    done = steps.train("orders", seed=1, settings=house)
    assert champion().version == done.model_version != before.version
    assert done.message.endswith(f"champion is {done.model_version}")
    measured = champion().metrics["canaries"]
    assert measured["champion"]["auc_roc"] > 0.6 and champion().metrics["objections"] == []
    assert measured["controls"] <= measured["held_out"] == 150


@pytest.mark.slow
def test_a_challenger_that_hardly_learned_leaves_the_champion_and_says_why(
    house: Settings, champion: Callable[[], ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = champion()
    lazy = dict.fromkeys(network.SCHEDULES, network.Schedule(60, 8, 1e-5, fewest=60))
    monkeypatch.setattr(network, "SCHEDULES", lazy)
    done = steps.train("orders", seed=1, settings=house)
    assert champion() == before
    assert done.status == "done" and done.message.endswith(f"champion is {before.version}")
    (told,) = [warning for warning in done.warnings if "overrule" in warning]
    assert "canaries that the champion catches, and catches" in told
    assert f"{before.version} stays champion" in told
    assert f"tablewatch promote orders {done.model_version}" in told
    store = steps.House(house).store
    (challenger,) = [each for each in store.model_versions("orders") if each.version == done.model_version]
    assert challenger.status == "challenger" and challenger.metrics["objections"]
    store.promote("orders", challenger.version, "overruled")
    assert champion().version == challenger.version


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_p19_a_poisoned_window_makes_no_champion_that_is_surely_worse(
    house: Settings, champion: Callable[[], ModelVersion], share: float
) -> None:
    before = champion()
    pq.write_table(orders(poisoned=share), house.monitors.parent / "orders.parquet")
    done = steps.train("orders", seed=1, settings=house)
    after = champion()
    assert (after == before) == any("overrule" in warning for warning in done.warnings)
    columns = ["product", "quantity", "price", "total", "night"]
    clean, known = (orders(seed=seed).select(columns).slice(0, 800) for seed in (7, 8))
    rival = detector(house, before)
    judged = measure(detector(house, after), clean, known, champion=rival)
    assert not [told for told in objections(judged) if "the champion" in told]


@pytest.mark.slow
def test_a_champion_that_cannot_be_read_is_not_defended(house: Settings, champion: Callable[[], ModelVersion]) -> None:
    before = champion()
    bundle = next(house.bundles.rglob(f"{before.version}*"))
    bundle.write_bytes(bundle.read_bytes()[:-1])
    done = steps.train("orders", seed=1, settings=house)
    assert champion().version == done.model_version != before.version
    assert "champion" not in champion().metrics["canaries"]

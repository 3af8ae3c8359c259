"""A night's p-values are refreshed by the nights before it, as the store remembers them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import steps
from pipeline.refreshing import Refresh
from pipeline.settings import Settings
from pipeline.store import PartitionResults, Store
from tests.pipeline.test_steps import NIGHTS, house, orders, tables

pytestmark = pytest.mark.slow
TRAINED_THROUGH, *BETWEEN, TONIGHT, TOMORROW = NIGHTS


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A house whose champion was trained on the first night alone."""
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", dict.fromkeys(network.SCHEDULES, network.Schedule(60, 64, 3e-3)))
        settings = house(
            tmp_path_factory.mktemp("orders"), orders(NIGHTS, each=250), "training: {model: autoencoder}\n"
        )
        steps.train("orders", TRAINED_THROUGH, settings=settings)
        yield settings


@pytest.fixture
def store(watched: Settings) -> Iterator[Store]:
    """The store, with no night's results after the test."""
    store = steps.House(watched).store
    yield store
    for night in NIGHTS:
        remember(store, night, None, "forgotten")


def remember(store: Store, night: str, power: float | None, version: str | None = None) -> None:
    """Leave behind what a run leaves that found this power in the night."""
    champion = store.champion("orders")
    assert champion is not None
    run_id = store.start_run("orders", night, "score", "0" * 12)
    results = PartitionResults(metrics={"p_value_power": power})
    store.replace_partition(run_id, "orders", night, version or champion.version, "0" * 12, results)


def metrics(settings: Settings, night: str = TONIGHT) -> dict[str, float]:
    import sqlalchemy as sa

    wanted = sa.text('SELECT name, value FROM metrics WHERE "partition" = :night')
    with sa.create_engine(settings.store).connect() as connection:
        return {row.name: row.value for row in connection.execute(wanted, {"night": night})}


def p_values(settings: Settings, folder: Path) -> np.ndarray:
    steps.score("orders", TONIGHT, settings, folder / "scores.parquet")
    return pq.read_table(folder / "scores.parquet")["p_value"].to_numpy()


def test_a_night_without_a_past_is_scored_as_trained_and_remembers_its_power(watched: Settings, store: Store) -> None:
    outcome = steps.score("orders", TONIGHT, watched)
    found = metrics(watched)
    assert (found["refresh_power"], found["refresh_partitions"]) == (1.0, 0.0)
    assert 0.3 < found["p_value_power"] < 3
    assert "refreshed" not in outcome.message and outcome.warnings == ()


def test_the_nights_before_refresh_it_and_say_so(watched: Settings, store: Store, tmp_path: Path) -> None:
    as_trained = p_values(watched, tmp_path)
    before = metrics(watched)
    for night, power in zip(BETWEEN, (0.9, 0.8, 0.85), strict=True):
        remember(store, night, power)
    outcome = steps.score("orders", TONIGHT, watched)
    after = metrics(watched)
    assert outcome.message.endswith("; p-values refreshed from 3 partitions: x1.58 at the threshold")
    assert (after["refresh_power"], after["refresh_partitions"]) == (0.9, 3.0)
    np.testing.assert_allclose(p_values(watched, tmp_path), Refresh(0.9, 3)(as_trained))
    assert after["threshold"] > before["threshold"]
    assert after["p_value_power"] == before["p_value_power"], "a night's own power is of its p-values as trained"
    assert all(each.threshold == after["threshold"] for each in store.anomalies("orders", TONIGHT))


def test_p24_scoring_it_again_later_gives_the_same_rows(watched: Settings, store: Store) -> None:
    for night in BETWEEN:
        remember(store, night, 0.8)
    steps.score("orders", TONIGHT, watched)
    first = tables(watched)
    remember(store, TOMORROW, 0.1)
    steps.score("orders", TONIGHT, watched)
    remember(store, TOMORROW, None, "forgotten")
    again = tables(watched)
    of_tonight = {"anomalies", "contributions", "neighbours", "validations", "quarantine"}
    assert {name for name in of_tonight if first[name] != again[name]} == set()
    assert [row for row in first["metrics"] if TONIGHT in row] == [row for row in again["metrics"] if TONIGHT in row]


def test_other_versions_and_the_training_window_do_not_count(watched: Settings, store: Store) -> None:
    remember(store, TRAINED_THROUGH, 0.8)
    for night in BETWEEN[:2]:
        remember(store, night, 0.8)
    remember(store, BETWEEN[2], 0.8, "another")
    steps.score("orders", TONIGHT, watched)
    assert metrics(watched)["refresh_partitions"] == 0


def test_a_table_that_moved_too_far_is_told_to_train_again(watched: Settings, store: Store) -> None:
    for night in BETWEEN:
        remember(store, night, 0.5)
    outcome = steps.score("orders", TONIGHT, watched)
    assert metrics(watched)["refresh_power"] == 0.75
    (warning,) = outcome.warnings
    assert warning.startswith(f"orders {TONIGHT}: the last 3 partitions have drifted from those that ")
    assert warning.endswith("further than p-values are refreshed; train again: tablewatch train orders")

"""A backtest tells what the nights would have brought, by the models of then, and leaves no trace."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import steps
from pipeline.errors import ConfigurationError
from pipeline.monitor import find
from pipeline.settings import Settings
from pipeline.steps import replaying
from pipeline.steps.backtesting import Backtest, Night, backtest, thresholds
from pipeline.steps.replaying import Asked, Champion, Champions
from pipeline.store import ModelVersion, TrainedModel
from tests.pipeline.command_line import call, value
from tests.pipeline.test_steps import house, orders, tables

pytestmark = pytest.mark.slow
NIGHTS = [dt.date(2024, 3, day).isoformat() for day in range(1, 9)]
TRAINED, REFUSED = NIGHTS[2], NIGHTS[5]
REPLAYED = NIGHTS[3:]
RATES, BUDGETS = (0.002, 0.05), (3.0,)
EXTRA = """\
training: {window: 3, model: autoencoder, min_rows: 100}
expectations:
  - {expect_table_row_count_to_be_between: {min_value: 50}, severity: error}
"""


@pytest.fixture(scope="module", autouse=True)
def small_model() -> Iterator[None]:
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", dict.fromkeys(network.SCHEDULES, network.Schedule(100, 128, 3e-3)))
        yield


def rows() -> list[dict[str, object]]:
    """Orders of every night, hardly any of one; some of the last night are wrong."""
    found = [row for at, row in enumerate(orders(NIGHTS, each=90)) if row["batch_date"] != REFUSED or at % 10 == 0]
    for row in found[-8:]:
        row["total"] = 500.0 + float(str(row["quantity"]))
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A house with a champion through the fourth night that has scored all nights after it."""
    settings = house(tmp_path_factory.mktemp("watched"), rows(), EXTRA)
    steps.train("orders", TRAINED, settings=settings)
    list(steps.backfill("orders", REPLAYED[0], REPLAYED[-1], settings))
    return settings


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A house in which nothing has run."""
    return house(tmp_path_factory.mktemp("unwatched"), rows(), EXTRA)


@pytest.fixture(scope="module")
def replayed(watched: Settings) -> Backtest:
    return backtest("orders", REPLAYED[0], REPLAYED[-1], RATES, BUDGETS, watched)


def files(settings: Settings) -> dict[str, str]:
    """Every file of the home with its digest, but for the store, whose rows are looked at instead."""
    every = [path for path in settings.home.rglob("*") if path.is_file() and not path.name.startswith("store.db")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in every}


def present(found: Backtest) -> int:
    return next(at for at, asked in enumerate(found.asked) if asked.present)


def scored(found: Backtest) -> list[Night]:
    return [night for night in found.nights if night.refused is None]


def test_at_the_present_threshold_it_tells_what_the_nights_have_brought(watched: Settings, replayed: Backtest) -> None:
    store = steps.House(watched).store
    states = {state.partition: state for state in store.partition_states("orders")}
    told = [(n.partition, n.accepted, n.quarantined, n.brought[present(replayed)]) for n in scored(replayed)]
    assert [(p, a, q, b.flagged, b.incidents) for p, a, q, b in told] == [
        (p, states[p].accepted, states[p].quarantined, states[p].flagged, len(store.incidents("orders", p)))
        for p in REPLAYED
        if p != REFUSED
    ]
    assert sum(b.flagged for *_, b in told) >= 5
    assert {night.model for night in replayed.nights} == {store.model_versions("orders")[0].version}
    assert not any(night.in_memory for night in replayed.nights)


def test_a_span_that_begins_later_tells_the_same_of_its_nights(watched: Settings, replayed: Backtest) -> None:
    """The partitions before it refresh its p-values, though they are not told of."""
    later = backtest("orders", REPLAYED[-2], REPLAYED[-1], RATES, BUDGETS, watched)
    assert later.nights == replayed.nights[-2:]


def test_a_higher_rate_brings_no_fewer_records(replayed: Backtest) -> None:
    assert [(asked.rate, asked.budget, asked.present) for asked in replayed.asked] == [
        (0.002, None, False), (0.01, None, True), (0.05, None, False), (None, 3.0, False),
    ]  # fmt: skip
    for night in scored(replayed):
        at_rates = [brought.flagged for brought in night.brought[:3]]
        assert at_rates == sorted(at_rates)
    assert scored(replayed)[-1].brought[2].flagged > scored(replayed)[-1].brought[0].flagged
    totals = replayed.totals()[present(replayed)]
    flagged = [night.brought[1].flagged for night in scored(replayed)]
    assert (totals.most, totals.share) == (max(flagged), sum(flagged) / sum(n.accepted for n in scored(replayed)))
    assert totals.alerts == sum(night.brought[1].alerts for night in scored(replayed)) > 0


def test_a_refused_partition_is_a_row_that_says_so(replayed: Backtest) -> None:
    (refused,) = [night for night in replayed.nights if night.refused is not None]
    assert refused.partition == REFUSED and refused.brought == ()
    assert f"orders {REFUSED}" in str(refused.refused)


def test_nothing_is_written_with_a_champion(watched: Settings) -> None:
    before = tables(watched), files(watched)
    backtest("orders", REPLAYED[0], REPLAYED[1], RATES, BUDGETS, watched)
    assert (tables(watched), files(watched)) == before


def test_nothing_is_written_where_models_are_trained_for_the_replay(unwatched: Settings) -> None:
    steps.House(unwatched).store.champion("orders")
    before = tables(unwatched), files(unwatched)
    found = backtest("orders", NIGHTS[0], NIGHTS[2], RATES, BUDGETS, unwatched)
    assert (tables(unwatched), files(unwatched)) == before
    assert all(rows == [] for name, rows in before[0].items() if name != "alembic_version")
    first, second, third = found.nights
    assert "no partition before it" in str(first.refused) and first.model is None
    # One night of 90 records is fewer than training.min_rows.
    assert "min_rows" in str(second.refused)
    assert third.refused is None and third.in_memory and third.model == f"trained through {NIGHTS[1]}"


def test_a_model_in_memory_is_the_one_that_training_would_have_given(
    unwatched: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves some partitions, then the next window is learned, without the partition that was refused."""
    assert replaying.RETRAINED_AFTER == 7
    monkeypatch.setattr(replaying, "RETRAINED_AFTER", 3)
    found = backtest("orders", REPLAYED[0], REPLAYED[-1], RATES, BUDGETS, unwatched)
    models = [night.model for night in found.nights]
    assert models == [f"trained through {TRAINED}"] * 3 + [f"trained through {NIGHTS[4]}"] * 2
    assert [night.partition for night in found.nights if night.refused is not None] == [REFUSED]

    other = house(tmp_path, rows(), EXTRA)
    *_, outcome = steps.run("orders", REPLAYED[0], other)
    first = found.nights[0]
    counts = {"accepted": first.accepted, "quarantined": first.quarantined}
    counts["flagged"] = first.brought[present(found)].flagged
    assert {name: outcome.counts[name] for name in counts} == counts


def test_the_version_is_the_one_of_then(watched: Settings) -> None:
    """The latest whose window ends before the partition."""
    store = steps.House(watched).store
    (known,) = store.model_versions("orders")
    later = dataclasses.replace(known, version=f"{NIGHTS[4]}-later", window_last=NIGHTS[4])

    class Remembering(Champions):
        def _restored(self, version: ModelVersion) -> Champion:
            return dataclasses.replace(super()._restored(known), version=version.version)

    champions = Remembering(steps.House(watched), find("orders", watched.monitors), NIGHTS)
    champions._stored += [later]
    served = [champions.of(night, lambda share, text: None).version for night in NIGHTS[3:7]]
    assert served == [known.version, known.version, later.version, later.version]


def test_a_challenger_held_back_was_never_champion(tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS[:2]), EXTRA)
    home = steps.House(settings)
    for name, objections in (("passed", []), ("held", ["it misses canaries"])):
        model = TrainedModel(
            "orders", name, "0", "ensemble", 0, NIGHTS[0], NIGHTS[0], 1, "0", "0", {"objections": objections}
        )
        home.store.add_model_version(model)
    champions = Champions(home, find("orders", settings.monitors), NIGHTS)
    assert [version.version for version in champions._stored] == ["passed"]
    home.store.promote("orders", "held", "overruled")
    assert len(Champions(home, find("orders", settings.monitors), NIGHTS)._stored) == 2


def test_a_span_without_partitions_says_so(unwatched: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no partition from 2023-01-01 to 2023-01-02; `tablewatch partitions"):
        backtest("orders", "2023-01-01", "2023-01-02", settings=unwatched)


def test_each_threshold_is_tried_once(unwatched: Settings) -> None:
    monitor = find("orders", unwatched.monitors)
    assert [str(asked.rate) for asked in thresholds(monitor, (0.01, 0.02, 0.02), ())] == ["0.01", "0.02"]
    assert Asked(budget=5.0).rate_of(1_000) == 0.005
    assert Asked(budget=500.0).rate_of(1_000) == 0.2


@pytest.fixture
def at_home(watched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_HOME", str(watched.home))
    monkeypatch.setenv("TABLEWATCH_MONITORS", str(watched.monitors))


def test_the_command_shows_thresholds_and_nights(at_home: None, replayed: Backtest) -> None:
    span = ["orders", "--from", REPLAYED[0], "--to", REPLAYED[-1], "--rates", "0.002,0.05", "--budgets", "3"]
    shown = call("backtest", *span)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == f"orders: 5 partitions from {REPLAYED[0]} to {REPLAYED[-1]}, 4 scored, 1 refused"
    assert any(line.startswith("rate 0.01 (present)") and line.rstrip().endswith("of 4") for line in lines)
    nights = {line.split()[0]: line for line in lines if line[:10] in REPLAYED}
    assert f"refused: orders {REFUSED}" in nights[REFUSED]
    last = replayed.nights[-1]
    assert "█" in nights[last.partition] and "|" in nights[last.partition]
    told = value(call("backtest", *span, "--json"))
    assert [night["partition"] for night in told["nights"]] == REPLAYED
    assert told["nights"][-1]["brought"] == [dataclasses.asdict(brought) for brought in last.brought]
    assert [each["asked"]["present"] for each in told["thresholds"]] == [False, True, False, False]


@pytest.mark.parametrize(
    "wrong",
    [("--rates", "0.3"), ("--rates", "often"), ("--rates", "0,0.1"), ("--budgets", "-5"), ("--budgets", "nan")],
)
def test_wrong_thresholds_are_wrong_usage(wrong: tuple[str, str]) -> None:
    assert call("backtest", "orders", "--from", NIGHTS[0], "--to", NIGHTS[1], *wrong).exit_code == 2


def test_a_span_turned_around_is_wrong_usage() -> None:
    assert call("backtest", "orders", "--from", NIGHTS[1], "--to", NIGHTS[0]).exit_code == 2

"""Labels and the next training: what is confirmed is never learned from, what is expected is learned as normal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import steps, training
from pipeline.detector import Detector, network
from pipeline.monitor import find
from pipeline.records import hidden_text
from pipeline.settings import Settings
from pipeline.steps.labelled import WindowLabels, partition_texts
from pipeline.steps.window import accepted_records

NIGHTS = [dt.date(2024, 3, day) for day in range(1, 8)]
LAST = NIGHTS[-1].isoformat()
EACH = 500
MONITOR = """\
source: {{files: {data}}}
partition_by: night
primary_key: [id]
training: {{window: 6, min_rows: 100{more}}}
threshold: {{false_alarm_rate: 0.002}}
"""
PRICES = np.array([2.0, 4.5, 12.0, 7.25])
PRODUCTS = np.array(["apple", "bread", "cheese", "dates"])
DOUBLED, BULK = range(10), range(10, 20)
"""Of each of the last two nights: orders charged twice, which is wrong; two dozen dates at half price, which is not."""


def orders(nights: list[dt.date], each: int = EACH, wrong: int = 10, bulk: int = 10, seed: int = 0) -> pa.Table:
    """Orders whose total is price times quantity, but for the first of the last two nights."""
    draw = np.random.default_rng(seed)
    count = each * len(nights)
    product, quantity = draw.integers(0, 4, count), draw.integers(1, 9, count)
    channel = draw.integers(0, 3, count)
    factor = np.ones(count)
    for night in range(max(0, len(nights) - 2), len(nights)):
        first = night * each
        factor[first : first + wrong] = 2.0
        of_bulk = slice(first + wrong, first + wrong + bulk)
        product[of_bulk], channel[of_bulk], factor[of_bulk] = 3, 2, 0.5
        quantity[of_bulk] = 24
    return pa.table(
        {
            "id": np.arange(count),
            "night": pa.array([night for night in nights for _ in range(each)]),
            "product": PRODUCTS[product],
            "channel": np.array(["shop", "web", "trade"])[channel],
            "quantity": quantity,
            "price": PRICES[product],
            "total": PRICES[product] * quantity * factor,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def small_model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small = dict.fromkeys(network.SCHEDULES, network.Schedule(600, 128, 3e-3, fewest=600))
        patch.setattr(network, "SCHEDULES", small)
        yield


def furnished(folder: Path, more: str = "", sensitive: str = "") -> Settings:
    (folder / "monitors").mkdir(parents=True)
    text = MONITOR.format(data=folder / "orders.parquet", more=more) + sensitive
    (folder / "monitors" / "orders.yaml").write_text(text)
    pq.write_table(orders(NIGHTS), folder / "orders.parquet")
    return Settings(home=folder / "home", monitors=folder / "monitors")


def champion(house: Settings) -> Detector:
    of = steps.House(house)
    version = of.store.champion("orders")
    assert version is not None
    return training.restore(of.monitor("orders"), *of.registry.load("orders", version.version, version.sha256))


def keys_of(which: range, night: int) -> list[str]:
    return [str(night * EACH + at) for at in which]


@pytest.mark.slow
def test_ten_labels_of_each_kind_a_retraining_and_fresh_records_of_both(tmp_path: Path) -> None:
    """The item's own test; docs/labels.md tells its figures."""
    house = furnished(tmp_path / "labelled")
    (sixth, last) = (night.isoformat() for night in NIGHTS[-2:])
    steps.train("orders", NIGHTS[4].isoformat(), settings=house)
    judges = {"before": champion(house)}
    scored = steps.score("orders", sixth, house)
    store = steps.House(house).store
    flagged = {each.record_key for each in store.anomalies("orders", sixth)}
    assert {*keys_of(DOUBLED, 5), *keys_of(BULK, 5)} <= flagged and scored.counts["flagged"] < 30
    for key in keys_of(DOUBLED, 5):
        steps.label("orders", key, "confirmed", sixth, author="ann", settings=house)
    for key in keys_of(BULK, 5):
        steps.label("orders", key, "expected", sixth, author="ann", settings=house)

    done = steps.train("orders", sixth, settings=house)
    assert "(10 confirmed left out, 10 expected weighted)" in done.message
    assert {name: done.counts[name] for name in ("confirmed", "expected", "expected_quarantined")} == {
        "confirmed": 10,
        "expected": 10,
        "expected_quarantined": 0,
    }
    unlabelled = furnished(tmp_path / "unlabelled")
    steps.train("orders", sixth, settings=unlabelled)

    fresh = orders([NIGHTS[-1]], each=400, wrong=200, bulk=200, seed=1)
    doubled, bulk, clean = fresh.slice(0, 200), fresh.slice(200, 200), orders([NIGHTS[-1]], 2_000, 0, 0, seed=2)
    figures = {}
    judges |= {"without labels": champion(unlabelled), "with labels": champion(house)}
    for name, detector in judges.items():
        threshold = detector.threshold(0.002)
        scores = {what: detector.score(t).score for what, t in (("A", doubled), ("B", bulk), ("clean", clean))}
        figures[name] = {what: (float(np.median(s)), float((s >= threshold).mean())) for what, s in scores.items()}
        print(f"{name}, threshold {threshold:.2f}: median score and share flagged {figures[name]}")
    before, after = figures["without labels"], figures["with labels"]
    assert figures["before"]["A"][1] > 0.95 and figures["before"]["B"][1] > 0.95, "neither was ever seen"
    assert after["A"][0] > before["A"][0] and after["A"][1] > 0.95, "confirmed scores higher"
    assert after["B"][0] < before["B"][0] and after["B"][1] < 0.05, "expected scores lower and is not flagged"
    assert after["clean"][1] < 0.01

    steps.score("orders", last, house)
    again = {each.record_key for each in store.anomalies("orders", last)}
    assert {*keys_of(DOUBLED, 6)} <= again and not {*keys_of(BULK, 6)} & again
    steps.score("orders", sixth, house)
    assert len(store.labels("orders")) == 20, "P24: labels survive the re-run of their partition"


class TestWeights:
    def test_none_without_a_label(self) -> None:
        assert training.weights_of(np.zeros(100, dtype=bool)) is None

    @pytest.mark.parametrize(("others", "marked", "weight"), [(1_900, 10, 10.0), (50_000, 10, 50.0), (100, 50, 2.0)])
    def test_a_twentieth_of_the_draws_within_bounds(self, others: int, marked: int, weight: float) -> None:
        expected = np.arange(others + marked) < marked
        weights = training.weights_of(expected)
        assert weights is not None
        assert weights[:marked] == pytest.approx(weight) and set(weights[marked:]) == {1.0}

    def test_none_that_is_expected_is_held_out(self) -> None:
        expected = np.arange(4_000) % 4 == 0
        aside = training.put_aside(4_000, 0, expected)
        assert not (aside & expected).any() and aside.sum() > 100
        assert (aside == training.put_aside(4_000, 0) & ~expected).all()

    def test_the_sample_always_holds_them(self, tmp_path: Path) -> None:
        monitor = find("orders", furnished(tmp_path, more=", max_rows: 100").monitors)
        batches = orders(NIGHTS).to_batches(max_chunksize=100)
        found = training.sample(monitor, batches, EACH * 7, 0, lambda batch: np.asarray(batch["id"]) % 500 == 0)
        assert {n * EACH for n in range(7)} <= {*found["id"].to_pylist()}
        drawn = training.sample(monitor, batches, EACH * 7, 0)["id"].to_pylist()
        assert {*drawn} <= {*found["id"].to_pylist()} and found.num_rows <= len(drawn) + 7


def test_p19_no_quarantined_or_confirmed_record_is_learned_from(tmp_path: Path) -> None:
    no_bulk = "expectations:\n- expect_column_values_to_be_between: {column: quantity, max_value: 20}\n"
    house = steps.House(furnished(tmp_path, sensitive=no_bulk))
    monitor = house.monitor("orders")
    source = house.source(monitor)
    window = {partition.key: partition.rows for partition in source.partitions()}
    labels = WindowLabels(monitor, {LAST: {*keys_of(DOUBLED, 6)}})
    accepted, _, counts = accepted_records(monitor, source, window, 0, labels)
    assert (counts["quarantined"], counts["confirmed"]) == (2 * len(BULK), len(DOUBLED))
    learned = set(map(str, accepted["id"].to_pylist()))
    assert learned.isdisjoint([*keys_of(BULK, 5), *keys_of(BULK, 6), *keys_of(DOUBLED, 6)])
    assert len(learned) == sum(window.values()) - 2 * len(BULK) - len(DOUBLED)


class TestWindowLabels:
    def test_labels_are_of_a_partition_and_a_key(self, tmp_path: Path) -> None:
        monitor = find("orders", furnished(tmp_path).monitors)
        table = orders(NIGHTS[:2], each=30)
        labels = WindowLabels(monitor, {"2024-03-02": {"5", "31"}}, {"2024-03-01": {"5"}, "2024-03-09": {"6"}})
        assert np.flatnonzero(labels.are_confirmed(table)).tolist() == [31]
        assert np.flatnonzero(labels.are_expected(table)).tolist() == [5]
        assert not WindowLabels(monitor).are_expected(table).any()

    def test_keys_of_sensitive_columns_are_matched_as_stored(self, tmp_path: Path) -> None:
        monitor = find("orders", furnished(tmp_path, sensitive="columns: {sensitive: [id]}\n").monitors)
        labels = WindowLabels(monitor, {"2024-03-01": {str(hidden_text("7"))}})
        assert np.flatnonzero(labels.are_confirmed(orders(NIGHTS[:1], each=30))).tolist() == [7]

    @pytest.mark.parametrize(
        ("column", "zone"),
        [
            (pa.array([dt.date(2024, 3, 1), None]), "UTC"),
            (pa.array(["2024-03-01T23:00:00", None]), "UTC"),
            (pa.array([dt.datetime(2024, 3, 1, 23), None], pa.timestamp("us")), "Asia/Tokyo"),
            (pa.array([dt.datetime(2024, 2, 29, 23), None], pa.timestamp("ns", "UTC")), "Asia/Tokyo"),
            (pa.array([dt.datetime(2024, 3, 2, 3), None], pa.timestamp("ms", "UTC")), "America/New_York"),
        ],
    )
    def test_the_partition_of_a_record_is_that_of_its_source(self, column: pa.Array, zone: str) -> None:
        assert partition_texts(pa.chunked_array([column]), zone).to_pylist() == ["2024-03-01", None]


def learned_from(house: Settings, folder: Path, change: dict[str, list[object]]) -> dict[str, int]:
    """Train on six nights whose first record was changed, labelled `expected`, and without a label."""
    table = orders(NIGHTS, wrong=0, bulk=0)
    for name, (value,) in change.items():
        values = table[name].to_pylist()
        table = table.set_column(table.column_names.index(name), name, pa.array([value, *values[1:]]))
    pq.write_table(table, folder / "orders.parquet")
    return steps.train("orders", NIGHTS[5].isoformat(), settings=house).counts


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"total": [1e9]}, {"total": [-1e6]}])
def test_an_expected_record_is_accepted_by_what_is_learned_next(
    tmp_path: Path, change: dict[str, list[object]]
) -> None:
    house = furnished(tmp_path)
    apart = learned_from(house, tmp_path, change)
    assert apart["quarantined"] == 1
    steps.House(house).store.add_label("orders", NIGHTS[0].isoformat(), "0", "expected", "", "ann")
    kept = learned_from(house, tmp_path, change)
    assert (kept["quarantined"], kept["expected"], kept["expected_quarantined"]) == (0, 1, 0)


@pytest.mark.slow
def test_what_the_monitor_itself_forbids_stays_forbidden_to_expected_records(tmp_path: Path) -> None:
    own = "expectations: [{expect_column_values_to_be_between: {column: quantity, max_value: 100}, severity: error}]\n"
    house = furnished(tmp_path, sensitive=own)
    steps.House(house).store.add_label("orders", NIGHTS[0].isoformat(), "0", "expected", "", "ann")
    counts = learned_from(house, tmp_path, {"quantity": [900]})
    assert (counts["quarantined"], counts["expected"], counts["expected_quarantined"]) == (1, 0, 1)


@pytest.mark.slow
def test_with_approval_a_challenger_waits_for_a_person(tmp_path: Path) -> None:
    house = furnished(tmp_path, more=", approval: true")
    first = steps.train("orders", NIGHTS[4].isoformat(), settings=house)
    store = steps.House(house).store

    def now() -> str:
        found = store.champion("orders")
        assert found is not None
        return found.version

    assert now() == first.model_version and not [w for w in first.warnings if "approval" in w], "nothing scores without"
    second = steps.train("orders", NIGHTS[4].isoformat(), seed=1, settings=house)
    assert now() == first.model_version and second.message.endswith(f"champion is {first.model_version}")
    assert f"orders: {second.model_version} waits for approval: tablewatch promote orders {second.model_version}" in (
        second.warnings
    )
    same = steps.train("orders", NIGHTS[4].isoformat(), settings=house)
    assert same.model_version == now() and not [w for w in same.warnings if "approval" in w], "it is champion already"
    store.promote("orders", str(second.model_version), "promoted by hand")
    assert now() == second.model_version

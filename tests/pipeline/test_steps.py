"""The path of a record from a CSV file to the store, with a model small enough for a test."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.errors import ConfigurationError, CorruptBundle, EmptyPartition, FailedMachinery, RefusedData
from pipeline.settings import Settings

NIGHTS = [dt.date(2024, 3, day).isoformat() for day in range(1, 7)]
LAST = NIGHTS[-1]
PRICES = {"apple": 2.0, "bread": 4.5, "cheese": 12.0}
TIMES_OF_A_RUN = {"run_id", "started_at", "finished_at", "created_at", "promoted_at", "first_detected_at", "sequence"}


def orders(nights: list[str], each: int = 150) -> list[dict[str, object]]:
    """Orders whose total is price times quantity."""
    draw = random.Random(7)
    rows: list[dict[str, object]] = []
    for night in nights:
        for _ in range(each):
            product, quantity = draw.choice(list(PRICES)), draw.randint(1, 9)
            rows.append(
                {
                    "order_id": f"o{len(rows):05d}",
                    "batch_date": night,
                    "product": product,
                    "quantity": quantity,
                    "total": round(PRICES[product] * quantity, 2),
                    "paid": draw.random() < 0.9,
                    "placed": f"{draw.randint(8, 19):02d}:{draw.randint(0, 59):02d}",
                }
            )
    return rows


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def small_model() -> Iterator[None]:
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        small = dict.fromkeys(network.SCHEDULES, network.Schedule(150, 128, 3e-3))
        patch.setattr(network, "SCHEDULES", small)
        yield


def house(folder: Path, rows: list[dict[str, object]], extra: str = "") -> Settings:
    (folder / "monitors").mkdir()
    write(folder / "orders.csv", rows)
    (folder / "monitors" / "orders.yaml").write_text(
        f"source: {{files: {folder}/orders.csv}}\n"
        "partition_by: batch_date\nprimary_key: [order_id]\n"
        f"threshold: {{false_alarm_rate: 0.01}}\n{extra}"
    )
    return Settings(home=folder / "home", monitors=folder / "monitors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_model: None) -> tuple[Settings, Path]:
    """A house with a champion through the fifth night and a bad record in the sixth."""
    folder = tmp_path_factory.mktemp("orders")
    rows = orders(NIGHTS)
    rows[-1] |= {"product": "apple", "quantity": 9, "total": 108.0}
    rows[-2]["product"] = "durian"
    rows[-3]["order_id"] = ""
    settings = house(folder, rows)
    steps.train("orders", NIGHTS[-2], settings=settings)
    return settings, folder


def tables(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, without what names or times a run."""
    engine = sa.create_engine(settings.store)
    meta = sa.MetaData()
    meta.reflect(engine)
    found = {}
    with engine.connect() as connection:
        for table in meta.sorted_tables:
            kept = [column for column in table.c if column.name not in TIMES_OF_A_RUN]
            found[table.name] = sorted(map(repr, connection.execute(sa.select(*kept))))
    return found  # type: ignore[return-value]


def test_p24_running_a_partition_again_gives_the_same_rows_and_does_not_train(trained: tuple[Settings, Path]) -> None:
    settings, _ = trained
    first = steps.run("orders", LAST, settings)
    after_first = tables(settings)
    second = steps.run("orders", LAST, settings)
    after_second = tables(settings)
    assert [o.kind for o in first + second] == ["run", "run"]
    assert {n for n in after_second if after_first[n] != after_second[n]} == {"runs"}
    assert len(after_second["runs"]) == len(after_first["runs"]) + 1


def test_no_record_is_lost_or_invented_and_reasons_name_the_field(trained: tuple[Settings, Path]) -> None:
    settings, folder = trained
    outcome = steps.score("orders", LAST, settings, folder / "scores.parquet")
    assert outcome.counts["read"] == 150 == outcome.counts["accepted"] + outcome.counts["quarantined"]
    assert outcome.counts["quarantined"] == 1
    scores = pq.read_table(folder / "scores.parquet")
    assert scores.column_names == ["order_id", "score", "p_value"]
    assert scores.num_rows == outcome.counts["accepted"]
    store = steps.House(settings).store
    flagged = {a.record_key: a for a in store.anomalies("orders", LAST)}
    unseen = flagged["o00898"].contributions[0]
    assert (unseen.column_name, unseen.observed, unseen.reason) == ("product", "durian", "unseen_category")
    assert unseen.expected in PRICES
    broken = flagged["o00899"]
    assert {c.column_name for c in broken.contributions[:2]} <= {"product", "quantity", "total"}
    assert sum(c.share for c in broken.contributions) == pytest.approx(1.0)
    assert [q.expectation for q in store.quarantine("orders", LAST)] == ["expect_column_values_to_not_be_null"]


def test_p01_an_empty_partition_leaves_a_run_row_and_nothing_else(trained: tuple[Settings, Path]) -> None:
    settings, _ = trained
    before = tables(settings)
    for step in (steps.validate, steps.score):
        with pytest.raises(EmptyPartition, match=r"^orders 2024-04-01: the partition has no records"):
            step("orders", "2024-04-01", settings)
    after = tables(settings)
    assert {n for n in after if after[n] != before[n]} == {"runs"}
    assert [run.status for run in steps.House(settings).store.runs("orders", "2024-04-01")] == ["empty", "empty"]


def test_p06_a_missing_column_is_named_and_nothing_is_scored(trained: tuple[Settings, Path], tmp_path: Path) -> None:
    settings, _ = trained
    before = tables(settings)
    (tmp_path / "monitors").mkdir()
    write(tmp_path / "orders.csv", [{k: v for k, v in row.items() if k != "total"} for row in orders(NIGHTS)])
    text = (settings.monitors / "orders.yaml").read_text()
    (tmp_path / "monitors" / "orders.yaml").write_text(text.replace(str(settings.home.parent), str(tmp_path)))
    changed = Settings(home=settings.home, monitors=tmp_path / "monitors")
    with pytest.raises(RefusedData, match=f"^orders {LAST}: column 'total' is missing; known columns are"):
        steps.score("orders", LAST, changed)
    after = tables(settings)
    assert {n for n in after if after[n] != before[n]} == {"runs"}


def test_p22_a_corrupt_bundle_is_told_and_nothing_is_written(small_model: None, tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS))
    steps.train("orders", NIGHTS[-2], settings=settings)
    before = tables(settings)
    (bundle,) = (settings.bundles / "orders").glob("*.npz")
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(CorruptBundle, match="SHA-256 differs"):
        steps.score("orders", LAST, settings)
    after = tables(settings)
    assert {n for n in after if after[n] != before[n]} == {"runs"}
    assert steps.House(settings).store.runs("orders", LAST)[0].status == "failed"


def test_an_unknown_monitor_is_told_with_the_nearest(trained: tuple[Settings, Path]) -> None:
    with pytest.raises(ConfigurationError, match="orders"):
        steps.score("order", LAST, trained[0])


def test_a_connection_that_does_not_answer_is_failed_machinery(tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS[:1]))
    (settings.monitors / "orders.yaml").write_text(
        "source: {connection: 'postgres://nobody:geheim@127.0.0.1:1/none', table: orders}\n"
        "partition_by: batch_date\nprimary_key: [order_id]\n"
    )
    with pytest.raises(FailedMachinery) as caught:
        steps.validate("orders", LAST, settings)
    assert "geheim" not in str(caught.value)
    (run,) = steps.House(settings).store.runs("orders")
    assert run.status == "failed"
    assert "geheim" not in (run.reason or "")


def test_p02_training_on_too_few_records_is_refused(tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS[:1], each=30))
    with pytest.raises(RefusedData, match=r"30 accepted records are fewer than training.min_rows 200; widen"):
        steps.train("orders", NIGHTS[0], settings=settings)
    assert steps.House(settings).store.champion("orders") is None


def test_scoring_without_a_champion_says_what_to_do(tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS[:1]))
    with pytest.raises(ConfigurationError, match="tablewatch train orders"):
        steps.score("orders", NIGHTS[0], settings)


def test_run_trains_on_the_partitions_before_when_there_is_no_champion(small_model: None, tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS))
    outcomes = steps.run("orders", LAST, settings)
    assert [(o.kind, o.partition) for o in outcomes] == [("train", NIGHTS[-2]), ("run", LAST)]
    champion = steps.House(settings).store.champion("orders")
    assert champion is not None
    assert (champion.window_first, champion.window_last) == (NIGHTS[0], NIGHTS[-2])


def test_p30_a_partition_that_is_not_there_trains_nothing(tmp_path: Path) -> None:
    settings = house(tmp_path, orders(NIGHTS))
    with pytest.raises(EmptyPartition, match="^orders 2099-01-01: the partition has no records"):
        steps.run("orders", "2099-01-01", settings)
    assert steps.House(settings).store.champion("orders") is None


def test_p34_an_unforeseen_error_leaves_its_name_not_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = house(tmp_path, orders(NIGHTS[:1]))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("could not reach postgres://me:geheim@host")

    monkeypatch.setattr("pipeline.source.open_source", fail)
    with pytest.raises(RuntimeError):
        steps.validate("orders", NIGHTS[0], settings)
    (run,) = steps.House(settings).store.runs("orders")
    assert (run.status, run.reason) == ("failed", "RuntimeError")


def test_backfill_runs_each_partition_in_order(trained: tuple[Settings, Path]) -> None:
    settings, _ = trained
    outcomes = list(steps.backfill("orders", NIGHTS[3], LAST, settings))
    assert [o.partition for o in outcomes if isinstance(o, steps.Outcome)] == NIGHTS[3:]
    with pytest.raises(ConfigurationError, match="no partition from 2030-01-01"):
        list(steps.backfill("orders", "2030-01-01", "2030-01-02", settings))


@pytest.mark.parametrize("rule", ["be_between: {column: quantity, max_value: 8}", "be_unique: {column: quantity}"])
def test_a_column_that_nothing_is_learned_of_may_be_expected_of(small_model: None, tmp_path: Path, rule: str) -> None:
    own = f"expectations: [{{expect_column_values_to_{rule}, severity: warning}}]\n"
    settings = house(tmp_path, orders(NIGHTS), f"columns: {{exclude: [quantity]}}\n{own}")
    steps.run("orders", LAST, settings)
    store = steps.House(settings).store
    (broken,) = [each for each in store.validations("orders", LAST) if each.column == "quantity"]
    assert not broken.success and broken.checked == 150
    assert "quantity" not in {
        each.column_name for found in store.anomalies("orders", LAST) for each in found.contributions
    }


def test_all_monitors_run_though_one_is_broken_and_another_refused(trained: tuple[Settings, Path]) -> None:
    settings, _ = trained
    text = (settings.monitors / "orders.yaml").read_text()
    others = {
        "broken": "primary_keys: [x]\n",
        "away": text.replace("orders.csv", "nowhere.csv"),
        "tiny": text + "expectations: [{expect_table_row_count_to_be_between: {min_value: 1000}}]\n",
    }
    try:
        for name, written in others.items():
            (settings.monitors / f"{name}.yaml").write_text(written)
        told = list(steps.run_all(LAST, settings, alerts=False))
    finally:
        for name in others:
            (settings.monitors / f"{name}.yaml").unlink()
    assert [name for name, _ in told] == ["", "away", "orders", "tiny"]
    assert [type(found) for _, found in told] == [ConfigurationError, ConfigurationError, steps.Outcome, RefusedData]


def test_an_error_that_nobody_foresaw_is_raised_once_all_have_run(
    trained: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = trained
    ran = []

    def run(name: str, *rest: object) -> list[steps.Outcome]:
        ran.append(name)
        raise ZeroDivisionError(name)

    monkeypatch.setattr("pipeline.steps.nightly.run", run)
    (settings.monitors / "another.yaml").write_text((settings.monitors / "orders.yaml").read_text())
    try:
        with pytest.raises(ZeroDivisionError, match="another"):
            list(steps.run_all(LAST, settings))
    finally:
        (settings.monitors / "another.yaml").unlink()
    assert ran == ["another", "orders"]


def test_where_there_is_no_monitor_there_is_nothing_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no monitor in .*tablewatch init"):
        list(steps.run_all(LAST, Settings(home=tmp_path, monitors=tmp_path)))


def test_p33_sensitive_values_are_hashed_in_the_store(small_model: None, tmp_path: Path) -> None:
    rows = orders(NIGHTS)
    rows[-1]["product"] = "geheim-marker"
    settings = house(tmp_path, rows, "columns: {sensitive: [product]}\n")
    steps.run("orders", LAST, settings)
    anomaly = next(a for a in steps.House(settings).store.anomalies("orders", LAST) if a.record_key == "o00899")
    digest = "sha256:" + hashlib.sha256(b"geheim-marker").hexdigest()[:16]
    assert anomaly.record["product"] == digest
    assert anomaly.contributions[0].observed == digest
    results = {name: rows for name, rows in tables(settings).items() if name != "suites"}
    assert "geheim-marker" not in json.dumps(results)


def test_the_monitors_own_expectations_hold_without_training_again(trained: tuple[Settings, Path]) -> None:
    settings, _ = trained
    path = settings.monitors / "orders.yaml"
    text = path.read_text()
    own = "expectations:\n  - {expect_column_values_to_be_between: {column: quantity, max_value: 8}, severity: error}\n"
    try:
        path.write_text(text + own)
        nines = sum(row["quantity"] == 9 for row in orders(NIGHTS)[-150:])
        outcome = steps.validate("orders", NIGHTS[0], settings)
        firsts = sum(row["quantity"] == 9 for row in orders(NIGHTS)[:150])
        assert nines and outcome.counts["quarantined"] == firsts
    finally:
        path.write_text(text)


def test_alert_budget_becomes_a_rate(trained: tuple[Settings, Path]) -> None:
    from pipeline import training

    monitor = steps.House(trained[0]).monitor("orders")
    budget = monitor.model_copy(update={"threshold": type(monitor.threshold)(alert_budget=3)})
    assert training.flag_rate(budget, 150.0) == pytest.approx(0.02)
    assert training.flag_rate(monitor, 150.0) == 0.01

"""Nights of orders through the whole path: incidents in the store, one message, and what a run again changes."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.errors import FailedMachinery, RefusedData
from pipeline.settings import Settings
from pipeline.store import StoredAlert, StoredIncident
from tests.endpoint_servers import Webhook

DAYS = [f"2024-03-{day:02d}" for day in range(1, 11)]
TRAINED, NIGHTS = DAYS[4], DAYS[5:]
PRICES = {"apple": 2.0, "bread": 4.5, "cheese": 12.0}
SHOPS = ("Basel", "Bern", "Chur", "Lugano", "Zug")

Row = dict[str, object]


def orders(each: int = 200) -> list[Row]:
    """Orders whose total is price times quantity."""
    draw = random.Random(7)
    rows: list[Row] = []
    for day in DAYS:
        for _ in range(each):
            product, quantity = draw.choice(list(PRICES)), draw.randint(1, 9)
            total = round(PRICES[product] * quantity, 2)
            number = f"o{len(rows):05d}"
            row: Row = {"order_id": number, "day": day, "shop": draw.choice(SHOPS), "product": product}
            rows.append(row | {"quantity": quantity, "total": total})
    return rows


def in_cents(rows: list[Row], night: str, shop: str, most: int = 20) -> list[str]:
    """Give the totals of a shop's orders of a night in cents; their keys."""
    wrong = [row for row in rows if row["day"] == night and row["shop"] == shop][:most]
    for row in wrong:
        row["total"] = float(str(row["total"])) * 100
    return [str(row["order_id"]) for row in wrong]


class House:
    """A folder with the orders, a champion, and an endpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = orders()
        self.settings = Settings(home=folder / "home", monitors=folder / "monitors")
        (folder / "monitors").mkdir()
        self.write()
        (folder / "monitors" / "orders.yaml").write_text(
            f"source: {{files: {folder}/orders.csv}}\npartition_by: day\nprimary_key: [order_id]\n"
            "threshold: {false_alarm_rate: 0.005}\nalerts: {to: [ops]}\n"
        )

    @property
    def store(self):  # type: ignore[no-untyped-def]
        return steps.House(self.settings).store

    def write(self) -> None:
        with (self.folder / "orders.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def score(self, night: str, **more: bool) -> steps.Outcome:
        self.write()
        return steps.score("orders", night, self.settings, **more)  # type: ignore[arg-type]

    def patterns(self, night: str) -> list[StoredIncident]:
        return [each for each in self.store.incidents("orders", night) if each.kind == "pattern"]

    def alerts(self) -> list[StoredAlert]:
        return self.store.alerts()[::-1]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a house after its training."""
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", dict.fromkeys(network.SCHEDULES, network.Schedule(400, 128, 3e-3)))
        house = House(tmp_path_factory.mktemp("trained"))
        steps.train("orders", TRAINED, settings=house.settings)
        yield house.settings.home


@pytest.fixture
def house(trained: Path, tmp_path: Path) -> House:
    import shutil

    shutil.copytree(trained, tmp_path / "home")
    return House(tmp_path)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    server = Webhook()
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", server.url.replace("=0.5", "=20"))
    yield server
    server.stop()


def test_a_pattern_of_a_night_is_one_incident_and_one_message(house: House, webhook: Webhook) -> None:
    keys = in_cents(house.rows, NIGHTS[0], "Chur")
    outcome = house.score(NIGHTS[0])
    (pattern,) = house.patterns(NIGHTS[0])
    members = {each.record_key for each in house.store.anomalies("orders", NIGHTS[0]) if each.incident_id}
    quarantined = {each.record_key for each in house.store.quarantine("orders", NIGHTS[0]) if each.incident_id}
    assert {*keys} <= members | quarantined
    assert pattern.flagged + pattern.quarantined >= 0.9 * len(keys)
    assert "shop Chur" in pattern.summary and "total" in pattern.columns
    assert "1 pattern" in outcome.message
    (message,) = webhook.received
    assert "shop Chur" in message["message"]
    assert f"tablewatch mute orders {pattern.incident_id}" in message["message"]
    assert [each.delivered_at is not None for each in house.alerts()] == [True]


def test_p24_the_same_night_again_tells_nobody_again(house: House, webhook: Webhook) -> None:
    in_cents(house.rows, NIGHTS[0], "Chur")
    house.score(NIGHTS[0])
    first = house.store.incidents("orders", NIGHTS[0])
    outcome = house.score(NIGHTS[0])
    again = house.store.incidents("orders", NIGHTS[0])
    same = ("incident_id", "summary", "severity", "first_severity", "first_detected_at", "flagged", "quarantined")
    assert [[getattr(each, name) for name in same] for each in again] == [
        [getattr(each, name) for name in same] for each in first
    ]
    assert len(webhook.received) == 1
    assert "since the run before" not in outcome.message


def test_p29_late_records_are_told_of_and_only_what_is_new_is_sent(house: House, webhook: Webhook) -> None:
    in_cents(house.rows, NIGHTS[0], "Chur")
    house.score(NIGHTS[0])
    late = [dict(row) for row in house.rows if row["day"] == NIGHTS[0]][:3]
    house.rows += [row | {"order_id": f"late{at}"} for at, row in enumerate(late)]
    for row in [row for row in house.rows if (row["day"], row["shop"]) == (NIGHTS[0], "Bern")]:
        row["product"] = "durian"
    outcome = house.score(NIGHTS[0])
    assert "since the run before: 3 records more" in outcome.message
    assert len(house.patterns(NIGHTS[0])) == 2
    assert len(webhook.received) == 2
    assert "shop Bern" in webhook.received[1]["message"] and "shop Chur" not in webhook.received[1]["message"]


def test_the_same_pattern_five_nights_running_is_one_incident_told_five_times_at_most(
    house: House, webhook: Webhook
) -> None:
    for night in NIGHTS:
        in_cents(house.rows, night, "Chur")
    for night in NIGHTS:
        house.score(night)
    ids = {each.incident_id for night in NIGHTS for each in house.patterns(night)}
    assert len(ids) == 1
    assert [house.patterns(night)[0].first_partition for night in NIGHTS] == [NIGHTS[0]] * 5
    assert 1 <= len(webhook.received) <= 5
    assert f"since {NIGHTS[0]}" in webhook.received[-1]["message"]


def test_nights_with_nothing_wrong_send_nothing(house: House, webhook: Webhook) -> None:
    for night in NIGHTS[:3]:
        house.score(night)
        assert house.patterns(night) == []
    assert webhook.received == []
    assert house.alerts() == []


def test_a_muted_pattern_is_stored_and_not_told(house: House, webhook: Webhook) -> None:
    for night in NIGHTS[:2]:
        in_cents(house.rows, night, "Chur")
    house.score(NIGHTS[0])
    (pattern,) = house.patterns(NIGHTS[0])
    muted = steps.mute("orders", pattern.incident_id, author="me", settings=house.settings)
    house.score(NIGHTS[1])
    assert [each.suppression_id for each in house.patterns(NIGHTS[1])] == [muted.suppression_id]
    assert len(webhook.received) == 1
    steps.unmute("orders", muted.suppression_id, author="me", settings=house.settings)
    house.score(NIGHTS[1])
    assert [each.suppression_id for each in house.patterns(NIGHTS[1])] == [None]
    assert len(webhook.received) == 2


def test_a_backfill_tells_nobody_unless_asked(house: House, webhook: Webhook) -> None:
    in_cents(house.rows, NIGHTS[0], "Chur")
    house.write()
    list(steps.backfill("orders", NIGHTS[0], NIGHTS[0], house.settings))
    assert len(house.patterns(NIGHTS[0])) == 1 and webhook.received == []
    house.rows[-1]["total"] = -3
    in_cents(house.rows, NIGHTS[1], "Chur")
    house.write()
    list(steps.backfill("orders", NIGHTS[1], NIGHTS[1], house.settings, alerts=True))
    assert len(webhook.received) == 1


def test_a_refused_partition_is_told_at_once(house: House, webhook: Webhook) -> None:
    house.rows = [{name: value for name, value in row.items() if name != "total"} for row in house.rows]
    with pytest.raises(RefusedData, match="'total' is missing"):
        house.score(NIGHTS[0])
    (message,) = webhook.received
    assert "'total' is missing" in message["message"]
    assert [(each.kind, each.severity) for each in house.alerts()] == [("refused", "critical")]


def test_failed_machinery_is_told_later_and_not_at_all_when_it_works_again(
    house: House, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.steps import checking

    def gone(*_: object) -> None:
        raise FailedMachinery("orders: the source does not answer; try again")

    with monkeypatch.context() as patch:
        patch.setattr(checking.Checking, "of", gone)
        with pytest.raises(FailedMachinery):
            house.score(NIGHTS[0])
    (waiting,) = house.alerts()
    assert (waiting.kind, waiting.attempts) == ("failed", 0)
    assert (waiting.send_after - waiting.created_at).total_seconds() == 900
    house.score(NIGHTS[0])
    assert house.alerts() == [] and webhook.received == []


def test_p32_scores_are_stored_though_no_endpoint_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", "json://127.0.0.1:9/hook?cto=1&rto=1")
    in_cents(house.rows, NIGHTS[0], "Chur")
    outcome = house.score(NIGHTS[0])
    assert outcome.status == "done" and len(house.patterns(NIGHTS[0])) == 1
    assert any("stays in the outbox" in warning for warning in outcome.warnings)
    (waiting,) = house.alerts()
    assert waiting.delivered_at is None and waiting.attempts == 1


def test_the_views_tell_incidents_as_the_store_does(house: House) -> None:
    in_cents(house.rows, NIGHTS[0], "Chur")
    in_cents(house.rows, NIGHTS[1], "Chur")
    for night in NIGHTS[:2]:
        house.score(night, alerts=False)
    with sa.create_engine(house.settings.store).connect() as connection:
        wanted = "SELECT \"partition\", first_partition, partitions_so_far FROM v_incidents WHERE kind = 'pattern'"
        rows = connection.execute(sa.text(f'{wanted} ORDER BY "partition"')).all()
        unnamed = connection.execute(sa.text("SELECT COUNT(*) FROM v_anomalies WHERE incident_id IS NULL")).scalar()
    assert [tuple(row) for row in rows] == [(NIGHTS[0], NIGHTS[0], 1), (NIGHTS[1], NIGHTS[0], 2)]
    assert unnamed == 0


def test_each_night_measures_drift_and_itself(house: House) -> None:
    house.score(NIGHTS[0], alerts=False)
    with sa.create_engine(house.settings.store).connect() as connection:
        metrics = dict(connection.execute(sa.text("SELECT name, value FROM metrics")).all())  # type: ignore[arg-type]
        columns = {row[0] for row in connection.execute(sa.text("SELECT DISTINCT column_name FROM column_metrics"))}
    assert 0 < metrics["canary_recall"] <= 1 and metrics["canary_count"] > 50
    assert {"score_psi", "score_ks", "blind"} <= metrics.keys()
    assert columns == {"shop", "product", "quantity", "total"}


def test_a_table_that_moved_away_asks_for_retraining(house: House) -> None:
    for row in house.rows:
        if str(row["day"]) in NIGHTS:
            row["shop"] = "Zug" if row["shop"] != "Bern" else "Bern"
    asked = [house.score(night, alerts=False).retrain for night in NIGHTS]
    assert asked[:2] == [(), ()]
    assert any(each.startswith("shop has drifted: PSI") for each in asked[2])

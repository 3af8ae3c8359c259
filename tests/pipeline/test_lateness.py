"""Nights that are not scored by their deadline: who is told, of which, how often."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from command_line import call, value
from small_house import MONITOR, SmallHouse

from pipeline import steps
from pipeline.lateness import Due, latest_due
from pipeline.monitor import Monitor, find
from pipeline.store import Store
from tests.endpoint_servers import Webhook

UTC = dt.UTC
DEADLINE = 'alerts: {to: [ops], deadline: 1m}\nschedule: "0 0 * * *"\n'


class LateHouse(SmallHouse):
    """Its monitor first ran a week ago; `night` is the one that is due now."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, patch)
        self.write("nights", MONITOR.format(data=self.data) + DEADLINE)
        self.ran(dt.timedelta(days=7), "2013-02-01", "done")

    @property
    def night(self) -> str:
        due = latest_due(find("nights", self.monitors), dt.datetime.now(UTC))
        assert due is not None
        return due.partition

    def ran(self, ago: dt.timedelta, partition: str, status: str, kind: str = "validate") -> None:
        """Leave a run that began so long ago; `status` running leaves it without an end."""
        store = Store(f"sqlite:///{self.folder / 'home' / 'store.db'}", clock=lambda: dt.datetime.now(UTC) - ago)
        run_id = store.start_run("nights", partition, kind, "0" * 12)  # type: ignore[arg-type]
        if status != "running":
            store.finish_run(run_id, status, f"nights {partition}: it is {status}")  # type: ignore[arg-type]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LateHouse:
    return LateHouse(tmp_path, monkeypatch)


def monitor(**keys: object) -> Monitor:
    required = {"source": {"files": "x.parquet"}, "partition_by": "night", "primary_key": ["id"]}
    return Monitor.model_validate({"name": "nights", **required, **keys})


def test_a_night_for_which_nothing_was_started_is_told_once(house: LateHouse) -> None:
    first, again = steps.tell_late(), steps.tell_late()
    assert first == again and len(first) == 1
    (alert,) = house.store.alerts()
    assert (alert.kind, alert.partition, alert.severity) == ("late", house.night, "critical")
    assert alert.subject.startswith(f"nights {house.night}: late: not scored by ")
    assert "1m after its schedule" in alert.subject
    assert "is the scheduler up, and the DAG validate_nights not paused?" in alert.body_text
    assert f"tablewatch run nights --partition {house.night}" in alert.body_text


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        ("refused", "validate", "its last validate was refused: nights "),
        ("empty", "validate", "its last validate was empty: nights "),
        ("failed", "score", "its last score was failed: nights "),
        ("running", "score", "has not ended"),
        ("done", "validate", "it was validated and never scored: is the DAG score_nights not paused?"),
    ],
)
def test_the_message_says_where_the_night_stands(house: LateHouse, status: str, kind: str, told: str) -> None:
    house.ran(dt.timedelta(0), house.night, status, kind)
    (late,) = steps.tell_late()
    (alert,) = house.store.alerts()
    assert told in late and told in alert.body_text


def test_a_night_that_is_scored_is_not_late(house: LateHouse) -> None:
    house.score(house.night)
    assert steps.tell_late() == [] and house.store.alerts() == []


def test_a_night_that_was_scored_and_is_refused_now_has_its_scores(house: LateHouse) -> None:
    house.score(house.night)
    house.ran(dt.timedelta(0), house.night, "refused")
    assert steps.tell_late() == []


def test_a_night_that_arrives_takes_back_what_has_not_left(house: LateHouse) -> None:
    steps.tell_late()
    house.score(house.night)
    assert house.store.alerts() == []


def test_a_validation_takes_nothing_back(house: LateHouse) -> None:
    steps.tell_late()
    house.ran(dt.timedelta(0), house.night, "done")
    assert [alert.kind for alert in house.store.alerts()] == ["late"]


def test_nothing_is_late_before_a_monitor_first_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = SmallHouse(tmp_path, monkeypatch)
    house.write("nights", MONITOR.format(data=house.data) + DEADLINE)
    assert steps.tell_late() == []
    run_id = house.store.start_run("nights", None, "train", "0" * 12)
    house.store.finish_run(run_id, "done")
    assert steps.tell_late() == []


def test_without_a_deadline_nothing_is_late(house: LateHouse) -> None:
    house.write("nights", MONITOR.format(data=house.data) + "alerts: {to: [ops]}\n")
    assert steps.tell_late() == []


def test_a_file_that_cannot_be_read_hides_no_late_night(house: LateHouse) -> None:
    house.write("broken", "source: [")
    assert len(steps.tell_late()) == 1


def test_doctor_is_a_health_check(house: LateHouse) -> None:
    ill = call("doctor", "--json")
    (problem,) = value(ill)["problems"]
    assert ill.exit_code == 1
    assert problem.startswith(f"nights {house.night}: late, not scored by ")
    assert house.store.alerts() == [], "it only looks"
    house.score(house.night)
    healthy = call("doctor", "--json")
    assert healthy.exit_code == 0 and value(healthy)["problems"] == []


def test_delivery_sends_it(house: LateHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = Webhook()
    try:
        monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", webhook.url)
        told = [call("alerts", "--deliver").stdout for _ in range(2)]
        assert told == ["1 delivered, 0 not\n", "0 delivered, 0 not\n"]
    finally:
        webhook.stop()


def test_the_deadline_counts_from_the_schedule_in_the_monitors_zone() -> None:
    of = monitor(timezone="America/New_York", schedule="0 2 * * *", alerts={"to": ["ops"], "deadline": "6h"})
    assert of.alerts.deadline == "6h"
    eight = dt.datetime(2013, 2, 4, 13, tzinfo=UTC)
    due = latest_due(of, eight)
    assert due is not None
    assert (due.partition, due.deadline.astimezone(UTC)) == ("2013-02-03", eight)
    before = latest_due(of, eight - dt.timedelta(seconds=1))
    assert before is not None and before.partition == "2013-02-02"


def test_a_deadline_is_an_exact_time_after_the_clocks_have_changed() -> None:
    of = monitor(timezone="Europe/Zurich", schedule="0 1 * * *", alerts={"deadline": "6h"})
    due = latest_due(of, dt.datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert isinstance(due, Due) and f"{due.deadline:%H:%M}" == "08:00", "six hours after one, of which one was left out"


def test_of_a_schedule_with_days_off_the_latest_night_is_due() -> None:
    of = monitor(schedule="0 2 * * tue-sat", alerts={"deadline": "1h"})
    monday = latest_due(of, dt.datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert monday is not None and monday.partition == "2026-11-20"


@pytest.mark.parametrize("text", ["6", "0h", "8d", "6 h", "h", "1.5h", "-1h", "99999m", "1w", "six hours"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    data = {"source": {"files": "x"}, "partition_by": "night", "primary_key": ["id"], "alerts": {"deadline": text}}
    with pytest.raises(Exception, match="is not a time span of at most 7 days"):
        Monitor.model_validate({"name": "nights", **data})

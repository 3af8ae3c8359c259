"""`tablewatch alerts`, and what `check` and `doctor` say of endpoints."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call, value
from small_house import MONITOR, SmallHouse

from pipeline import reports
from pipeline.results import Alert
from tests.endpoint_servers import Webhook, status

HOOK = "zq-secret-hook-77"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    """It tells `ops` and `owners`; the environment knows of neither."""
    house = SmallHouse(tmp_path, monkeypatch)
    house.write("nights", MONITOR.format(data=house.data) + "alerts: {to: [ops, owners]}\n")
    return house


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The endpoint `ops`."""
    server = Webhook()
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", server.url)
    yield server
    server.stop()


def post(house: SmallHouse, key: str = "a", monitor: str = "nights", endpoint: str = "ops") -> None:
    subject = f"{monitor} 2013-02-03: \x1b[2J{key}"
    alert = Alert(monitor, "2013-02-03", "incidents", "warning", endpoint, key, subject, "text", "<p>text</p>")
    house.store.post_alerts([alert])


def test_check_notes_an_endpoint_that_cannot_be_told(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OWNERS", f"nosuch://{HOOK}")
    checked = call("check", "nights")
    assert checked.exit_code == 0
    notes = [line for line in checked.stdout.splitlines() if "alerts.to" in line]
    assert notes == [
        "  note: nights: alerts.to names ops, which is told nothing: TABLEWATCH_ALERTS__OPS is not set; "
        "export it with the apprise URL of ops",
        "  note: nights: alerts.to names owners, which is told nothing: TABLEWATCH_ALERTS__OWNERS does not hold one "
        "URL that apprise understands; docs/alerts.md shows some",
    ]
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", "json://127.0.0.1/")
    monkeypatch.setenv("TABLEWATCH_ALERTS__OWNERS", "json://127.0.0.1/")
    assert "alerts.to" not in call("check", "nights").stdout


def test_the_list(house: SmallHouse) -> None:
    assert call("alerts").stdout == "there is no alert yet\n"
    assert call("alerts", "--undelivered").stdout == "no alert is undelivered\n"
    post(house, "a")
    post(house, "b", monitor="others")
    shown = call("alerts").stdout
    assert "nights 2013-02-03: \\x1b[2Ja" in shown
    assert "no, due " in shown
    (line,) = value(call("alerts", "nights", "--json"))
    assert (line["dedup_key"], line["attempts"], line["delivered_at"]) == ("a", 0, None)
    assert not {"body_text", "body_html"} & line.keys()
    assert len(value(call("alerts", "--limit", "1", "--json"))) == 1
    nobody = call("alerts", "nobody")
    assert nobody.exit_code == 1
    assert "there is no monitor 'nobody'" in nobody.stderr


def test_p32_deliver_says_what_arrived_and_what_did_not(house: SmallHouse, webhook: Webhook) -> None:
    assert call("alerts", "--deliver").stdout == "0 delivered, 0 not\n"
    post(house)
    webhook.answer = status(503)
    failed = call("alerts", "--deliver")
    assert failed.exit_code == 1
    assert failed.stdout == "0 delivered, 1 not\n"
    assert failed.stderr == "error: ops: it answered 503; it is tried again later\n"
    assert "no, tried 1 time: it answered 503; again after " in call("alerts", "--undelivered").stdout
    post(house, "b", endpoint="owners")
    told = call("alerts", "--deliver", "--json")
    assert told.exit_code == 1
    done = value(told)
    assert (done["sent"], done["failed"], list(done["errors"])) == (0, 1, ["owners"])


def test_doctor_tells_of_alerts_that_were_tried_and_failed(house: SmallHouse, webhook: Webhook) -> None:
    post(house)
    assert not any("alert" in problem for problem in reports.doctor().problems), "not tried yet"
    webhook.answer = status(503)
    call("alerts", "--deliver")
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    (problem,) = [each for each in reports.doctor().problems if "alert" in each]
    assert problem.startswith(f"alerts: 1 alert for ops not delivered since {today}")
    assert problem.endswith(" UTC: it answered 503; see: tablewatch alerts --undelivered")


def test_an_endpoint_is_tested(house: SmallHouse, webhook: Webhook) -> None:
    assert call("alerts", "--test", "ops").stdout == "ops took the test message\n"
    assert value(call("alerts", "--test", "ops", "--json")) == {"endpoint": "ops", "taken": True, "error": None}
    assert house.store.alerts() == [], "a test is not in the outbox"
    webhook.answer = status(403)
    failed = call("alerts", "--test", "ops")
    assert (failed.exit_code, failed.stderr) == (1, "error: ops: it answered 403\n")
    missing = call("alerts", "--test", "owners")
    assert missing.exit_code == 1
    assert "TABLEWATCH_ALERTS__OWNERS is not set" in missing.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--deliver", "--test", "ops"], ["nights", "--deliver"], ["--undelivered", "--test", "ops"], ["--test", "O P"]],
)
def test_wrong_usage(arguments: list[str], house: SmallHouse) -> None:
    assert call("alerts", *arguments).exit_code == 2


@pytest.mark.parametrize("command", [["alerts"], ["alerts", "--deliver"], ["alerts", "--test", "ops"], ["doctor"]])
def test_p34_no_command_tells_an_endpoints_url(
    command: list[str], house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLEWATCH_DEBUG", "1")
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", f"json://u:{HOOK}@127.0.0.1:1/{HOOK}")
    post(house)
    call("alerts", "--deliver")
    for more in ([], ["--json"]):
        ran = call(*command, *more)
        assert HOOK not in ran.output
        assert HOOK not in str(ran.exception)
    assert HOOK.encode() not in (house.folder / "home" / "store.db").read_bytes()

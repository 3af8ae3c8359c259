from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from email.header import decode_header, make_header
from typing import TYPE_CHECKING

import pytest

from pipeline.alerts import Delivered, deliver, endpoints, of_incidents, of_refused, problem_of, send_test
from pipeline.monitor import Monitor
from pipeline.results import Alert, Incident
from pipeline.settings import Settings
from pipeline.store import PartitionResults, Store
from tests.endpoint_servers import (
    Answer,
    Mailbox,
    Webhook,
    closing,
    endless,
    hanging,
    ok,
    part,
    rubbish,
    slow,
    status,
)

if TYPE_CHECKING:
    from conftest import StillClock

NIGHT = "2013-02-14"
SECRET = "zq-secret-of-the-url-5f1b"

Make = Callable[..., Incident]
MakeMonitor = Callable[..., Monitor]


@pytest.fixture
def night(monitor: MakeMonitor, incident: Make) -> Callable[..., list[Alert]]:
    """The alerts of one incident of a partition, for some endpoints."""

    def make(partition: str = NIGHT, *to: str, **fields: object) -> list[Alert]:
        told = monitor(alerts={"to": list(to or ["ops"])})
        counts = {"accepted": 940, "flagged": 12, "quarantined": 24}
        return of_incidents(told, partition, [incident(**fields)], counts, "v1")

    return make


def minutes(store: Store, clock: StillClock, count: int) -> list[Delivered]:
    """A deliverer that comes every minute."""
    told = []
    for _ in range(count):
        told.append(deliver(store))
        clock.pass_minutes(1)
    return told


def post_with_results(store: Store, alerts: list[Alert]) -> None:
    run_id = store.start_run("flights", NIGHT, "score", "c0ffee")
    store.replace_partition(run_id, "flights", NIGHT, "v1", "c0ffee", PartitionResults(alerts=alerts))


# An endpoint that is well


def test_p32_a_webhook_receives_subject_text_and_key(
    store: Store, webhook: Webhook, night: Callable[..., list[Alert]]
) -> None:
    (alert,) = night()
    post_with_results(store, [alert])
    assert deliver(store) == Delivered(1, 0, {})
    assert deliver(store) == Delivered(0, 0, {})
    (post,) = webhook.received
    assert (post["key"], post["title"], post["message"]) == (alert.dedup_key, alert.subject, alert.body_text)
    assert post["type"] == "warning"


def test_a_webhook_that_asks_for_html_receives_it(
    store: Store, webhook: Webhook, night: Callable[..., list[Alert]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", f"{webhook.url}&format=html")
    (alert,) = night()
    store.post_alerts([alert])
    deliver(store)
    assert webhook.received[0]["message"] == alert.body_html


def test_p32_a_mail_reads_as_well_in_plain_text_as_in_html(
    store: Store, mailbox: Mailbox, night: Callable[..., list[Alert]]
) -> None:
    (alert,) = night(NIGHT, "owners", summary="5 < 6 & <b>7</b> é")
    store.post_alerts([alert])
    assert deliver(store) == Delivered(1, 0, {})
    (mail,) = mailbox.mails
    assert mail["X-Tablewatch-Key"] == alert.dedup_key
    assert str(make_header(decode_header(str(mail["Subject"])))) == alert.subject
    assert part(mail, "text/html").splitlines() == alert.body_html.splitlines()
    plain = [line.strip() for line in part(mail, "text/plain").splitlines() if line.strip()]
    assert plain == [line for line in alert.body_text.splitlines() if line]


def test_p32_a_mail_server_that_refuses_is_asked_again(
    store: Store, clock: StillClock, mailbox: Mailbox, night: Callable[..., list[Alert]]
) -> None:
    mailbox.refusing = True
    (alert,) = night(NIGHT, "owners")
    store.post_alerts([alert])
    assert deliver(store).failed == 1
    mailbox.refusing = False
    clock.pass_minutes(1)
    assert deliver(store) == Delivered(1, 0, {})
    assert [mail["X-Tablewatch-Key"] for mail in mailbox.mails] == [alert.dedup_key]


# An endpoint that is not


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(500), "it answered 500"),
        (status(429), "it answered 429"),
        (status(302), "it answered 302"),
        (closing, "it did not answer, or not in time"),
        (hanging, "it did not answer, or not in time"),
        (rubbish, "it did not answer, or not in time"),
    ],
)
def test_p32_scores_commit_and_the_alert_arrives_later_under_the_same_key(
    answer: Answer,
    error: str,
    store: Store,
    clock: StillClock,
    webhook: Webhook,
    night: Callable[..., list[Alert]],
) -> None:
    webhook.answer = answer
    (alert,) = night()
    post_with_results(store, [alert])
    assert deliver(store) == Delivered(0, 1, {"ops": error})
    assert store.runs("flights", NIGHT)[0].status == "done"
    assert store.alerts(undelivered=True)[0].last_error == error
    webhook.answer = ok
    assert deliver(store) == Delivered(0, 0, {}), "not before a minute has passed"
    clock.pass_minutes(1)
    assert deliver(store) == Delivered(1, 0, {})
    assert webhook.keys == [alert.dedup_key] * 2


def test_p32_a_slow_endpoint_is_waited_for(store: Store, webhook: Webhook, night: Callable[..., list[Alert]]) -> None:
    webhook.answer = slow
    store.post_alerts(night())
    assert deliver(store) == Delivered(1, 0, {})


def test_p32_an_answer_that_never_ends_is_bounded(
    store: Store, webhook: Webhook, night: Callable[..., list[Alert]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "LONGEST_SECONDS", 1.0)
    webhook.answer = endless
    store.post_alerts(night())
    assert deliver(store) == Delivered(0, 1, {"ops": "it took longer than 1 seconds"})


def test_p32_an_answer_that_never_ends_does_not_keep_the_process(webhook: Webhook) -> None:
    webhook.answer = endless
    code = "from pipeline.alerts import endpoints, send_test\nendpoints.LONGEST_SECONDS = 3.0\nprint(send_test('ops'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "it took longer than 3 seconds\n"
    assert len(webhook.received) == 1


def test_p32_an_endpoint_that_is_down_does_not_keep_the_others(
    store: Store, webhook: Webhook, mailbox: Mailbox, night: Callable[..., list[Alert]]
) -> None:
    webhook.stop()
    store.post_alerts(night(NIGHT, "ops", "owners", "nobody"))
    told = deliver(store)
    assert (told.sent, told.failed) == (1, 2)
    assert told.errors["ops"] == "it did not answer, or not in time"
    assert "export it" in told.errors["nobody"]
    assert len(mailbox.mails) == 1


def test_p32_an_endpoint_killed_for_an_hour_has_every_message_once_it_is_back_none_under_two_keys(
    store: Store, clock: StillClock, webhook: Webhook, night: Callable[..., list[Alert]]
) -> None:
    posted = []

    def post(partition: str) -> None:
        alerts = night(partition, summary=f"only in {partition}")
        store.post_alerts(alerts)
        posted.extend(alerts)

    post("2013-01-01")
    deliver(store)
    webhook.stop()
    for at in range(30):
        post(f"2013-02-{at:02d}")
        minutes(store, clock, 2)
    assert len(webhook.received) == 1
    waiting = store.alerts(undelivered=True)
    assert len(waiting) == 30
    assert max(each.attempts for each in waiting) < 10
    webhook.start()
    minutes(store, clock, 70)
    assert store.alerts(undelivered=True) == []
    assert max(Counter(webhook.keys).values()) == 1
    told = Counter(alert.dedup_key for alert in posted for post in webhook.received if alert.subject in post["message"])
    alone = Counter(key for key in webhook.keys if not key.startswith("digest/"))
    assert set(alone).isdisjoint(told), "none is told alone and in a digest"
    assert set(alone) | set(told) == {alert.dedup_key for alert in posted}
    assert max((told + alone).values()) == 1
    assert len(webhook.received) < 10, "an hour of alerts is a few digests"


def test_p32_an_endpoint_that_takes_and_denies_hears_each_key_again_and_no_other(
    store: Store, clock: StillClock, webhook: Webhook, night: Callable[..., list[Alert]]
) -> None:
    webhook.answer = closing
    for at in range(10, 20):
        store.post_alerts(night(f"2013-02-{at}", summary=f"only in {at}"))
        minutes(store, clock, 5)
    webhook.answer = ok
    minutes(store, clock, 70)
    assert store.alerts(undelivered=True) == []
    by_key = {post["key"]: post["message"] for post in webhook.received}
    assert all(by_key[post["key"]] == post["message"] for post in webhook.received), "one key, one message"
    for at in range(10, 20):
        assert sum(f"only in {at}" in message for message in by_key.values()) == 1


def test_p32_an_endpoint_that_fails_again_and_again_is_left_for_the_next_time(
    store: Store, clock: StillClock, webhook: Webhook, night: Callable[..., list[Alert]]
) -> None:
    webhook.answer = status(500)
    for at in range(10, 16):
        store.post_alerts(night(f"2013-02-{at}"))
        deliver(store)
        clock.pass_minutes(120)
    webhook.received.clear()
    assert deliver(store).failed == 3
    first = set(webhook.keys)
    deliver(store)
    assert len(set(webhook.keys)) == 6
    assert len(first) == 3
    webhook.answer = ok
    clock.pass_minutes(120)
    assert deliver(store).sent == 6


def test_p32_a_storm_is_one_digest(store: Store, webhook: Webhook, night: Callable[..., list[Alert]]) -> None:
    for at in range(10, 28):
        store.post_alerts(night(f"2013-02-{at}"))
    assert deliver(store) == Delivered(18, 0, {})
    (post,) = webhook.received
    assert post["title"] == "tablewatch: 18 messages of flights"
    assert all(f"flights 2013-02-{at}" in post["message"] for at in range(10, 28))
    assert post["key"].startswith("digest/")


def test_p32_a_deliverer_that_dies_between_sending_and_saying_so_sends_the_same_key_again(
    store: Store,
    clock: StillClock,
    webhook: Webhook,
    night: Callable[..., list[Alert]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (alert,) = night()
    store.post_alerts([alert])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "alerts_delivered", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deliver(store)
    assert deliver(store) == Delivered(0, 0, {}), "leased to the one that died"
    clock.pass_minutes(5)
    assert deliver(store) == Delivered(1, 0, {})
    assert webhook.keys == [alert.dedup_key] * 2


# Secrets


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:1/{}",
        "json://user:{}@127.0.0.1:1/",
        "{}",
        "nosuch://{}",
        "json://127.0.0.1/{} json://127.0.0.1/{}",
        "slack://{}",
        "https://{}.example.com/hook",
        "mailto://u:{}@127.0.0.1:1?to=a@example.com",
        "pagerduty://{}",
        "json://[{}",
    ],
)
def test_p34_no_word_of_an_endpoints_url_is_stored_logged_or_told(
    url: str,
    store: Store,
    night: Callable[..., list[Alert]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", url.format(*[SECRET] * 2))
    caplog.set_level(1)
    store.post_alerts(night())
    told = deliver(store)
    assert told.failed == 1
    (stored,) = store.alerts()
    assert stored.last_error == told.errors["ops"]
    said = [told, stored, send_test("ops"), problem_of("ops", Settings()), Settings(), caplog.text, *capfd.readouterr()]
    assert SECRET not in "\n".join(map(str, said))


def test_p34_nothing_of_a_message_is_logged(
    store: Store, webhook: Webhook, night: Callable[..., list[Alert]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (alert,) = night(NIGHT, summary=SECRET)
    webhook.answer = status(500)
    store.post_alerts([alert])
    told = deliver(store)
    assert webhook.received
    assert SECRET not in caplog.text + str(told)


def test_a_refused_partition_reaches_the_endpoint(store: Store, webhook: Webhook, monitor: MakeMonitor) -> None:
    store.post_alerts(of_refused(monitor(), NIGHT, "run", "column air_time is gone"))
    assert deliver(store).sent == 1
    assert webhook.received[0]["type"] == "failure"

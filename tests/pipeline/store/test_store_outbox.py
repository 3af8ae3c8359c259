from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipeline.results import Alert
from pipeline.store import PartitionResults, Store
from pipeline.store.outbox import FIRST_PAUSE, HOLD, LEASE, LONGEST_PAUSE, MOST_SINGLE, StoredAlert

if TYPE_CHECKING:
    from conftest import Clock

MINUTE = dt.timedelta(minutes=1)


def alert(key: str = "a", endpoint: str = "ops", **values: Any) -> Alert:
    told = Alert(
        monitor="flights",
        partition="2013-02-03",
        kind="incidents",
        severity="warning",
        endpoint=endpoint,
        dedup_key=key,
        subject=f"subject of {key}",
        body_text="text",
        body_html="<p>text</p>",
    )
    return replace(told, **values)


def alerts(count: int, prefix: str = "a", **values: Any) -> list[Alert]:
    return [alert(f"{prefix}{at}", **values) for at in range(count)]


def keys(parcel: list[StoredAlert]) -> list[str]:
    return sorted(each.dedup_key for each in parcel)


def fail(store: Store, parcel: list[StoredAlert]) -> dt.datetime:
    """When the parcel is due again, after it was not taken."""
    store.alerts_not_delivered(parcel, "it answered 500")
    return next(each.send_after for each in store.alerts() if each.sequence == parcel[0].sequence)


def test_p32_alerts_are_posted_with_the_results_or_not_at_all(
    store: Store, results: Callable[..., PartitionResults], score: Callable[..., str]
) -> None:
    told = replace(results(), alerts=[alert()])
    with pytest.raises(sa.exc.IntegrityError):
        score(replace(told, alerts=[alert(), alert("b", kind="no such kind")]))
    assert store.alerts() == []
    assert store.partition_states("flights")[0].scored_at is None
    score(told)
    score(told)
    assert [each.dedup_key for each in store.alerts()] == ["a"], "once, however often the partition is scored"


def test_p32_an_alert_is_posted_once_for_each_endpoint(store: Store) -> None:
    store.post_alerts([alert(), alert(), alert(endpoint="owners")])
    first = store.alerts()
    store.post_alerts([alert(subject="another subject"), alert(endpoint="owners")])
    assert store.alerts() == first
    assert sorted(each.endpoint for each in first) == ["ops", "owners"]


def test_any_text_is_kept(store: Store) -> None:
    store.post_alerts([alert(subject="a\x00b\udcff é", body_text="line\n{}%s'\"")])
    assert store.alerts()[0].subject == "a\\x00b\\udcff é"
    assert store.alerts()[0].body_text == "line\n{}%s'\""


def test_a_claimed_alert_is_leased(store: Store, clock: Clock) -> None:
    store.post_alerts([alert()])
    assert store.endpoints_due() == ["ops"]
    assert keys(store.claim_alerts("ops")) == ["a"]
    assert store.claim_alerts("ops") == []
    assert store.endpoints_due() == []
    assert store.claim_alerts("owners") == []
    clock.now += LEASE
    assert keys(store.claim_alerts("ops")) == ["a"], "the deliverer that had it died"
    assert store.alerts()[0].attempts == 2


def test_p32_of_two_deliverers_at_once_one_has_an_alert(store: Store) -> None:
    for at in range(10):
        endpoint = f"ops{at}"
        store.post_alerts([alert(endpoint=endpoint)])
        claimed: list[list[StoredAlert]] = []
        start = threading.Barrier(2)

        def claim(endpoint: str = endpoint, start: threading.Barrier = start, claimed: Any = claimed) -> None:
            start.wait()
            claimed.append(store.claim_alerts(endpoint))

        threads = [threading.Thread(target=claim) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(len, claimed)) == [0, 1]


def test_what_is_delivered_is_never_due_again(store: Store, clock: Clock) -> None:
    store.post_alerts([alert()])
    parcel = store.claim_alerts("ops")
    store.alerts_delivered(parcel)
    store.alerts_not_delivered(parcel, "a deliverer whose lease had run out")
    clock.now += dt.timedelta(days=9)
    assert store.endpoints_due() == []
    assert store.claim_alerts("ops") == []
    told = store.alerts()[0]
    assert told.delivered_at is not None
    assert told.last_error is None
    assert store.alerts(undelivered=True) == []


def test_p32_the_pause_doubles_up_to_an_hour_and_never_ends(store: Store, clock: Clock) -> None:
    store.post_alerts([alert()])
    pauses = []
    for _ in range(12):
        parcel = store.claim_alerts("ops")
        before = clock.now
        due = fail(store, parcel)
        pauses.append(due - before - MINUTE)  # a minute passes as it says so
        clock.now = due - 2 * MINUTE
        assert store.claim_alerts("ops") == []
    assert pauses[:7] == [FIRST_PAUSE * 2**at for at in range(6)] + [LONGEST_PAUSE]
    assert set(pauses[6:]) == {LONGEST_PAUSE}
    told = store.alerts(undelivered=True)[0]
    assert (told.attempts, told.last_error) == (12, "it answered 500")


def test_a_delayed_alert_is_not_due_and_can_be_withdrawn(store: Store, clock: Clock) -> None:
    store.post_alerts([alert("a", kind="failed", delay=900.0), alert("b", partition=None, kind="failed", delay=900.0)])
    assert store.endpoints_due() == []
    assert store.claim_alerts("ops") == []
    store.withdraw_alerts("flights", "2013-02-04", ["failed"])
    store.withdraw_alerts("flights", "2013-02-03", ["refused"])
    store.withdraw_alerts("taxis", "2013-02-03", ["failed"])
    assert len(store.alerts()) == 2
    store.withdraw_alerts("flights", "2013-02-03", ["failed", "refused"])
    assert keys(store.alerts()) == ["b"]
    store.withdraw_alerts("flights", None, ["failed"])
    assert store.alerts() == []
    store.post_alerts([alert("a", kind="failed", delay=900.0)])
    clock.now += dt.timedelta(seconds=900)
    assert keys(store.claim_alerts("ops")) == ["a"]
    store.withdraw_alerts("flights", "2013-02-03", ["failed"])
    assert keys(store.alerts()) == ["a"], "somebody may have been told"


def test_p32_a_few_alerts_are_told_one_by_one(store: Store) -> None:
    store.post_alerts(alerts(MOST_SINGLE))
    told = []
    while parcel := store.claim_alerts("ops"):
        assert len(parcel) == 1
        assert parcel[0].digest_key is None
        store.alerts_delivered(parcel)
        told += keys(parcel)
    assert told == [f"a{at}" for at in range(MOST_SINGLE)]


def test_p32_a_storm_becomes_one_digest_which_is_tried_again_as_the_same(store: Store, clock: Clock) -> None:
    store.post_alerts([*alerts(MOST_SINGLE + 1), *alerts(2, endpoint="owners")])
    first = store.claim_alerts("ops")
    assert len(first) == MOST_SINGLE + 1
    store.post_alerts(alerts(3, "later"))
    clock.now = fail(store, first)
    again = store.claim_alerts("ops")
    assert keys(again) == keys(first)
    assert {each.digest_key for each in again} == {each.digest_key for each in first}
    assert len({each.digest_key for each in again}) == 1
    store.alerts_delivered(again)
    assert len(store.claim_alerts("ops")) == 1, "the later ones are few"
    assert {each.digest_key for each in store.alerts() if each.endpoint == "owners"} == {None}


def test_p32_what_was_tried_alone_joins_no_digest(store: Store, clock: Clock) -> None:
    store.post_alerts([alert("alone")])
    parcel = store.claim_alerts("ops")
    store.post_alerts(alerts(20))
    clock.now = fail(store, parcel) + HOLD
    digest = store.claim_alerts("ops")
    assert len(digest) == 20
    assert "alone" not in keys(digest)
    assert keys(store.claim_alerts("ops")) == ["alone"]


def test_p32_new_alerts_wait_for_an_endpoint_that_is_down_and_leave_as_one(store: Store, clock: Clock) -> None:
    store.post_alerts([alert("first")])
    parcel = store.claim_alerts("ops")
    store.post_alerts(alerts(3))
    clock.now = fail(store, parcel)
    again = store.claim_alerts("ops")
    assert keys(again) == ["first"]
    assert store.claim_alerts("ops") == []
    due = fail(store, store.alerts()[-1:])
    assert store.claim_alerts("ops") == []
    clock.now = max(clock.now + HOLD, due)
    digest = store.claim_alerts("ops")
    assert keys(digest) == ["a0", "a1", "a2"]
    assert keys(store.claim_alerts("ops")) == ["first"]
    assert len({each.digest_key for each in digest} - {None}) == 1


def test_one_alert_that_is_never_taken_does_not_keep_the_others(store: Store, clock: Clock) -> None:
    store.post_alerts([alert("poison")])
    fail(store, store.claim_alerts("ops"))
    clock.now += dt.timedelta(days=1)
    store.post_alerts([alert("tonight")])
    assert keys(store.claim_alerts("ops")) == ["tonight"]
    assert keys(store.claim_alerts("ops")) == ["poison"]


def test_the_list_of_alerts(store: Store) -> None:
    store.post_alerts([alert("a"), alert("b", monitor="taxis"), alert("c")])
    assert [each.dedup_key for each in store.alerts()] == ["c", "b", "a"]
    assert [each.dedup_key for each in store.alerts("flights", limit=1)] == ["c"]
    store.alerts_delivered(store.claim_alerts("ops"))
    assert [each.dedup_key for each in store.alerts(undelivered=True)] == ["c", "b"]

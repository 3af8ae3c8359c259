"""Labels outlive every run; suppressions end by themselves or are revoked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.results import Condition
from pipeline.store import PartitionResults, Said, Store

NIGHT, NEXT = "2013-02-03", "2013-02-04"
WEEK = dt.timedelta(days=7)
SEGMENT = (Condition("carrier", "UA"), Condition("hour", low="9", high="10"))


def standing(store: Store, monitor: str = "flights") -> dict[tuple[str, str], str]:
    return {(each.partition, each.record_key): each.label for each in store.labels(monitor)}


def mute(store: Store, until: dt.datetime, incident: str = "a1", segment: tuple[Condition, ...] = SEGMENT) -> str:
    opened = store.open_suppression("flights", incident, "UA is late", ("air_time",), segment, "", "ann", until)
    assert opened in store.suppressions("flights")
    return opened.suppression_id


def test_the_latest_label_of_a_record_stands(store: Store) -> None:
    store.add_label("flights", NIGHT, "1", "confirmed", "twice the distance", "ann")
    store.add_label("flights", NIGHT, "2", "expected", "", "ann")
    store.add_label("flights", NEXT, "1", "expected", "", "ann")
    store.add_label("trains", NIGHT, "1", "expected", "", "ann")
    store.add_label("flights", NIGHT, "2", "confirmed", "no, wrong", "bob")
    store.add_label("flights", NEXT, "1", "withdrawn", "", "bob")
    first, second = store.labels("flights")
    assert (first.record_key, first.label, first.note, first.author) == ("1", "confirmed", "twice the distance", "ann")
    assert (second.record_key, second.label, second.note, second.author) == ("2", "confirmed", "no, wrong", "bob")
    assert second.labelled_at > first.labelled_at
    assert store.labels("flights", NEXT) == [] and store.labels("flights", label="expected") == []
    assert store.labels("flights", NIGHT, record_key="2") == [second]


def test_a_label_is_only_ever_added(store: Store, query: Callable[..., list[Any]]) -> None:
    said: list[Said] = ["confirmed", "withdrawn", "expected", "expected"]
    for label in said:
        store.add_label("flights", NIGHT, "1", label, "", "ann")
    assert [row.label for row in query("SELECT label FROM labels ORDER BY sequence")] == said


def test_labelled_keys_are_those_of_the_partitions_asked_for(store: Store) -> None:
    for partition, key, label in ((NIGHT, "1", "confirmed"), (NIGHT, "2", "confirmed"), (NEXT, "3", "expected")):
        store.add_label("flights", partition, key, label, "", "ann")  # type: ignore[arg-type]
    assert store.labelled_keys("flights", "confirmed", [NIGHT, NEXT]) == {NIGHT: {"1", "2"}}
    assert store.labelled_keys("flights", "expected", [NIGHT]) == {}
    assert store.labelled_keys("flights", "expected", [NIGHT, NEXT]) == {NEXT: {"3"}}


def test_p24_labels_and_suppressions_survive_every_run(
    store: Store, score: Callable[..., str], results: Callable[..., PartitionResults]
) -> None:
    score(results())
    store.add_label("flights", NIGHT, "1", "confirmed", "", "ann")
    store.add_label("flights", NIGHT, "2", "expected", "", "ann")
    name = mute(store, store.clock() + WEEK)
    before, muted = store.labels("flights"), store.suppressions("flights")
    for _ in range(2):
        score(results())
        score(results({"1": 9.0}), version="v2")
        score(PartitionResults())
    run_id = store.start_run("flights", NIGHT, "validate", "c0ffee")
    store.replace_validation(run_id, "flights", NIGHT, [], [], status="done", counts={})
    assert store.labels("flights") == before and store.suppressions("flights") == muted
    assert [each.suppression_id for each in muted] == [name]


def test_an_anomaly_bears_its_label_in_the_view(
    store: Store, score: Callable[..., str], results: Callable[..., PartitionResults], query: Callable[..., list[Any]]
) -> None:
    score(results())
    store.add_label("flights", NIGHT, "1", "expected", "a charter", "ann")
    rows = query("SELECT record_key, label, note, author FROM v_anomalies ORDER BY record_key")
    assert [tuple(row) for row in rows] == [("1", "expected", "a charter", "ann"), ("2", None, None, None)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    key=st.text(max_size=20),
    note=st.text(max_size=50),
    said=st.lists(st.sampled_from(["confirmed", "expected", "withdrawn"]), min_size=1, max_size=4),
)
def test_whatever_was_said_last_stands_of_any_key(store: Store, key: str, note: str, said: list[Said]) -> None:
    for label in said:
        store.add_label("flights", NIGHT, key, label, note, "ann")
    assert [each.label for each in store.labels("flights", record_key=key)] == [
        label for label in said[-1:] if label != "withdrawn"
    ]


def test_two_who_label_at_once_both_keep_what_they_said(store: Store) -> None:
    def label(author: str) -> None:
        for number in range(5):
            store.add_label("flights", NIGHT, f"{author}{number}", "confirmed", "", author)

    both = [Thread(target=label, args=(author,)) for author in ("ann", "bob")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(standing(store)) == 10


def test_a_suppression_comes_back_as_it_was_opened(store: Store) -> None:
    until = store.clock() + WEEK
    name = mute(store, until)
    (found,) = store.suppressions("flights")
    assert (found.suppression_id, found.monitor, found.incident_id) == (name, "flights", "a1")
    assert (found.columns, found.segment, found.summary) == (("air_time",), SEGMENT, "UA is late")
    assert (found.author, found.expires_at, found.revoked_at) == ("ann", until, None)
    assert store.suppressions() == [found] and store.suppressions("trains") == []


def test_a_suppression_mutes_until_it_expires(store: Store) -> None:
    before = store.clock()
    until = store.clock() + WEEK
    mute(store, until)
    second = dt.timedelta(seconds=1)
    assert not store.suppressions("flights", before)
    assert store.suppressions("flights", until - second) and not store.suppressions("flights", until)


def test_muting_the_same_pattern_again_lasts_longer_and_never_shorter(store: Store) -> None:
    until = store.clock() + WEEK
    name = mute(store, until)
    assert mute(store, until + WEEK) == name and mute(store, until) == name
    (found,) = store.suppressions("flights")
    assert found.expires_at == until + WEEK
    assert mute(store, until, segment=SEGMENT[:1]) != name and mute(store, until, incident="b2") != name
    assert len(store.suppressions("flights")) == 3


def test_a_revoked_suppression_mutes_no_more_and_a_new_one_may_be_opened(store: Store) -> None:
    until = store.clock() + WEEK
    name = mute(store, until)
    during = store.clock()
    revoked = store.revoke_suppression("flights", name, "bob")
    assert revoked.revoked_by == "bob" and store.suppressions("flights") == [revoked]
    assert store.suppressions("flights", during) and not store.suppressions("flights", store.clock())
    assert store.revoke_suppression("flights", name, "cat") == revoked
    again = mute(store, until)
    assert again != name
    assert [each.suppression_id for each in store.suppressions("flights", store.clock())] == [again]


def test_an_unknown_suppression_is_refused_with_the_mend(store: Store) -> None:
    name = mute(store, store.clock() + WEEK)
    with pytest.raises(ConfigurationError, match="flights: no suppression 'nope'; `tablewatch suppressions flights`"):
        store.revoke_suppression("flights", "nope", "ann")
    with pytest.raises(ConfigurationError, match="trains"):
        store.revoke_suppression("trains", name, "ann")


def test_a_label_of_another_name_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.add_label("flights", NIGHT, "1", "fine", "", "ann")  # type: ignore[arg-type]

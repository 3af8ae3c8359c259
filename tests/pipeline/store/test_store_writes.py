"""Replacing a partition: all of it, only it, and once."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.records import LONGEST_KEY
from pipeline.results import Anomaly, Contribution, Quarantined
from pipeline.store import PartitionResults, Store, copying, schema


def test_results_come_back_as_they_were_written(store: Store, score, results) -> None:
    wanted = results()
    run_id = score(wanted)
    assert store.validations("flights", "2013-02-03") == wanted.validations
    (quarantined,) = store.quarantine("flights", "2013-02-03")
    assert quarantined.partition == "2013-02-03"
    assert Quarantined(**{n: getattr(quarantined, n) for n in vars(wanted.quarantine[0])}) == wanted.quarantine[0]
    worst, second = store.anomalies("flights", "2013-02-03")
    assert (worst.record_key, worst.score, second.record_key) == ("2", 7.25, "1")
    assert worst.contributions == wanted.anomalies[1].contributions
    assert (worst.run_id, worst.model_version, worst.partition) == (run_id, "v1", "2013-02-03")
    (run,) = store.runs()
    assert (run.status, run.counts, run.model_version) == ("done", wanted.counts, "v1")


def test_anomalies_are_found_by_key_and_limit(store: Store, score, results) -> None:
    score(results())
    score(results({"2": 3.0}), "2013-02-04")
    assert [a.score for a in store.anomalies("flights")] == [7.25, 3.0, 2.5]
    assert [a.score for a in store.anomalies("flights", limit=1)] == [7.25]
    assert [a.partition for a in store.anomalies("flights", record_key="2")] == ["2013-02-03", "2013-02-04"]
    assert all(len(a.contributions) == 2 for a in store.anomalies("flights"))
    assert store.anomalies("trains") == []


def test_neighbours_are_read_back_the_nearest_first(store: Store, score, results) -> None:
    score(results())
    score(results({"1": 3.0}), "2013-02-04")
    found = store.neighbours("flights", "2013-02-03", "1")
    assert found == sorted((n for n in results().neighbours if n.record_key == "1"), key=lambda each: each.rank)
    assert store.neighbours("flights", "2013-02-03", "3") == store.neighbours("trains", "2013-02-03", "1") == []


def test_p24_the_same_results_again_are_the_same_rows(store: Store, score, results, digest) -> None:
    score(results())
    once = digest()
    for _ in range(3):
        score(results())
    assert digest() == once
    assert [run.status for run in store.runs()] == ["done"] * 4


def test_p24_a_replace_removes_what_is_no_longer_so_and_touches_no_other_partition(
    store: Store, engine: sa.Engine, score, results, digest
) -> None:
    score(results(), "2013-02-04")
    score(results(), monitor="trains")
    others = digest()
    score(results())
    score(PartitionResults())
    tables = schema.validations, schema.quarantine, schema.anomalies, schema.contributions, schema.neighbours
    for table in (*tables, schema.metrics):
        here = (table.c.monitor == "flights") & (table.c.partition == "2013-02-03")
        with engine.connect() as connection:
            assert connection.execute(sa.select(table).where(here)).all() == []
    assert digest() == others


def test_p29_the_first_detection_is_kept_as_long_as_the_record_stays_flagged(store: Store, score, results) -> None:
    score(results({"1": 2.5}), version="v1")
    (first,) = store.anomalies("flights")
    score(results({"1": 9.0, "2": 3.0}), version="v2")
    again, fresh = store.anomalies("flights")
    assert (again.score, again.first_score, again.first_detected_at) == (9.0, 2.5, first.first_detected_at)
    assert (fresh.score, fresh.first_score) == (3.0, 3.0)
    assert fresh.first_detected_at > first.first_detected_at
    assert {again.model_version, fresh.model_version} == {"v2"}


def test_p29_the_first_detection_is_of_the_partition(store: Store, score, results) -> None:
    score(results({"1": 2.5}))
    score(results({"1": 9.0}), "2013-02-04")
    assert [a.first_score for a in store.anomalies("flights", "2013-02-04")] == [9.0]


def test_validation_alone_leaves_the_scores_and_the_run_open(store: Store, score, results, query) -> None:
    score(results())
    run_id = store.start_run("flights", "2013-02-03", "validate", "beef")
    store.replace_validation(run_id, "flights", "2013-02-03", results().validations[:1], [])
    assert len(store.validations("flights", "2013-02-03")) == 1
    assert store.quarantine("flights") == []
    assert len(store.anomalies("flights")) == 2
    assert store.runs()[0].status == "running"
    assert query("SELECT DISTINCT run_id, config_hash FROM validations") == [(run_id, "beef")]


def test_a_refused_validation_ends_its_run_in_the_same_transaction(store: Store, results) -> None:
    run_id = store.start_run("flights", "2013-02-03", "validate", "c0ffee")
    checks = results().validations
    store.replace_validation(
        run_id, "flights", "2013-02-03", checks, [], status="empty", reason="no records", counts={"read": 0}
    )
    (run,) = store.runs()
    assert (run.status, run.reason, run.counts) == ("empty", "no records", {"read": 0})
    assert store.validations("flights", "2013-02-03") == checks


@pytest.mark.parametrize("ending", ["done", "failed"])
def test_p26_a_run_that_has_ended_is_fenced_off(store: Store, score, results, digest, ending) -> None:
    score(results())
    before = digest()
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    store.finish_run(run_id, ending)
    with pytest.raises(ValueError, match=f"flights 2013-02-03: .* it is {ending}"):
        store.replace_partition(run_id, "flights", "2013-02-03", "v2", "c0ffee", results({}))
    with pytest.raises(ValueError, match=f"it is {ending}"):
        store.replace_validation(run_id, "flights", "2013-02-03", [], [])
    assert digest() == before


@pytest.mark.parametrize(("monitor", "partition"), [("trains", "2013-02-03"), ("flights", "2013-02-04")])
def test_p26_a_run_writes_only_its_own_partition(store: Store, results, digest, monitor, partition) -> None:
    before = digest()
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    with pytest.raises(ValueError, match="not a run of it"):
        store.replace_partition(run_id, monitor, partition, "v2", "c0ffee", results())
    assert digest() == before


NOT_FINITE = [math.nan, math.inf, -math.inf, 1.5e308]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(number=st.sampled_from(["score", "p_value", "threshold", "share"]), value=st.sampled_from(NOT_FINITE))
def test_p08_no_number_that_is_not_finite_is_stored(store: Store, score, results, digest, number, value) -> None:
    score(results())
    before = digest()
    good, bad = results().anomalies
    if number == "share":
        bad = replace(bad, contributions=(replace(bad.contributions[0], share=value),))
    else:
        bad = replace(bad, **{number: value})
    with pytest.raises(ValueError, match="flights 2013-02-03: record '2' has score"):
        score(replace(results(), anomalies=[good, bad]))
    assert digest() == before


@pytest.mark.parametrize("column", ["score", "p_value", "threshold"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_p08_nor_by_anyone_else(store: Store, engine: sa.Engine, score, results, column, value) -> None:
    score(results())
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(schema.anomalies.update().values({column: value}))


def test_p08_a_metric_without_a_finite_value_is_null(store: Store, score, results, query) -> None:
    score(replace(results(), metrics={"a": math.nan, "b": math.inf, "c": None, "d": 0.5}))
    assert query("SELECT name, value FROM metrics ORDER BY name") == [("a", None), ("b", None), ("c", None), ("d", 0.5)]


def test_a_key_twice_or_too_long_is_refused_by_name(store: Store, score, results, digest) -> None:
    score(results())
    before = digest()
    one = results().anomalies[0]
    for keys, message in [
        (["7", "7"], "two anomalies have the record key '7'"),
        (["k" * 513], "longer than 512 characters"),
    ]:
        with pytest.raises(ValueError, match=message):
            score(replace(results(), anomalies=[replace(one, record_key=key) for key in keys]))
    assert digest() == before


def test_a_key_of_the_greatest_length_is_stored(store: Store, score, results) -> None:
    keys = ["𝕜" * LONGEST_KEY, *(chr(0x10000 + 7919 * i % 0xFFFF) * 511 for i in range(3))]
    score(results(dict.fromkeys(keys, 2.0)))
    assert {a.record_key for a in store.anomalies("flights")} == set(keys)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nul\x00in", "nul\\x00in"),
        ("half \ud83d pair", "half \\ud83d pair"),
        ("whole 😀 pair", "whole 😀 pair"),
        ("'; DROP TABLE runs; --", "'; DROP TABLE runs; --"),
        ("%s :name {0} $1 ?", "%s :name {0} $1 ?"),
        ("back\\slash\nline", "back\\slash\nline"),
    ],
)
def test_p35_any_text_is_kept_and_what_no_database_holds_is_made_visible(store: Store, score, text, shown) -> None:
    anomaly = Anomaly(text, 2.0, 0.1, 1.0, {text: text}, (Contribution(text, text, text, 1.0, 1, "unseen_category"),))
    quarantined = Quarantined(0, text, text, "expect", text, {"deep": [{text: (text, math.nan)}]})
    for _ in range(2):
        score(PartitionResults(quarantine=[quarantined], anomalies=[anomaly], metrics={text: 1}), text)
    (stored,) = store.anomalies("flights", text, record_key=text)
    assert (stored.record_key, stored.record, stored.partition) == (shown, {shown: shown}, shown)
    assert stored.contributions == (Contribution(shown, shown, shown, 1.0, 1, "unseen_category"),)
    (set_aside,) = store.quarantine("flights", text)
    assert (set_aside.record_key, set_aside.value) == (shown, shown)
    assert set_aside.record == {"deep": [{shown: [shown, "nan"]}]}
    assert stored.first_detected_at < store.runs()[0].started_at


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists, max_leaves=5
    )
)
@example(4.483388810608027e128)
@example(2**70 + 1)
def test_any_json_value_is_storable(store: Store, score, results, value) -> None:
    check = replace(results().validations[0], observed=value, kwargs={"value": value})
    score(replace(results(), validations=[check]))
    (stored,) = store.validations("flights", "2013-02-03")
    assert stored.kwargs == {"value": stored.observed}
    assert json.loads(json.dumps(stored.observed, allow_nan=False)) == stored.observed


def test_a_record_keeps_the_order_of_its_columns(store: Store, score) -> None:
    score(PartitionResults(anomalies=[Anomaly("1", 2.0, 0.1, 1.0, {"zulu": 1, "alpha": 2, "m": 3}, ())]))
    assert list(store.anomalies("flights")[0].record) == ["zulu", "alpha", "m"]


def test_rows_go_in_batches(store: Store, score, results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)
    score(results({str(n): float(n) for n in range(10)}))
    assert [a.record_key for a in store.anomalies("flights")] == [str(n) for n in reversed(range(10))]

"""Pruning: old results go, each partition whole or not at all; what people wrote and what is needed stay."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from test_store_faults import start

from pipeline.errors import FailedMachinery
from pipeline.results import Alert, Incident
from pipeline.store import PartitionResults, Store, TrainedModel, database
from tests import older_store

if TYPE_CHECKING:
    from conftest import Clock

OLD, LATER, NEW = "2012-01-02", "2012-01-03", "2013-02-03"
KEPT_FROM = "2012-02-01"


def incident(name: str) -> Incident:
    return Incident(name, "single", "info", name, ("c",), (), 1, 0, None, None, 0.1, "1", "2", OLD)


def message(night: str, key: str) -> Alert:
    return Alert("flights", night, "incidents", "info", "ops", key, "subject", "text", "html")


@pytest.fixture
def nights(store: Store, score: Callable[..., str], results: Callable[..., PartitionResults]) -> None:
    """Two old nights and a new one of flights, an old one of trains; `a` goes on from the first night to the last."""
    for night, names in ((OLD, "ab"), (LATER, "b"), (NEW, "a")):
        more = {"incidents": [incident(name) for name in names], "alerts": [message(night, night)]}
        score(replace(results(), column_metrics={("c", "psi"): 0.5}, **more), night)
        store.add_label("flights", night, "1", "confirmed", "", "ann")
    for _ in (OLD, LATER):
        store.alerts_delivered(store.claim_alerts("ops"))
    score(results(), OLD, monitor="trains")
    store.open_suppression("flights", "b", "b", ["c"], [], "", "ann", store.clock() + dt.timedelta(days=9))


def rows_by_partition(engine: sa.Engine) -> dict[tuple[str, str], list[str]]:
    """The results of each monitor and partition, as texts."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, rows in older_store.rows_of(engine).items():
        for row in rows if name not in ("runs", "labels") else ():
            if "partition" in row:
                found.setdefault((row["monitor"], row["partition"]), []).append(f"{name} {row}")
    return {key: sorted(rows) for key, rows in found.items()}


@pytest.mark.usefixtures("nights")
def test_an_old_partition_goes_and_nothing_else(store: Store, engine: sa.Engine) -> None:
    before, tables = rows_by_partition(engine), older_store.rows_of(engine)
    assert store.prunable("flights", KEPT_FROM) == [OLD, LATER]
    counts = store.prune_partition("flights", OLD, KEPT_FROM)
    assert {name: rows for name, rows in counts.items() if rows} == {
        "anomalies": 2, "contributions": 4, "neighbours": 4, "quarantine": 1, "validations": 2, "metrics": 3,
        "column_metrics": 1, "incidents": 1, "outbox": 1,
    }  # fmt: skip
    after = rows_by_partition(engine)
    (left,) = after.pop(("flights", OLD))
    assert left.startswith("incidents") and "'incident_id': 'a'" in left, "it goes on in the new partition"
    assert after == {key: rows for key, rows in before.items() if key != ("flights", OLD)}
    for name in ("runs", "labels", "suppressions"):
        assert older_store.rows_of(engine)[name] == tables[name]


@pytest.mark.usefixtures("nights")
def test_a_pruned_partition_is_still_told_of(store: Store, query) -> None:
    before = store.partition_states("flights")
    for night in store.prunable("flights", KEPT_FROM):
        store.prune_partition("flights", night, KEPT_FROM)
    assert store.prunable("flights", KEPT_FROM) == []
    assert store.partition_states("flights") == before
    assert {each.flagged for each in before} == {2}
    assert query("SELECT partitions_so_far FROM v_incidents WHERE incident_id = 'a' AND \"partition\" = :p", p=NEW) == [
        (2,)
    ]
    assert [each.partition for each in store.labels("flights")] == [OLD, LATER, NEW]


@pytest.mark.usefixtures("nights")
def test_no_table_of_results_is_forgotten(store: Store, engine: sa.Engine) -> None:
    store.prune_partition("flights", LATER, KEPT_FROM)
    assert ("flights", LATER) not in rows_by_partition(engine)


@pytest.mark.usefixtures("nights")
def test_a_kept_partition_is_never_pruned_and_a_message_under_way_stays(store: Store, digest, query) -> None:
    before = digest()
    assert store.prune_partition("flights", NEW, KEPT_FROM) == {}
    assert digest() == before
    store.post_alerts([message(OLD, "under way")])
    store.prune_partition("flights", OLD, KEPT_FROM)
    assert query('SELECT dedup_key FROM outbox WHERE "partition" = :p', p=OLD) == [("under way",)]


@pytest.mark.usefixtures("nights")
def test_a_dry_run_counts_the_same_and_changes_nothing(store: Store, digest) -> None:
    before = digest()
    counted = store.prune_partition("flights", OLD, KEPT_FROM, dry_run=True)
    assert digest() == before
    assert store.prune_partition("flights", OLD, KEPT_FROM) == counted
    assert sum(counted.values()) > 10


def test_days_are_counted_from_the_newest_partition_that_is_done(store: Store, score, results, clock: Clock) -> None:
    assert store.kept_from("flights", 400) is None
    store.finish_run(store.start_run("flights", NEW, "score", "c"), "refused", "too few records")
    assert store.kept_from("flights", 400) is None
    score(results(), NEW)
    assert store.kept_from("flights", 3) == "2013-01-31"
    assert store.kept_from("flights", 99_999_999) == "0001-01-01"
    score(results(), "2113-02-03")
    assert store.kept_from("flights", 3) == "2013-02-01", "a partition of the future is a mistake: today counts"
    assert store.kept_from("trains", 3) is None
    assert store.attempted_monitors() == ["flights"]


def trained(store: Store, version: str, last: str) -> None:
    model = TrainedModel("flights", version, "", "ensemble", 1, OLD, last, 1, f"suite of {version}", "", {})
    store.add_suite("flights", model.suite_version, {})
    store.add_model_version(model)


def test_versions_that_nothing_needs_go_with_their_suites(store: Store, score, results, clock: Clock, query) -> None:
    for version in ("first", "scored", "back", "challenger", "champion"):
        trained(store, version, OLD)
    trained(store, "recent window", NEW)
    for version in ("first", "scored", "back", "champion"):
        store.promote("flights", version, "gate")
    score(results(), NEW, version="scored")
    score(results(), OLD, version="first")
    assert store.prune_versions("flights", KEPT_FROM) == [], "they were made within a day"
    clock.now += dt.timedelta(days=2)
    trained(store, "made just now", OLD)
    assert store.prune_versions("flights", KEPT_FROM, dry_run=True) == ["challenger", "first"]
    assert store.prune_versions("flights", KEPT_FROM) == ["challenger", "first"]
    left = {"scored", "back", "champion", "recent window", "made just now"}
    assert {each.version for each in store.model_versions("flights")} == left
    assert {name for (name,) in query("SELECT version FROM suites")} == {f"suite of {version}" for version in left}
    assert store.rollback("flights") == "back"
    assert store.prune_versions("flights", KEPT_FROM) == ["champion"]


@pytest.mark.usefixtures("nights")
@pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_p27_it_waits_for_a_run_of_the_partition_and_for_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    with store._writing("test") as connection:
        database.lock(connection, "flights", OLD)
        with pytest.raises(FailedMachinery, match=f"flights {OLD}: .*lock timeout"):
            store.prune_partition("flights", OLD, KEPT_FROM)
        store.prune_partition("flights", LATER, KEPT_FROM)


KILL = """
import os, signal, sys
import sqlalchemy as sa
from pipeline.store import Store

store, steps = Store(sys.argv[1]), 0


def step(*_):
    global steps
    steps += 1
    if steps == at:
        os.kill(os.getpid(), signal.SIGKILL)


print("ready", flush=True)
for line in sys.stdin:
    at = int(line)
    child = os.fork()
    if child == 0:
        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, event, step)
        for night in store.prunable("flights", sys.argv[2]):
            store.prune_partition("flights", night, sys.argv[2])
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.usefixtures("nights")
def test_p25_kill_9_at_any_step_leaves_each_partition_whole_or_pruned(
    store: Store, url: str, engine: sa.Engine
) -> None:
    before, endings, seen = rows_by_partition(engine), [], []
    process = start(KILL, url, KEPT_FROM)
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    while endings[-1:] != [0]:
        process.stdin.write(f"{len(endings) + 1}\n")
        process.stdin.flush()
        endings.append(int(process.stdout.readline()))
        seen.append(rows_by_partition(engine))
    process.communicate(timeout=30)
    last: dict[Any, Any] = seen[-1]
    assert set(endings[:-1]) == {signal.SIGKILL}
    assert len(endings) > 20
    assert last.keys() == before.keys() - {("flights", LATER)}
    for state in seen:
        for key in before:
            assert state.get(key) in (before[key], last.get(key)), key

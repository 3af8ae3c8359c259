"""The store when machines stop, stall, fill up or race. The state is the one before or the one after."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import sqlalchemy as sa

from pipeline.errors import ConfigurationError, FailedMachinery
from pipeline.store import Store, TrainedModel, database

MARKER = "s3cr3t-m4rk3r"


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process of its own, which says `ready` and goes on when it is told to."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    # The only words in it are the interpreter's path and this file's own.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


REPLACE = """
import sys
from pipeline.errors import FailedMachinery
from pipeline.results import Anomaly, Contribution
from pipeline.store import PartitionResults, Store

url, name = sys.argv[1:]
store = Store(url)
why = (Contribution("c", "1", "2", 1.0, 1, "reconstruction"),)
results = PartitionResults(anomalies=[Anomaly(str(n), float(name), 0.1, 1.0, {}, why) for n in range(50)])
print("ready", flush=True)
sys.stdin.readline()
store.migrate()
for _ in range(5):
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    try:
        store.replace_partition(run_id, "flights", "2013-02-03", name, "c0ffee", results)
    except FailedMachinery as overtaken:
        store.finish_run(run_id, "failed", str(overtaken))
    seen = store.anomalies("flights", "2013-02-03")
    assert len(seen) == 50 and len({(a.run_id, a.score, a.model_version) for a in seen}) == 1, seen
"""


def test_p26_two_processes_migrating_and_replacing_one_partition_never_mix(url: str, query) -> None:
    processes = [start(REPLACE, url, name) for name in (1, 2)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 2
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    complaints = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], complaints
    store = Store(url)
    runs = store.runs()
    assert len(runs) == 10
    assert runs[0].status == "done"
    assert all("began after this one" in (run.reason or "") for run in runs if run.status != "done")
    assert len({(a.score, a.run_id) for a in store.anomalies("flights")}) == 1
    assert query("SELECT COUNT(*), COUNT(DISTINCT model_version) FROM contributions") == [(50, 1)]


def test_p31_promotions_at_the_same_time_leave_one_champion(store: Store, query) -> None:
    for version in "abcd":
        store.add_model_version(TrainedModel("flights", version, "", "ensemble", 1, "", "", 1, "", "", {}))
    together = Barrier(4)

    def promote(version: str) -> None:
        together.wait()
        for _ in range(4):
            store.promote("flights", version, "race")
            assert store.champion("flights") is not None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(promote, "abcd"))
    assert query("SELECT COUNT(*) FROM model_versions WHERE status = 'champion'") == [(1,)]


KILL = """
import os, signal, sys
import sqlalchemy as sa
from pipeline.results import Alert, Anomaly, Contribution, ExpectationResult, Incident, Quarantined
from pipeline.store import PartitionResults, Store

why = (Contribution("c", "1", "2", 1.0, 1, "reconstruction"),)
results = PartitionResults(
    [ExpectationResult("record", "new", None, {}, "error", "learned", True, 5, 0)],
    [Quarantined(0, None, None, "new", None, {})],
    [Anomaly("new", 3.0, 0.1, 1.0, {}, why)],
    {"new": 1.0},
    incidents=[
        Incident("new", "single", "info", "new", ("c",), (), 1, 0, None, None, 0.1, "1", "2", "2013-02-03"),
    ],
    alerts=[Alert("flights", "2013-02-03", "incidents", "info", "ops", "new", "new", "new", "new")],
    column_metrics={("c", "psi"): 0.5},
)
store, steps = Store(sys.argv[1]), 0


def step(*_):
    global steps
    steps += 1
    if steps == at:
        os.kill(os.getpid(), signal.SIGKILL)


print("ready", flush=True)
for line in sys.stdin:
    at, run_id = line.split()
    at = int(at)
    child = os.fork()
    if child == 0:
        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, event, step)
        store.replace_partition(run_id, "flights", "2013-02-03", "v2", "c0ffee", results)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_p25_kill_9_at_any_step_leaves_the_state_before_or_after(
    store: Store, url: str, score, results, digest, query
) -> None:
    score(results())
    before, endings = digest(), []
    process = start(KILL, url)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    while endings[-1:] != [0]:
        run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
        process.stdin.write(f"{len(endings) + 1} {run_id}\n")
        process.stdin.flush()
        endings.append(int(process.stdout.readline()))
        (status,) = (run.status for run in store.runs() if run.run_id == run_id)
        assert (digest() == before) == (status == "running")
    process.communicate(timeout=30)
    assert set(endings[:-1]) == {signal.SIGKILL}
    assert len(endings) > 35
    assert digest() != before


@contextlib.contextmanager
def locked(engine: sa.Engine) -> Iterator[None]:
    """Somebody else holds the whole of the results."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("LOCK TABLE runs, anomalies IN ACCESS EXCLUSIVE MODE")
        yield


def test_p27_a_lock_that_is_not_given_up_is_waited_for_a_bounded_time(
    store: Store, url: str, engine: sa.Engine, score, results, digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(results())
    before = digest()
    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    waiting = Store(url)
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    with (
        locked(engine),
        pytest.raises(FailedMachinery, match=r"flights 2013-02-03: the store .* failed: .*lock.*; try again"),
    ):
        waiting.replace_partition(run_id, "flights", "2013-02-03", "v2", "c0ffee", results({}))
    assert digest() == before
    waiting.replace_partition(run_id, "flights", "2013-02-03", "v2", "c0ffee", results({}))
    assert store.anomalies("flights") == []


@pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_p27_a_partitions_lock_is_its_own_and_bounded(
    store: Store, url: str, score, results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
    with store._writing("test") as connection:
        database.lock(connection, "flights", "2013-02-03")
        score(results(), "2013-02-04")
        score(results(), monitor="trains")
        with pytest.raises(FailedMachinery, match="lock timeout"):
            store.replace_partition(run_id, "flights", "2013-02-03", "v1", "c0ffee", results())
    store.replace_partition(run_id, "flights", "2013-02-03", "v1", "c0ffee", results())


@pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_p27_a_statement_that_does_not_end_is_cut(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 1)
    with pytest.raises(FailedMachinery, match="statement timeout"), store._reading() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(60)")


@pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_p27_a_database_that_goes_down_in_mid_run_leaves_the_state_before(
    store: Store, url: str, engine: sa.Engine, score, results, digest
) -> None:
    class Cutting(dict):
        def items(self):
            with engine.connect() as connection:
                ours = {"name": sa.make_url(url).query["application_name"]}
                cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
                connection.execute(sa.text(cut + " AND pid <> pg_backend_pid()"), ours)
            return super().items()

    score(results())
    before = digest()
    with pytest.raises(FailedMachinery, match="flights 2013-02-03: the store postgresql.* failed: .*; try again"):
        score(replace(results({}), metrics=Cutting(a=1.0)))
    assert digest() == before
    assert store.runs()[0].status == "running"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_p28_a_full_disk_leaves_the_state_before(store: Store, score, results, digest) -> None:
    def fill(connection, record) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    score(results())
    before = digest()
    sa.event.listen(store._engine.pool, "connect", fill)
    with pytest.raises(FailedMachinery, match="database or disk is full"):
        for _ in range(10):
            score(results({str(n): 2.0 for n in range(1_000)}))
    sa.event.remove(store._engine.pool, "connect", fill)
    assert digest() == before


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_p27_a_server_that_does_not_answer_is_given_up(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    with pytest.raises(FailedMachinery, match="timeout"):
        Store(f"postgresql://user@127.0.0.1:{silent}/db").runs()


@pytest.mark.parametrize(
    "form", ["user:{0}@127.0.0.1:1/db", "127.0.0.1:1/db?user={0}&password={0}", "{0}@127.0.0.1:1/{1}"]
)
def test_p34_no_secret_is_in_an_error(form: str) -> None:
    store = Store("postgres://" + form.format(MARKER, "db"))
    with pytest.raises(FailedMachinery, match=r"flights: the store postgresql://127.0.0.1:1/db failed: ") as caught:
        store.start_run("flights", None, "train", "c0ffee")
    text = "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    assert MARKER not in text + repr(store) + str(vars(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:pass@host:{MARKER}/db",
        f"mysql://user:{MARKER}@host/db",
        f"sqlite://{MARKER}@host/db",
        f"{MARKER}",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_p34_nor_is_one_in_the_refusal_of_a_url(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=re.escape("write sqlite:////path/store.db or postgresql://")
    ) as caught:
        Store(url)
    assert MARKER not in "".join(traceback.format_exception(caught.value))


def test_p33_no_value_of_the_table_is_in_an_error(store: Store, results, score) -> None:
    one = results().anomalies[0]
    contribution = replace(one.contributions[0], observed=MARKER)
    twice = replace(one, contributions=(contribution, contribution))
    with pytest.raises(sa.exc.IntegrityError) as caught:
        score(replace(results(), anomalies=[twice]))
    assert MARKER not in str(caught.value)

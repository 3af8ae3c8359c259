"""Commands killed with SIGKILL at the k-th of their writes, for k = 1, 2, ...: the state before or the state after."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from night_house import RESULTS, NightHouse, State, nights

from pipeline.store import database
from pipeline.store.schema import metadata
from tests import older_store

pytestmark = pytest.mark.fault

NEWEST = ScriptDirectory(str(database._MIGRATIONS)).get_current_head()
NIGHT = ("--partition", "2013-02-03")


def die(label: str, connection: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_p25_a_scoring_killed_at_any_write_leaves_the_rows_before_or_after(house: NightHouse, tablewatch) -> None:
    house.write_table(nights(seed=2))
    before = house.state()
    killed = tablewatch.explore(house, "score", "nights", *NIGHT, fault=die)
    after = house.state()
    assert {kill.code for kill in killed} == {-signal.SIGKILL}
    assert after.results["2013-02-03"] != before.results["2013-02-03"]
    assert [kill.label for kill in killed if kill.after.seen not in (before.seen, after.seen)] == []
    assert {kill.label for kill in killed if kill.after.seen == after.seen} == {"close"}
    assert all(kill.after.litter == () and kill.after.bundles == before.bundles for kill in killed)
    assert {kill.after.runs[-1] for kill in killed} == {("run", "done"), ("score", "running"), ("score", "done")}
    labels = [kill.label.removeprefix("after ").split() for kill in killed]
    written = {
        name for verb, *words in labels for name in words if verb in ("INSERT", "COPY") and name in metadata.tables
    }
    assert written == {"runs", *RESULTS}


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
def test_p25_a_first_run_killed_at_any_write_is_made_good_by_the_next(empty: NightHouse, tablewatch) -> None:
    house = empty
    killed = tablewatch.explore(house, "run", "nights", *NIGHT, fault=die, after=2)
    whole = house.state()
    assert {kill.code for kill in killed} == {-signal.SIGKILL}
    allowed = [({}, None), ({}, whole.champion), whole.seen]
    assert [kill.label for kill in killed if kill.after.seen not in allowed] == []
    for kill in killed:
        assert kill.after.bundles.items() <= whole.bundles.items(), kill.label
        assert all(name.startswith("bundles/nights/.") for name in kill.after.litter), kill.label
        assert kill.after.champion is None or kill.after.champion in kill.after.bundles, kill.label
    labels = {kill.label.split(" ")[0] for kill in killed}
    assert labels >= {"open", "fsync", "os.rename", "os.mkdir", "connect", "commit", "before", "after", "close"}
    left = {_kind(kill.after): kill.home for kill in reversed(killed) if kill.home and kill.after.bundles}
    assert len(left) == 4, "the bundle alone, a challenger, a champion, the night's results"
    for home in left.values():
        shutil.rmtree(house.home)
        shutil.copytree(home, house.home)
        code, said = tablewatch(house, "run", "nights", *NIGHT)
        assert code == 0, said
        again = house.state()
        assert replace(again, runs=(), litter=()) == replace(whole, runs=(), litter=())
        assert again.runs[-1] == ("run", "done")


@dataclass
class DieAt:
    """SIGKILL at the n-th write."""

    n: int

    def __call__(self, label: str, connection: object) -> None:
        self.n -= 1
        if self.n == 0:
            die(label, connection)


def test_p25_a_store_killed_while_it_is_made_is_made_by_the_next(empty: NightHouse, tablewatch) -> None:
    """At a write out of 23: each of them takes its time, and the tables come in one transaction."""
    count = 0
    while not empty.tables():
        code, said = tablewatch(empty, "doctor", fault=DieAt(1 + 23 * count))
        assert code == -signal.SIGKILL, said
        count += 1
    assert count > 3
    assert empty.tables() == {*metadata.tables, "alembic_version"}
    assert tablewatch(empty, "doctor")[0] == 0


@pytest.mark.parametrize("revision", older_store.RELEASED)
def test_p25_an_older_store_killed_while_it_is_brought_up_to_date_keeps_its_rows(
    empty: NightHouse, trained: NightHouse, tablewatch, revision: str
) -> None:
    url = empty.store_url or f"sqlite:///{empty.home / 'store.db'}"
    older_store.make(url, revision, older_store.rows_of(trained.engine))
    count = 0
    while (before := older_store.rows_of(empty.engine)) and not _newest(empty):
        code, said = tablewatch(empty, "doctor", fault=DieAt(1 + 11 * count))
        assert code == -signal.SIGKILL or _newest(empty), said
        count += 1
        after = older_store.rows_of(empty.engine)
        for name, rows in before.items():
            kept = [{key: row[key] for key in old} for old, row in zip(rows, after[name], strict=True)]
            assert kept == rows, (name, count)
    assert count > 2
    code, said = tablewatch(empty, "score", "nights", *NIGHT)
    assert code == 1 and "bundle" in said, "there is a champion, and its bundle is elsewhere"


def _newest(house: NightHouse) -> bool:
    with house.engine.connect() as connection:
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == NEWEST


def _kind(state: State) -> tuple[object, ...]:
    """What a next run can tell states with a bundle apart by."""
    return bool(state.results), state.champion, tuple(state.versions)

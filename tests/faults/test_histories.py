"""Whatever is done in whatever order: each accepted record is scored once, nothing is lost, nothing is invented."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from night_house import NIGHTS, NightHouse, nights

from benchmarks.soak import Crash, crashing
from pipeline import steps
from pipeline.errors import ConfigurationError, RefusedData
from pipeline.settings import Settings

NAME = "nights"
SCORED = NIGHTS[2:]
RATE = 0.02
CRASHES = st.one_of(st.none(), st.integers(1, 30))


class History(RuleBasedStateMachine):
    """One table, one monitor, one store; the table grows, models come and go, and any command may break off."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.house = NightHouse(self.folder)
        self.house.build()
        self.settings = Settings(home=self.house.home, monitors=self.house.monitors)
        self.table = nights()
        self.promoted: list[str] = []
        self.trained: set[str] = set()
        self.said: dict[tuple[str, str], str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def do(self, command: Callable[[], Any], crash: int | None) -> Any:
        """Do it; broken off, everything is as it was or as it will be, and doing it again makes it so."""
        before = self.house.state().seen
        if crash is not None:
            try:
                with crashing(crash):
                    command()
            except Crash:
                pass
            broken_off = self.house.state().seen
            done = command()
            assert broken_off in (before, self.house.state().seen)
            return done
        return command()

    @rule(through=st.sampled_from(NIGHTS[1:3]), seed=st.integers(0, 1), crash=CRASHES)
    def train(self, through: str, seed: int, crash: int | None) -> None:
        done = self.do(lambda: steps.train(NAME, through, seed, self.settings), crash)
        self.trained.add(done.model_version)
        if self.promoted[-1:] != [done.model_version]:
            self.promoted.append(done.model_version)

    @rule(night=st.sampled_from(NIGHTS), crash=CRASHES)
    def validate(self, night: str, crash: int | None) -> None:
        others = self.results_but(night)
        done = self.do(lambda: steps.validate(NAME, night, self.settings), crash)
        assert done.counts["read"] == done.counts["accepted"] + done.counts["quarantined"] == len(self.keys_of(night))
        assert self.results_but(night) == others

    @precondition(lambda self: self.promoted)
    @rule(night=st.sampled_from(SCORED), crash=CRASHES)
    def score(self, night: str, crash: int | None) -> None:
        others, first = self.results_but(night), self.first_detected(night)
        file = self.folder / "scores.parquet"
        done = self.do(lambda: steps.score(NAME, night, self.settings, file), crash)
        scores = pq.read_table(file)
        keys = [str(key) for key in scores["id"].to_pylist()]
        broken = {row["row_number"]: json.loads(row["record"])["id"] for row in self.rows("quarantine", night)}
        # Scored or quarantined: every record once, and none that the table does not hold.
        assert Counter(keys) + Counter(str(key) for key in broken.values()) == Counter(self.keys_of(night))
        counts = {"read": len(keys) + len(broken), "accepted": len(keys), "quarantined": len(broken)}
        improbable = {key for key, p in zip(keys, scores["p_value"].to_pylist(), strict=True) if p <= RATE}
        assert done.counts == counts | {"flagged": len(improbable)}
        flagged = self.rows("anomalies", night)
        assert {row["record_key"] for row in flagged} == improbable
        assert {row["model_version"] for row in flagged} <= {self.promoted[-1]}
        again = self.first_detected(night)
        assert {key: again[key] for key in first.keys() & again.keys()} == {
            key: first[key] for key in first.keys() & again.keys()
        }
        assert self.results_but(night) == others
        self.scored_again_is_the_same(night)

    def scored_again_is_the_same(self, night: str) -> None:
        before = self.house.state().results[night]
        steps.score(NAME, night, self.settings)
        assert self.house.state().results[night] == before

    @rule(night=st.sampled_from(NIGHTS), count=st.integers(1, 3), seed=st.integers(0, 9))
    def late_records(self, night: str, count: int, seed: int) -> None:
        """Records arrive after the night was run; one of them has the key of one that is there."""
        draw = np.random.default_rng(seed)
        there = self.table.filter(pc.equal(self.table["night"], dt.date.fromisoformat(night)))
        late = there.take(pa.array(draw.integers(0, there.num_rows, count)))
        key = pa.array([10_000 + self.table.num_rows + i for i in range(count - 1)] + [there["id"][0].as_py()])
        self.table = pa.concat_tables([self.table, late.set_column(0, "id", key)])
        self.house.write_table(self.table)

    @precondition(lambda self: self.trained)
    @rule(data=st.data(), crash=CRASHES)
    def promote(self, data: st.DataObject, crash: int | None) -> None:
        version = data.draw(st.sampled_from(sorted(self.trained)))
        self.do(lambda: steps.House(self.settings).store.promote(NAME, version, "by hand"), crash)
        if self.promoted[-1] != version:
            self.promoted.append(version)

    @rule()
    def roll_back(self) -> None:
        store = steps.House(self.settings).store
        if len(self.promoted) < 2:
            with pytest.raises(ConfigurationError):
                store.rollback(NAME)
            return
        self.promoted.pop()
        assert store.rollback(NAME) == self.promoted[-1]

    @rule(data=st.data(), said=st.sampled_from(["confirmed", "expected"]), crash=CRASHES)
    def label(self, data: st.DataObject, said: Literal["confirmed", "expected"], crash: int | None) -> None:
        if not self.found():
            steps.validate(NAME, SCORED[0], self.settings)  # two of its records share a key
        night, key = data.draw(st.sampled_from(self.found()))
        self.do(lambda: steps.label(NAME, key, said, night, author="ann", settings=self.settings), crash)
        self.said[night, key] = said

    @precondition(lambda self: self.said)
    @rule(data=st.data(), crash=CRASHES)
    def withdraw(self, data: st.DataObject, crash: int | None) -> None:
        night, key = data.draw(st.sampled_from(sorted(self.said)))
        store = steps.House(self.settings).store

        def take_back() -> None:
            if store.labels(NAME, night, record_key=key):
                steps.label(NAME, key, "withdrawn", night, author="ann", settings=self.settings)

        self.do(take_back, crash)
        del self.said[night, key]

    @rule()
    def run_a_night_that_is_not_there(self) -> None:
        before = self.house.state().seen
        with pytest.raises((RefusedData, ConfigurationError)):
            steps.score(NAME, "2013-03-01", self.settings)
        assert self.house.state().seen == before

    @invariant()
    def one_champion_the_right_one(self) -> None:
        state = self.house.state()
        assert list(state.versions.values()).count("champion") == (1 if self.promoted else 0)
        assert state.champion == (self.promoted[-1] if self.promoted else None)
        assert set(state.versions) == set(state.bundles)

    @invariant()
    def anomalies_have_contributions_and_contributions_an_anomaly(self) -> None:
        shares: Counter[tuple[str, str]] = Counter()
        for row in self.rows("contributions"):
            shares[row["partition"], row["record_key"]] += row["share"]
        flagged = [(row["partition"], row["record_key"]) for row in self.rows("anomalies")]
        assert sorted(flagged) == sorted(shares)
        assert all(share == pytest.approx(1.0) for share in shares.values())

    @invariant()
    def no_label_is_lost(self) -> None:
        standing = {(row["partition"], row["record_key"]): row["label"] for row in self.rows("v_labels")}
        assert standing == self.said

    @invariant()
    def no_run_is_left_running(self) -> None:
        assert "running" not in {status for _, status in self.house.state().runs}

    def rows(self, table: str, night: str | None = None) -> list[dict[str, Any]]:
        if not (self.house.home / "store.db").exists():
            return []
        with self.house.engine.connect() as connection:
            there = sa.inspect(connection)
            if table not in (*there.get_table_names(), *there.get_view_names()):
                return []
            rows = [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
        return [row for row in rows if night in (None, row["partition"])]

    def found(self) -> list[tuple[str, str]]:
        """The flagged and the quarantined records, by partition and record key."""
        rows = [*self.rows("anomalies"), *self.rows("quarantine")]
        return sorted({(row["partition"], row["record_key"]) for row in rows if row["record_key"] is not None})

    def first_detected(self, night: str) -> dict[str, Any]:
        return {row["record_key"]: row["first_detected_at"] for row in self.rows("anomalies", night)}

    def keys_of(self, night: str) -> list[str]:
        there = pc.equal(self.table["night"], dt.date.fromisoformat(night))
        return [str(key) for key in self.table.filter(there)["id"].to_pylist()]

    def results_but(self, night: str) -> dict[str, str]:
        return {partition: digest for partition, digest in self.house.state().results.items() if partition != night}


@pytest.mark.slow
@pytest.mark.fault
def test_p31_whatever_happens_in_whatever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.detector import network

    small = dict.fromkeys(network.SCHEDULES, network.Schedule(100, 64, 3e-3))
    monkeypatch.setattr(network, "SCHEDULES", small)
    run_state_machine_as_test(History, settings=settings(max_examples=6, stateful_step_count=10))

"""A hundred nights of one table in one process, with faults in many of them: what was injected, and what survived.

Every night a file of made-up deliveries arrives; each week a new model is trained. A fault is survived when the command
ended as it should, everything else was as before, and the night was whole once the fault was gone: each record accepted
or quarantined, each accepted one scored once, each flagged one with its reasons, the nights before untouched, nothing
left lying about. The process must not grow either: the script fails when a count is wrong, or when its memory grew by
more than `MOST_GROWTH` for each training since the third; about 30 MB of each TensorFlow keeps until the process ends.

    python benchmarks/soak.py [--nights 100] [--rows 300] [--seed 0]

- cut file: the night's file ends early. - missing column: it lacks one. - no file: it is not there.
- crash: the process is interrupted at a statement of the store. - full disk: no file can be written.
- locked store: another process writes for two seconds. - flipped bundle: a byte of the champion's bundle is another.
- late records: some come after the night was run. - twice: the night is run again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.drift import Change, deliveries, exchange
from benchmarks.environment import environment
from pipeline import steps
from pipeline.errors import CorruptBundle, FailedMachinery, RefusedData
from pipeline.settings import Settings

NAME = "deliveries"
MONITOR = """\
source: {{files: "{folder}/*.parquet"}}
partition_by: night
primary_key: [id]
training: {{window: 14, min_rows: 100, model: autoencoder}}
threshold: {{false_alarm_rate: 0.01}}
"""
FIRST_TRAINING, TRAINED_EVERY = 14, 7
SETTLED = FIRST_TRAINING + 2 * TRAINED_EVERY
MOST_GROWTH = 40
"""Megabytes a training."""
FAULTY = 0.6
WRONG = 3
RESULTS = ("validations", "quarantine", "anomalies", "contributions", "metrics")


class Crash(BaseException):
    """The process would end here."""


@dataclass
class Soak:
    """The house, what was done to it, and what has to be in it."""

    folder: Path
    rows: int
    draw: np.random.Generator
    injected: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    last_id: int = 0

    def __post_init__(self) -> None:
        self.data, monitors = self.folder / "data", self.folder / "monitors"
        self.data.mkdir()
        monitors.mkdir()
        (monitors / f"{NAME}.yaml").write_text(MONITOR.format(folder=self.data))
        self.settings = Settings(home=self.folder / "home", monitors=monitors)
        self.store = self.folder / "home" / "store.db"
        self.scores = self.folder / "scores.parquet"

    # A night and its file

    def arrive(self, at: int, table: pa.Table | None = None) -> tuple[str, Path, pa.Table]:
        """Write the file of a night, with three wrong records and two that share a key."""
        if table is None:
            columns = deliveries(at, self.rows, self.draw, Change())
            exchange(columns, WRONG, self.draw)
            table = pa.table({"id": self.ids(self.rows), **columns})
        night = str(np.datetime64("2024-02-01") + at)
        path = self.data / f"{night}.parquet"
        pq.write_table(table, path)
        return night, path, table

    def ids(self, count: int) -> np.ndarray:
        """Keys never given before, but for the last, which is that of its neighbour."""
        ids = self.last_id + np.arange(count)
        self.last_id += count
        ids[-1] = ids[-2]
        return ids

    def score(self, night: str) -> steps.Outcome:
        return steps.score(NAME, night, self.settings, self.scores)

    # Faults: each leaves the house as it would be without it

    def cut_file(self, night: str, path: Path, table: pa.Table) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(self.draw.integers(5, len(whole)))])
        self.refused(night, RefusedData, FailedMachinery)
        path.write_bytes(whole)

    def missing_column(self, night: str, path: Path, table: pa.Table) -> None:
        pq.write_table(table.drop_columns(["minutes"]), path)
        self.refused(night, RefusedData)
        pq.write_table(table, path)

    def no_file(self, night: str, path: Path, table: pa.Table) -> None:
        path.unlink()
        self.refused(night, RefusedData)
        pq.write_table(table, path)

    def crash(self, night: str, path: Path, table: pa.Table) -> None:
        self.refused(night, Crash, under=crashing(int(self.draw.integers(1, 25))))

    def full_disk(self, night: str, path: Path, table: pa.Table) -> None:
        self.refused(night, FailedMachinery, under=full_disk())

    def locked_store(self, night: str, path: Path, table: pa.Table) -> None:
        with locked(self.store):
            self.score(night)

    def flipped_bundle(self, night: str, path: Path, table: pa.Table) -> None:
        champion = steps.House(self.settings).store.champion(NAME)
        bundle = next(self.settings.bundles.rglob(f"{champion.version if champion else ''}*"))
        whole = bundle.read_bytes()
        at = int(self.draw.integers(len(whole)))
        bundle.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        self.refused(night, CorruptBundle)
        bundle.write_bytes(whole)

    def late_records(self, night: str, path: Path, table: pa.Table) -> None:
        self.score(night)
        late = table.slice(0, 5).set_column(0, "id", pa.array(self.ids(5)))
        pq.write_table(pa.concat_tables([table, late]), path)

    def twice(self, night: str, path: Path, table: pa.Table) -> None:
        self.score(night)
        before = self.digest()
        self.score(night)
        self.expect(self.digest() == before, f"{night}: run twice, another result")

    def refused(
        self, night: str, *families: type[BaseException], under: AbstractContextManager[None] | None = None
    ) -> None:
        """The run must end with one of `families` and leave the results of all nights as they were."""
        before = self.digest()
        try:
            with under or nullcontext():
                self.score(night)
        except families:
            pass
        else:
            self.wrong.append(f"{night}: a fault was not noticed")
        self.expect(self.digest() == before, f"{night}: a broken run left results")

    # What has to hold

    def check(self, night: str, path: Path, done: steps.Outcome, before: dict[str, int]) -> None:
        """Each record once, each flag with its reasons, the other nights untouched, nothing lying about."""
        ids = Counter(pq.read_table(path)["id"].to_pylist())
        scored = Counter(pq.read_table(self.scores)["id"].to_pylist())
        broken = {
            row: json.loads(record)["id"] for row, record in self.query("quarantine", night, "row_number, record")
        }
        self.expect(scored + Counter(broken.values()) == ids, f"{night}: records lost or invented")
        self.expect(done.counts["read"] == ids.total(), f"{night}: read {done.counts['read']} of {ids.total()}")
        flagged = {key for (key,) in self.query("anomalies", night, "record_key")}
        explained = {key for (key,) in self.query("contributions", night, "record_key")}
        self.expect(flagged == explained, f"{night}: flags without reasons or reasons without a flag")
        self.expect(len(flagged) == done.counts["flagged"], f"{night}: another number of flags than said")
        after = self.digest()
        self.expect(before == {key: after[key] for key in before}, f"{night}: another night was touched")
        litter = [p.name for p in self.folder.rglob("*") if "partial" in p.name or p.suffix in (".tmp", ".part")]
        self.expect(not litter, f"{night}: left behind {litter}")

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)

    def query(self, table: str, night: str, columns: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.store) as connection:
            return connection.execute(f"SELECT {columns} FROM {table} WHERE partition = ?", [night]).fetchall()  # noqa: S608

    def digest(self) -> dict[str, int]:
        """A number for the results of each night, without the ids of runs."""
        if not self.store.exists():
            return {}
        rows: dict[str, list[str]] = {}
        with sqlite3.connect(self.store) as connection:
            connection.row_factory = sqlite3.Row
            for table in RESULTS:
                for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
                    fields = zip(row.keys(), row, strict=True)
                    kept = [str(value) for name, value in fields if name != "run_id" and not name.endswith("_at")]
                    rows.setdefault(row["partition"], []).append(f"{table} {kept}")
        return {night: hash("\n".join(sorted(texts))) for night, texts in rows.items()}


@contextmanager
def crashing(at: int) -> Iterator[None]:
    """The `at`-th statement on any database is the last."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise Crash

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing that this process writes to a file is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another connection holds the store's write lock for two seconds."""
    holds = threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        holds.set()
        time.sleep(2)
        connection.execute("ROLLBACK")
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    try:
        yield
    finally:
        thread.join()


def memory() -> float:
    """Megabytes that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def main() -> None:
    """Live through the nights, then print what was injected, what survived, and every count that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(environment())
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), options.rows, np.random.default_rng(options.seed))
        faults: list[Callable[[str, Path, pa.Table], None]] = [
            soak.cut_file, soak.missing_column, soak.no_file, soak.crash, soak.full_disk, soak.locked_store,
            soak.flipped_bundle, soak.late_records, soak.twice,
        ]  # fmt: skip
        settled = last = 0.0
        totals: Counter[str] = Counter()
        for at in range(options.nights):
            night, path, table = soak.arrive(at)
            if at < FIRST_TRAINING:
                continue
            if (at - FIRST_TRAINING) % TRAINED_EVERY == 0:
                steps.train(NAME, str(np.datetime64(night) - 1), settings=soak.settings)
            before, known = soak.digest(), len(soak.wrong)
            fault = faults[soak.draw.integers(len(faults))] if soak.draw.random() < FAULTY else None
            if fault is not None:
                soak.injected[fault.__name__] += 1
                fault(night, path, table)
            done = soak.score(night)
            soak.check(night, path, done, before)
            totals.update(done.counts)
            if fault is not None:
                soak.survived[fault.__name__] += len(soak.wrong) == known
            last = memory()
            if at == SETTLED:
                settled = last
            if (at + 1) % 10 == 0:
                print(f"night {at + 1:4}: {last:6,.0f} MB, {soak.injected.total()} faults so far", flush=True)
    print(f"\n{'fault':16} {'injected':>8} {'survived':>8}")
    for fault in faults:
        print(
            f"{fault.__name__.replace('_', ' '):16} {soak.injected[fault.__name__]:8} {soak.survived[fault.__name__]:8}"
        )
    print(f"\n{', '.join(f'{count:,} {name}' for name, count in totals.items())}")
    print(f"memory {settled:,.0f} MB after night {SETTLED + 1}, {last:,.0f} MB after the last")
    trainings = (options.nights - 1 - SETTLED) // TRAINED_EVERY
    soak.expect(not settled or last <= settled + MOST_GROWTH * max(trainings, 1), "the process grew")
    for what in soak.wrong:
        print(f"wrong: {what}")
    sys.exit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()

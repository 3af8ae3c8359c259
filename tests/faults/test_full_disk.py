"""The disk fills up at the n-th write, for n = 1, 2, ..., and stays full: what was there stays, no litter is left."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from night_house import NightHouse, nights

pytestmark = pytest.mark.fault

SQLITE = pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
NIGHT = ("--partition", "2013-02-03")
SAID = (
    r"error: nights(: bundle \S+ could not be written: No space left on device"
    r"|.*: the store \S+ failed: database or disk is full; try again)\n"
)


def fill(label: str, connection: object) -> None:
    """What is there can still be read and removed; SQLite says by itself that the disk is full."""
    if label.startswith(("open", "os.mkdir", "os.rename", "fsync")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if isinstance(connection, sqlite3.Connection):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")


@SQLITE
def test_p28_a_disk_full_at_any_write_of_a_training_leaves_the_champion(house: NightHouse, tablewatch, matches) -> None:
    before = house.state()
    full = tablewatch.explore(house, "train", "nights", "--seed", "1", fault=fill, after=3)
    after = house.state()
    assert after.champion not in (before.champion, None)
    failed = [broken for broken in full if broken.code != 0]
    assert {broken.label.split()[0] for broken in failed} >= {"open", "fsync", "os.rename"}
    for broken in full:
        assert broken.after.seen in (before.seen, after.seen), broken.label
        assert broken.after.champion in broken.after.bundles, broken.label
        assert broken.after.litter == (), broken.label
    for broken in failed:
        assert broken.code == 1, (broken.label, broken.said)
        matches(SAID, broken.said)
        assert broken.after.runs[-1] in (("train", "failed"), ("train", "running"), before.runs[-1])


@SQLITE
def test_p28_a_disk_full_at_any_write_of_a_scoring_leaves_the_rows(house: NightHouse, tablewatch, matches) -> None:
    """The night gains so many anomalies that its rows need room."""
    table = nights(seed=2).to_pydict()
    table["minutes"] = [minutes * (30 if row % 2 else 1) for row, minutes in enumerate(table["minutes"])]
    house.write_table(nights().from_pydict(table, nights().schema))
    before = house.state()
    full = tablewatch.explore(house, "score", "nights", *NIGHT, fault=fill, after=5)
    after = house.state()
    failed = [broken for broken in full if broken.code != 0]
    assert "before INSERT INTO anomalies" in {" ".join(broken.label.split()[:4]) for broken in failed}
    for broken in full:
        assert broken.after.seen == (before.seen if broken in failed else after.seen), broken.label
    for broken in failed:
        assert broken.code == 1, (broken.label, broken.said)
        matches(SAID, broken.said)


@dataclass
class NoFileGrows:
    """The kernel lets no file grow beyond `size` bytes once the champion and its suite are read."""

    size: int
    closed: int = 0

    def __call__(self, label: str, connection: object) -> None:
        self.closed += label == "close"
        if self.closed == 5:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@SQLITE
@pytest.mark.parametrize("size", [600, 1500])
def test_p28_scores_that_do_not_fit_leave_the_file_there_was(
    house: NightHouse, tablewatch, tmp_path: Path, size: int
) -> None:
    before, scores = house.state(), tmp_path / "out" / "scores.parquet"
    scores.parent.mkdir()
    scores.write_bytes(b"the scores of yesterday")
    code, said = tablewatch(house, "score", "nights", *NIGHT, "--scores", str(scores), fault=NoFileGrows(size))
    assert code == 1
    assert said.startswith(f"error: nights 2013-02-03: {scores}: could not be written: ")
    assert "File too large" in said
    assert [path.name for path in scores.parent.iterdir()] == ["scores.parquet"]
    assert scores.read_bytes() == b"the scores of yesterday"
    assert house.state().seen == before.seen

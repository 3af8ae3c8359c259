"""Two commands on one house at once: one order or the other, never a mix."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from night_house import NightHouse, nights
from pausing import MeetAt, NoteIn, PauseAt, wait_until_paused

pytestmark = pytest.mark.fault

NIGHT = ("--partition", "2013-02-03")
RESULTS, CHAMPION = "before DELETE FROM anomalies", "before UPDATE model_versions"
WRITTEN = ("after INSERT INTO quarantine", "after COPY quarantine")
OVERTAKEN = "which began after this one, has replaced the results; they stay; try again\n"


def test_p26_a_run_that_was_taken_for_dead_is_fenced_off(house: NightHouse, tablewatch) -> None:
    """Its heartbeat is lost while it reads, another does its work on the table of later, and then it goes on."""
    zombie = tablewatch.start(house, "score", "nights", *NIGHT, fault=PauseAt("close", 5))
    wait_until_paused(zombie.process.pid)
    house.write_table(nights(seed=2))
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    replaced = house.state()
    os.kill(zombie.process.pid, signal.SIGCONT)
    code, said = zombie.wait()
    assert code == 1
    assert said.endswith(OVERTAKEN)
    assert house.state().seen == replaced.seen
    assert house.state().runs[-2:] == (("score", "failed"), ("score", "done"))


def test_p26_a_run_paused_in_its_transaction_is_waited_for_a_bounded_time(house: NightHouse, tablewatch) -> None:
    house.write_table(nights(seed=2))
    before = house.state()
    paused = tablewatch.start(house, "score", "nights", *NIGHT, fault=PauseAt(WRITTEN))
    wait_until_paused(paused.process.pid)
    code, said = tablewatch(house, "score", "nights", *NIGHT, LOCK_SECONDS=1)
    assert (code, said.endswith("; try again\n"), "lock" in said) == (1, True, True), said
    assert house.state().seen == before.seen
    os.kill(paused.process.pid, signal.SIGCONT)
    assert paused.wait()[0] == 0
    written = house.state()
    assert written.results["2013-02-03"] != before.results["2013-02-03"]
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    assert house.state().seen == written.seen


def test_p24_p26_two_runs_of_one_partition_leave_the_rows_of_one(house: NightHouse, tablewatch, tmp_path: Path) -> None:
    scoring = _write(house, tablewatch, tmp_path, RESULTS, "score", "nights", *NIGHT)
    house.write_table(nights(seed=2))
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    # Both are ready to write their results before either begins to.
    meet = MeetAt("connect", meeting, scoring)
    two = [tablewatch.start(house, "score", "nights", *NIGHT, fault=meet) for _ in range(2)]
    ended = [command.wait() for command in two]
    assert sorted(code for code, _ in ended) in ([0, 0], [0, 1])
    assert all(said.endswith(OVERTAKEN) for code, said in ended if code == 1), ended
    left = house.state()
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    assert house.state().seen == left.seen


def test_p26_a_champion_made_during_a_scoring_scores_all_of_the_next_or_nothing(house: NightHouse, tablewatch) -> None:
    """The scoring has read its champion when a training promotes another, then this one is promoted by hand."""
    before = house.state()
    scoring = tablewatch.start(house, "score", "nights", *NIGHT, fault=PauseAt("close", 3))
    wait_until_paused(scoring.process.pid)
    assert tablewatch(house, "train", "nights", "--seed", "1")[0] == 0
    retrained = house.state()
    os.kill(scoring.process.pid, signal.SIGCONT)
    assert scoring.wait()[0] == 0
    after = house.state()
    assert after.champion == retrained.champion != before.champion
    assert after.scorers == before.scorers
    assert after.results == before.results
    scoring = tablewatch.start(house, "score", "nights", *NIGHT, fault=PauseAt("close", 3))
    wait_until_paused(scoring.process.pid)
    assert tablewatch(house, "promote", "nights", before.champion)[0] == 0
    os.kill(scoring.process.pid, signal.SIGCONT)
    assert scoring.wait()[0] == 0
    assert house.state().champion == before.champion
    assert house.state().scorers["2013-02-03"] == (retrained.champion,)


@pytest.mark.parametrize("other", ["promote", "train"])
def test_p26_a_scoring_and_a_new_champion_written_at_once_are_one_after_the_other(
    house: NightHouse, tablewatch, tmp_path: Path, other: str
) -> None:
    """Both are ready to write before either begins to: the rows are those of the champion that was read, whole."""
    old = house.state().champion
    assert tablewatch(house, "train", "nights", "--seed", "1")[0] == 0
    new = house.state().champion
    assert tablewatch(house, "promote", "nights", old)[0] == 0
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    before = house.state()
    words = ("promote", "nights", new) if other == "promote" else ("train", "nights", "--seed", "1")
    at = _write(house, tablewatch, tmp_path, CHAMPION, *words)
    assert tablewatch(house, "promote", "nights", old)[0] == 0
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    scoring = _write(house, tablewatch, tmp_path, RESULTS, "score", "nights", *NIGHT)
    two = [
        tablewatch.start(house, "score", "nights", *NIGHT, fault=MeetAt("connect", meeting, scoring)),
        tablewatch.start(house, *words, fault=MeetAt("connect", meeting, at)),
    ]
    assert [command.wait()[0] for command in two] == [0, 0]
    after = house.state()
    assert after.champion == new != old
    assert after.scorers["2013-02-03"] == (old,)
    assert after.results == before.results
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    assert house.state().scorers["2013-02-03"] == (new,)


def _write(house: NightHouse, tablewatch, folder: Path, write: str, *words: str) -> int:
    """The transaction of the command that has this write, counted from 1; the command is carried out."""
    notes = NoteIn(folder / f"{words[0]}.notes")
    code, said = tablewatch(house, *words, fault=notes)
    assert code == 0, said
    return notes.transaction(write)

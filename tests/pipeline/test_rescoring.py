"""After a promotion or a rollback: what bears older scores, and scoring it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import call
from small_house import NIGHTS, SmallHouse

from pipeline import reports, steps
from pipeline.errors import RefusedData
from pipeline.store import PartitionResults


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


def scored_by(house: SmallHouse, partition: str, version: str) -> None:
    run_id = house.store.start_run("nights", partition, "score", "0" * 12)
    house.store.replace_partition(run_id, "nights", partition, version, "0" * 12, PartitionResults())


@pytest.fixture
def versions(house: SmallHouse) -> list[str]:
    """Three champions in turn, each of which scored one night."""
    found = []
    for seed, night in enumerate(NIGHTS):
        found.append(house.train(seed))
        scored_by(house, night, found[-1])
    return found


def test_after_a_rollback_the_nights_of_the_version_rolled_back_are_left_behind(
    house: SmallHouse, versions: list[str]
) -> None:
    first, second, third = versions
    assert steps.left_behind("nights") == [NIGHTS[1]], "those of the champion before"
    reports.rollback("nights")
    assert house.store.superseded("nights") == [third] and steps.left_behind("nights") == [NIGHTS[2]]
    reports.rollback("nights")
    assert house.store.superseded("nights") == [second, third] and steps.left_behind("nights") == list(NIGHTS[1:])
    scored_by(house, NIGHTS[1], first)
    assert steps.left_behind("nights") == [NIGHTS[2]], "a rescoring that broke off goes on where it was"
    scored_by(house, NIGHTS[2], first)
    assert steps.left_behind("nights") == []


def test_after_a_promotion_the_nights_of_the_champion_before_are_left_behind(
    house: SmallHouse, versions: list[str]
) -> None:
    reports.promote("nights", versions[1])
    assert steps.left_behind("nights") == [NIGHTS[2]]
    reports.promote("nights", versions[2])
    assert steps.left_behind("nights") == [NIGHTS[1]]


def test_without_a_second_promotion_nothing_is_left_behind(house: SmallHouse) -> None:
    assert house.store.superseded("nights") == []
    scored_by(house, NIGHTS[0], house.train())
    assert house.store.superseded("nights") == steps.left_behind("nights") == []


def test_the_commands_offer_to_score_again_and_do_it_in_order(
    house: SmallHouse, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.rollback("nights")
    offered = call("rollback", "nights").stdout
    assert "2 partitions (2013-02-02 to 2013-02-03) scored by the champions before" in offered
    assert f"tablewatch promote nights {versions[0]} --rescore" in offered
    given: list[tuple[str, Any]] = []

    def score(name: str, partition: str, settings: Any = None, **more: Any) -> steps.Outcome:
        given.append((partition, more))
        if partition == NIGHTS[1]:
            raise RefusedData(f"{name} {partition}: gone")
        return steps.Outcome(name, partition, "score", "done", "run-1", versions[0], {}, "40 records read")

    monkeypatch.setattr("pipeline.steps.rescoring.score", score)
    done = call("promote", "nights", versions[0], "--rescore")
    assert given == [(NIGHTS[1], {"alerts": False}), (NIGHTS[2], {"alerts": False})]
    assert done.exit_code == 1 and f"{NIGHTS[1]}: gone" in done.stderr
    assert f"nights {NIGHTS[2]}: 40 records read" in done.stdout

"""What commands do and say when all is well: steps, reports, init."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import NEEDED, call, value
from small_house import AIR_TIME, SmallHouse, anomaly, broken

from pipeline import monitor, reports, steps
from pipeline.cli.screen import safe
from pipeline.errors import ConfigurationError, EmptyPartition, FailedMachinery, RefusedData, TablewatchError
from pipeline.results import Contribution, Neighbour


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


def outcome(kind: str = "score", **more: Any) -> steps.Outcome:
    given = {"counts": {"read": 40, "flagged": 0}, "message": "40 records read"} | more
    return steps.Outcome("nights", "2013-02-01", kind, "done", "run-1", "2013-02-02-0badcafe", **given)


# Steps


def test_what_a_step_is_given_and_what_it_says(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def score(name: str, partition: str, **more: Any) -> steps.Outcome:
        given.update(name=name, partition=partition, **more)
        return outcome(counts={"flagged": 2}, message="40 records read, 2 flagged", warnings=("a new column 'x'",))

    monkeypatch.setattr(steps, "score", score)
    file = house.folder / "scores.parquet"
    result = call("score", "nights", "--partition", "2013-02-01", "--scores", str(file))
    assert given == {"name": "nights", "partition": "2013-02-01", "scores_file": file, "alerts": True}
    assert result.stdout == (
        "nights 2013-02-01: 40 records read, 2 flagged\nsee: tablewatch incidents nights --partition 2013-02-01\n"
    )
    assert result.stderr == "warning: a new column 'x'\n"
    as_json = call("score", "nights", "--partition", "2013-02-01", "--json")
    assert value(as_json)["counts"] == {"flagged": 2}
    assert value(as_json)["warnings"] == ["a new column 'x'"]
    assert as_json.stderr == ""


def test_validate_and_train(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "validate", lambda name, partition: outcome("validate", message=f"{name} {partition}"))
    monkeypatch.setattr(
        steps,
        "train",
        lambda name, through, seed, progress: outcome("train", message=f"{through} {seed} {progress(0.5, 'half')}"),
    )
    assert call("validate", "nights", "--partition", "2013-02-01").stdout.endswith("nights 2013-02-01\n")
    assert call("train", "nights").stdout.endswith("None 0 None\n")
    assert call("train", "nights", "--through", "2013-02-02", "--seed", "7").stdout.endswith("2013-02-02 7 None\n")


def test_run_shows_each_of_its_steps(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "run", lambda *args, **more: [outcome("train", message="trained"), outcome("run")])
    both = value(call("run", "nights", "--partition", "2013-02-01", "--json"))
    assert [each["kind"] for each in both] == ["train", "run"]
    assert len(call("run", "nights", "--partition", "2013-02-01").stdout.splitlines()) == 2


def test_run_of_all_shows_every_monitor_and_exits_1_when_one_is_stopped(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_all(partition: str, **more: Any) -> Iterator[tuple[str, steps.Outcome | TablewatchError]]:
        assert (partition, more) == ("2013-02-01", {"alerts": True})
        yield "", ConfigurationError("monitors/odd.yaml: line 3: no such key")
        yield "nights", outcome()
        yield "trains", FailedMachinery("trains 2013-02-01: the database is gone")

    monkeypatch.setattr(steps, "run_all", run_all)
    result = call("run", "--all", "--partition", "2013-02-01")
    assert (result.exit_code, result.stdout) == (1, "nights 2013-02-01: 40 records read\n")
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [" monitors/odd.yaml", " trains 2013-02-01"]
    lines = [
        json.loads(line) for line in call("run", "--all", "--partition", "2013-02-01", "--json").stdout.splitlines()
    ]
    assert [(line["monitor"], line["status"]) for line in lines] == [
        (None, "failed"), ("nights", "done"), ("trains", "failed")
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["run"], ["run", "nights", "--all"]])
def test_run_takes_a_monitor_or_all(house: SmallHouse, arguments: list[str]) -> None:
    result = call(*arguments, "--partition", "2013-02-01")
    assert result.exit_code == 2 and "name a monitor, or say --all" in result.stderr


def test_a_backfill_goes_on_after_a_refusal_and_exits_1(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def backfill(name: str, first: str, last: str, **more: Any) -> Iterator[steps.Outcome | RefusedData]:
        assert (name, first, last) == ("nights", "2013-02-01", "2013-02-03")
        yield outcome()
        yield RefusedData("nights 2013-02-02: half of it is missing")
        yield EmptyPartition("nights 2013-02-03: no records")

    monkeypatch.setattr(steps, "backfill", backfill)
    result = call("backfill", "nights", *NEEDED["backfill"])
    assert result.exit_code == 1
    assert result.stdout == "nights 2013-02-01: 40 records read\n"
    assert result.stderr == "error: nights 2013-02-02: half of it is missing\nerror: nights 2013-02-03: no records\n"
    as_json = call("backfill", "nights", *NEEDED["backfill"], "--json")
    lines = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["done", "refused", "empty"]
    assert as_json.exit_code == 1


def test_a_backfill_of_good_partitions_exits_0(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "backfill", lambda *args, **more: iter([outcome(), outcome()]))
    assert call("backfill", "nights", *NEEDED["backfill"]).exit_code == 0


# Reports


def test_reports_as_one_json_value(house: SmallHouse) -> None:
    version = house.train()
    house.score("2013-02-01", [anomaly("1")], [broken("8")])
    (flagged,) = value(call("anomalies", "nights", "--json"))
    assert flagged["record_key"] == "1"
    assert flagged["reasons"] == ["air_time 9060 (expected 151)", "carrier ZZ never seen (expected UA)"]
    assert [each["share"] for each in flagged["contributions"]] == [0.8, 0.2]
    assert [line["state"] for line in value(call("partitions", "nights", "--json"))] == ["scored", "new", "new"]
    assert value(call("explain", "nights", "8", "--json"))["quarantined"][0]["value"] == "-3"
    assert value(call("models", "nights", "--json"))[0]["version"] == version
    assert value(call("check", "--json"))[0]["problems"] == []
    assert value(call("doctor", "--json"))["monitors"][0]["champion"] == version
    assert value(call("promote", "nights", version, "--json"))["status"] == "champion"


def test_reports_for_a_person(house: SmallHouse) -> None:
    version = house.train()
    house.score("2013-02-01", [anomaly("1", 5.0), anomaly("2", 4.0)], [broken("8")])
    flagged = call("anomalies", "nights", "--limit", "1")
    assert "air_time 9060 (expected 151); carrier ZZ never seen (expected UA)" in flagged.stdout
    assert flagged.stderr == "1 of 2; --limit shows more\n"
    assert "nights: 1 record quarantined, so not scored" in flagged.stdout
    assert "-3" in flagged.stdout and "air_time is at least 1" in flagged.stdout
    near = [Neighbour("1", rank, f"n{rank}", 0.5, {"air_time": 150.0 + rank, "year": 2013}) for rank in (1, 2)]
    house.score("2013-02-01", [anomaly("1", 5.0), anomaly("2", 4.0)], [broken("8")], neighbours=near)
    why = call("explain", "nights", "1").stdout
    assert re.search(r"like it but for air_time, carrier +air_time *\nn1 +151 *\nn2 +152 *\n", why)
    assert "score 5.00, threshold 2.50, p-value 0.0004" in why
    assert "████████████████      80%" in why
    assert "a value never seen in training" in why
    assert "air_time is at least 1" in call("explain", "nights", "8").stdout
    assert f"*  {version}" in call("models", "nights").stdout
    assert "scored" in call("partitions", "nights").stdout
    assert call("check").stdout.startswith("nights: ok; 3 partitions")
    assert "nothing is broken" in call("doctor").stdout


def test_nothing_flagged_and_no_versions_are_said_in_words(house: SmallHouse) -> None:
    house.score("2013-02-01")
    assert call("anomalies", "nights").stdout == "nights: nothing is flagged\n"
    assert call("anomalies", "nights", "--partition", "2013-02-01").stdout == "nights 2013-02-01: nothing is flagged\n"
    assert "tablewatch train nights" in call("models", "nights").stdout


def test_problems_exit_1_and_are_the_result(house: SmallHouse) -> None:
    house.write("nights", "partition_by: [\n")
    for arguments in (["check"], ["check", "--json"], ["doctor"], ["doctor", "--json"]):
        result = call(*arguments)
        assert result.exit_code == 1
        assert "nights.yaml line" in result.stdout


def test_promote_and_rollback_say_who_is_champion(house: SmallHouse) -> None:
    first, second = house.train(0), house.train(1)
    assert call("rollback", "nights").stdout == f"nights: champion is {first} again\n"
    assert call("promote", "nights", second).stdout == f"nights: champion is {second}\n"
    unknown = call("promote", "nights", "2013-02-02-00000000")
    assert unknown.exit_code == 1
    assert first in unknown.stderr


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_p22_no_version_whose_bundle_is_broken_becomes_champion(house: SmallHouse, command: str) -> None:
    first, second = house.train(0), house.train(1)
    bundle = next((house.folder / "home" / "bundles").rglob(f"{first}.*"))
    bundle.write_bytes(bundle.read_bytes()[:-1])
    result = call(command, "nights", *([first] if command == "promote" else []))
    assert result.exit_code == 1
    assert first in result.stderr
    champion = house.store.champion("nights")
    assert champion is not None and champion.version == second
    assert [each.promotion_reason for each in house.store.model_versions("nights")] == [
        "trained through 2013-02-02"
    ] * 2


# Hostile values


def test_p37_no_value_moves_the_cursor_or_is_read_as_markup(house: SmallHouse) -> None:
    hostile = "\x1b[2J\x1b]0;x\x07\x9b31m[bold red]x[/]\r\u202e\n"
    why = Contribution(f"c{hostile}", hostile, hostile, 1.0, 1, "unseen_category")
    house.score("2013-02-01", [anomaly(hostile, 5.0, [why])], [broken("8", value=hostile)])
    for arguments in (["anomalies", "nights"], ["explain", "nights", hostile], ["explain", "nights", "8"]):
        result = call(*arguments)
        assert result.exit_code == 0
        assert all(character.isprintable() or character == "\n" for character in result.output)
        assert "[bold red]x[/]" in result.stdout
        assert call(*arguments, "--json").stdout.isascii()


def test_a_long_value_is_cut() -> None:
    assert safe("a" * 600) == "a" * 500 + "..."
    assert safe(None) == ""
    assert safe("\ud800é") == "\\ud800é"


# Init


def test_what_init_prints_is_a_monitors_file(house: SmallHouse) -> None:
    result = call("init", "--files", str(house.data))
    assert result.exit_code == 0
    house.write("drafted", result.stdout)
    drafted = monitor.load(house.monitors / "drafted.yaml")
    assert (drafted.partition_by, drafted.primary_key) == ("night", ("id",))
    assert "warning: the table holds fewer than 200 records" in result.stderr
    assert reports.check(["drafted"])[0].problems == []
    as_json = value(call("init", "--files", str(house.data), "--name", "other", "--json"))
    assert (as_json["name"], as_json["variable"]) == ("other", None)
    assert AIR_TIME.column_name in as_json["text"]

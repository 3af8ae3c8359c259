from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_house import AIR_TIME, SmallHouse, anomaly, broken
from typer.testing import CliRunner, Result

from pipeline import cli, monitor, reports, steps
from pipeline.cli.quiet import hushed, working
from pipeline.cli.screen import safe
from pipeline.errors import ConfigurationError, EmptyPartition, FailedMachinery, RefusedData
from pipeline.results import Contribution

HEAVY = {"pandas", "pyarrow", "sqlalchemy", "tensorflow", "keras", "great_expectations", "ibis", "airflow", "numpy"}
NEEDED = {
    "validate": ["--partition", "2013-02-01"],
    "score": ["--partition", "2013-02-01"],
    "run": ["--partition", "2013-02-01"],
    "backfill": ["--from", "2013-02-01", "--to", "2013-02-03"],
    "explain": ["1"],
    "promote": ["2013-02-02-0badcafe"],
    "encode": ["--partition", "2013-02-01"],
    "synth": ["--rows", "5", "--out", "made.parquet"],
}
OF_A_MONITOR = [
    "partitions", "validate", "train", "score", "run", "backfill",
    "anomalies", "explain", "models", "promote", "rollback", "encode", "synth",
]  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def value(result: Result) -> Any:
    """The one JSON value on stdout."""
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def outcome(kind: str = "score", **more: Any) -> steps.Outcome:
    given = {"counts": {"read": 40, "flagged": 0}, "message": "40 records read"} | more
    return steps.Outcome("nights", "2013-02-01", kind, "done", "run-1", "2013-02-02-0badcafe", **given)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, with the modules of the house."""
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


# Nothing heavy


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["score", "--help"], 0),
        (["score", "nights", "--partition", "yesterday"], 2),
        (["backfill", "nights", "--from", "2013-02-30", "--to", "2013-03-01"], 2),
    ],
)
def test_p30_nothing_heavy_loads_before_a_command_has_its_arguments(arguments: list[str], code: int) -> None:
    ran = python(
        f"import sys; sys.argv = ['tablewatch', *{arguments}]\n"
        "from pipeline.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted({HEAVY} & sys.modules.keys()), file=sys.stderr)"
    )
    assert ran.returncode == code
    assert ran.stderr.splitlines()[-1] == "[]"


# Usage


def test_the_version() -> None:
    assert call("--version").stdout.startswith("tablewatch 0.")


def test_every_command_takes_json_and_tells_what_it_does() -> None:
    for command in cli.app.registered_commands:
        assert command.callback is not None
        shown = call(command.callback.__name__, "--help")
        assert shown.exit_code == 0
        assert "--json" in shown.stdout
    listed = call("--help").stdout
    assert "..." not in listed.partition("Commands:")[2], "a first sentence is cut: say it in fewer words"


@pytest.mark.parametrize("partition", ["2013-2-3", "20130203", "2013-02-30", "now", "", "2013-02-03T00:00", "../x"])
def test_p30_a_partition_is_an_iso_date(house: SmallHouse, partition: str) -> None:
    result = call("run", "nights", "--partition", partition)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not a partition" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "nights"],
        ["nope"],
        ["anomalies", "nights", "--limit", "0"],
        ["train", "nights", "--seed", "-1"],
        ["backfill", "nights", "--from", "2013-02-03", "--to", "2013-02-01"],
        ["score", "nights", "--partition", "2013-02-01", "--scores", "/no/such/folder/scores.parquet"],
        ["init"],
        ["init", "--table", "t"],
        ["init", "duckdb://x.duckdb", "--table", "t", "--files", "*.csv"],
    ],
)
def test_wrong_usage_exits_2(house: SmallHouse, arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


# Errors


@pytest.mark.parametrize("command", OF_A_MONITOR)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_an_error_is_a_line_on_stderr(house: SmallHouse, command: str, as_json: list[str]) -> None:
    result = call(command, "nihgts", *NEEDED.get(command, []), *as_json)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: there is no monitor 'nihgts'")
    assert line.endswith("did you mean 'nights'?")


def test_each_line_of_an_error_is_marked(house: SmallHouse) -> None:
    house.write("nights", "sorce: 1\nprimary_kye: [id]\n")
    result = call("models", "nights")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) > 1
    assert all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize("family", [ConfigurationError, RefusedData, EmptyPartition, FailedMachinery])
def test_refused_and_failed_exit_1_without_a_trace(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch, family: type[Exception]
) -> None:
    monkeypatch.setattr(steps, "score", failing(family("nights 2013-02-01: no \x1b[2Jluck")))
    monkeypatch.setenv("TABLEWATCH_DEBUG", "1")
    result = call("score", "nights", "--partition", "2013-02-01")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: nights 2013-02-01: no \\x1b[2Jluck\n"


def test_p34_an_unforeseen_error_is_named_without_a_trace_or_a_secret(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "score", failing(KeyError("postgres://tw:hunter2@db/x\nand more")))
    result = call("score", "nights", "--partition", "2013-02-01")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert line.startswith("error: KeyError: ")
    assert "TABLEWATCH_DEBUG=1" in line
    assert "hunter2" not in result.output
    monkeypatch.setenv("TABLEWATCH_DEBUG", "1")
    assert isinstance(call("score", "nights", "--partition", "2013-02-01").exception, KeyError)


def failing(error: Exception) -> Callable[..., Any]:
    def step(*args: Any, **kwargs: Any) -> Any:
        raise error

    return step


# Steps


def test_what_a_step_is_given_and_what_it_says(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def score(name: str, partition: str, **more: Any) -> steps.Outcome:
        given.update(name=name, partition=partition, **more)
        return outcome(counts={"flagged": 2}, message="40 records read, 2 flagged", warnings=("a new column 'x'",))

    monkeypatch.setattr(steps, "score", score)
    file = house.folder / "scores.parquet"
    result = call("score", "nights", "--partition", "2013-02-01", "--scores", str(file))
    assert given == {"name": "nights", "partition": "2013-02-01", "scores_file": file}
    assert result.stdout == (
        "nights 2013-02-01: 40 records read, 2 flagged\nsee: tablewatch anomalies nights --partition 2013-02-01\n"
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
    monkeypatch.setattr(steps, "backfill", lambda *args: iter([outcome(), outcome()]))
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
    why = call("explain", "nights", "1").stdout
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


# Quiet


NOISE = """\
import os, sys, warnings, logging
def noise():
    print("noise"); print("noise", file=sys.stderr); os.write(1, b"noise\\n"); os.write(2, b"noise\\n")
    warnings.warn("noise"); logging.getLogger("x").error("noise")
"""


def test_what_libraries_print_is_not_shown() -> None:
    ran = python(
        f"{NOISE}\n"
        "from pipeline.cli.quiet import working\n"
        "for _ in range(2):\n"
        "    with working('training') as progress: noise(); progress(0.5, 'half')\n"
        "print('ours'); print('ours', file=sys.stderr)",
        TABLEWATCH_DEBUG="",
    )
    assert (ran.stdout, ran.stderr) == ("ours\n", "ours\n")


def test_what_libraries_print_is_shown_when_debugging() -> None:
    code = f"{NOISE}\nfrom pipeline.cli.quiet import working\nwith working('training'): noise()"
    ran = python(code, TABLEWATCH_DEBUG="1")
    assert (ran.stdout.count("noise"), ran.stderr.count("noise")) == (2, 4)


def test_the_streams_come_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), hushed():
        os.write(2, b"noise\n")
        raise KeyError
    os.write(2, b"after\n")
    print("after")
    assert capfd.readouterr() == ("after\n", "after\n")


def test_a_terminal_shows_how_far_the_work_is() -> None:
    leader, follower = pty.openpty()
    code = (
        f"{NOISE}\nfrom pipeline.cli.quiet import working\n"
        "with working('training nights') as progress: noise(); progress(0.5, 'loss [b]0.125')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=follower) as ran:
        os.close(follower)
        shown = b""
        while True:
            try:
                read = os.read(leader, 4096)
            except OSError:  # Linux ends a terminal so
                break
            if not read:
                break
            shown += read
        assert ran.communicate()[0] == b""
    os.close(leader)
    assert ran.returncode == 0
    assert b"training nights: loss [b]0.125" in shown
    assert b"noise" not in shown


def test_progress_goes_nowhere_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with working("training") as progress:
        progress(0.5, "half")
    assert capsys.readouterr() == ("", "")


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


# The page


def test_the_page_tells_of_every_command_and_of_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    told = {line.split("`")[1].split()[0] for line in page.splitlines() if line.startswith("### ")}
    assert told == {command.callback.__name__ for command in cli.app.registered_commands if command.callback}

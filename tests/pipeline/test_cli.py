"""Usage and errors of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import NEEDED, call, python
from small_house import SmallHouse

from pipeline import cli, steps
from pipeline.errors import ConfigurationError, EmptyPartition, FailedMachinery, RefusedData

HEAVY = {"pandas", "pyarrow", "sqlalchemy", "tensorflow", "keras", "great_expectations", "ibis", "airflow", "numpy"}


OF_A_MONITOR = [
    "partitions", "validate", "train", "score", "run", "backfill", "backtest",
    "anomalies", "explain", "models", "promote", "rollback", "encode", "synth",
]  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


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


# The page


def test_the_page_tells_of_every_command_and_of_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    told = {line.split("`")[1].split()[0] for line in page.splitlines() if line.startswith("### ")}
    groups = {group.name for group in cli.app.registered_groups}
    assert told == {each.callback.__name__ for each in cli.app.registered_commands if each.callback} | groups

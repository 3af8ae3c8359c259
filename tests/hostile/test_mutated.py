"""Mutated files through the command line: an answer or an error in words, never a trace."""

# ruff: noqa: E501

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import House
from hostile_bytes import mutated
from typer.testing import CliRunner, Result

from pipeline import cli
from pipeline import monitor as monitors
from pipeline.errors import ConfigurationError

DAY = "2024-10-27"
CSV = "".join(
    ["id,day,x,word,at\n", *(f'{at},{DAY},{at * 0.5},"w ""{at % 5}""",{DAY}T0{at % 9}:30:00Z\n' for at in range(12))]
).encode()
CSV_SNIPPETS = [
    b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"nan", b"-inf", b"1e400", b"9" * 50, b"=1+1",
    b"2024-02-30", b"0000-01-01", b"9999-12-31T23:59:59-05:00", b"\x1b[2J", "é\u0301".encode(), b",,,,", b'""', b"x" * 5_000, b"#",
]  # fmt: skip
MONITOR = """\
# orders
description: "what was ordered"
source:
  files: {folder}/t.csv
partition_by: day
primary_key: [id]
columns:
  exclude: [word]
  kinds: {{x: numeric}}
schedule: "0 2 * * *"
timezone: Europe/Zurich
training: {{window: 28, model: autoencoder, max_rows: 5000}}
threshold: {{false_alarm_rate: 0.01}}
expectations:
  - {{expect_column_values_to_be_between: {{column: x, min_value: 0}}, severity: warning}}
alerts: {{to: [ops], min_severity: info}}
"""
MONITOR_SNIPPETS = [
    b"&a ", b"*a", b"!!python/object:os.system ", b"<<: ", b"{", b"}", b"[", b"]", b": ", b"- ", b"\t", b"\0", b"\xff", b"---\n", b"...\n",
    b"? ", b"|", b">", b"%", b"@", b"`", b"'", b'"', b"#", b"on", b"1e999", b"0x1F", b"0o7", b"12:30", b"2024-10-27", b"null", b"~", b".nan",
    b"9" * 400, b"[" * 200, b"${X}", b"../../etc/passwd", "é\u0085\u2028".encode(), b"\xed\xa0\x80", b"x: x\n", b"- - - ", b"!", b"\r",
]  # fmt: skip


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def environment(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("TABLEWATCH_HOME", str(house.settings.home))
    monkeypatch.setenv("TABLEWATCH_MONITORS", str(house.settings.monitors))
    return house


def answered(result: Result) -> bool:
    """Whether a command was done; otherwise every line of its error is in words of ours."""
    shown = result.stderr
    assert result.exit_code in (0, 1), (result.exit_code, shown, result.exception)
    assert "Traceback" not in result.output and "TABLEWATCH_DEBUG" not in result.output, result.output
    if result.exit_code == 1:
        assert result.output and all(line.startswith(("error: ", "warning: ")) for line in shown.splitlines()), shown
    assert shown.isascii() or all(character.isprintable() or character == "\n" for character in shown)
    return result.exit_code == 0


def read_csv(house: House, seeds: range) -> Counter[bool]:
    (house.settings.monitors / "t.yaml").write_text(
        f"source: {{files: {house.folder}/t.csv}}\npartition_by: day\nprimary_key: [id]\n"
    )
    ends: Counter[bool] = Counter()
    for seed in seeds:
        (house.folder / "t.csv").write_bytes(mutated(CSV, seed, CSV_SNIPPETS))
        result = call("validate", "t", "--partition", DAY, "--json")
        ends[answered(result)] += 1
        if result.exit_code:
            assert re.match("error: t[ :]", result.stderr), (seed, result.stderr)
    return ends


def test_p12_mutated_csv_files_are_answered_or_refused(environment: House) -> None:
    ends = read_csv(environment, range(20))
    assert ends[True] and ends[False]


@pytest.mark.slow
def test_p12_many_mutated_csv_files_are_answered_or_refused(environment: House) -> None:
    ends = read_csv(environment, range(1_000, 1_200))
    assert min(ends.values()) > 20


def checked(house: House, seeds: range) -> Counter[bool]:
    (house.folder / "t.csv").write_bytes(CSV)
    whole = MONITOR.format(folder=house.folder).encode()
    path = house.settings.monitors / "t.yaml"
    ends: Counter[bool] = Counter()
    for seed in seeds:
        path.write_bytes(mutated(whole, seed, MONITOR_SNIPPETS))
        result = call("check")
        ends[answered(result)] += 1
        with_lines(path, seed, result)
    return ends


def with_lines(path: Path, seed: int, result: Result) -> None:
    """A file that cannot be read as a monitor is told with its name and, for each problem, the line."""
    try:
        monitors.load(path)
    except ConfigurationError as error:
        lines = path.read_bytes().count(b"\n") + 2
        for line in str(error).splitlines()[:20]:
            place = re.match(rf"{re.escape(path.as_posix())} line (\d+): \S", line)
            assert place and 1 <= int(place[1]) <= lines, (seed, line)
            assert line[:100] in result.stdout + result.stderr, (seed, line, result.stdout)
        assert result.exit_code == 1, seed


def test_mutated_monitors_are_answered_or_told_with_the_line(environment: House) -> None:
    ends = checked(environment, range(250))
    assert ends[False] > 100


@pytest.mark.slow
def test_many_mutated_monitors_are_answered_or_told_with_the_line(environment: House) -> None:
    assert checked(environment, range(1_000, 1_500))[False] > 100

"""What is refused in a monitor's file, where, and with which mend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from monitor_files import WHOLE, problems, write
from pydantic import ValidationError

from pipeline import monitor_file
from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor, load


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    text = f"# one\n# two\n# three\n{WHOLE.replace('primary_key', 'primry_key')}"
    assert problems(tmp_path, text) == ["flights.yaml line 7: unknown key 'primry_key'; did you mean 'primary_key'?"]


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ("Owner: me", "unknown key 'Owner'; did you mean 'owner'?"),
        ("zzz: 1", "unknown key 'zzz'; known: alerts, columns, description, engine, expectations"),
        ("name: flights", "unknown key 'name'; the file's own name says it"),
        ("schema_policy: {}", "unknown key 'schema_policy'; did you mean 'schema'?"),
        ("exclude: [x]", "unknown key 'exclude'; it belongs under 'columns'"),
        ("training: {timezone: UTC}", "unknown key 'timezone'; it belongs at the top level"),
        ("training: {windw: 3}", "unknown key 'windw'; did you mean 'window'?"),
        ("columns: {kinds: {a: numeri}}", "'columns.kinds.a' cannot be 'numeri'; did you mean 'numeric'?"),
        ("columns: {kinds: {a: 5}}", "'columns.kinds.a' cannot be '5'; known: boolean, categorical, clock"),
        ("columns: {exclude: x}", "'columns.exclude' must be a list, such as [a, b]"),
        ("columns: [x]", "'columns' must hold keys with values"),
        ("columns:", "'columns' has no value; give it one or remove the line"),
        ("columns: {exclude: [a, '']}", "'columns.exclude[1]' must not be empty"),
        ("columns: {exclude: [a, a]}", "'a' is listed twice; keep one"),
        ("columns: {exclude: [a, 2013]}", "'columns.exclude[1]' must be text, but 2013 is read as a number; quote it"),
        ("columns: {exclude: [true]}", "'columns.exclude[0]' must be text, but true is read as a boolean; quote it"),
        ("columns: {exclude: [on]}", "'on' unquoted is read as a boolean; write true or false, or quote it"),
        ("columns: {exclude: [2013-01-01]}", "'2013-01-01' unquoted is read as a date; quote it"),
        ("columns: {exclude: [12:30]}", "'12:30' unquoted is read as a number in base 8 or 60; quote it"),
        ("columns: {exclude: [012]}", "'012' unquoted is read as a number in base 8 or 60; quote it"),
        ("columns: {kinds: {no: text}}", "'no' unquoted is read as a boolean"),
        ("columns: {kinds: {2013: text}}", "a key must be text; quote it: '2013'"),
        ("columns: {exclude: [x], kinds: {x: text}}", "column 'x' is both excluded and given a kind; keep one"),
        ("columns: {exclude: [id]}", "column 'id' tells records or partitions apart, so it cannot be excluded"),
        ("columns: {exclude: [night]}", "column 'night' tells records or partitions apart, so it cannot be excluded"),
        ("timezone: europe/zurich", "unknown timezone 'europe/zurich'; did you mean 'Europe/Zurich'?"),
        ("timezone: America", "unknown timezone 'America'; "),
        ("timezone: ../../etc/passwd", "unknown timezone '../../etc/passwd'; write one such as Europe/Zurich"),
        ("schedule: daily", "'daily' is not cron text: write minute, hour, day, month and weekday"),
        ("schedule: '0 2 * *'", "'0 2 * *' is not cron text: write"),
        ("schedule: '0 25 * * *'", "'0 25 * * *' is not cron text that ever comes"),
        ("schedule: '0 2 30 2 *'", "'0 2 30 2 *' is not cron text that ever comes"),
        ("schedule: 'R R * * *'", "'R R * * *' is not cron text: write"),
        ("training: {schedule: '0 * * * * *'}", "'0 * * * * *' is not cron text: write"),
        ("training: {window: '28'}", "'training.window' must be a whole number"),
        ("training: {window: 2.5}", "'training.window' must be a whole number"),
        ("training: {window: true}", "'training.window' must be a whole number"),
        ("training: {window: 0}", "'training.window' must be greater than or equal to 1"),
        ("training: {model: isolation_forest}", "'training.model' cannot be 'isolation_forest'; known: autoencoder"),
        ("training: {min_rows: 9, max_rows: 8}", "training.min_rows 9 is above max_rows 8; lower it"),
        ("threshold: {false_alarm_rate: 0}", "'threshold.false_alarm_rate' must be greater than 0"),
        ("threshold: {false_alarm_rate: 0.3}", "'threshold.false_alarm_rate' must be less than or equal to 0.2"),
        ("threshold: {false_alarm_rate: some}", "'threshold.false_alarm_rate' must be a number"),
        ("threshold: {alert_budget: .inf}", "'.inf' is not a number that can be kept"),
        ("threshold: {false_alarm_rate: .nan}", "'.nan' is not a number that can be kept"),
        (
            "threshold: {alert_budget: 1, false_alarm_rate: 0.1}",
            "threshold holds both false_alarm_rate and alert_budget",
        ),
        ("schema: {missing_column: warn}", "'schema.missing_column' cannot be 'warn'; known: refuse"),
        ("engine: sparc", "'engine' cannot be 'sparc'; did you mean 'spark'"),
        ("alerts: {to: [Ops Team]}", "an endpoint is a name such as ops"),
        ("expectations: {expect_x: {}}", "'expectations' must be a list"),
        ("expectations: [expect_x]", "an expectation is written {expect_...: {column: ...}, severity: error}"),
        ("expectations: [{expct_x: {}}]", "'expct_x' is neither severity nor a name that begins with 'expect_'"),
        ("expectations: [{expect_x: {}, expect_y: {}}]", "one item holds one expectation, not 2; begin each with '-'"),
        ("expectations: [{severity: error}]", "one item holds one expectation, not 0"),
        (
            "expectations: [{expect_x: [a]}]",
            "'expect_x' must hold its arguments, such as {column: ...}, or {} for none",
        ),
        ("expectations: [{expect_x: {severity: error}}]", "severity stands beside the expectation, not among its"),
        ("expectations: [{expect_x: {}, severity: erro}]", "'expectations[0].severity' cannot be 'erro'; did you mean"),
        ("expectations: [{name: expect_x, kwargs: {}}]", "'name' is neither severity nor a name that begins with"),
        ("owner: a\nowner: b", "the key 'owner' is written twice, first on line 6; keep one"),
        ("owner: &a x\ndescription: *a", "not YAML: aliases are not supported; write the value out"),
        ("<<: {owner: x}", "'<<' unquoted is read as a merge key, which is not supported"),
        ("owner: !!python/object:os.system x", "the tag 'tag:yaml.org,2002:python/object:os.system' is not supported"),
        ("columns: !set {exclude: []}", "neither a tag nor a key that is not text is supported"),
        ("? [a]\n: b", "neither a tag nor a key that is not text is supported"),
        ("owner: !!int x", "'x' is not a valid int"),
        ("owner: !!int", "'' is not a valid int"),
        ("owner: a: b", "not YAML: mapping values are not allowed here; quote a text that holds ': '"),
        ("owner:\n\t- b", "that cannot start any token; indent with spaces"),
        ("owner: @me", "that cannot start any token; quote a text that begins with this character"),
        ("columns: {sensitive: [${X}]}", "quote a text that holds '{' or '}'"),
        ("---\nowner: x", "remove the line '---' between them"),
        ('owner: "\\ud800"', "'\\ud800' holds a character that is not text; remove it"),
        ('owner: "\\UFFFFFFFF"', "not YAML: "),
        ("owner: a\x07b", "the character U+0007 cannot stand in YAML; remove it"),
        (f"training: {{window: 0x{'f' * 50}}}", "is not a number that can be kept"),
        ("owner: " + "[" * 100, "not YAML: values are nested too deep"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_mend(tmp_path: Path, addition: str, problem: str) -> None:
    lines = problems(tmp_path, f"{WHOLE}\n{addition}\n")
    last = 5 + len(addition.splitlines())
    assert len(lines) == 1
    assert re.match(rf"flights\.yaml line [{'6' if last == 6 else '67'}]: ", lines[0])
    assert problem in lines[0]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{}", "source names neither a table nor files"),
        ("{connection: 'duckdb://'}", "source names neither a table nor files"),
        ("{table: t}", "source.table needs a connection"),
        ("{connection: 'duckdb://', table: t, files: x}", "source names both a table and files; keep one"),
        (
            "{connection: 'postgres://h/d', files: x}",
            "source.files are read from disk by DuckDB; remove the connection",
        ),
        ("{connection: warehouse, table: t}", "the connection must be an ibis URL"),
        ("{connection: 'airflow:', table: t}", "the connection must be an ibis URL"),
        ("{connection: 'duckdb://', table: ''}", "'source.table' must not be empty"),
        ("table", "'source' must hold keys with values"),
    ],
)
def test_impossible_sources(tmp_path: Path, source: str, problem: str) -> None:
    (line,) = problems(tmp_path, f"partition_by: night\nprimary_key: [id]\nsource: {source}\n")
    assert line.startswith(f"flights.yaml line 3: {problem}")


@pytest.mark.parametrize("source", ["{connection: 'duckdb://', files: x}", "{connection: '${WAREHOUSE}', table: t}"])
def test_possible_sources(tmp_path: Path, source: str) -> None:
    load(write(tmp_path, f"partition_by: night\nprimary_key: [id]\nsource: {source}\n"))


def test_every_problem_of_a_file_is_told_in_the_order_of_its_lines(tmp_path: Path) -> None:
    text = "source: {files: x, tabel: y}\npartition_by: 5\ncolumns:\n  exclude:\n    - a\n    - 7\nalert: {}\n"
    assert problems(tmp_path, text) == [
        "flights.yaml line 1: the key 'primary_key' is missing; write it",
        "flights.yaml line 1: unknown key 'tabel'; did you mean 'table'?",
        "flights.yaml line 2: 'partition_by' must be text, but 5 is read as a number; quote it",
        "flights.yaml line 6: 'columns.exclude[1]' must be text, but 7 is read as a number; quote it",
        "flights.yaml line 7: unknown key 'alert'; did you mean 'alerts'?",
    ]


def test_a_flood_of_problems_is_cut(tmp_path: Path) -> None:
    lines = problems(tmp_path, WHOLE + "".join(f"key_{n}: 1\n" for n in range(100)))
    assert len(lines) == monitor_file.MAX_PROBLEMS + 1
    assert lines[-1] == "flights.yaml: 80 more problems"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the file is empty"),
        ("# nothing\n", "line 1: the file is empty"),
        ("\n\n- a\n", "line 3: the file must hold keys with values, not a list or a single value"),
        ("flights", "line 1: the file must hold keys with values"),
        (b"owner: x\nowner: \xff\n", "line 2: not UTF-8 text; save the file as UTF-8"),
        ("source: {files: x}".encode("utf-16"), "line 1: not UTF-8 text; save the file as UTF-8"),
        ("source: [", "line 1: not YAML: while parsing a flow node"),
    ],
)
def test_a_file_that_is_no_monitor_at_all(tmp_path: Path, text: str | bytes, problem: str) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith(f"flights.yaml {problem}")


def test_spark_reads_no_table(tmp_path: Path) -> None:
    text = f"{WHOLE.replace('files: data/*.parquet', 'connection: duckdb://a.db')}engine: spark\n"
    (line,) = problems(tmp_path, text.replace("a.db", "a.db\n  table: t"))
    assert line == (
        "flights.yaml line 6: engine spark reads Parquet files, not a table; write source.files, or engine: local"
    )


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_file, "MAX_BYTES", len(WHOLE))
    load(write(tmp_path, WHOLE))
    assert problems(tmp_path, WHOLE + " ")[0].startswith("flights.yaml: larger than")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="flights.yaml: cannot be read: No such file"):
        load(tmp_path / "flights.yaml")
    (tmp_path / "flights.yaml").mkdir()
    with pytest.raises(ConfigurationError, match="flights.yaml: cannot be read: Is a directory"):
        load(tmp_path / "flights.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "{connection: 'marker-secret@h', table: t}",
        "{connection: 'postgres://u:marker-secret@h', files: x}",
        "{connection: 'postgres://u:marker-secret@h', tabel: x}",
        "{connection: ['marker-secret'], table: t}",
    ],
)
def test_p34_no_error_repeats_a_connection(tmp_path: Path, text: str) -> None:
    assert "marker-secret" not in "\n".join(
        problems(tmp_path, f"source: {text}\nalerts: {{to: ['x://marker-secret']}}\n")
    )
    with pytest.raises(ValidationError) as caught:
        Monitor(name="a", source=yaml.safe_load(text), partition_by="d", primary_key=("id",))
    assert "marker-secret" not in str(caught.value)


def test_p34_a_monitor_does_not_show_its_connection(tmp_path: Path) -> None:
    source = "{connection: 'postgres://u:marker-secret@h/d', table: t}"
    monitor = load(write(tmp_path, f"partition_by: night\nprimary_key: [id]\nsource: {source}\n"))
    assert "marker-secret" not in f"{monitor!r} {monitor}"

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipeline import monitor_file
from pipeline.errors import ConfigurationError
from pipeline.monitor import Expectation, Monitor, Threshold, find, find_all, json_schema, load, scan

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/monitor.md").read_text(encoding="utf-8")
FLIGHTS = (ROOT / "monitors/flights.yaml").read_text(encoding="utf-8")
WHOLE = """\
source:
  files: data/*.parquet
partition_by: night
primary_key: [id]
"""


def write(folder: Path, text: str | bytes, name: str = "flights") -> Path:
    path = folder / f"{name}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def problems(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the error that a file raises, without the folder."""
    with pytest.raises(ConfigurationError) as caught:
        load(write(folder, text))
    return str(caught.value).replace(f"{folder.as_posix()}/", "").split("\n")


# What a good file becomes


def test_the_shortest_file_takes_the_defaults(tmp_path: Path) -> None:
    monitor = load(write(tmp_path, WHOLE, "night_flights"))
    assert monitor.name == "night_flights"
    assert monitor.source.files == "data/*.parquet"
    assert monitor.primary_key == ("id",)
    assert (monitor.owner, monitor.timezone, monitor.schedule) == ("data-team", "UTC", "0 2 * * *")
    assert monitor.threshold == Threshold(false_alarm_rate=0.001)
    assert (monitor.training.window, monitor.training.model, monitor.training.max_rows) == (28, "ensemble", 500_000)
    assert monitor.expectations == ()


def test_the_flights_of_the_demo() -> None:
    monitor = load(ROOT / "monitors/flights.yaml")
    assert FLIGHTS.startswith("# yaml-language-server: $schema=../docs/monitor.schema.json\n")
    assert monitor.source.connection == "duckdb://${TABLEWATCH_HOME}/warehouse.duckdb"
    assert (monitor.source.table, monitor.partition_by, monitor.primary_key) == (
        "flights",
        "flight_date",
        ("flight_id",),
    )
    assert monitor.columns.exclude == ("year", "month", "day")
    assert monitor.timezone == "America/New_York"
    assert monitor.expectations == (
        Expectation(name="expect_column_values_to_be_between", kwargs={"column": "distance", "min_value": 1}),
    )


def test_an_environment_variable_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "marker-secret")
    text = WHOLE.replace("files: data/*.parquet", "connection: postgres://u:${DB_PASSWORD}@h/d\n  table: t")
    monitor = load(write(tmp_path, text))
    assert monitor.source.connection == "postgres://u:${DB_PASSWORD}@h/d"
    assert "marker-secret" not in repr(monitor) + monitor.model_dump_json()


@pytest.mark.parametrize(("text", "rate", "budget"), [("{}", 0.001, None), ("{alert_budget: 20}", None, 20.0)])
def test_a_threshold_is_a_rate_or_a_budget(tmp_path: Path, text: str, rate: float, budget: float) -> None:
    threshold = load(write(tmp_path, f"{WHOLE}threshold: {text}")).threshold
    assert (threshold.false_alarm_rate, threshold.alert_budget) == (rate, budget)


def test_a_rate_may_be_written_as_people_write_it(tmp_path: Path) -> None:
    assert load(write(tmp_path, f"{WHOLE}threshold: {{false_alarm_rate: 1e-3}}")).threshold.false_alarm_rate == 0.001


@pytest.mark.parametrize("schedule", ["0 2 * * *", "*/15 0-6 1,15 jan-mar MON", "0 4 * * 0", "0 0 29 2 *"])
def test_cron_text(tmp_path: Path, schedule: str) -> None:
    assert load(write(tmp_path, f'{WHOLE}schedule: "{schedule}"')).schedule == schedule


def test_a_byte_order_mark_and_windows_lines_are_no_problem(tmp_path: Path) -> None:
    monitor = load(write(tmp_path, b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode()))
    assert monitor.partition_by == "night"


def test_a_monitor_is_frozen_and_survives_json() -> None:
    monitor = load(ROOT / "monitors/flights.yaml")
    with pytest.raises(ValidationError):
        monitor.owner = "someone"
    assert Monitor.model_validate_json(monitor.model_dump_json(by_alias=True)) == monitor


def test_the_config_hash_is_that_of_the_meaning(tmp_path: Path) -> None:
    first = load(write(tmp_path, WHOLE)).config_hash
    lines = WHOLE.splitlines()
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert load(write(tmp_path, "\n".join([*lines[2:], "# a comment", *lines[:2]]))).config_hash == first
    assert load(write(tmp_path, f"{WHOLE}owner: data-team\n")).config_hash == first
    kinds = [
        load(write(tmp_path, f"{WHOLE}columns: {{kinds: {{{two}}}}}"))
        for two in ("a: text, b: clock", "b: clock, a: text")
    ]
    assert kinds[0].config_hash == kinds[1].config_hash
    assert load(write(tmp_path, f"{WHOLE}owner: others\n")).config_hash != first
    assert load(write(tmp_path, WHOLE, "other")).config_hash != first


# What is refused, where, and with which mend


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    text = f"# one\n# two\n# three\n{WHOLE.replace('primary_key', 'primry_key')}"
    assert problems(tmp_path, text) == ["flights.yaml line 7: unknown key 'primry_key'; did you mean 'primary_key'?"]


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ("Owner: me", "unknown key 'Owner'; did you mean 'owner'?"),
        ("zzz: 1", "unknown key 'zzz'; known: alerts, columns, description, expectations, owner"),
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


# Names and folders


@pytest.mark.parametrize("stem", ["Flights", "1st", "my-flights", "a b", "é", "a" * 64])
def test_a_name_that_is_no_safe_path_component(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ConfigurationError, match="rename the file; .* is not a monitor's name"):
        load(write(tmp_path, WHOLE, stem))


@given(name=st.text() | st.sampled_from(["../flights", "/etc/passwd", "a/b", "a\\b", ".", "..", "a\n", "a\0", ""]))
def test_p36_find_builds_no_path_from_an_unsafe_name(name: str) -> None:
    try:
        assert find(name, ROOT / "monitors").name == name
    except ConfigurationError as error:
        assert "\n" not in str(error)
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) or "is not a monitor's name" in str(error)


def test_p36_a_file_outside_the_folder_is_never_found(tmp_path: Path) -> None:
    write(tmp_path, WHOLE, "outside")
    (tmp_path / "inside").mkdir()
    with pytest.raises(ConfigurationError, match=r"'\.\./outside' is not a monitor's name"):
        find("../outside", tmp_path / "inside")


def test_find_names_the_nearest_monitor(tmp_path: Path) -> None:
    write(tmp_path, WHOLE, "flights")
    write(tmp_path, WHOLE, "weather")
    assert find("weather", tmp_path).name == "weather"
    with pytest.raises(ConfigurationError, match="there is no monitor 'flihgts' in .*; did you mean 'flights'"):
        find("flihgts", tmp_path)
    with pytest.raises(ConfigurationError, match="there is no monitor 'zzz' in .*; known: flights, weather"):
        find("zzz", tmp_path)
    with pytest.raises(ConfigurationError, match="is not a monitor's name.*did you mean 'flights'"):
        find("Flights", tmp_path)


def test_an_error_stays_on_one_line_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb\x1b[31m"
    folder.mkdir()
    for name in ("flights", "Flights"):
        with pytest.raises(ConfigurationError) as caught:
            load(write(folder, "", name))
        assert str(caught.value).isprintable()
        assert r"a\nb\x1b[31m" in str(caught.value)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder .*; make it, or set TABLEWATCH_MONITORS"):
        find("flights", tmp_path / "none")
    assert scan(tmp_path / "none") == ([], [])
    assert find_all(tmp_path / "none") == []


def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("weather", "airports", "flights"):
        write(tmp_path, WHOLE, name)
    assert [monitor.name for monitor in find_all(tmp_path)] == ["airports", "flights", "weather"]
    write(tmp_path, "owner: [", "flights")
    write(tmp_path, WHOLE, "Bad-name")
    monitors, errors = scan(tmp_path)
    assert [monitor.name for monitor in monitors] == ["airports", "weather"]
    assert [str(error).split("/")[-1].split(".yaml")[0] for error in errors] == ["Bad-name", "flights"]
    with pytest.raises(ConfigurationError, match="Bad-name"):
        find_all(tmp_path)


def test_a_yml_file_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    (tmp_path / "flights.yml").write_text(WHOLE, encoding="utf-8")
    (tmp_path / ".#weather.yaml").write_text("an editor's lock", encoding="utf-8")
    _, errors = scan(tmp_path)
    assert [str(error).endswith("flights.yml: rename the file to flights.yaml") for error in errors] == [True]


# Whatever is in a file, it is a monitor or an error with a line

PLAIN: dict[str, Any] = yaml.safe_load(FLIGHTS) | {"alerts": {"to": ["ops"]}, "owner": "team"}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4),
    st.sampled_from(["on", "0 2 * * *", "UTC", "vae", "numeric", "expect_x", "severity", "1e5", "12:30", "duckdb://"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))][1 if path == () else 0 :]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The plain value of a monitor's file with a few values replaced, removed or added."""
    value = copy.deepcopy(PLAIN)
    for _ in range(draw(st.integers(1, 3))):
        *around, last = draw(st.sampled_from(places(value)))
        parent = value
        for part in around:
            parent = parent[part]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del parent[last]
        elif action == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8) | st.sampled_from(["ower", "name", "files", "expect_y", "2013"]))] = draw(
                VALUES
            )
        else:
            parent[last] = draw(VALUES)
        if not places(value):
            break
    return value


def assert_monitor_or_told(folder: Path, text: str | bytes) -> Monitor | None:
    try:
        return load(write(folder, text))
    except ConfigurationError as error:
        for line in str(error).split("\n"):
            assert re.search(r"flights\.yaml( line [1-9]\d*: .|: \d+ more problems$)", line)
            assert line.isprintable()
        return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(value=mutated(), flow=st.sampled_from([None, True, False]))
def test_a_mutated_file_is_a_monitor_or_an_error_with_a_line(tmp_path: Path, value: Any, flow: bool | None) -> None:
    text = yaml.dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    monitor = assert_monitor_or_told(tmp_path, text)
    if monitor is not None:
        written = {section: without_null(inner) for section, inner in value.items()}
        jsonschema.validate(written, json_schema())
        dumped = monitor.model_dump(mode="json", by_alias=True, exclude={"name"})
        again = load(write(tmp_path, yaml.dump(dumped, allow_unicode=True)))
        assert (again, again.config_hash) == (monitor, monitor.config_hash)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    at=st.integers(0, len(FLIGHTS)),
    cut=st.integers(0, 30),
    put=st.text(max_size=6) | st.sampled_from("{}[]:*&!|>%@`'\"\t-?#,"),
)
def test_a_text_cut_and_patched_is_a_monitor_or_an_error_with_a_line(
    tmp_path: Path, at: int, cut: int, put: str
) -> None:
    assert_monitor_or_told(tmp_path, FLIGHTS[:at] + put + FLIGHTS[at + cut :])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_monitor_or_an_error_with_a_line(tmp_path: Path, data: bytes) -> None:
    assert_monitor_or_told(tmp_path, data)


def without_null(value: Any) -> Any:
    """A section without the keys that hold nothing, which is what it means."""
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


# The schema and the reference


def test_the_schema_of_the_docs_is_in_step() -> None:
    stored = json.loads((ROOT / "docs/monitor.schema.json").read_text(encoding="utf-8"))
    assert stored == json_schema(), "write json.dumps(json_schema(), indent=2) to docs/monitor.schema.json"


@pytest.mark.parametrize(
    ("addition", "valid"),
    [
        ("expectations: [{expect_x: {column: a}}, {expect_y: {}, severity: warning}]", True),
        ("expectations: [{expect_x: {}, severity: fatal}]", False),
        ("expectations: [{expect_x: {}, expect_y: {}}]", False),
        ("expectations: [{severity: error}]", False),
        ("expectations: [{x: {}}]", False),
        ("expectations: [{}]", False),
        ("schema: {new_column: warn}", True),
        ("schema_policy: {}", False),
        ("name: flights", False),
        ("threshold: {alert_budget: 3}", True),
        ("threshold: {alert_budget: 3, false_alarm_rate: 0.1}", False),
        ("source: {table: t}", False),
        ("source: {connection: 'duckdb://', table: t}", True),
        ("source: {connection: 'duckdb://', table: t, files: x}", False),
        ("primary_key: []", False),
        ("columns: {kinds: {a: number}}", False),
    ],
)
def test_the_schema_has_the_shape_of_the_file(addition: str, valid: bool) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    file = {**yaml.safe_load(WHOLE), **yaml.safe_load(addition)}
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(file) is valid


def every_key(model: type[BaseModel], section: str = "") -> dict[str, Any]:
    """Each key that a file may write, by its dotted path, with its default in the shape of the file."""
    keys: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys |= every_key(kind, f"{field.alias or name}.")
        else:
            keys[section + (field.alias or name)] = None if field.is_required() else field.default
    return keys


ROWS = re.findall(r"^\| `([a-z_.]+)` \| (?:`(.*?)`|-) \| .*? \| `([^`]+)` \|$", REFERENCE, re.MULTILINE)
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)


def test_the_reference_documents_every_key_with_its_default() -> None:
    defaults = {key: list(value) if isinstance(value, tuple) else value for key, value in every_key(Monitor).items()}
    del defaults["name"]
    defaults["threshold.false_alarm_rate"] = Threshold().false_alarm_rate
    assert {key: yaml.safe_load(default) if default else None for key, default, _ in ROWS} == defaults


@pytest.mark.parametrize(("key", "example"), [(key, example) for key, _, example in ROWS])
def test_every_example_of_a_key_loads(tmp_path: Path, key: str, example: str) -> None:
    fragment = yaml.safe_load(example)
    for part in key.split("."):
        fragment = fragment[part]
    section = key.split(".")[0]
    base = WHOLE.splitlines()[2 if section == "source" else 0 :]
    load(write(tmp_path, "\n".join([*(line for line in base if not line.startswith(f"{section}:")), example])))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_of_the_reference_loads(tmp_path: Path, block: str) -> None:
    load(write(tmp_path, block if "source:" in block else WHOLE + block))


def test_the_errors_in_the_reference_are_those_of_the_file(tmp_path: Path) -> None:
    ((file, told),) = re.findall(
        r"^```yaml broken\n(.*?)^```$.*?^```text\n(.*?)\n^```$", REFERENCE, re.MULTILINE | re.DOTALL
    )
    assert [f"monitors/{line}" for line in problems(tmp_path, file)] == told.split("\n")


def test_importing_the_monitor_stays_light() -> None:
    heavy = {"pandas", "numpy", "pyarrow", "ibis", "airflow", "croniter", "great_expectations", "keras", "sqlalchemy"}
    code = "import sys, pipeline.monitor; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not heavy & set(loaded.split())

"""What a good monitor's file becomes, and how it is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitor_files import FLIGHTS, ROOT, WHOLE, write
from pydantic import ValidationError

from pipeline.errors import ConfigurationError
from pipeline.monitor import Expectation, Monitor, Threshold, find, find_all, load, scan

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
    assert load(write(tmp_path, f"{WHOLE}engine: spark\n")).config_hash == first
    assert load(write(tmp_path, WHOLE, "other")).config_hash != first


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


def test_importing_the_monitor_stays_light() -> None:
    heavy = {"pandas", "numpy", "pyarrow", "ibis", "airflow", "croniter", "great_expectations", "keras", "sqlalchemy"}
    code = "import sys, pipeline.monitor; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not heavy & set(loaded.split())

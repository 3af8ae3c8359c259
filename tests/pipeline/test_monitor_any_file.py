"""Whatever is in a file, it is a monitor or an error with a line."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monitor_files import FLIGHTS, write

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor, json_schema, load

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

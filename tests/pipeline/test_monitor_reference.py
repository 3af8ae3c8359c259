"""The schema of a monitor's file and its reference page, in step with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from monitor_files import ROOT, WHOLE, problems, write
from pydantic import BaseModel

from pipeline.monitor import Monitor, Threshold, json_schema, load

REFERENCE = (ROOT / "docs/monitor.md").read_text(encoding="utf-8")


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

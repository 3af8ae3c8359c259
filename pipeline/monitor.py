"""A monitor's file as a typed, checked, frozen value: all that a user writes about one watched table.

`load`, `find`, `find_all` and `scan` read files; the rest is pure. `${NAME}` in a connection or a glob is not expanded
here, so that no secret sits in the value. docs/monitor.md is the reference of every key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema
from pydantic_core import core_schema

from pipeline.errors import ConfigurationError
from pipeline.monitor_file import did_you_mean, one_line, read
from pipeline.monitor_problems import check
from pipeline.monitor_values import (
    Connection,
    Cron,
    Endpoints,
    ExpectationItem,
    Names,
    Section,
    Span,
    Text,
    Zone,
    as_span,
    refuse,
)
from pipeline.monitor_values import Expectation as Expectation

Kind = Literal["numeric", "categorical", "boolean", "datetime", "clock", "text"]

_NAME = r"^[a-z][a-z0-9_]{0,62}$"


class SourceConfig(Section):
    """Where the records are: a table behind a connection, or files."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["connection", "table"]}, {"required": ["files"]}]}
    )

    connection: Connection | None = Field(default=None, repr=False)
    """An ibis URL (postgres://..., duckdb://file) or airflow:NAME; ${NAME} is read from the environment."""
    table: Text | None = None
    """The table's name in the connection."""
    files: Text | None = None
    """A glob of Parquet or CSV files, instead of a table."""

    @model_validator(mode="after")
    def _one_source(self) -> SourceConfig:
        if self.table and self.files:
            refuse("source names both a table and files; keep one", "files")
        if not self.table and not self.files:
            refuse("source names neither a table nor files; write table: with connection:, or files:")
        if self.table and not self.connection:
            refuse("source.table needs a connection; write connection: with an ibis URL", "table")
        if self.files and self.connection and not self.connection.startswith("duckdb:"):
            refuse("source.files are read from disk by DuckDB; remove the connection", "connection")
        return self


class Columns(Section):
    """How columns are treated. All but the excluded, the primary key and the partition's column are modelled."""

    exclude: Names = ()
    """Columns that are not modelled."""
    kinds: dict[Text, Kind] = Field(default={})
    """The kind of a column, where the one inferred from its type is not the right one."""
    sensitive: Names = ()
    """Columns whose values leave the table only as digests, record keys included; declare them before training."""

    @model_validator(mode="after")
    def _no_kind_of_excluded(self) -> Columns:
        excluded = set(self.exclude)
        for name in self.kinds:
            if name in excluded:
                refuse(f"column {name!r} is both excluded and given a kind; keep one", "kinds", name)
        return self


class Training(Section):
    """On what, when and how a challenger is trained."""

    window: int = Field(default=28, strict=True, ge=1)
    """How many of the latest partitions a model is trained on."""
    schedule: Cron = "0 4 * * 0"
    """When to retrain: cron text."""
    model: Literal["ensemble", "autoencoder", "vae"] = "ensemble"
    """The model to train."""
    max_rows: int = Field(default=500_000, strict=True, ge=1)
    """Of a larger window about so many records are used, drawn by a hash of their keys."""
    min_rows: int = Field(default=200, strict=True, ge=1)
    """With fewer records training is refused."""
    trim: bool = Field(default=False, strict=True)
    """Whether what looks like an anomaly is set aside before fitting: for tables of numbers known to be dirty."""
    approval: bool = Field(default=False, strict=True)
    """Whether a person has to approve a challenger that passed the gate before it becomes champion."""
    max_age: int = Field(default=35, strict=True, ge=1)
    """After so many partitions past its window a champion is stale, and retraining is asked for."""
    max_drift: float = Field(default=0.25, strict=True, gt=0)
    """The population stability index of a column or the score from which retraining is asked for."""

    @model_validator(mode="after")
    def _room_between_rows(self) -> Training:
        if self.min_rows > self.max_rows:
            refuse(f"training.min_rows {self.min_rows} is above max_rows {self.max_rows}; lower it", "min_rows")
        return self


class Threshold(Section):
    """How many records are flagged: a rate or a budget, not both; a rate of 0.001 if neither is written."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["false_alarm_rate", "alert_budget"]}})

    false_alarm_rate: float | None = Field(default=None, strict=True, gt=0, le=0.2)
    """The share of normal records that may be flagged."""
    alert_budget: float | None = Field(default=None, strict=True, gt=0, allow_inf_nan=False)
    """How many normal records of a partition may be flagged."""

    @model_validator(mode="before")
    @classmethod
    def _one_threshold(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        written = [key for key in ("false_alarm_rate", "alert_budget") if data.get(key) is not None]
        if len(written) == 2:
            refuse("threshold holds both false_alarm_rate and alert_budget; keep one", "alert_budget")
        return data if written else {**data, "false_alarm_rate": 0.001}


class SchemaPolicy(Section):
    """What happens when the table's columns are not those that the model was trained on."""

    new_column: Literal["warn", "refuse"] = "warn"
    """A column that was not there in training: ignored with a warning, or the partition is refused."""
    missing_column: Literal["refuse"] = "refuse"
    """A column that was there in training and is gone: the partition is refused."""


class Alerts(Section):
    """Who is told of incidents, and from which severity on."""

    to: Endpoints = ()
    """Names of endpoints; the URL of `ops` is the environment's TABLEWATCH_ALERTS__OPS."""
    min_severity: Literal["info", "warning", "critical"] = "warning"
    """The least severity that is told."""
    deadline: Span | None = None
    """How long after its schedule a partition may not be scored before that is told: 90m, 6h, 1d."""

    @property
    def patience(self) -> dt.timedelta | None:
        """The deadline as a time span."""
        return None if self.deadline is None else as_span(self.deadline)


class Monitor(Section):
    """One watched table. The file's stem is its name; `model_dump(by_alias=True)` has the shape of the file."""

    model_config = ConfigDict(title="A monitor of tablewatch")

    name: SkipJsonSchema[Annotated[str, Field(pattern=_NAME)]]
    """The file's stem: one safe path component, not written in the file."""
    description: str = ""
    """What the table holds, for people."""
    owner: Text = "data-team"
    """Who answers for the table."""
    source: SourceConfig
    partition_by: Text
    """A date column; one partition a day."""
    primary_key: Names = Field(min_length=1)
    """The columns that tell a record from every other."""
    engine: Literal["local", "spark"] = "local"
    """Where a partition is validated and scored: in the process that runs the step, or on a Spark cluster."""
    columns: Columns = Field(default_factory=Columns)
    timezone: Zone = "UTC"
    """The zone of times that are stored without one."""
    schedule: Cron = "0 2 * * *"
    """When to validate and score: cron text."""
    training: Training = Field(default_factory=Training)
    threshold: Threshold = Field(default_factory=Threshold)
    neighbours: int = Field(default=3, strict=True, ge=0, le=10)
    """So many normal records are kept beside a flagged one, nearest first, without sensitive columns; 0 keeps none."""
    schema_policy: SchemaPolicy = Field(default_factory=SchemaPolicy, alias="schema")
    expectations: tuple[ExpectationItem, ...] = ()
    """Great Expectations expectations by their snake_case names; they override learned ones."""
    alerts: Alerts = Field(default_factory=Alerts)

    @model_validator(mode="after")
    def _identity_is_kept(self) -> Monitor:
        identity = {*self.primary_key, self.partition_by}
        for position, name in enumerate(self.columns.exclude):
            if name in identity:
                message = f"column {name!r} tells records or partitions apart, so it cannot be excluded; take it out"
                refuse(message, "columns", "exclude", position)
        return self

    @model_validator(mode="after")
    def _partitions_are_told(self) -> Monitor:
        if self.partition_by in self.columns.sensitive:
            message = (
                f"column {self.partition_by!r} names the partitions, which every run tells, so it cannot be sensitive; "
                " take it out, or partition by another date"
            )
            refuse(message, "columns", "sensitive", self.columns.sensitive.index(self.partition_by))
        return self

    @model_validator(mode="after")
    def _spark_reads_files(self) -> Monitor:
        if self.engine == "spark" and self.source.table:
            refuse("engine spark reads Parquet files, not a table; write source.files, or engine: local", "engine")
        return self

    @property
    def config_hash(self) -> str:
        """12 hex digits of the SHA-256 of the monitor's canonical JSON, its name included.

        Without the engine, which changes nothing of the results.
        """
        written = self.model_dump(mode="json", by_alias=True, exclude={"engine"})
        canonical = json.dumps(written, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def load(path: Path) -> Monitor:
    """The monitor in a file. ConfigurationError with one line a problem: file, line, mend."""
    if not re.fullmatch(_NAME, path.stem):
        raise ConfigurationError(one_line(f"{path.as_posix()}: rename the file; {_name_problem(path.stem)}"))
    if path.suffix != ".yaml":
        raise ConfigurationError(one_line(f"{path.as_posix()}: rename the file to {path.stem}.yaml"))
    return check(read(path), Monitor, name=path.stem)


def find(name: str, folder: Path) -> Monitor:
    """The monitor of that name. ConfigurationError if the folder or the monitor is not there, or its file is wrong."""
    where = folder.as_posix()
    if not folder.is_dir():
        raise ConfigurationError(one_line(f"there is no folder {where!r}; make it, or set TABLEWATCH_MONITORS"))
    # Of flights.yaml and a stray flights.yml the first is the monitor, as scan has it.
    files = {path.stem: path for path in reversed(_files(folder))}
    if not re.fullmatch(_NAME, name):
        raise ConfigurationError(one_line(f"{_name_problem(name)}; {did_you_mean(name, files)}"))
    if name not in files:
        raise ConfigurationError(one_line(f"there is no monitor {name!r} in {where!r}; {did_you_mean(name, files)}"))
    return load(files[name])


def find_all(folder: Path) -> list[Monitor]:
    """Every monitor in a folder, sorted by name; none if it is not there. ConfigurationError of the first bad file."""
    monitors, errors = scan(folder)
    if errors:
        raise errors[0]
    return monitors


def scan(folder: Path) -> tuple[list[Monitor], list[ConfigurationError]]:
    """Every monitor that can be read, sorted by name, and one error for each file that cannot."""
    monitors, errors = [], []
    for path in _files(folder):
        try:
            monitors.append(load(path))
        except ConfigurationError as error:
            errors.append(error)
    return monitors, errors


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a monitor's file, for editors: docs/monitor.schema.json holds it."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **Monitor.model_json_schema(schema_generator=_Untitled)}


class _Untitled(GenerateJsonSchema):
    """Without titles, which only repeat the keys, and without null, which only says that a key is not written."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return {
            key: value for key, value in super().default_schema(schema).items() if (key, value) != ("default", None)
        }


def _files(folder: Path) -> list[Path]:
    """The monitors' files in a folder, sorted by name; hidden ones are an editor's."""
    found = [path for pattern in ("*.yaml", "*.yml") for path in folder.glob(pattern) if not path.name.startswith(".")]
    return sorted(found, key=lambda path: path.name)


def _name_problem(name: str) -> str:
    return f"{name!r} is not a monitor's name: a lower-case letter, then lower-case letters, digits and _, 63 at most"

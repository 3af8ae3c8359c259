"""Great Expectations: expectations and a pandas frame, or metrics that are known already, in; an outcome each out.

Great Expectations takes many seconds to import, so nothing here loads it before it is needed.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.monitor_file import one_line
from pipeline.records import as_text
from pipeline.validation.suite import Spec, columns_of

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

_LONGEST = 300
# COMPLETE is the format that lists the position of every record that breaks an expectation.
_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_VERDICT = {"result_format": "BOOLEAN_ONLY"}


@dataclass(frozen=True)
class Outcome:
    """How one expectation fared on a frame: `rows` are the positions of the records that broke it, ascending."""

    success: bool
    checked: int
    rows: list[int]
    observed: Any


def expectation_class(name: str) -> type[Expectation]:
    """The expectation of that snake_case name; KeyError if Great Expectations has none."""
    _load()
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        return get_expectation_impl(name)
    except ExpectationNotFoundError as error:
        raise KeyError(name) from error


def expectation_names() -> list[str]:
    """The snake_case names of every expectation that Great Expectations has."""
    _load()
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return [name for name in list_registered_expectation_implementations() if name.startswith("expect_")]


def validate(
    monitor: Monitor, partition: str, frame: pd.DataFrame, specs: Sequence[Spec], schema: pa.Schema
) -> list[Outcome]:
    """One outcome for each expectation, in their order; `schema` holds the columns' Arrow types.

    ConfigurationError naming the expectation that could not be computed: it has neither passed nor failed.
    """
    _load()
    from great_expectations import ExpectationSuite

    if not specs:
        return []
    batch = _dataframes().get_batch({"dataframe": frame})
    expectations = [_expectation(monitor, partition, spec, schema, at) for at, spec in enumerate(specs)]
    validated = batch.validate(ExpectationSuite("suite", expectations=expectations), result_format=_FORMAT)
    # Great Expectations hands results back in an order of its own.
    results = sorted(validated.results, key=_position)
    return [_outcome(monitor, partition, spec, result) for spec, result in zip(specs, results, strict=True)]


def conclude(monitor: Monitor, partition: str, spec: Spec, metrics: Mapping[str, Any]) -> Outcome:
    """What the expectation itself makes of its metrics, by Great Expectations' names for them, computed elsewhere.

    Its own engine takes milliseconds of an expectation only to plan which metrics it needs (docs/decisions/0016).
    ConfigurationError if the expectation cannot be made or cannot judge by these.
    """
    _load()
    from great_expectations.core import ExpectationValidationResult

    expectation = _expectation(monitor, partition, spec, pa.schema([]), 0)
    try:
        judged = expectation._validate(dict(metrics), runtime_configuration={"result_format": _VERDICT})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(_failure(monitor, partition, spec, str(error))) from error
    return _outcome(monitor, partition, spec, ExpectationValidationResult(**judged))


def counts_of(spec: Spec, checked: int, nulls: int, unexpected: int) -> dict[str, int]:
    """The metrics by which an expectation on each value of a column judges a whole."""
    kind: Any = expectation_class(spec["type"])
    of_values = f"{kind.map_metric}.unexpected_count"
    # Where the expectation is on nulls, these are what is unexpected: the same metric, and the last one counts.
    return {"table.row_count": checked, "column_values.nonnull.unexpected_count": nulls, of_values: unexpected}


@cache
def _load() -> None:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    with _without_spark():
        import great_expectations  # noqa: F401

    # Its warnings repeat values of the data; what they tell is raised as an error of ours.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)


@contextmanager
def _without_spark() -> Iterator[None]:
    """Great Expectations loads Spark wherever it is installed; Spark's client ends a process whose main module is none.

    Frames are all that is validated here, so that it may think there is no Spark.
    """
    hidden = {name: sys.modules.get(name) for name in ("pyspark", "pyspark.sql.connect")}
    sys.modules.update(dict.fromkeys(hidden, None))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@cache
def _dataframes() -> BatchDefinition[Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return (
        context.data_sources.add_pandas("frames")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("whole")
    )


def _expectation(monitor: Monitor, partition: str, spec: Spec, schema: pa.Schema, position: int) -> Expectation:
    from great_expectations.expectations.metadata_types import FailureSeverity

    severity = FailureSeverity.CRITICAL if spec["severity"] == "error" else FailureSeverity.WARNING
    kwargs = native(spec["kwargs"], schema, ZoneInfo(monitor.timezone))
    try:
        return expectation_class(spec["type"])(**kwargs, severity=severity, meta={"position": position})
    except ValueError as error:
        raise ConfigurationError(_failure(monitor, partition, spec, str(error))) from error


def _position(result: ExpectationValidationResult) -> int:
    configuration = result.expectation_config
    return int(configuration.meta["position"]) if configuration and configuration.meta else -1


def _outcome(monitor: Monitor, partition: str, spec: Spec, result: ExpectationValidationResult) -> Outcome:
    details = result.exception_info or {}
    raised = [detail for detail in (details, *details.values()) if isinstance(detail, dict) and _raised(detail)]
    if raised:
        raise ConfigurationError(_failure(monitor, partition, spec, str(raised[0].get("exception_message"))))
    found = result.result
    rows = sorted(int(row) for row in found.get("unexpected_index_list") or [])
    observed = found.get("observed_value", found.get("unexpected_percent"))
    return Outcome(bool(result.success), int(found.get("element_count", 0)), rows, _plain(observed))


def _raised(detail: Mapping[str, Any]) -> bool:
    return bool(detail.get("raised_exception"))


def _plain(observed: Any) -> Any:
    """An observed value as a short JSON value."""
    text = json.dumps(observed, default=lambda value: value.item() if hasattr(value, "item") else as_text(value))
    # JSON has no NaN and no infinity; their names stay.
    return json.loads(text, parse_constant=str) if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _failure(monitor: Monitor, partition: str, spec: Spec, message: str) -> str:
    columns = columns_of(spec["kwargs"])
    where = f" on {', '.join(map(repr, columns))}" if columns else ""
    # The message may quote the value at fault, and a condition may read any column.
    hidden = (
        monitor.columns.sensitive if "row_condition" in spec["kwargs"] else {*columns} & {*monitor.columns.sensitive}
    )
    reason = "the reason may hold sensitive values" if hidden else message
    return one_line(
        f"{monitor.name} {partition}: {spec['type']}{where} could not be computed: {reason}; mend or drop it"
    )


def native(kwargs: Mapping[str, Any], schema: pa.Schema, zone: ZoneInfo) -> dict[str, Any]:
    """The arguments with dates and times, which a suite keeps as text, as the values that their column holds."""
    names = columns_of(kwargs)
    position = schema.get_field_index(names[0]) if len(names) == 1 else -1
    if position < 0 or not pa.types.is_temporal(schema.types[position]):
        return dict(kwargs)
    kind = schema.types[position]
    changed = {key: _instant(kwargs[key], kind, zone) for key in ("min_value", "max_value") if key in kwargs}
    if isinstance(kwargs.get("value_set"), list):
        changed["value_set"] = [_instant(value, kind, zone) for value in kwargs["value_set"]]
    return {**kwargs, **changed}


def _instant(value: Any, kind: pa.DataType, zone: ZoneInfo) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if pa.types.is_date(kind):
            return dt.date.fromisoformat(value)
        if pa.types.is_time(kind):
            return dt.time.fromisoformat(value)
        instant = dt.datetime.fromisoformat(value)
    except ValueError:
        return value
    if kind.tz is None:
        return instant if instant.tzinfo is None else instant.astimezone(zone).replace(tzinfo=None)
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)

"""Judges a partition before its records are read: its columns, and its profile against the partition suite."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipeline.errors import EmptyPartition, RefusedData
from pipeline.monitor import Monitor
from pipeline.monitor_file import one_line
from pipeline.results import ExpectationResult
from pipeline.validation import engine
from pipeline.validation.catalogue import needs_records
from pipeline.validation.conform import type_text
from pipeline.validation.profile import Profile, metric, metric_names
from pipeline.validation.suite import MAX, ROW_COUNT, ROW_COUNT_EQUAL, Spec, Suite
from pipeline.validation.words import in_words

_KNOWN = 10


def check_schema(monitor: Monitor, partition: str, schema: pa.Schema, suite: Suite) -> list[str]:
    """Warnings: of columns that are new since training, and of those whose type is another.

    RefusedData if a column that was trained on or that tells records apart is missing, or if one is new and the
    monitor refuses new columns.
    """
    where, keys = f"{monitor.name} {partition}", (*monitor.primary_key, monitor.partition_by)
    required = [name for name in dict.fromkeys((*suite.schema, *keys)) if name not in monitor.columns.exclude]
    missing = [name for name in required if name not in schema.names]
    if missing:
        known = _nearest_first(missing, schema.names)
        raise RefusedData(one_line(f"{where}: {_columns(missing, 'missing')}; known columns are {known}"))
    known_now = {*required, *monitor.columns.exclude}
    new = [name for name in schema.names if suite.schema and name not in known_now]
    if new and monitor.schema_policy.new_column == "refuse":
        mend = "train again to take it in, exclude it, or set schema.new_column to warn"
        raise RefusedData(one_line(f"{where}: {_columns(new, 'new')}; {mend}"))
    warnings = [f"{where}: {_columns([name], 'new')} and is ignored; train again to take it in" for name in new]
    return [one_line(text) for text in [*warnings, *_changed_types(where, schema, suite)]]


def check_partition(monitor: Monitor, partition: str, profile: Profile, suite: Suite) -> list[ExpectationResult]:
    """How the partition's profile, one row of metrics, fares against the partition suite.

    Without records only the expectations on their number are judged. Those of the monitor that need the records
    themselves are judged by RecordCheck.
    """
    specs = [spec for spec in suite.partition if not needs_records(spec)]
    if not profile["rows"]:
        specs = [spec for spec in specs if "column" not in spec["kwargs"]]
    return [_result(spec, _concluded(monitor, partition, spec, profile), profile) for spec in specs]


def metrics_of(suite: Suite) -> frozenset[str]:
    """The metrics of a partition's profile that `check_partition` judges by."""
    specs = [spec for spec in suite.partition if not needs_records(spec)]
    return frozenset(name for spec in specs for name in metric_names(spec["type"], spec["kwargs"].get("column")))


def refuse_if_broken(monitor: Monitor, partition: str, results: Iterable[ExpectationResult]) -> None:
    """EmptyPartition if there are no records, RefusedData if another partition expectation of severity error broke."""
    broken = [one for one in results if (one.scope, one.severity, one.success) == ("partition", "error", False)]
    if not broken:
        return
    where = f"{monitor.name} {partition}"
    if any((one.origin, one.expectation, one.checked) == ("built-in", ROW_COUNT, 0) for one in broken):
        raise EmptyPartition(f"{where}: the partition has no records; load it, then run the partition again")
    reasons = "; ".join(in_words(one) for one in broken)
    mend = "load the partition again, or write this expectation in the monitor as it should be"
    raise RefusedData(one_line(f"{where}: {reasons}; {mend}"))


def _concluded(monitor: Monitor, partition: str, spec: Spec, profile: Profile) -> engine.Outcome:
    """The outcome of the expectation by its metric in the profile, as the largest value of a column of one value.

    Unlike an expectation on each record, one on the largest value fails where there is none.
    """
    kwargs = {"column": "profile"} | {name: spec["kwargs"][name] for name in spec["kwargs"] if name != "value"}
    if spec["type"] == ROW_COUNT_EQUAL:
        kwargs |= {"min_value": spec["kwargs"]["value"], "max_value": spec["kwargs"]["value"]}
    value = metric(spec["type"], spec["kwargs"].get("column"), profile)
    return engine.conclude(monitor, partition, {**spec, "type": MAX, "kwargs": kwargs}, {"column.max": value})


def _result(spec: Spec, outcome: engine.Outcome, profile: Profile) -> ExpectationResult:
    return ExpectationResult(
        scope="partition",
        expectation=spec["type"],
        column=spec["kwargs"].get("column"),
        kwargs=spec["kwargs"],
        severity=spec["severity"],
        origin=spec["origin"],
        success=outcome.success,
        checked=int(profile["rows"] or 0),
        unexpected=int(not outcome.success),
        observed=outcome.observed,
    )


def _columns(names: Sequence[str], what: str) -> str:
    """`column 'a' is new`, or `columns 'a', 'b' are new`."""
    listed = ", ".join(repr(name) for name in names[:_KNOWN])
    more = f" and {len(names) - _KNOWN} more" if len(names) > _KNOWN else ""
    return f"column {listed} is {what}" if len(names) == 1 else f"columns {listed}{more} are {what}"


def _nearest_first(wanted: Sequence[str], known: Sequence[str]) -> str:
    likeness = {name: max(difflib.SequenceMatcher(None, one, name).ratio() for one in wanted) for name in known}
    ordered = sorted(known, key=lambda name: -likeness[name])
    more = f" and {len(known) - _KNOWN} more" if len(known) > _KNOWN else ""
    return ", ".join(ordered[:_KNOWN]) + more if known else "none"


def _changed_types(where: str, schema: pa.Schema, suite: Suite) -> list[str]:
    return [
        f"{where}: column {field.name!r} was {suite.schema[field.name]} in training and is {type_text(field.type)}; "
        "records whose value does not fit are quarantined"
        for field in schema
        if suite.schema.get(field.name, "null") not in ("null", type_text(field.type))
    ]

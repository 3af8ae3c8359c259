"""Suites: what is built in, what the training window teaches, and what the monitor says.

The window holds bad records too, and a quarantined record is never scored, so an error is learned only with evidence
and with generous room: what is merely unusual is the detector's to flag.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.monitor import Kind, Monitor
from pipeline.validation.catalogue import own_specs
from pipeline.validation.conform import arrow_type, plain, type_text
from pipeline.validation.history import learn_partition
from pipeline.validation.profile import Profile, metric
from pipeline.validation.ranges import numeric_range, outward, wide_range
from pipeline.validation.suite import BETWEEN, IN_SET, MEAN, MEDIAN, NOT_NULL, Spec, Suite, combine, learned

_EVIDENCE = 500  # records
_FEW_CATEGORIES = 50
_RARE_CATEGORY, _CLOSED_SHARE = 2, 0.999
_TREND = 0.8
_TELLING = (BETWEEN, IN_SET, MEAN, MEDIAN)
_YEARS = 10 * 365.25 * 86_400 * 1e6  # microseconds


def first_suite(monitor: Monitor, schema: pa.Schema) -> Suite:
    """Before any training: what is built in and the monitor's own expectations, for a table of that schema.

    ConfigurationError if one of these has no such name, wrong arguments, or names no column of the table.
    """
    return combine(monitor, [], own_specs(monitor, schema.names), _floating(monitor, schema), {})


def learn(monitor: Monitor, window: pa.Table, profiles: Sequence[Profile], expected: pa.Table | None = None) -> Suite:
    """After training: also what the records of the window and the profiles of its partitions, oldest first, teach.

    No learned bound is so tight that it would set aside a record of the window that is `expected`.
    ConfigurationError if an expectation of the monitor has no such name or wrong arguments.
    """
    modelled = [name for name in window.column_names if _is_modelled(monitor, name)]
    normal = window.slice(0, 0) if expected is None else expected
    taught = [
        spec
        for name in modelled
        for spec in _learn_column(
            monitor, name, plain(window.column(name)), plain(normal.column(name)).drop_null(), profiles
        )
    ]
    averaged = [name for name in modelled if _has_mean(monitor, window.schema.field(name))]
    counted = [name for name in modelled if name not in averaged]
    taught += learn_partition(averaged, counted, monitor.columns.sensitive, profiles)
    trained = {field.name: type_text(field.type) for field in window.schema if _is_watched(monitor, field.name)}
    return combine(monitor, taught, own_specs(monitor), _floating(monitor, window.schema), trained)


def with_own(monitor: Monitor, suite: Suite) -> Suite:
    """A learned suite with the monitor's own expectations as they are written now.

    A learned expectation that one of the monitor's once replaced comes back with the next training. What was learned of
    the values of a column that has been declared sensitive since is left out.
    """
    learnt = [spec for spec in (*suite.record, *suite.partition) if spec["origin"] == "learned"]
    hidden = monitor.columns.sensitive
    taught = [s for s in learnt if not (s["type"] in _TELLING and s["kwargs"]["column"] in hidden)]
    types = {name: arrow_type(text) for name, text in suite.schema.items()}
    schema = pa.schema([(name, kind) for name, kind in types.items() if kind is not None])
    return combine(monitor, taught, own_specs(monitor), _floating(monitor, schema), suite.schema)


def _is_watched(monitor: Monitor, name: str) -> bool:
    return name not in monitor.columns.exclude


def _is_modelled(monitor: Monitor, name: str) -> bool:
    return _is_watched(monitor, name) and name not in (*monitor.primary_key, monitor.partition_by)


def _floating(monitor: Monitor, schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_floating(field.type) and _is_watched(monitor, field.name)]


def _learn_column(
    monitor: Monitor,
    name: str,
    column: pa.ChunkedArray,
    expected: pa.ChunkedArray,
    profiles: Sequence[Profile],
) -> list[Spec]:
    """The record expectations that one column's values in the window teach; none from fewer than 500 values.

    Of a column they leave room for the `expected` values (without nulls).
    """
    values = column.drop_null()
    if len(values) < _EVIDENCE:
        return []
    specs = [learned("record", NOT_NULL, "error", column=name)] if column.null_count == 0 else []
    if name in monitor.columns.sensitive:
        return specs  # a bound may be somebody's value
    kind, declared = values.type, monitor.columns.kinds.get(name)
    if _is_numeric(monitor, pa.field(name, kind)):
        return specs + _numbers(name, values, expected, profiles)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return specs + _moments(name, values, expected)
    if _is_category(kind, declared):
        return specs + _categories(name, values, expected)
    return specs


def _is_numeric(monitor: Monitor, field: pa.Field) -> bool:
    """Whether the size of a column's numbers means something: codes declared to be categories have none."""
    number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
    return number and monitor.columns.kinds.get(field.name) in (None, "numeric", "clock")


def _has_mean(monitor: Monitor, field: pa.Field) -> bool:
    return bool(pa.types.is_boolean(field.type)) or _is_numeric(monitor, field)


def _is_category(kind: pa.DataType, declared: Kind | None) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return declared in (None, "categorical")
    return declared == "categorical" and bool(pa.types.is_integer(kind))


def _numbers(name: str, values: pa.ChunkedArray, expected: pa.ChunkedArray, profiles: Sequence[Profile]) -> list[Spec]:
    numbers = _finite(values)
    if len(numbers) < _EVIDENCE:
        return []
    low, high = _with_room(numeric_range(numbers), _finite(expected))
    rises, falls = _trend(name, profiles)
    low = -math.inf if falls and low != 0 else low
    return _between(name, _bound(low, up=False), _bound(math.inf if rises else high, up=True))


def _finite(values: pa.ChunkedArray) -> np.ndarray:
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(numbers[np.isfinite(numbers)])


def _with_room(bounds: tuple[float, float], expected: np.ndarray) -> tuple[float, float]:
    low, high = bounds
    return min([low, *expected.tolist()]), max([high, *expected.tolist()])


def _bound(value: float, up: bool) -> float | int | None:
    rounded = outward(value, up)
    if not math.isfinite(rounded):
        return None
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 2**53 else rounded


def _between(name: str, low: Any, high: Any) -> list[Spec]:
    bounds = {key: value for key, value in (("min_value", low), ("max_value", high)) if value is not None}
    return [learned("record", BETWEEN, "error", column=name, **bounds)] if bounds else []


def _trend(name: str, profiles: Sequence[Profile]) -> tuple[bool, bool]:
    """Whether a column rises, and whether it falls, from partition to partition, as counters and years do.

    What rises will be above any bound one day. Of fewer than three partitions nobody can tell, so both may be.
    """
    for kind in (MEDIAN, MEAN):
        levels = np.array([metric(kind, name, profile) for profile in profiles])
        steps = np.diff(levels[np.isfinite(levels)])
        if len(steps) >= 2:
            return bool((steps > 0).mean() >= _TREND), bool((steps < 0).mean() >= _TREND)
    return True, True


def _moments(name: str, values: pa.ChunkedArray, expected: pa.ChunkedArray) -> list[Spec]:
    """A range far around the dates or times, ten years more on both sides: time may pass until it is learned anew."""
    kind = values.type
    low, high = _with_room(wide_range(_microseconds(values), _YEARS), _microseconds(expected))
    return _between(name, _moment_text(low, kind), _moment_text(high, kind))


def _microseconds(values: pa.ChunkedArray) -> np.ndarray:
    instants = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None)), safe=False).cast(pa.int64())
    return np.asarray(instants.to_numpy().astype(np.float64))


def _moment_text(microseconds: float, kind: pa.DataType) -> str | None:
    try:
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if pa.types.is_date(kind):
        return day.date().isoformat()
    return (day if kind.tz else day.replace(tzinfo=None)).isoformat()


def _categories(name: str, values: pa.ChunkedArray, expected: pa.ChunkedArray) -> list[Spec]:
    """A warning outside a vocabulary that is small and closed; a value that came only once may be a slip."""
    counted = pc.value_counts(values)
    common = counted.filter(pc.greater_equal(counted.field("counts"), _RARE_CATEGORY))
    covered = pc.sum(common.field("counts")).as_py() or 0
    if len(common) > _FEW_CATEGORIES or covered < _CLOSED_SHARE * len(values):
        return []
    known = sorted({*common.field("values").to_pylist(), *expected.to_pylist()})
    return [learned("record", IN_SET, "warning", column=name, value_set=known)]

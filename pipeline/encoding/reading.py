"""Values of any Arrow type as numbers, texts or instants; what cannot be read as such is NaN, never an error."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

# The sum of its squares is still finite in float64.
WIDEST = 1e140
TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
DAY = 86_400.0
NUMBER_TEXT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
INSTANT_TEXT = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9](?:\.[0-9]+)?))?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves, where a file holds them in another layout: as codes, as runs, in halves, as views."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(values.cast(kind.storage_type))
    if pt.is_dictionary(kind):
        levels = [plain(pa.chunked_array([chunk.dictionary])).combine_chunks() for chunk in values.chunks]
        taken = [level.take(chunk.indices) for level, chunk in zip(levels, values.chunks, strict=True)]
        return pa.chunked_array(taken, taken[0].type if taken else plain(pa.chunked_array([], kind.value_type)).type)
    if pt.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(values))
    other = _layout(kind)
    return values if other is None else values.cast(other)


def _layout(kind: pa.DataType) -> pa.DataType | None:
    if kind == pa.float16():
        return pa.float32()
    if pt.is_string_view(kind):
        return pa.large_string()
    if pt.is_binary_view(kind):
        return pa.large_binary()
    if pt.is_decimal32(kind) or pt.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pt.is_timestamp(kind) and kind.tz is not None and not is_zone(kind.tz):
        return pa.timestamp(kind.unit, "UTC")
    return None


def is_zone(name: str) -> bool:
    """Whether this machine knows the timezone."""
    try:
        pc.local_timestamp(pa.scalar(0, pa.timestamp("s", name)))
    except pa.ArrowInvalid:
        return False
    return True


def is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def is_null(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.is_null(values, nan_is_null=True))


def count_nulls(values: pa.ChunkedArray) -> int:
    return int(is_null(values).sum())


def raw_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """float64 (n,): numbers and texts of numbers as they are, durations in seconds; NaN for null and all else."""
    kind = values.type
    if pt.is_boolean(kind):
        return raw_numbers(values.cast(pa.int8()))
    if pt.is_duration(kind):
        return raw_numbers(values.cast(pa.int64())) / TICKS[kind.unit]
    if is_text(kind):
        trimmed = pc.utf8_trim_whitespace(values)
        return raw_numbers(pc.if_else(pc.match_substring_regex(trimmed, NUMBER_TEXT), trimmed, None).cast(pa.float64()))
    if is_number(kind) or pt.is_null(kind):
        return np.asarray(values.cast(pa.float64(), safe=False).to_numpy())
    return np.full(len(values), np.nan)


def as_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """float64 (n,), null, unreadable and non-finite values as NaN, held within `WIDEST`."""
    raw = raw_numbers(values)
    return np.where(np.isfinite(raw), np.clip(raw, -WIDEST, WIDEST), np.nan)


def as_seconds(values: pa.ChunkedArray, zone: str | None = None) -> np.ndarray:
    """Seconds since 1970, float64 (n,), NaN for null and for what is no instant.

    In UTC (a naive time as it stands); with `zone`, what the clocks there show.
    """
    kind = values.type
    if pt.is_date(kind):
        return np.asarray(as_numbers(values.cast(pa.date32()).cast(pa.int32())) * DAY)
    if is_text(kind):
        return _local(_text_seconds(values), zone)
    if not pt.is_timestamp(kind):
        return np.full(len(values), np.nan)
    if zone is not None:
        values = pc.local_timestamp(values.cast(pa.timestamp(kind.unit, zone)))
    return np.asarray(as_numbers(values.cast(pa.int64())) / TICKS[kind.unit])


def _local(seconds: np.ndarray, zone: str | None) -> np.ndarray:
    if zone is None:
        return seconds
    instants = pa.chunked_array([pa.array(seconds, from_pandas=True).cast(pa.int64(), safe=False)])
    return as_seconds(instants.cast(pa.timestamp("s")), zone) + seconds % 1.0


def _text_seconds(values: pa.ChunkedArray) -> np.ndarray:
    """ISO 8601 texts; a day that no calendar has is NaN."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(values), INSTANT_TEXT)
    hour, minute, second = (np.nan_to_num(as_numbers(_part(parts, name))) for name in ("hour", "minute", "second"))
    written = _part(parts, "day")
    day = pc.strptime(written, format="%Y-%m-%d", unit="s", error_is_null=True)
    real = pc.equal(pc.strftime(day, format="%Y-%m-%d"), written)
    zone = pc.replace_substring(_part(parts, "zone"), ":", "")
    off = np.nan_to_num(as_numbers(pc.if_else(pc.equal(zone, "Z"), "0", zone)))
    ahead = np.sign(off) * (np.abs(off) // 100 * 60 + np.abs(off) % 100)
    seconds = as_seconds(pc.if_else(real, day, None))
    return np.asarray(seconds + hour * 3600 + (minute - ahead) * 60 + second)


def _part(parts: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A group of a regular expression, null where it did not take part."""
    found = pc.struct_field(parts, name)
    return pc.if_else(pc.equal(found, ""), None, found)


def as_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The text of each value; a whole number reads as the integer, whether its column is of floats or decimals."""
    kind = values.type
    if pt.is_floating(kind):
        return _float_texts(values.cast(pa.float64()))
    simple = pt.is_primitive(kind) and not (pt.is_decimal(kind) or pt.is_interval(kind))
    if simple or is_text(kind) or pt.is_null(kind):
        return values.cast(pa.string())
    return pa.chunked_array([pa.array([_object_text(value) for value in values.to_pylist()], pa.string())])


def _float_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for NaN. Each value is read by itself: its text must not depend on what else is in the batch."""
    whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
    integers = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.string())
    return pc.if_else(pc.is_null(values, nan_is_null=True), None, pc.coalesce(integers, values.cast(pa.string())))


def _object_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    return None if value is None else str(value)

"""Tables that somebody wrote badly, or on purpose: every Arrow type at its edges, under every kind of name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

# Clocks go back in Europe: in Zurich the hour from 02:00 comes twice.
DAY = dt.date(2024, 10, 27)
KEY, PARTITION = "id", "day"
ROWS = [0, 1, 2, 7, 40]
WIDEST = 2_000

_EDGES = [0, 1, -1, *(sign * 2**power + off for sign in (1, -1) for power in (31, 53, 63, 64) for off in (-1, 0, 1))]
_FLOATS = [0.0, -0.0, 0.1, 5e-324, 2.0**53, 2.0**63, 1e140, 1.7976931348623157e308, *map(float, ["inf", "-inf", "nan"])]
_FOLD = [1_729_989_000_000_000, 1_729_992_600_000_000]  # 02:30 in Zurich, and an hour later 02:30 again
_SENTINELS = [253_402_300_799_999_999, -62_135_596_800_000_000]  # the last and the first instant of the calendar
_INSTANTS = [0, -1, 1, 2**31, *_FOLD, *_SENTINELS]
_DAYS = [0, -1, 20_023, -719_162, 2_932_896]
TEXTS = [
    "", " ", "\t", "\r\n", "\0", "a\0b", "\x1b[2J", "\u202ereversed", "\ufeff", "é",
    "e\u0301", "ﬁ", "ǆ", "ß", "İ", "👩‍👩‍👧",
    "=1+1", "=cmd|' /C calc'!A0", "+41", "-1", "@SUM(A1)", "'; DROP TABLE runs; --", '"',
    "\\", "{x}", "${HOME}", "%s",
    "null", "None", "NaN", "inf", "1e999", "9" * 400, "0x1F", "1_000", "true",
    "2024-10-27", "2024-10-27T02:30", "24:00",
    "25:61", "2024-02-30", "<script>alert(1)</script>", "[]", "{}", "é" * 600, "x" * 2**20,
]  # fmt: skip
NAMES = [
    "x", " ", "a b", "it's", 'q"q', "select", "a,b", "a.b", "a.distinct", "rows", "{z}",
    "$PARAMETER", "%s", "\t", "a\nb",
    "'; DROP TABLE runs; --", "=1+1", "+a", "-b", "@c", "\x1b[2J", "\u202e", "NaN",
    "None", "0", "ß", "İ", "é", "👩‍👩‍👧",
    "x" * 63, "x" * 64 + "1", "x" * 64 + "2", "score", "p_value", "record_key", "index",
    "level_0", "row_condition", "x.mean",
]  # fmt: skip
COLLIDING = [("a", "A"), ("é", "e\u0301"), ("straße", "STRASSE"), ("ﬁ", "fi"), ("µ", "μ"), ("tablewatch:file", "x")]

Values = st.SearchStrategy[Any]
Make = Callable[[list[Any]], pa.Array]

_TEXT = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=12)
_BYTES = st.sampled_from([b"", b"\0", b"\xff\xfe", b"x" * 2**20]) | st.binary(max_size=12)


def _integers(kind: pa.DataType) -> tuple[Values, Make]:
    bits = kind.bit_width
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(kind) else (0, 2**bits - 1)
    return st.sampled_from([n for n in _EDGES if low <= n <= high]) | st.integers(low, high), _of(kind)


def _decimals(precision: int, scale: int) -> tuple[Values, Make]:
    bound = 10**precision - 1
    digits = st.sampled_from([n for n in (*_EDGES, bound, -bound) if abs(n) <= bound]) | st.integers(-bound, bound)
    kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return digits.map(lambda n: Decimal(f"{n}e{-scale}")), _of(kind)


def _stored(kind: pa.DataType, edges: list[int]) -> tuple[Values, Make]:
    """Values of a type that Python's own cannot all hold, by the numbers that they are stored as."""
    storage = pa.int32() if kind.bit_width == 32 else pa.int64()
    return st.sampled_from(edges), lambda values: pa.array(values, storage).view(kind)


def _of(kind: pa.DataType) -> Make:
    return lambda values: pa.array(values, kind)


def _coded(kind: pa.DataType) -> Make:
    return lambda values: pa.array(values, kind).dictionary_encode()


def _clocks(kind: pa.DataType, ticks: int) -> tuple[Values, Make]:
    return _stored(kind, [0, 1, ticks * 86_400 - 1, ticks * 3_600 * 2])


_NESTED = st.lists(_TEXT | st.none(), max_size=3)
_RECORD = st.fixed_dictionaries(
    {"a": st.sampled_from(_EDGES[:8]) | st.none(), "b": st.lists(st.binary(max_size=3), max_size=2)}
)
_FLOAT = st.sampled_from(_FLOATS) | st.floats()
_PAIRS = st.lists(st.tuples(_TEXT, _FLOAT), max_size=2)
COLUMNS: dict[str, tuple[Values, Make]] = {
    **{str(kind): _integers(kind) for kind in (pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64())},
    "double": (_FLOAT, _of(pa.float64())),
    "float": (st.floats(width=32), _of(pa.float32())),
    "half": (st.floats(width=16), _of(pa.float16())),
    "bool": (st.booleans(), _of(pa.bool_())),
    "text": (_TEXT, _of(pa.string())),
    "large text": (_TEXT, _of(pa.large_string())),
    "bytes": (_BYTES, _of(pa.binary())),
    "decimal(5, 2)": _decimals(5, 2),
    "decimal(38, 0)": _decimals(38, 0),
    "decimal(38, 18)": _decimals(38, 18),
    "decimal(76, 3)": _decimals(76, 3),
    "date": _stored(pa.date32(), _DAYS),
    "far date": _stored(pa.date32(), [*_DAYS, -719_163, 2_932_897, 2**31 - 1, 1 - 2**31]),
    "far instant": _stored(pa.timestamp("us", "UTC"), [*_INSTANTS, 2**62, -(2**62), 2**63 - 1, 1 - 2**63]),
    "naive us": _stored(pa.timestamp("us"), _INSTANTS),
    "naive ns": _stored(pa.timestamp("ns"), [0, 2**63 - 1, 1 - 2**63, *(1_000 * n + 1 for n in _FOLD)]),
    "naive s": _stored(pa.timestamp("s"), [n // 1_000_000 for n in _INSTANTS]),
    "utc": _stored(pa.timestamp("us", "UTC"), _INSTANTS),
    "zurich": _stored(pa.timestamp("us", "Europe/Zurich"), _INSTANTS),
    "offset": _stored(pa.timestamp("ms", "+05:30"), [n // 1_000 for n in _INSTANTS]),
    "clock us": _clocks(pa.time64("us"), 10**6),
    "clock ns": _clocks(pa.time64("ns"), 10**9),
    "clock s": _clocks(pa.time32("s"), 1),
    "duration": _stored(pa.duration("us"), _INSTANTS),
    "codes of text": (_TEXT, _coded(pa.string())),
    "codes of numbers": (_FLOAT, _coded(pa.float64())),
    "list": (_NESTED, _of(pa.list_(pa.string()))),
    "struct": (_RECORD, _of(pa.struct({"a": pa.int64(), "b": pa.list_(pa.binary())}))),
    "map": (st.dictionaries(_TEXT, _FLOAT, max_size=2).map(lambda d: list(d.items())),
    _of(pa.map_(pa.string(), pa.float64()))),
    "null": (st.none(), _of(pa.null())),
}  # fmt: skip


@st.composite
def columns(draw: st.DrawFn, rows: int, kinds: list[str] | None = None) -> pa.Array:
    """A column of one type: of any values, of one value, or of nulls only."""
    values, make = COLUMNS[draw(st.sampled_from(kinds or list(COLUMNS)))]
    shape = draw(st.sampled_from(["any", "any", "any", "constant", "null"]))
    if shape == "null":
        return make([None] * rows)
    if shape == "constant":
        return make([draw(values)] * rows)
    return make(draw(st.lists(values | st.none(), min_size=rows, max_size=rows)))


@st.composite
def keys(draw: st.DrawFn, rows: int) -> pa.Array:
    """A primary key that tells the records apart, or one of any values."""
    if draw(st.booleans()):
        return pa.array(range(2**53 - 3, 2**53 - 3 + rows), pa.int64())
    return draw(columns(rows, ["int64", "uint64", "double", "text", "bytes", "decimal(38, 0)", "naive ns", "date"]))


@st.composite
def names(draw: st.DrawFn, count: int) -> list[str]:
    """Names of columns, rarely two that some engine takes for one."""
    name = st.sampled_from(NAMES) | st.text(
        st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8
    )
    found = draw(st.lists(name, min_size=count, max_size=count, unique=True))
    if count >= 2 and draw(st.integers(0, 9)) == 0:
        found[:2] = draw(st.sampled_from(COLLIDING))
    return found


@st.composite
def frames(draw: st.DrawFn, least: int = 0, wide: bool = False) -> pa.Table:
    """A night of hostile records: key, partition column, and up to six columns, or very many."""
    rows = draw(st.sampled_from([count for count in ROWS if count >= least]))
    made = [draw(columns(rows)) for _ in range(draw(st.integers(1, 6)))]
    under = draw(names(len(made)))
    if wide and draw(st.integers(0, 19)) == 0:
        count = draw(st.sampled_from([300, WIDEST - 2, WIDEST + 1]))
        made, under = [made[at % len(made)] for at in range(count)], [f"c{at}" for at in range(count)]
    table = pa.table([draw(keys(rows)), pa.array([DAY] * rows, pa.date32())], names=[KEY, PARTITION])
    for name, column in zip(under, made, strict=True):
        table = table.append_column(name, column)
    return table

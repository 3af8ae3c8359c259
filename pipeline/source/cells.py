"""Which cells of untyped places (CSV text, SQLite's dynamic cells) hold a value of a type, as ibis conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.source.engine import Engine

Fits = Callable[[Any, Any], Any]

# Engines read far more as a number or a date ("1_000", "0x1F", "007", "1.5" as an integer): text that another
# system wrote as a code would silently change. What these patterns leave out stays text.
_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]{{0,{scale}}})?$"
_FLOAT = r"(?i)^-?((0|[1-9][0-9]{0,37})(\.[0-9]*)?(e[+-]?[0-9]+)?|\.[0-9]+(e[+-]?[0-9]+)?|nan|inf|infinity)$"
_BOOLEAN = r"(?i)^(true|false)$"
# With the days that months have, since SQLite takes 30 February for a date, and without the year 0, which Python lacks.
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29"
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_DATE = f"({_YEAR}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|{_LEAP})"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONE = "(Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})"


def fitting(engine: Engine, table: Any, candidates: Mapping[str, Sequence[Any]], fits: Fits) -> dict[str, list[Any]]:
    """Of each column's candidate types those that every cell fits: one query over the whole of `table`."""
    pairs = [(name, dtype) for name, dtypes in candidates.items() for dtype in dtypes]
    flags = {
        f"misfit{number}": (table[name].notnull() & ~fits(table[name], dtype)).any()
        for number, (name, dtype) in enumerate(pairs)
    }
    row = engine.rows(table.aggregate(**flags))[0] if flags else {}
    found: dict[str, list[Any]] = {name: [] for name in candidates}
    for number, (name, dtype) in enumerate(pairs):
        if not row[f"misfit{number}"]:
            found[name].append(dtype)
    return found


def written(candidates: Mapping[str, Sequence[Any]], sample: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Of each column's candidate types those that all its texts in a sample are written as."""
    found = {}
    for name, dtypes in candidates.items():
        texts = [record[name] for record in sample if record[name] is not None]
        found[name] = [dtype for dtype in dtypes if all(re.search(_pattern(dtype) or "", text) for text in texts)]
    return found


def is_written(dtype: Any) -> bool:
    """Whether text can be a value of the type."""
    return _pattern(dtype) is not None


def text_fits(text: Any, dtype: Any) -> Any:
    """Whether a cell of text is written as a value of the type, to be cast by the engine without loss."""
    pattern = _pattern(dtype)
    return text.notnull() if pattern is None else text.re_search(pattern) & text.try_cast(dtype).notnull()


def sqlite_fits(cell: Any, dtype: Any) -> Any:
    """Whether a cell of SQLite, where any column may hold any value, is of the type that its column declares."""
    storage = cell.typeof()
    if dtype.is_boolean():
        return (storage == "integer") & cell.isin([0, 1])
    if dtype.is_integer():
        return storage == "integer"
    if dtype.is_decimal():
        return storage.isin(["integer", "real"]) & (cell.abs() < 10.0 ** (dtype.precision - dtype.scale))
    if dtype.is_floating():
        return storage.isin(["integer", "real"])
    if dtype.is_binary():
        return storage == "blob"
    pattern = _pattern(dtype)
    if pattern is None:
        return cell.notnull()
    return (storage == "text") & cell.re_search(pattern)


def _pattern(dtype: Any) -> str | None:
    if dtype.is_boolean():
        return _BOOLEAN
    if dtype.is_integer():
        return _INTEGER
    if dtype.is_decimal():
        return _DECIMAL.format(scale=dtype.scale) if dtype.scale else _INTEGER
    if dtype.is_floating():
        return _FLOAT
    if dtype.is_date():
        return f"^{_DATE}$"
    if dtype.is_time():
        return f"^{_CLOCK}$"
    if dtype.is_timestamp():
        return f"^{_DATE}[T ]{_CLOCK}{_ZONE}$" if dtype.timezone else f"^{_DATE}([T ]{_CLOCK})?$"
    return None

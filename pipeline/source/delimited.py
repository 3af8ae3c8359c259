"""CSV files, plain or gzipped: UTF-8, a header, one delimiter, RFC 4180 quotes; anything else is refused.

DuckDB's own sniffing is not used: it takes a ragged file for one of a single column, drops lines that begin with `#`,
and reads integers beyond 2^63 as floats. Every cell is read as text and a column has the first type that all fit.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import RefusedData
from pipeline.source import cells
from pipeline.source.days import Days
from pipeline.source.failures import Failures
from pipeline.source.files import FILE_COLUMN, Files, literal, most_inflated
from pipeline.source.tables import View, as_read

MAX_LINE = 2_000_000
_DELIMITERS = ",\t;|"
# In this order: the first that every cell fits.
_TYPES = (
    "boolean", "int64", "uint64", "decimal(38, 0)", "float64", "date", "timestamp(6)", "timestamp('UTC', 6)", "time"
)  # fmt: skip
_SAMPLE = 256


@dataclass(frozen=True)
class Header:
    """The first line of a file: files that share it are read together."""

    delimiter: str
    names: tuple[str, ...]


class CsvFiles(Files):
    """Columns in the types given, where every cell of the records read fits; as text where not.

    A column without a given type has the narrowest that fits. An empty cell is null, quoted or not.
    """

    def __init__(
        self, paths: Sequence[str], days: Days, types: Mapping[str, pa.DataType | str] | None, failures: Failures
    ) -> None:
        import ibis

        self._headers: dict[str, Header] = {}
        super().__init__(paths, days, failures)
        arrow = {name: _arrow_type(dtype) for name, dtype in (types or {}).items() if name in self.names}
        given = {name: ibis.dtype(dtype) for name, dtype in arrow.items() if dtype is not None}
        self._candidates = {name: [ibis.dtype(dtype) for dtype in _TYPES] for name in self.names}
        self._candidates |= {name: [dtype] if cells.is_written(dtype) else [] for name, dtype in given.items()}
        self._whole = self._text(self.paths)
        self._type_of_days: Any = None

    def calendar(self) -> Any:
        return self._dated(self._whole).select(self._days.column, FILE_COLUMN)

    def view(self, days: Sequence[date]) -> View:
        paths = self._holding(days)
        text = self._dated(self._whole if len(paths) == len(self.paths) else self._text(paths))
        names = self.shown(paths, days)
        read = text.filter(self._days.within(text, days)) if days else text
        types = self._types(read, [name for name in names if name != self._days.column])
        return as_read(
            text.select(*(text[name].try_cast(types[name]).name(name) if name in types else name for name in names))
        )

    def _dated(self, text: Any) -> Any:
        """The text with the partition column in its type, the same for every read: one that all its cells fit."""
        column = self._days.column
        if self._type_of_days is None:
            self._type_of_days = self._types(self._whole, [column]).get(column, "string")
        return text.mutate(text[column].try_cast(self._type_of_days).name(column))

    def _types(self, text: Any, names: Sequence[str]) -> dict[str, Any]:
        """The types of those columns that are not text: the first candidate that every cell fits."""
        candidates = {name: self._candidates[name] for name in names}
        free = {name: types for name, types in candidates.items() if len(types) > 1}
        if free:
            # Most candidates fall at the first records, so that the whole is searched for few of them.
            candidates |= cells.written(free, self.engine.rows(text.select(list(free)).limit(_SAMPLE)))
        fitting = cells.fitting(self.engine, text, candidates, cells.text_fits)
        # Only the cells of a column without any can fit them all.
        return {name: types[0] for name, types in fitting.items() if 0 < len(types) < len(_TYPES)}

    def _text(self, paths: Sequence[str]) -> Any:
        """The files as one table whose cells are all text."""
        import ibis

        alike: dict[Header, list[str]] = defaultdict(list)
        for path in paths:
            alike[self._headers[path]].append(path)
        names = list(dict.fromkeys(name for header in alike for name in header.names))
        tables = []
        for header, group in alike.items():
            table = self.engine.register(partial(_open, paths=literal(group), header=header))
            missing = {name: ibis.null("string") for name in names if name not in header.names}
            tables.append(table.mutate(**missing).select(*names, FILE_COLUMN))
        return ibis.union(*tables) if len(tables) > 1 else tables[0]

    def _columns_of(self, path: str) -> Sequence[str]:
        with self._failures.told(path, otherwise=RefusedData):
            self._headers[path] = read_header(path)
            if _zipped(path):
                check_gzip(path)
        return self._headers[path].names


def _arrow_type(dtype: pa.DataType | str) -> pa.DataType | None:
    """The Arrow type whose text this is; None for the text of a type that CSV columns never have."""
    if not isinstance(dtype, str):
        return dtype
    if zoned := re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=(.+)\]", dtype):
        return pa.timestamp(*zoned.groups())
    if decimal := re.fullmatch(r"decimal128\((\d+), (\d+)\)", dtype):
        return pa.decimal128(*map(int, decimal.groups()))
    try:
        return pa.type_for_alias(dtype)
    except ValueError:
        return None


def read_header(path: str) -> Header:
    """The first line of a file, split by the delimiter that gives most columns. ValueError if it is not a header."""
    with gzip.open(path) if _zipped(path) else Path(path).open("rb") as file:
        line = file.readline(MAX_LINE).decode("utf-8-sig").rstrip("\r\n")
    headers = [Header(delimiter, _cells(line, delimiter)) for delimiter in _DELIMITERS]
    header = max(headers, key=lambda header: len(header.names))
    if line.count('"') % 2 or not header.names or not all(name.strip() for name in header.names):
        raise ValueError("line 1 is not a header that names every column")
    return header


def _zipped(path: str) -> bool:
    return path.lower().endswith(".gz")


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line], delimiter=delimiter, strict=True), ()))
    except csv.Error:
        return ()


def check_gzip(path: str) -> None:
    """Reads the file to its end: DuckDB takes one that was cut for whole. EOFError if cut, ValueError if a bomb."""
    allowed, inflated = most_inflated(path), 0
    with gzip.open(path) as file:
        while block := file.read(1 << 20):
            inflated += len(block)
            if inflated > allowed:
                raise ValueError(f"it inflates to more than {allowed} bytes")


def _open(backend: Any, name: str, paths: Sequence[str], header: Header) -> Any:
    return backend.read_csv(
        paths,
        table_name=name,
        columns=dict.fromkeys(header.names, "VARCHAR"),
        delim=header.delimiter,
        quote='"',
        escape='"',
        header=True,
        strict_mode=True,
        filename=FILE_COLUMN,
    )

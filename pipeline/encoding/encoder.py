"""A table's columns to one float32 matrix and back; the fitted state is JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.encoding.categories import BooleanEncoder, CategoricalEncoder
from pipeline.encoding.cells import Cell, ColumnEncoder
from pipeline.encoding.clocks import ClockEncoder
from pipeline.encoding.kinds import infer_kind
from pipeline.encoding.numbers import NumericEncoder
from pipeline.encoding.reading import DAY, as_texts, is_null, plain
from pipeline.encoding.texts import TextEncoder
from pipeline.encoding.times import DatetimeEncoder
from pipeline.errors import ConfigurationError
from pipeline.monitor import Kind
from pipeline.results import Reason

ENCODERS: dict[str, Any] = {
    each.kind: each
    for each in (NumericEncoder, CategoricalEncoder, BooleanEncoder, ClockEncoder, DatetimeEncoder, TextEncoder)
}
LONGEST_EXAMPLE = 40
EVENTS: tuple[Reason, ...] = ("unseen_category", "out_of_range", "unexpected_null", "unexpected_type")


@dataclass(frozen=True)
class Encoded:
    """Some records as the models see them.

    `matrix` is float32 (n, slots): NaN for a missing number, -1 for an unseen level. `events` is bool (n, columns,
    len(EVENTS)): what is true of a value whatever the others are.
    """

    matrix: np.ndarray
    events: np.ndarray


class MisreadColumn(ConfigurationError):
    """Most values of a column cannot be the kind that a monitor says; `unsaid` is the message without a value."""

    def __init__(self, column: str, kind: Kind, of: str, example: str, better: Kind) -> None:
        cannot = f"column {column!r} is no {kind} column: {of} cannot be read so"
        mend = f"; set columns.kinds.{column} to {better} or leave it out"
        super().__init__(f"{cannot}, such as {example[:LONGEST_EXAMPLE]!r}{mend}")
        self.column = column
        self.unsaid = cannot + mend


class Encoder:
    """The fitted encoders of a table's columns, in column order."""

    def __init__(self, columns: Mapping[str, ColumnEncoder], anchor: str | None = None) -> None:
        self.columns = dict(columns)
        self.anchor = anchor
        self.cells: list[Cell] = []
        self.column_of_cell: list[int] = []
        for index, encoder in enumerate(self.columns.values()):
            self.cells += encoder.cells
            self.column_of_cell += [index] * len(encoder.cells)
        edges = np.concatenate([[0], np.cumsum([cell.width for cell in self.cells])]).astype(int)
        self.starts: list[int] = edges[:-1].tolist()
        self.slots = int(edges[-1])

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        kinds: Mapping[str, Kind] | None = None,
        anchor: str | None = None,
        sensitive: Collection[str] = (),
    ) -> Encoder:
        """Learn each column of `table` but `anchor`, the partition column from which datetimes are counted.

        `kinds` overrides what `infer_kind` finds. Of `sensitive` columns no value is kept. Raises KeyError when `kinds`
        names a column that `table` does not have, MisreadColumn when most values of a column cannot be what it says.
        """
        kinds = dict(kinds or {})
        seconds = _anchor_seconds(table, anchor)
        fitted: dict[str, ColumnEncoder] = {}
        for name in table.column_names:
            if name != anchor:
                column = plain(table.column(name))
                told = kinds.pop(name, None)
                fitted[name] = ENCODERS[told or infer_kind(column).kind].fit(column, seconds)
                if told:
                    _refuse_misread(name, told, column, fitted[name].misread(column))
                if name in sensitive:
                    fitted[name] = fitted[name].discreet()
        if kinds:
            raise KeyError(next(iter(kinds)))
        return cls(fitted, anchor)

    def encode(self, table: pa.Table) -> Encoded:
        """Encode the fitted columns of `table`; other columns are ignored. Raises KeyError on a missing one."""
        anchor = _anchor_seconds(table, self.anchor)
        matrix = np.empty((table.num_rows, self.slots), dtype=np.float32)
        events = np.empty((len(self.columns), len(EVENTS), table.num_rows), dtype=bool)
        start = 0
        for index, (name, encoder) in enumerate(self.columns.items()):
            values = plain(table.column(name))
            width = sum(cell.width for cell in encoder.cells)
            matrix[:, start : start + width], told = encoder.read(values, anchor)
            events[index] = told
            start += width
        return Encoded(matrix, np.moveaxis(events, 2, 0))

    def decode(self, column: str, cells: list[np.ndarray], table: pa.Table) -> list[Any]:
        """Values of `column` in its own units from its reconstructed cells; `table` holds the same records' anchor."""
        return self.columns[column].decode(cells, _anchor_seconds(table, self.anchor))

    def revealed(self, table: pa.Table) -> Encoder:
        """The encoder with the values of sensitive categories in place of their digests, as `table` holds them."""
        columns = {
            name: column.revealed(plain(table.column(name))) if isinstance(column, CategoricalEncoder) else column
            for name, column in self.columns.items()
        }
        return Encoder(columns, self.anchor)

    def rarities(self) -> np.ndarray:
        """float64 (columns, len(EVENTS)): how often a normal record shows each event, from the training window."""
        return np.array([[encoder.rarity(event) for event in EVENTS] for encoder in self.columns.values()])

    def to_state(self) -> dict[str, Any]:
        """The fitted state as JSON values."""
        columns = [{"name": n, "kind": e.kind, **asdict(e)} for n, e in self.columns.items()]  # type: ignore[call-overload]
        return {"anchor": self.anchor, "columns": columns}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Encoder:
        """The encoder that `to_state` wrote."""
        columns: dict[str, ColumnEncoder] = {}
        for described in state["columns"]:
            fields = {key: value for key, value in described.items() if key not in ("name", "kind")}
            columns[described["name"]] = ENCODERS[described["kind"]].from_state(fields)
        return cls(columns, state["anchor"])


def _refuse_misread(name: str, kind: Kind, column: pa.ChunkedArray, misread: np.ndarray) -> None:
    """Raise MisreadColumn when more than half of the values that are there cannot be read as `kind`."""
    there = int((~is_null(column)).sum())
    if 2 * misread.sum() > there:
        of = f"{int(misread.sum()):,} of {there:,} values of type {column.type}"
        at = int(misread.argmax())
        raise MisreadColumn(name, kind, of, as_texts(column[at : at + 1])[0].as_py(), infer_kind(column).kind)


def _anchor_seconds(table: pa.Table, anchor: str | None) -> np.ndarray | None:
    """Each record's partition in seconds since 1970, float64 (n,)."""
    if anchor is None:
        return None
    days = plain(table.column(anchor)).cast(pa.date32(), safe=False).cast(pa.int32()).cast(pa.float64())
    return np.asarray(days.to_numpy()) * DAY

"""Arrow columns as the pandas columns that Great Expectations compares fast and exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.validation.suite import Spec, columns_of

if TYPE_CHECKING:
    import pandas as pd

EXACT_IN_FLOAT = 2**53


def frame_for(table: pa.Table, specs: Sequence[Spec]) -> pd.DataFrame:
    """The columns of a table that some expectations read, as a frame whose index is the record's position, 0-based."""
    import pandas as pd

    names = columns_for(specs, table.column_names)
    series = {name: comparable(table.column(name)).to_pandas(integer_object_nulls=True) for name in names}
    return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows))


def columns_for(specs: Iterable[Spec], known: Sequence[str]) -> list[str]:
    """Those of the `known` columns that the expectations read: all of them where a condition may name any."""
    kwargs = [spec["kwargs"] for spec in specs]
    if any("row_condition" in one for one in kwargs):
        return list(known)
    read = {name for one in kwargs for name in columns_of(one)}
    return [name for name in known if name in read]


def comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in one of the few types that Great Expectations does not compare value by value in Python."""
    kind = column.type
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return column.cast(pa.float64(), safe=False) if _exact_in_float(column) else column
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return _cast_or_keep(column, pa.timestamp("ns"))
    return column


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.null_count == 0:
        return _cast_or_keep(column, pa.int64())
    return column.cast(pa.float64()) if _exact_in_float(column) else column


def _exact_in_float(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return all(end is None or abs(end) <= EXACT_IN_FLOAT for end in ends.values())


def _cast_or_keep(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return column

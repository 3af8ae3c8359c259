"""Tables as CSV files that a spreadsheet opens without running anything in them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.types as pt

STARTS_A_FORMULA = r"^[=+\-@\t\r\n]"
NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)?$"


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV; before a text or a column's name that a spreadsheet takes for a formula is an apostrophe.

    A number, be it in a column of texts, is no formula.
    """
    columns = [_disarmed(column) for column in table.columns]
    names = _disarmed(pa.chunked_array([table.column_names], pa.string())).to_pylist()
    pyarrow.csv.write_csv(pa.table(columns, names=names), path)


def _disarmed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pt.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pt.is_string(values.type) or pt.is_large_string(values.type)):
        return values
    formula = pc.and_not(pc.match_substring_regex(values, STARTS_A_FORMULA), pc.match_substring_regex(values, NUMBER))
    marked = pc.binary_join_element_wise(pa.scalar("'", values.type), values, pa.scalar("", values.type))
    return pc.if_else(formula, marked, values)

"""Many rows into one table: by COPY on PostgreSQL, by many INSERTs on SQLite, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

BATCH = 5_000
"""Rows of one statement, so that each stays within the time that a statement may take."""

Row = dict[str, Any]


def insert(connection: sa.Connection, table: sa.Table, rows: Iterator[Row]) -> None:
    """Add rows that all name the same columns; the values that are stored are the same on both databases."""
    write = _copy if connection.dialect.name == "postgresql" else _execute_many
    while batch := list(islice(rows, BATCH)):
        write(connection, table, batch)


def listen_for_copies(engine: sa.Engine) -> None:
    """Let the engine's connections run the COPYs of `insert`.

    They go through SQLAlchemy, so that its events tell of them and its exceptions wrap what goes wrong.
    """
    sa.event.listen(engine, "do_execute", _run_copy)


def _execute_many(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    connection.execute(table.insert(), rows)


def _copy(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    dialect, quote = connection.dialect, connection.dialect.identifier_preparer
    names = ", ".join(quote.quote(name) for name in rows[0])
    statement = f"COPY {quote.format_table(table)} ({names}) FROM STDIN"
    bound = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is for name in rows[0]}
    values = ([bind(row[name]) for name, bind in bound.items()] for row in rows)
    connection.exec_driver_sql(statement, execution_options={"copied": values})


def _as_it_is(value: Any) -> Any:
    return value


def _run_copy(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Whether the statement was a COPY, and is done."""
    rows = context.execution_options.get("copied")
    if rows is None:
        return False
    from psycopg import Error

    try:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except Error as error:
        if error.diag.message_primary is None:
            raise
        raise type(error)(error.diag.message_primary) from None  # its context is a line of what was copied
    return True

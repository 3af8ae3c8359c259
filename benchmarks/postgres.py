"""A PostgreSQL of a benchmark's own, and the ways of writing the rows of anomalies into it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from pipeline.results import Anomaly
from pipeline.store import Store, copying, writes
from pipeline.store.schema import anomalies, contributions
from pipeline.store.types import to_json
from tests.postgres import Postgres, server_programs

Rows = Sequence[tuple[sa.Table, list[copying.Row]]]
"""What is written into which table."""
Write = Callable[[sa.Connection], None]
T = TypeVar("T")
ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
"""What may not stand for itself in the text of a COPY."""


@contextmanager
def databases() -> Iterator[Callable[[str], str]]:
    """URLs of new databases on a server that is thrown away."""
    programs = server_programs()
    if programs is None:
        raise SystemExit("this needs PostgreSQL's server programs (apt-get install postgresql)")
    server = Postgres(programs)

    def make(name: str) -> str:
        with engine_of(server.url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return sa.make_url(server.url).set(database=name).render_as_string(hide_password=False)

    try:
        yield make
    finally:
        server.stop()


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(engine_url(url), poolclass=sa.NullPool)


def engine_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def rows_of(flagged: Sequence[Anomaly], run_id: str) -> Rows:
    """The rows that the store keeps of these anomalies: one each, and one for each contribution."""
    mark = {"monitor": "flights", "partition": "2013-02-03", "run_id": run_id, "config_hash": "c", "model_version": "v"}
    now = dt.datetime(2013, 2, 4, 2, tzinfo=dt.UTC)
    made = writes._anomaly_rows(mark, flagged, {}, now), writes._contribution_rows(mark, flagged)
    return [(anomalies, list(made[0])), (contributions, list(made[1]))]


def bare_copy(tables: Rows) -> Write:
    """Of text that was made before: what the server itself and the wire cost."""
    ready = []
    for table, rows in tables:
        lines = ["\t".join(_as_text(value) for value in row.values()) + "\n" for row in rows]
        ready.append((f"COPY {table.name} ({', '.join(rows[0])}) FROM STDIN", "".join(lines).encode()))

    def write(connection: sa.Connection) -> None:
        cursor = connection.connection.cursor()
        for statement, text in ready:
            with cursor.copy(statement) as copy:  # type: ignore[attr-defined]
                copy.write(text)

    return write


def _as_text(value: object) -> str:
    if value is None:
        return "\\N"
    return (to_json(value) if isinstance(value, dict) else str(value)).translate(ESCAPED)


def inserted(tables: Rows, way: Any) -> Write:
    """By the store, in a way of `copying`: its COPY or many INSERTs."""

    def write(connection: sa.Connection) -> None:
        copying._copy, kept = way, copying._copy
        for table, rows in tables:
            copying.insert(connection, table, iter(rows))
        copying._copy = kept

    return write


def in_transaction(store: Store, work: Callable[[sa.Connection], T]) -> T:
    """What the work returns; what it wrote is rolled back."""
    with store._writing("benchmark") as connection:
        returned = work(connection)
        connection.rollback()
    return returned

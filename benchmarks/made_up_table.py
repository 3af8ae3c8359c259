"""The made-up table of benchmarks/throughput.py, in Parquet files or in PostgreSQL, read with nothing beside.

Records come a piece at a time, so that a day of any size is made in bounded memory, and are the same in either place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import ibis
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from psycopg import sql

from benchmarks.validation import BATCH, records

PIECE = 250_000


class Table(Protocol):
    """Where the records of the days are."""

    source: str
    """The `source` of a monitor that watches it, as YAML."""

    def write(self, day: dt.date, rows: int, seed: int) -> None:
        """Put so many records in place of those that the day has."""
        ...

    def read(self, day: dt.date, columns: Sequence[str]) -> None:
        """Read these columns of the day by the driver alone, in any order, and drop them: the floor of reading."""
        ...


class ParquetFiles:
    """A file a day in a folder that is made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.source = f'{{files: "{folder}/*.parquet"}}'

    def write(self, day: dt.date, rows: int, seed: int) -> None:
        """See Table."""
        with pq.ParquetWriter(self._file(day), schema()) as writer:
            for piece in pieces(day, rows, seed):
                writer.write_table(piece, row_group_size=PIECE)

    def read(self, day: dt.date, columns: Sequence[str]) -> None:
        """See Table."""
        for _ in pq.ParquetFile(self._file(day)).iter_batches(BATCH, columns=list(columns)):
            pass

    def _file(self, day: dt.date) -> Path:
        return self._folder / f"{day}.parquet"


class DatabaseTable:
    """A table without an index in the PostgreSQL at `url`, which is made."""

    def __init__(self, url: str, name: str = "made_up") -> None:
        self._url, self._table = url, sql.Identifier(name)
        self.source = f'{{connection: "{url}", table: {name}}}'
        backend = ibis.connect(url)
        backend.create_table(name, schema=ibis.Schema.from_pyarrow(schema()))
        backend.disconnect()

    def write(self, day: dt.date, rows: int, seed: int) -> None:
        """See Table. It is vacuumed after, so that no reader pays for what was there before or for being the first."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL("DELETE FROM {} WHERE day = %s").format(self._table), [day])
            connection.execute(sql.SQL("VACUUM {}").format(self._table))
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(self._table)) as copy:
                for piece in pieces(day, rows, seed):
                    text = pa.BufferOutputStream()
                    pc.write_csv(piece, text, pc.WriteOptions(include_header=False))
                    copy.write(memoryview(text.getvalue()))
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(self._table))

    def read(self, day: dt.date, columns: Sequence[str]) -> None:
        """See Table."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        wanted = sql.SQL("SELECT {} FROM {} WHERE day = {}").format(names, self._table, sql.Literal(day))
        out = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(wanted)
        with psycopg.connect(self._url) as connection, connection.cursor().copy(out) as copy:
            for _ in copy:
                pass


def pieces(day: dt.date, rows: int, seed: int) -> Iterator[pa.Table]:
    """The records of a day: their keys are counted from 0."""
    for at, first in enumerate(range(0, rows, PIECE)):
        piece = records(min(PIECE, rows - first), seed + at, day).drop_columns(["reference"])
        yield piece.set_column(0, "id", pa.array(first + np.arange(piece.num_rows)))


def schema() -> pa.Schema:
    """Of the key, the date and the 30 columns."""
    return next(pieces(dt.date(2024, 5, 1), 1, 0)).schema

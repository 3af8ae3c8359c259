"""Stores as an earlier tablewatch left them, with rows in them."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
from alembic.command import upgrade

from pipeline.store import Store
from pipeline.store.schema import metadata

RELEASED = ("0002", "0003", "0004", "0005", "0006")
"""The revisions that people's stores may be at, before the newest."""

Rows = dict[str, list[dict[str, Any]]]


def rows_of(engine: sa.Engine) -> Rows:
    """The rows of every table that the database has, as far as its columns go."""
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(sa.select(*columns)).mappings()]
            for name, columns in _columns(connection).items()
        }


def make(url: str, revision: str, rows: Rows) -> Rows:
    """A store of this revision with those of the rows, and their columns, that it has room for; what it then holds."""
    with patch("alembic.command.upgrade", partial(_upgrade_to, revision)):
        Store(url).migrate()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name, columns in _columns(connection).items():
            names = {column.name for column in columns} - {"sequence"}  # the database numbers its rows itself
            kept = [{key: row[key] for key in row.keys() & names} for row in rows.get(name, ())]
            if kept:
                connection.execute(metadata.tables[name].insert(), kept)
    return rows_of(engine)


def _columns(connection: sa.Connection) -> dict[str, list[sa.Column[Any]]]:
    inspector = sa.inspect(connection)
    there = {name: {column["name"] for column in inspector.get_columns(name)} for name in inspector.get_table_names()}
    return {
        table.name: [column for column in table.c if column.name in there[table.name]]
        for table in metadata.sorted_tables
        if table.name in there
    }


def _upgrade_to(revision: str, config: Any, _: str) -> None:
    upgrade(config, revision)

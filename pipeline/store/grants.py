"""A PostgreSQL role that reads the views and nothing else, for BI tools: the SQL of it, and running that."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import exc

from pipeline.errors import ConfigurationError
from pipeline.store.database import Database, lock
from pipeline.store.schema import metadata

ROLE = "tablewatch_reader"
LONGEST_NAME = 63
"""Bytes of a name on PostgreSQL, which cuts a longer one without a word."""
VIEWS = (
    "v_alerts",
    "v_anomalies",
    "v_calendar",
    "v_column_metrics",
    "v_column_reasons",
    "v_health",
    "v_incidents",
    "v_labels",
    "v_metrics",
    "v_model_history",
    "v_neighbours",
    "v_partition_summary",
    "v_quarantine",
)
"""Named, because a schema that is shared may hold views of others."""


@dataclass(frozen=True)
class Grants:
    """The SQL that gives a role the views, or takes them from it; `applied` says whether it was run."""

    role: str
    statements: tuple[str, ...]
    applied: bool


class Granting(Database):
    """The part of the store that says who may read it."""

    def grants(self, role: str = ROLE, apply: bool = False, revoke: bool = False) -> Grants:
        """What lets a role read the views and nothing else, or ends that; run in one transaction where `apply` says so.

        A role that is not there is made without login and without password. Raises ConfigurationError on SQLite, for a
        name that cannot be a role's, one that may read or write more than the views, and where the store's own user may
        not do this.
        """
        self._check_role(role)
        try:
            with self._writing("grants") if apply else self._reading() as connection:
                lock(connection, "grants")
                there = _is_role(connection, role)
                if revoke and not there:
                    raise ConfigurationError(f"there is no role {role!r} on {self.name}, so nothing to revoke")
                if not revoke:
                    self._check_reads_no_more(connection, role if there else "public")
                statements = _revoked(connection, role) if revoke else _granted(connection, role, there)
                for statement in statements if apply else ():
                    connection.execute(_literally(statement))
        except exc.ProgrammingError as error:
            reason = str(error.orig).splitlines()[0]
            raise ConfigurationError(
                f"the store's user may not do this on {self.name}: {reason}; let an administrator run the SQL that is"
                " printed without --apply"
            ) from error
        return Grants(role, tuple(statements), apply)

    def _check_role(self, role: str) -> None:
        if self._url.get_backend_name() == "sqlite":
            raise ConfigurationError(
                f"the store {self.name} is a SQLite file, which knows no roles: whoever may read the file reads all of"
                " it; let the BI tool open it read-only (file:...?mode=ro), or keep the store on PostgreSQL"
            )
        # PostgreSQL takes these two for everybody and nobody, even within quotes.
        if role in ("", "public", "none") or "\0" in role or len(role.encode(errors="replace")) > LONGEST_NAME:
            raise ConfigurationError(
                f"{role!r} cannot be a role's name; take 1 to {LONGEST_NAME} bytes, such as {ROLE}"
            )

    def _check_reads_no_more(self, connection: sa.Connection, role: str) -> None:
        """A role that has more already, a superuser or the tables' owner for one, is no reader of views only."""
        kinds = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
        may = sa.select(sa.func.has_table_privilege(sa.bindparam("role"), sa.bindparam("relation"), kinds))
        schema = connection.scalar(sa.select(sa.func.current_schema()))
        more = [
            table
            for table in sorted(metadata.tables)
            if connection.scalar(may, {"role": role, "relation": f"{_quoted(str(schema))}.{_quoted(table)}"})
        ]
        if more:
            raise ConfigurationError(
                f"role {role!r} may read or write more than the views on {self.name}: {', '.join(more)}; revoke that"
                " first, or name another role"
            )


def _is_role(connection: sa.Connection, role: str) -> bool:
    roles = sa.table("pg_roles", sa.column("rolname", sa.Text))
    return connection.scalar(sa.select(sa.func.count()).where(roles.c.rolname == role)) == 1


def _granted(connection: sa.Connection, role: str, there: bool) -> list[str]:
    database, schema, views = _objects(connection)
    name = _quoted(role)
    made = [] if there else [f"CREATE ROLE {name} NOLOGIN"]
    return [
        *made,
        f"GRANT CONNECT ON DATABASE {database} TO {name}",
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"GRANT SELECT ON {views} TO {name}",
    ]


def _revoked(connection: sa.Connection, role: str) -> list[str]:
    database, schema, views = _objects(connection)
    name = _quoted(role)
    return [
        f"REVOKE ALL ON {views} FROM {name}",
        f"REVOKE ALL ON SCHEMA {schema} FROM {name}",
        f"REVOKE ALL ON DATABASE {database} FROM {name}",
    ]


def _objects(connection: sa.Connection) -> tuple[str, str, str]:
    """The names of the database, the schema and the views, quoted."""
    found = connection.execute(sa.select(sa.func.current_database(), sa.func.current_schema())).one()
    database, schema = (_quoted(str(name)) for name in found)
    return database, schema, ", ".join(f"{schema}.{_quoted(view)}" for view in VIEWS)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literally(statement: str) -> sa.TextClause:
    """A statement in which no colon begins a parameter."""
    return sa.text(statement.replace(":", "\\:"))

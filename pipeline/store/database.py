"""The store's connection: SQLite or PostgreSQL behind one URL, with bounded waits and errors that name no secret."""

from __future__ import annotations

import datetime as dt
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from pipeline.errors import ConfigurationError, FailedMachinery
from pipeline.store.copying import listen_for_copies
from pipeline.store.types import to_json

CONNECT_SECONDS = 10
RECONNECT_SECONDS = 30
LOCK_SECONDS = 30
STATEMENT_SECONDS = 120

Clock = Callable[[], dt.datetime]

_USAGE = "write sqlite:////path/store.db or postgresql://user@host/database"
_MIGRATIONS = Path(__file__).parents[1] / "migrations"


def utc_now() -> dt.datetime:
    """The clock of a store outside tests."""
    return dt.datetime.now(dt.UTC)


class Database:
    """Transactions on the store's database; the base of every part of the store.

    `url` is an SQLAlchemy URL: `sqlite:////path/store.db` or `postgresql://user:password@host/database`
    (`postgres://` is understood). Nothing is opened before the first transaction and nothing stays open after one, so
    a store may be created before a fork. `name` is the URL without its secrets. Raises ConfigurationError for any
    other URL.
    """

    def __init__(self, url: str, clock: Clock = utc_now) -> None:
        self.clock = clock
        self._url = _parse(url)
        self.name = _without_secrets(self._url)
        self._engine = _engine(self._url)
        self._writer = self._engine.execution_options(writes=True)
        self._answered = False
        if self._url.get_backend_name() == "postgresql":
            sa.event.listen(self._engine, "do_connect", self._connect)

    def migrate(self) -> None:
        """Create the tables or bring them to this version; safe to call always, and from two processes at once.

        Raises FailedMachinery when the database does not answer, ConfigurationError when the store was written by a
        newer tablewatch.
        """
        from alembic.command import upgrade
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        self._make_folder()
        with self._reading() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        if current == ScriptDirectory.from_config(config).get_current_head():
            return
        with self._writing("migrate") as connection:
            lock(connection, "migrate")
            config.attributes["connection"] = connection
            try:
                upgrade(config, "head")
            except CommandError as error:
                raise ConfigurationError(
                    f"the store {self.name} was written by a newer tablewatch ({error}); upgrade tablewatch"
                ) from error

    def _make_folder(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            try:
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FailedMachinery(f"the store {self.name} has no folder: {error.strerror}; try again") from error

    def _connect(self, dialect: sa.Dialect, record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        """Wait for a server that has answered before and restarts; a URL that never worked is told at once."""
        give_up = time.monotonic() + (RECONNECT_SECONDS if self._answered else 0)
        pause = 0.25
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() + pause > give_up:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 2)
            else:
                self._answered = True
                return connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._answering(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, subject: str) -> Iterator[sa.Connection]:
        """One write transaction; `subject` (monitor and partition) begins the message when the database fails."""
        with self._answering(f"{subject}: "), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _answering(self, subject: str = "") -> Iterator[None]:
        try:
            yield
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError):
            raise
        except exc.DBAPIError as error:
            reason = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
            raise FailedMachinery(f"{subject}the store {self.name} failed: {reason}; try again") from error


def lock(connection: sa.Connection, *names: str) -> None:
    """Wait until no other transaction holds the lock of these names; held until the transaction ends.

    SQLite has a single writer, and `BEGIN IMMEDIATE` has waited already.
    """
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256("\x1f".join(("tablewatch", *names)).encode(errors="backslashreplace")).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(key, sa.BigInteger))))


def _parse(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):  # their messages may show the password
        raise ConfigurationError(f"the store's URL cannot be read; {_USAGE}") from None
    backend = url.drivername.partition("+")[0]
    if backend in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"the store cannot be {backend}; {_USAGE}")
    if url.database in (None, "", ":memory:") or url.host:
        raise ConfigurationError(f"the SQLite store needs a file; {_USAGE}")
    return url.set(drivername="sqlite")


def _without_secrets(url: sa.URL) -> str:
    backend = url.get_backend_name()
    return sa.URL.create(backend, host=url.host, port=url.port, database=url.database).render_as_string()


def _engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        hide_parameters=True,  # parameters are values of the watched table
        json_serializer=to_json,
        connect_args={name: value for name, value in _connect_options(url).items() if name not in url.query},
    )
    if url.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "begin", _begin_postgresql)
        listen_for_copies(engine)
    return engine


def _connect_options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": LOCK_SECONDS}
    return {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 1000 * STATEMENT_SECONDS, "keepalives_idle": 30}


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # sqlite3 begins no transaction by itself: _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")
    with suppress(sqlite3.OperationalError):  # SQLite does not wait here for another that is switching a new file too
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    limits = {
        "lock_timeout": LOCK_SECONDS,
        "statement_timeout": STATEMENT_SECONDS,
        "idle_in_transaction_session_timeout": STATEMENT_SECONDS,
    }
    settings = ", ".join(f"set_config('{name}', '{seconds}s', true)" for name, seconds in limits.items())
    connection.exec_driver_sql(f"SELECT {settings}")

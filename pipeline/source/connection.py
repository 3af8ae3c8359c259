"""A monitor's connection as something to call for a connected ibis backend; secrets are expanded here and kept here."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit

from pipeline.errors import ConfigurationError
from pipeline.monitor_file import did_you_mean
from pipeline.settings import Settings
from pipeline.source import airflow_connection

Connect = Callable[[], Any]

CONNECT_SECONDS = 10
ANSWER_SECONDS = 600
# Declarations that are integers to SQLite and unknown to ibis.
_SQLITE_INTEGERS = ("unsigned big int", "bigint unsigned", "int unsigned", "integer unsigned", "mediumint", "int2")
_VARIABLE = r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}"
_TELLING = re.compile(r"pass|pwd|token|secret|key|credential", re.IGNORECASE)


@dataclass
class Environment:
    """Expands ${NAME}, and remembers as secrets the values that it put in."""

    monitor: str
    secrets: set[str] = field(default_factory=set, repr=False)

    def expand(self, text: str, place: str, quoted: bool = False) -> str:
        """The text with every variable's value. ConfigurationError if one is not set."""
        return re.sub(_VARIABLE, lambda found: self._value(found[1], place, quoted), text)

    def expand_url(self, url: str) -> str:
        """The same for a URL: in its user part values stand for themselves, whatever signs are in them."""
        scheme, user, rest = re.fullmatch(r"([a-z0-9+.-]*://)?([^@/]*@)?(.*)", url, re.DOTALL).groups("")  # type: ignore[union-attr]
        place = "source.connection"
        return scheme + self.expand(user, place, quoted=True) + self.expand(rest, place)

    def _value(self, name: str, place: str, quoted: bool) -> str:
        if name == "TABLEWATCH_HOME":
            return str(Settings().home)
        value = os.environ.get(name)
        if value is None:
            raise ConfigurationError(f"{self.monitor}: {place} needs the environment variable {name}; set it")
        self.secrets |= {value, quote(value, safe="")}
        return quote(value, safe="") if quoted else value


def url_of(connection: str, environment: Environment) -> str:
    """The ibis URL of a connection, variables expanded and `airflow:NAME` looked up; its secrets join the others."""
    if connection.startswith("airflow:"):
        url = airflow_connection.url_of(connection.removeprefix("airflow:"), environment.monitor)
    else:
        url = environment.expand_url(connection)
    environment.secrets |= _secrets_of(url)
    return url


def holds_secret(url: str) -> bool:
    """Whether a connection holds a password or a key itself, and not the name of the variable that has it."""
    values = [value for name, value in parse_qsl(url.partition("?")[2]) if _TELLING.search(name)]
    return any(value and not value.startswith("${") for value in (_password(url), *values))


def _password(url: str) -> str:
    return url.partition("://")[2].rpartition("@")[0].partition(":")[2]


def _secrets_of(url: str) -> set[str]:
    password = _password(url)
    try:
        parameters = dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        parameters = {}
    values = {value for name, value in parameters.items() if _TELLING.search(name)}
    # A path is no secret, and the mend of a missing file needs it.
    whole = set() if url.startswith(("duckdb:", "sqlite:")) else {url}
    return {password, unquote(password), unquote_plus(password), *values} | whole


def connector(url: str, monitor: str) -> Connect:
    """What connects to a URL, to read only where that can be said. ConfigurationError if its file is not there."""
    import ibis

    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0]
    if scheme == "sqlite":
        return lambda: _sqlite(_file(path, monitor, "sqlite"))
    if scheme == "duckdb" and not path.startswith(("md:", "motherduck:")):
        file = _file(path, monitor, "duckdb")
        return lambda: ibis.duckdb.connect(file, read_only=True)
    if scheme in ("postgres", "postgresql"):
        return lambda: _postgres(url)
    return lambda: _other(url, scheme, monitor)


def _file(path: str, monitor: str, scheme: str) -> Path:
    if not path or path == ":memory:":
        mend = f"write {scheme}://FILE, or files: with a glob"
        raise ConfigurationError(f"{monitor}: {scheme}:// alone holds no table; {mend}")
    if not Path(path).is_file():
        raise ConfigurationError(f"{monitor}: there is no file {path}; mend source.connection")
    return Path(path).absolute()


def _sqlite(file: Path) -> Any:
    import ibis

    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    return ibis.sqlite.from_connection(connection, type_map=dict.fromkeys(_SQLITE_INTEGERS, "int64"))


def _other(url: str, scheme: str, monitor: str) -> Any:
    import ibis

    known = {entry.name for entry in entry_points(group="ibis.backends")}
    if scheme not in known:
        raise ConfigurationError(f"{monitor}: there is no backend {scheme!r}; {did_you_mean(scheme, known)}")
    try:
        return ibis.connect(url)
    except ImportError:
        package = f"ibis-framework[{scheme}]"
    raise ConfigurationError(f"{monitor}: {scheme}:// needs a driver; install {package}")


def _postgres(url: str) -> Any:
    import ibis

    parts = urlsplit(url)
    limits = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
    written = dict(parse_qsl(parts.query))
    options: dict[str, Any] = {name: value for name, value in limits.items() if name not in written}
    if parts.username:
        options["user"] = unquote(parts.username)  # ibis would take it as it is written
    backend = ibis.connect(url, **options)
    backend.con.execute(f"SET statement_timeout = '{ANSWER_SECONDS}s'")
    backend.con.read_only = True
    return backend

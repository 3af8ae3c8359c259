"""Airflow's connections as ibis URLs, from Airflow itself inside a task, from AIRFLOW_CONN_NAME everywhere."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pipeline.errors import ConfigurationError

# Airflow's types of connection whose ibis scheme has another name.
_SCHEMES = {"postgresql": "postgres", "google_cloud_platform": "bigquery", "gcpbigquery": "bigquery"}


def url_of(name: str, monitor: str) -> str:
    """The ibis URL of Airflow's connection `name`. ConfigurationError if there is none, without any of its values."""
    variable = f"AIRFLOW_CONN_{name.upper()}"
    text = os.environ.get(variable)
    if text is None and "airflow.sdk" not in sys.modules:
        raise ConfigurationError(f"{monitor}: no Airflow connection {name!r} outside of Airflow; set {variable}")
    try:
        return _url(_fields(text) if text is not None else _looked_up(name))
    except Exception:
        # Not chained: the cause may show the connection.
        mend = f"mend {variable}" if text is not None else f"create it, or set {variable}"
    raise ConfigurationError(f"{monitor}: Airflow's connection {name!r} cannot be read; {mend}")


def _looked_up(name: str) -> dict[str, Any]:
    from airflow.sdk import Connection

    found = Connection.get(name)
    fields = {key: getattr(found, key) for key in ("conn_type", "login", "password", "host", "port", "schema")}
    return fields | {"extra": found.extra_dejson}


def _fields(text: str) -> dict[str, Any]:
    """The fields of a connection written as JSON or as a URI, the two forms that Airflow takes."""
    if text.lstrip().startswith("{"):
        fields: dict[str, Any] = json.loads(text)
        extra = fields.get("extra") or {}
        return fields | {"extra": json.loads(extra) if isinstance(extra, str) else extra}
    parts = urlsplit(text)
    extra = dict(parse_qsl(parts.query))
    return {
        "conn_type": parts.scheme,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(_host(parts.netloc)),
        "port": parts.port,
        "schema": unquote(parts.path[1:]),
        "extra": json.loads(extra["__extra__"]) if "__extra__" in extra else extra,
    }


def _host(netloc: str) -> str:
    """The host as it is written: the standard library would fold its case, and it may be a file's path."""
    return re.sub(r":\d*$", "", netloc.rpartition("@")[2])


def _url(fields: dict[str, Any]) -> str:
    conn_type = fields["conn_type"].replace("-", "_")
    scheme = _SCHEMES.get(conn_type, conn_type)
    host, schema = fields.get("host") or "", fields.get("schema") or ""
    if scheme in ("sqlite", "duckdb"):
        return f"{scheme}://{host}{'/' if schema else ''}{schema}"
    login, password = (quote(str(fields.get(key) or ""), safe="") for key in ("login", "password"))
    user = f"{login}{':' if password else ''}{password}"
    extra = {key: value for key, value in (fields.get("extra") or {}).items() if isinstance(value, str | int | float)}
    port, query = f":{fields['port']}" if fields.get("port") else "", urlencode(extra)
    return f"{scheme}://{user}{'@' if user else ''}{host}{port}/{quote(schema)}{'?' if query else ''}{query}"

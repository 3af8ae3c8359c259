"""Column types that hold the same value on SQLite and PostgreSQL, whatever text a table's cells bring."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles

from pipeline.records import as_text, storable


def to_json(value: Any) -> str:
    """JSON that both databases accept: storable text, non-finite numbers and other values as their text."""
    return json.dumps(_json_value(value), ensure_ascii=False, allow_nan=False, default=as_text)


def _json_value(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return as_text(value)
    if isinstance(value, dict):
        return {storable(str(name)): _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value


class Text(sa.types.TypeDecorator[str]):
    """Unicode text made storable on its way in; the same holds for a text it is compared with."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else storable(value)


class UtcTime(sa.types.TypeDecorator[dt.datetime]):
    """An aware instant in UTC with microseconds; SQLite keeps it as text `YYYY-MM-DD HH:MM:SS.ffffff`."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class _JsonText(sqlite.JSON):
    """JSON that SQLite keeps as text: the affinity of its type JSON is a number's, which would round a bare number."""

    cache_ok = True


@compiles(_JsonText, "sqlite")
def _as_text_column(kind: _JsonText, compiler: Any, **options: Any) -> str:
    return "TEXT"


JSON = sa.JSON(none_as_null=True).with_variant(_JsonText(none_as_null=True), "sqlite")

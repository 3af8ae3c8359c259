"""A record's key and its text: the same in quarantine, anomalies, labels and exported scores. Pure."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

LONGEST_KEY = 512  # characters: PostgreSQL refuses an index entry above 2,700 bytes


def as_text(value: Any) -> str | None:
    """The text of one value in the table's own units; None for null. Instants are in UTC, floats without noise."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 2**53 else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def record_keys(table: pa.Table, primary_key: Sequence[str], sensitive: Collection[str] = ()) -> list[str | None]:
    """The key of each record: the text of its key column, or a JSON array of them in key order; None if any is null.

    Values of `sensitive` columns are hashed. Without `sensitive` a key is for comparing, and must not leave.
    """
    columns = [_key_texts(table, name, name in sensitive) for name in primary_key]
    if len(columns) == 1:
        return columns[0]
    return [None if None in values else json.dumps(values, ensure_ascii=False) for values in zip(*columns, strict=True)]


def key_columns(table: pa.Table, primary_key: Sequence[str], sensitive: Collection[str]) -> pa.Table:
    """The key columns of records as they may leave: `sensitive` ones as the texts of their digests."""
    found = table.select(list(primary_key))
    for at, name in enumerate(primary_key):
        if name in sensitive:
            found = found.set_column(at, name, pa.array(_key_texts(table, name, hidden=True), pa.string()))
    return found


def storable(text: str) -> str:
    """The text with what no database can hold made visible: NUL becomes `\\x00`, a lone surrogate such as `\\udcff`."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def record_json(row: dict[str, Any], sensitive: Collection[str] = ()) -> dict[str, Any]:
    """One record as JSON: numbers that JSON keeps exactly stay numbers, the rest is text, sensitive values hashed."""
    return {n: hidden_text(as_text(v)) if n in sensitive else _json_value(v) for n, v in row.items()}


def hidden_text(text: str | None) -> str | None:
    """What is shown in place of a sensitive value: a digest, so that equal values can still be told to be equal."""
    return None if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:16]


def is_hidden(text: str) -> bool:
    """Whether a text is one that `hidden_text` gives."""
    return re.fullmatch(r"sha256:[0-9a-f]{16}", text) is not None


def _key_texts(table: pa.Table, name: str, hidden: bool) -> list[str | None]:
    texts = [as_text(value) for value in table.column(name).to_pylist()]
    return [hidden_text(text) for text in texts] if hidden else texts


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return as_text(value)

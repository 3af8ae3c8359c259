"""A record key as a person writes it, and what to say of one that is not found."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.monitor_file import nearest
from pipeline.steps.house import House


def stored_key(monitor: Monitor, key: str) -> str:
    """The key as it is stored: a JSON array may be written with any spaces, its numbers with or without quotes.

    In place of the digest of a sensitive value it may hold the value. Raises ConfigurationError for what is no key.
    """
    if len(monitor.primary_key) == 1:
        return _key_text(monitor, monitor.primary_key[0], key) or ""
    try:
        values = json.loads(key)
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != len(monitor.primary_key):
        columns = ", ".join(monitor.primary_key)
        told = "this" if {*monitor.primary_key} & {*monitor.columns.sensitive} else repr(key)
        raise ConfigurationError(
            f"{monitor.name}: {told} is not a record key; write the values of {columns} as a JSON array"
        )
    parts = [_key_text(monitor, name, value) for name, value in zip(monitor.primary_key, values, strict=True)]
    return json.dumps(parts, ensure_ascii=False)


def not_found(house: House, name: str, key: str, partition: str | None) -> ConfigurationError:
    """The error for a stored key that is neither flagged nor quarantined, with the nearest that is flagged."""
    where = f"{name} {partition}" if partition else name
    known = {anomaly.record_key for anomaly in house.store.anomalies(name, partition, limit=1_000)}
    close = nearest(key, known)
    mend = f"did you mean {close!r}?" if close else f"`tablewatch anomalies {name}` lists the flagged ones"
    return ConfigurationError(f"{where}: record {key!r} is neither flagged nor quarantined; {mend}")


def _key_text(monitor: Monitor, column: str, value: Any) -> str | None:
    from pipeline.records import as_text, hidden_text, is_hidden

    text = as_text(value)
    if text is None or column not in monitor.columns.sensitive or is_hidden(text):
        return text
    return hidden_text(text)

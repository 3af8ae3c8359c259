"""Texts as people read them, on a screen or in a message. Pure."""

from __future__ import annotations

from typing import Any


def safe(value: Any, longest: int = 500) -> str:
    """The text of a value with control characters, escapes and lone surrogates spelt out, cut to `longest`."""
    text = "" if value is None else str(value)
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}..."


def some(count: int, noun: str) -> str:
    """`1 record`, `1,200 records`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

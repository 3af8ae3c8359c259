"""What goes to stdout: JSON for programs; for people text and tables in which no value can move the cursor."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from pipeline.plain import safe as safe

LONGEST_CELL = 200
WIDE = 10_000


def say(text: str) -> None:
    """A line on stdout."""
    typer.echo(safe(text, WIDE))


def warn(text: str) -> None:
    """A line on stderr that is no error."""
    typer.echo(f"warning: {safe(text)}", err=True)


def say_json(value: Any) -> None:
    """One JSON value on a line of stdout; ASCII, so that it can neither fail to print nor move a cursor."""
    typer.echo(json.dumps(value, default=_plain, allow_nan=False))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table on stdout; `right` names the columns of numbers. Where stdout is no terminal, no line is broken."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(value, LONGEST_CELL)) for value in row))
    width = None if sys.stdout.isatty() else WIDE
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def count(number: int | None) -> str:
    """A count with thousands apart; nothing for None."""
    return "" if number is None else f"{number:,}"


def moment(time: dt.datetime | None) -> str:
    """A time to the minute, in UTC; nothing for None."""
    return "" if time is None else f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a JSON value")

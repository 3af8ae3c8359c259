"""The arguments and options that commands share. A partition is checked here, before anything heavy loads."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer


def iso_date(text: str) -> str:
    """The text of an ISO date, unchanged; wrong usage for any other text."""
    try:
        known = date.fromisoformat(text).isoformat() == text
    except ValueError:
        known = False
    if not known:
        raise typer.BadParameter(f"{text!r} is not a partition; write an ISO date such as 2013-02-03")
    return text


Name = Annotated[str, typer.Argument(metavar="M", help="The monitor: the name of its file, without .yaml.")]
Partition = Annotated[str, typer.Option(parser=iso_date, metavar="P", help="The partition, such as 2013-02-03.")]
AnyPartition = Annotated[str | None, typer.Option(parser=iso_date, metavar="P", help="Only this partition.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on stdout, for programs.")]
Alerts = Annotated[bool, typer.Option("--alerts/--no-alerts", help="Tell people of new incidents, or nobody.")]

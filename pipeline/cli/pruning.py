"""The command that forgets: prune."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.arguments import Json
from pipeline.cli.quiet import working
from pipeline.cli.screen import count, say, say_json, say_table

if TYPE_CHECKING:
    from pipeline.steps import Pruned

SHOWN = ("anomalies", "contributions", "quarantine", "incidents")


def days(text: str) -> int:
    """The days of `400d`; wrong usage for any other text."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})d", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a number of days; write it as 400d")
    return int(found[1])


def prune(
    keep: Annotated[
        int,
        typer.Option(
            parser=days, metavar="400d", help="Days before a monitor's newest partition, or today if earlier."
        ),
    ],
    monitor: Annotated[
        str | None, typer.Option(metavar="M", help="Only this one; all that ever ran if not said.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the results of old partitions, and old models.

    The date of a partition counts, not when it was scored. Labels, suppressions, the rows of runs, incidents that still
    go on, the champion and the one before it stay.
    """
    with working("pruning") as progress:
        from pipeline import steps

        pruned = steps.prune(keep, monitor, dry_run, progress=progress)
    if as_json:
        say_json(pruned)
        return
    found = [each for each in pruned if each.partitions or each.versions or each.bundles]
    if found:
        numbers = ("partitions", *SHOWN, "other rows", "models")
        say_table(("monitor", "kept from", *numbers), map(_row, found), numbers)
    else:
        say("nothing is that old")
    if found and dry_run:
        say("nothing was removed; to remove it: the same command without --dry-run")


def _row(pruned: Pruned) -> tuple[str, ...]:
    others = sum(rows for table, rows in pruned.rows.items() if table not in SHOWN)
    numbers = (len(pruned.partitions), *(pruned.rows.get(table, 0) for table in SHOWN), others, len(pruned.versions))
    return (pruned.monitor, pruned.kept_from, *map(count, numbers))

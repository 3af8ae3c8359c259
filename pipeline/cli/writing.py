"""The commands that write: init a monitor's file to stdout, promote and roll back the champion in the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.arguments import Json, Name
from pipeline.cli.quiet import working
from pipeline.cli.running import show_each
from pipeline.cli.screen import say, say_json, warn

if TYPE_CHECKING:
    from pipeline.store import ModelVersion

Rescore = Annotated[
    bool, typer.Option("--rescore", help="Score again what the champions before scored; with --json a line each.")
]


def init(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="An ibis URL; none for files.")] = None,
    table: Annotated[str | None, typer.Option(metavar="T", help="The table's name behind the URL.")] = None,
    files: Annotated[str | None, typer.Option(metavar="GLOB", help="Parquet or CSV files, instead of a table.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The monitor's name, if not the table's.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a monitor's file from a live table.

    The file goes to stdout, each choice with its reason: tablewatch init URL --table T > monitors/t.yaml
    """
    if (table is None) == (files is None):
        raise typer.BadParameter("name a table behind a URL, or --files; one of the two", param_hint="--table")
    if table is not None and url is None:
        raise typer.BadParameter(
            "a table needs the URL of its database, such as duckdb://file.duckdb", param_hint="URL"
        )
    with working("reading"):
        from pipeline import drafting

        draft = drafting.draft(url, table, files, name)
    if as_json:
        say_json(draft)
        return
    for note in draft.notes:
        warn(note)
    typer.echo(draft.text, nl=False)


def promote(
    monitor: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As `models` shows it.")],
    rescore: Rescore = False,
    as_json: Json = False,
) -> None:
    """Make a model version champion."""
    with working("promoting"):
        from pipeline import reports

        champion = reports.promote(monitor, version)
    _say_crowned(f"{monitor}: champion is {champion.version}", champion, rescore, as_json)


def rollback(monitor: Name, rescore: Rescore = False, as_json: Json = False) -> None:
    """Make the previous champion champion again."""
    with working("rolling back"):
        from pipeline import reports

        champion = reports.rollback(monitor)
    _say_crowned(f"{monitor}: champion is {champion.version} again", champion, rescore, as_json)


def _say_crowned(message: str, champion: ModelVersion, rescore: bool, as_json: bool) -> None:
    """What became champion; which partitions bear older scores, or how each fared as it was scored again."""
    from pipeline import steps
    from pipeline.reports import some

    name = champion.monitor
    behind = steps.left_behind(name)
    if not as_json:
        say(message)
    elif not rescore:
        say_json(asdict(champion) | {"left_behind": behind})
    if rescore:
        outcomes = ((name, outcome) for outcome in steps.rescore(name, behind))
        show_each(outcomes, f"scoring {name}", as_json)
    elif behind and not as_json:
        span = f"{behind[0]} to {behind[-1]}" if len(behind) > 1 else behind[0]
        say(f"{some(len(behind), 'partition')} ({span}) scored by the champions before; to score them again:")
        say(f"tablewatch promote {name} {champion.version} --rescore")

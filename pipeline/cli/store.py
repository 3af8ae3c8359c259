"""The commands about the store itself: `store grants`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.arguments import Json
from pipeline.cli.quiet import working
from pipeline.cli.screen import say, say_json


def grants(
    role: Annotated[
        str | None, typer.Option(metavar="NAME", help="The role, if not tablewatch_reader; made where it is not there.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run it too, in one transaction.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back, instead.")] = False,
    as_json: Json = False,
) -> None:
    """Print the SQL of a role that reads the views only.

    For BI tools, on PostgreSQL. A new role has no login and no password.
    """
    with working("granting"):
        from pipeline import reports

        found = reports.grants(role, apply, revoke)
    if as_json:
        say_json(found)
        return
    for statement in found.statements:
        say(f"{statement};")
    say("-- done" if apply else "-- nothing was run; to run it: the same command with --apply")

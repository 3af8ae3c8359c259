"""The commands that run the steps: validate, train, score, run, backfill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.arguments import Alerts, Json, Name, Partition, iso_date
from pipeline.cli.errors import tell
from pipeline.cli.quiet import working
from pipeline.cli.screen import say, say_json, warn
from pipeline.errors import EmptyPartition, RefusedData, TablewatchError

if TYPE_CHECKING:
    from pipeline.steps import Outcome


def validate(monitor: Name, partition: Partition, as_json: Json = False) -> None:
    """Check one partition and set aside its broken records."""
    with working(f"validating {monitor} {partition}"):
        from pipeline import steps

        outcome = steps.validate(monitor, partition)
    _show([outcome], outcome.as_dict(), as_json)


def train(
    monitor: Name,
    through: Annotated[
        str | None,
        typer.Option(parser=iso_date, metavar="P", help="The window's last partition; the latest if not said."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed and records give the same model.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a new model version and make it champion."""
    with working(f"training {monitor}") as progress:
        from pipeline import steps

        outcome = steps.train(monitor, through, seed, progress=progress)
    _show([outcome], outcome.as_dict(), as_json)


def score(
    monitor: Name,
    partition: Partition,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Parquet: key, score, p_value of each accepted record."),
    ] = None,
    alerts: Alerts = True,
    as_json: Json = False,
) -> None:
    """Validate and score one partition with the champion."""
    if scores is not None and not scores.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(scores.parent)!r}", param_hint="--scores")
    with working(f"scoring {monitor} {partition}"):
        from pipeline import steps

        outcome = steps.score(monitor, partition, scores_file=scores, alerts=alerts)
    _show([outcome], outcome.as_dict(), as_json)


def run(
    monitor: Annotated[
        str | None, typer.Argument(metavar="[M]", help="The monitor: the name of its file, without .yaml.")
    ] = None,
    *,
    partition: Partition,
    every: Annotated[bool, typer.Option("--all", help="Every monitor, one after the other in this process.")] = False,
    alerts: Alerts = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value; with --all one a line.")] = False,
) -> None:
    """Validate and score a partition, after training if need be.

    With --all, what stops one monitor does not stop the rest.
    """
    if (monitor is None) is not every:
        raise typer.BadParameter("name a monitor, or say --all", param_hint="M")
    from pipeline import steps

    if monitor is None:
        show_each(steps.run_all(partition, alerts=alerts), f"running all monitors on {partition}", as_json)
        return
    with working(f"running {monitor} {partition}") as progress:
        outcomes = steps.run(monitor, partition, progress=progress, alerts=alerts)
    _show(outcomes, [outcome.as_dict() for outcome in outcomes], as_json)


def backfill(
    monitor: Name,
    first: Annotated[str, typer.Option("--from", parser=iso_date, metavar="P", help="The first partition.")],
    last: Annotated[str, typer.Option("--to", parser=iso_date, metavar="P", help="The last partition.")],
    alerts: Annotated[bool, typer.Option("--alerts", help="Tell people of what is found in the past too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON value a line, as the partitions end.")] = False,
) -> None:
    """Run every partition of a span, in order; tell nobody.

    One that is refused does not stop the rest.
    """
    if first > last:
        raise typer.BadParameter(f"{first} is after --to {last}", param_hint="--from")
    from pipeline import steps

    outcomes = steps.backfill(monitor, first, last, alerts=alerts)
    show_each(((monitor, outcome) for outcome in outcomes), f"backfilling {monitor}", as_json)


def show_each(outcomes: Iterator[tuple[str, Outcome | TablewatchError]], what: str, as_json: bool) -> None:
    """Show each monitor's outcomes as they come; exits 1 in the end if one was refused or failed."""
    from pipeline import steps

    stopped = False
    while True:
        with working(what):
            monitor, outcome = next(outcomes, ("", None))
        if outcome is None:
            break
        if isinstance(outcome, steps.Outcome):
            _show([outcome], outcome.as_dict(), as_json)
        else:
            stopped = True
            _show_stopped(monitor, outcome, as_json)
    if stopped:
        raise typer.Exit(1)


def _show_stopped(monitor: str, error: TablewatchError, as_json: bool) -> None:
    tell(str(error))
    if as_json:
        refused = "empty" if isinstance(error, EmptyPartition) else "refused"
        status = refused if isinstance(error, RefusedData) else "failed"
        say_json({"monitor": monitor or None, "status": status, "message": str(error)})


def _show(outcomes: list[Outcome], value: object, as_json: bool) -> None:
    if as_json:
        say_json(value)
        return
    for outcome in outcomes:
        for warning in outcome.warnings:
            warn(warning)
        say(f"{outcome.monitor} {outcome.partition}: {outcome.message}")
        if outcome.counts.get("flagged"):
            say(f"see: tablewatch incidents {outcome.monitor} --partition {outcome.partition}")

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
from pipeline.errors import EmptyPartition, RefusedData

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


def run(monitor: Name, partition: Partition, alerts: Alerts = True, as_json: Json = False) -> None:
    """Validate and score a partition, after training if need be."""
    with working(f"running {monitor} {partition}") as progress:
        from pipeline import steps

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

    show_each(monitor, steps.backfill(monitor, first, last, alerts=alerts), f"backfilling {monitor}", as_json)


def show_each(monitor: str, outcomes: Iterator[Outcome | RefusedData], what: str, as_json: bool) -> None:
    """Show outcomes as they come; exits 1 in the end if a partition was refused."""
    from pipeline import steps

    refused = False
    while True:
        with working(what):
            outcome = next(outcomes, None)
        if outcome is None:
            break
        if isinstance(outcome, steps.Outcome):
            _show([outcome], outcome.as_dict(), as_json)
        else:
            refused = True
            _show_refused(monitor, outcome, as_json)
    if refused:
        raise typer.Exit(1)


def _show_refused(monitor: str, refusal: RefusedData, as_json: bool) -> None:
    tell(str(refusal))
    if as_json:
        status = "empty" if isinstance(refusal, EmptyPartition) else "refused"
        say_json({"monitor": monitor, "status": status, "message": str(refusal)})


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

"""The command of the outbox: list the alerts, deliver them, try an endpoint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.arguments import Json
from pipeline.cli.errors import tell
from pipeline.cli.quiet import working
from pipeline.cli.screen import moment, say, say_json, say_table
from pipeline.plain import some

if TYPE_CHECKING:
    from pipeline.reports import AlertLine


def alerts(
    monitor: Annotated[str | None, typer.Argument(metavar="[M]", help="All of them if not said.")] = None,
    undelivered: Annotated[bool, typer.Option("--undelivered", help="Only those that have not arrived.")] = False,
    deliver: Annotated[bool, typer.Option("--deliver", help="Send all that are due, instead.")] = False,
    test: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Send a test message to this endpoint, instead.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show, deliver or test alerts.

    Exits 1 if an endpoint did not take what it was sent.
    """
    if deliver and test is not None:
        raise typer.BadParameter("deliver, or test an endpoint; one of the two", param_hint="--test")
    if (deliver or test is not None) and (monitor is not None or undelivered):
        raise typer.BadParameter("a monitor and --undelivered are for the list only", param_hint="[M]")
    if deliver:
        _deliver(as_json)
    elif test is not None:
        _test(test, as_json)
    else:
        _list(monitor, undelivered, limit, as_json)


def _list(monitor: str | None, undelivered: bool, limit: int, as_json: bool) -> None:
    with working("reading"):
        from pipeline import reports

        lines = reports.alerts(monitor, undelivered, limit)
    if as_json:
        say_json(lines)
    elif lines:
        say_table(("posted", "endpoint", "severity", "subject", "delivered"), map(_row, lines))
    else:
        say("no alert is undelivered" if undelivered else "there is no alert yet")


def _deliver(as_json: bool) -> None:
    with working("delivering"):
        from pipeline import steps

        steps.tell_late()
        done = steps.deliver()
    if as_json:
        say_json(done)
    else:
        say(f"{done.sent:,} delivered, {done.failed:,} not")
    for endpoint, error in done.errors.items():
        tell(f"{endpoint}: {error}; it is tried again later")
    if done.failed:
        raise typer.Exit(1)


def _test(endpoint: str, as_json: bool) -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", endpoint):
        raise typer.BadParameter("an endpoint is a name such as ops, as in a monitor's alerts.to", param_hint="--test")
    with working("sending"):
        from pipeline.alerts import send_test

        error = send_test(endpoint)
    if as_json:
        say_json({"endpoint": endpoint, "taken": error is None, "error": error})
    elif error is None:
        say(f"{endpoint} took the test message")
    if error is not None:
        tell(f"{endpoint}: {error}")
        raise typer.Exit(1)


def _row(line: AlertLine) -> tuple[str, ...]:
    if line.delivered_at is not None:
        fate = moment(line.delivered_at)
    elif line.last_error is not None:
        fate = f"no, tried {some(line.attempts, 'time')}: {line.last_error}; again after {moment(line.send_after)}"
    else:
        fate = f"no, due {moment(line.send_after)}"
    return moment(line.created_at), line.endpoint, line.severity, line.subject, fate

"""The commands by which people answer: label, labels, incidents, mute, unmute, suppressions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.arguments import AnyPartition, Json, Name
from pipeline.cli.quiet import working
from pipeline.cli.screen import count, moment, say, say_json, say_table

if TYPE_CHECKING:
    from pipeline.reports import MutedIncident, SuppressionState
    from pipeline.results import Condition
    from pipeline.store import StoredLabel

Days = Annotated[int, typer.Option(min=1, max=366, metavar="N", help="For how many days the pattern is muted.")]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; at most 1,000 characters.")]
Author = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says so, if not TABLEWATCH_AUTHOR or the login name.")
]


def label(
    monitor: Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The record key, as `anomalies` shows it.")],
    label: Annotated[Literal["confirmed", "expected", "withdrawn"], typer.Argument(help="What the record is.")],
    partition: AnyPartition = None,
    note: Note = "",
    author: Author = None,
    days: Days = 14,
    as_json: Json = False,
) -> None:
    """Say whether a flagged record is wrong.

    A confirmed record leaves all later trainings; an expected one is learned as normal and its pattern muted for a
    while; withdrawn takes back what was said.
    """
    with working("labelling"):
        from pipeline import steps

        done = steps.label(monitor, key, label, partition, note, author, days)
    if as_json:
        say_json(done)
        return
    for line in done.message.splitlines():
        say(line)


def labels(monitor: Name, as_json: Json = False) -> None:
    """Show what people said of records."""
    with working("reading"):
        from pipeline import reports

        found = reports.labels(monitor)
    if as_json:
        say_json(found)
    elif found:
        say_table(("partition", "record", "label", "note", "author", "labelled"), map(_label_row, found))
    else:
        say(f"{monitor}: no record bears a label")


def incidents(
    monitor: Name,
    partition: AnyPartition = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the latest and worst.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the incidents.

    An incident is flagged and quarantined records of one partition that are wrong in the same way.
    """
    with working("reading"):
        from pipeline import reports

        found = reports.incidents(monitor, partition, limit)
    if as_json:
        say_json([asdict(each.incident) | {"muted_by": each.muted_by} for each in found])
    elif found:
        columns = ("partition", "incident", "severity", "records", "summary", "muted until")
        say_table(columns, map(_incident_row, found), ("records",))
    else:
        say(f"{f'{monitor} {partition}' if partition else monitor}: no incident")


def mute(
    monitor: Name,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="As `incidents` shows it.")],
    days: Days = 14,
    note: Note = "",
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Tell nobody of an incident's pattern for a while."""
    with working("muting"):
        from pipeline import steps

        muted = steps.mute(monitor, incident, days, note, author)
    if as_json:
        say_json(muted)
        return
    say(f"{monitor}: muted until {moment(muted.expires_at)}: {_pattern(muted.columns, muted.segment)}")
    say(f"to end it: tablewatch unmute {monitor} {muted.suppression_id}")


def unmute(
    monitor: Name,
    suppression: Annotated[str, typer.Argument(metavar="SUPPRESSION", help="As `suppressions` shows it.")],
    author: Author = None,
    as_json: Json = False,
) -> None:
    """End a suppression now."""
    with working("unmuting"):
        from pipeline import steps

        ended = steps.unmute(monitor, suppression, author)
    if as_json:
        say_json(ended)
    else:
        say(f"{monitor}: {ended.suppression_id} mutes no more: {ended.summary}")


def suppressions(
    monitor: Annotated[str | None, typer.Argument(metavar="[M]", help="All monitors if not said.")] = None,
    as_json: Json = False,
) -> None:
    """Show what is muted, until when and by whom."""
    with working("reading"):
        from pipeline import reports

        found = reports.suppressions(monitor)
    if as_json:
        say_json([asdict(each.suppression) | {"state": each.state} for each in found])
    elif found:
        columns = ("monitor", "suppression", "state", "until", "pattern", "summary", "note", "author")
        say_table(columns, map(_suppression_row, found))
    else:
        say(f"{monitor}: nothing is muted" if monitor else "nothing is muted")


def _label_row(label: StoredLabel) -> tuple[str, ...]:
    return label.partition, label.record_key, label.label, label.note, label.author, moment(label.labelled_at)


def _incident_row(found: MutedIncident) -> tuple[str, ...]:
    incident = found.incident
    until = moment(found.muted_by.expires_at) if found.muted_by else ""
    records = count(incident.flagged + incident.quarantined)
    return incident.partition, incident.incident_id, incident.severity, records, incident.summary, until


def _suppression_row(found: SuppressionState) -> tuple[str, ...]:
    each = found.suppression
    until = moment(each.revoked_at or each.expires_at)
    pattern = _pattern(each.columns, each.segment)
    return each.monitor, each.suppression_id, found.state, until, pattern, each.summary, each.note, each.author


def _pattern(columns: tuple[str, ...], segment: tuple[Condition, ...]) -> str:
    """`air_time, distance where carrier is UA and hour is 9 to 10`."""
    where = " and ".join(map(_condition, segment))
    return f"{', '.join(columns)} where {where}" if where else ", ".join(columns)


def _condition(condition: Condition) -> str:
    if condition.value is not None:
        return f"{condition.column} is {condition.value}"
    if condition.high is None:
        return f"{condition.column} is at least {condition.low}"
    if condition.low is None:
        return f"{condition.column} is at most {condition.high}"
    return f"{condition.column} is {condition.low} to {condition.high}"

"""The commands that only read: check, partitions, anomalies, explain, models, doctor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.arguments import AnyPartition, Json, Name
from pipeline.cli.quiet import working
from pipeline.cli.screen import count, moment, say, say_json, say_table

if TYPE_CHECKING:
    from pipeline.reports import Anomalies, Broken, Checked, Diagnosis, Explanation, PartitionLine
    from pipeline.results import Neighbour
    from pipeline.store import ModelVersion, StoredAnomaly, StoredLabel

BAR = 20


def check(
    monitors: Annotated[list[str] | None, typer.Argument(metavar="[M]...", help="All of them if not said.")] = None,
    as_json: Json = False,
) -> None:
    """Check every monitor's file, connection and columns."""
    with working("checking"):
        from pipeline import reports

        checked = reports.check(monitors or ())
    if as_json:
        say_json(checked)
    else:
        for one in checked:
            _show_checked(one)
    if any(one.problems for one in checked):
        raise typer.Exit(1)


def partitions(monitor: Name, as_json: Json = False) -> None:
    """Show each partition: new, validated, scored or refused."""
    with working("reading"):
        from pipeline import reports

        lines = reports.partitions(monitor)
    if as_json:
        say_json([asdict(line) | {"changed": line.changed} for line in lines])
        return
    numbers = ("rows", "accepted", "quarantined", "flagged")
    say_table(("partition", "rows", "state", *numbers[1:], "note"), map(_partition_row, lines), numbers)


def anomalies(
    monitor: Name,
    partition: AnyPartition = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the worst ones.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the flagged records and why, then the quarantined ones."""
    with working("reading"):
        from pipeline import reports

        report = reports.anomalies(monitor, partition, limit)
    if as_json:
        say_json([_anomaly(anomaly, report.labels) for anomaly in report.found])
        return
    where = f"{monitor} {partition or ''}".strip()
    if report.found:
        _show_anomalies(report)
    else:
        say(f"{where}: nothing is flagged")
    if report.total > len(report.found):
        typer.echo(f"{len(report.found)} of {report.total:,}; --limit shows more", err=True)
    if report.broken:
        _show_broken(where, report)


def explain(
    monitor: Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The record key, as `anomalies` shows it.")],
    partition: AnyPartition = None,
    as_json: Json = False,
) -> None:
    """Show all that is known of one flagged or quarantined record."""
    with working("reading"):
        from pipeline import reports

        found = reports.explain(monitor, key, partition)
    if as_json:
        say_json(_explained(found))
        return
    for anomaly in found.flagged:
        _show_flagged(monitor, anomaly, found.neighbours[anomaly.partition])
    for part in dict.fromkeys(each.partition for each in found.quarantined):
        _show_quarantined(monitor, [each for each in found.quarantined if each.partition == part])
    for label in found.labels:
        _show_label(monitor, label)


def models(monitor: Name, as_json: Json = False) -> None:
    """Show the model versions of a monitor."""
    with working("reading"):
        from pipeline import reports

        versions = reports.models(monitor)
    if as_json:
        say_json(versions)
        return
    if not versions:
        say(f"{monitor}: no model version yet; run: tablewatch train {monitor}")
        return
    columns = ("", "version", "model", "window", "records", "metrics", "canaries (AUC-ROC)", "promoted", "reason")
    say_table(columns, map(_version_row, versions), ("records",))


def doctor(as_json: Json = False) -> None:
    """Show versions, store, champions, last runs; what is broken.

    Exits 1 if anything is.
    """
    with working("looking"):
        from pipeline import reports

        seen = reports.doctor()
    if as_json:
        say_json(seen)
    else:
        _show_diagnosis(seen)
    if seen.problems:
        raise typer.Exit(1)


def _show_checked(one: Checked) -> None:
    from pipeline.reports import some

    if one.problems:
        say(f"{one.monitor}: {some(len(one.problems), 'problem')}")
    else:
        held = f"{some(one.partitions or 0, 'partition')} from {one.first} to {one.last}"
        columns = f"{some(one.modelled or 0, 'column')} modelled"
        say(f"{one.monitor}: ok; {held}, {some(one.records or 0, 'record')}, {columns}")
    for problem in one.problems:
        say(f"  {problem}")
    for note in one.notes:
        say(f"  note: {note}")


def _partition_row(line: PartitionLine) -> tuple[str, ...]:
    changed = f"the last run read {count(line.read)}" if line.changed else ""
    gone = "no longer in the source" if line.rows is None else ""
    note = "; ".join(part for part in (line.reason, changed, gone) if part)
    counts = (count(line.accepted), count(line.quarantined), count(line.flagged))
    return (line.partition or "(no date)", count(line.rows), line.state, *counts, note)


def _reasons(anomaly: StoredAnomaly) -> list[str]:
    from pipeline.reports import leading_reasons

    return leading_reasons(anomaly.contributions)


def _anomaly(anomaly: StoredAnomaly, labels: Mapping[tuple[str, str], StoredLabel]) -> dict[str, Any]:
    label = labels.get((anomaly.partition, anomaly.record_key))
    return asdict(anomaly) | {"reasons": _reasons(anomaly), "label": label}


def _explained(found: Explanation) -> dict[str, Any]:
    labels = {(label.partition, label.record_key): label for label in found.labels}
    return {
        "record_key": found.record_key,
        "flagged": [
            _anomaly(anomaly, labels) | {"neighbours": found.neighbours[anomaly.partition]} for anomaly in found.flagged
        ],
        "quarantined": found.quarantined,
        "labels": found.labels,
    }


def _show_anomalies(report: Anomalies) -> None:
    said = [report.labels.get((each.partition, each.record_key)) for each in report.found]
    rows = [
        (
            each.partition,
            each.record_key,
            f"{each.score:.1f}",
            f"{each.p_value:.2g}",
            *([label.label if label else ""] if any(said) else []),
            "; ".join(_reasons(each)),
        )
        for each, label in zip(report.found, said, strict=True)
    ]
    columns = ("partition", "record", "score", "p-value", *(["label"] if any(said) else []), "why")
    say_table(columns, rows, ("score", "p-value"))


def _show_flagged(monitor: str, anomaly: StoredAnomaly, neighbours: list[Neighbour]) -> None:
    from pipeline.reports import REASONS

    say(f"{monitor} {anomaly.partition}: record {anomaly.record_key} is flagged")
    say(f"score {anomaly.score:.2f}, threshold {anomaly.threshold:.2f}, p-value {anomaly.p_value:.2g}")
    say(f"scored by {anomaly.model_version}, first detected {moment(anomaly.first_detected_at)}")
    say("")
    rows = [
        (
            each.column_name,
            "null" if each.observed is None else each.observed,
            "null" if each.expected is None else each.expected,
            f"{'█' * round(BAR * each.share):{BAR}} {each.share:4.0%}",
            REASONS[each.reason],
        )
        for each in anomaly.contributions
    ]
    say_table(("column", "observed", "expected", "share", "reason"), rows)
    if neighbours:
        _show_neighbours(anomaly, neighbours)
    _show_record(anomaly.record)


def _show_neighbours(anomaly: StoredAnomaly, neighbours: list[Neighbour]) -> None:
    """What the normal records that are like it in all else hold in the columns to blame."""
    from pipeline.records import as_text
    from pipeline.results import leading

    blamed = [each.column_name for each in leading(anomaly.contributions)]
    names = [name for name in blamed if name in neighbours[0].record]
    rows = [(each.neighbour_key, *(as_text(each.record[name]) or "null" for name in names)) for each in neighbours]
    say("")
    say_table((f"like it but for {', '.join(blamed)}", *names), rows)


def _show_broken(where: str, report: Anomalies) -> None:
    from pipeline.reports import some

    say("")
    say(f"{where}: {some(report.quarantined, 'record')} quarantined, so not scored")
    rows = [
        (
            each.partition,
            each.record_key or "(no key)",
            each.column,
            "null" if each.value is None else each.value,
            each.expected,
        )
        for each in report.broken
    ]
    say_table(("partition", "record", "column", "value", "expected that"), rows)


def _show_quarantined(monitor: str, broken: list[Broken]) -> None:
    first = broken[0]
    say(f"{monitor} {first.partition}: record {first.record_key} is quarantined, so it was not scored")
    say("")
    rows = [(each.column, "null" if each.value is None else each.value, each.expected) for each in broken]
    say_table(("column", "value", "expected that"), rows)
    _show_record(first.record)


def _show_label(monitor: str, label: StoredLabel) -> None:
    said = f"{label.label}, says {label.author} ({moment(label.labelled_at)})"
    say(f"{monitor} {label.partition}: record {label.record_key} is {said}{f': {label.note}' if label.note else ''}")


def _show_record(record: dict[str, Any]) -> None:
    say("")
    say_table(("record", ""), [(name, "null" if value is None else value) for name, value in record.items()])
    say("")


def _version_row(version: ModelVersion) -> tuple[str, ...]:
    from pipeline.reports import canary_figures

    metrics = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in version.metrics.items()
        if isinstance(value, int | float)
    )
    return (
        "*" if version.status == "champion" else "",
        version.version,
        version.model,
        f"{version.window_first} to {version.window_last}",
        count(version.window_records),
        metrics,
        canary_figures(version.metrics),
        moment(version.promoted_at),
        version.promotion_reason or "; ".join(version.metrics.get("objections", ())),
    )


def _show_diagnosis(seen: Diagnosis) -> None:
    say(", ".join(f"{name} {found or 'missing'}" for name, found in seen.versions.items()))
    say(f"home {seen.home}, monitors {seen.monitors_folder}")
    say(f"store {seen.store or 'unknown'}, {f'revision {seen.store_revision}' if seen.store_revision else 'broken'}")
    if seen.monitors:
        say("")
        columns = ("monitor", "champion", "days", "last run", "status", "partition", "started")
        rows = [
            (
                each.monitor,
                each.champion,
                each.champion_days,
                each.last_kind,
                each.last_status,
                each.last_partition,
                moment(each.last_started_at),
            )
            for each in seen.monitors
        ]
        say_table(columns, rows, ("days",))
    say("")
    for note in seen.notes:
        say(f"note: {note}")
    for problem in seen.problems:
        say(f"broken: {problem}")
    if not seen.problems:
        say("nothing is broken")

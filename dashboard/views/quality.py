"""Quality: which expectations broke, what went to quarantine and why, the suite in words."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import charts, data, export, frame, markup, words
from dashboard.markup import badge, cell
from pipeline.results import ExpectationResult

MOST_REASONS = 8
OTHERS = "other rules"


def page() -> None:
    """The page."""
    monitor, partition = frame.chosen_night()
    markup.title(f"{monitor}, night of {partition}: expectations")
    suite = data.expectations(monitor, partition)
    _night(monitor, partition, suite)
    _broken(monitor)
    _quarantine(monitor)
    _suite(monitor, partition, suite)


def _night(monitor: str, partition: str, suite: list[data.Row]) -> None:
    from pipeline.validation.words import in_words

    if not suite:
        markup.says("It was not validated.")
        return
    broken = [row for row in suite if not row["success"]]
    markup.says(f"{len(suite) - len(broken):,} of {len(suite):,} expectations hold.")
    for row in broken:
        markup.says(
            in_words(_result(row)), badge("critical" if row["severity"] == "error" else "warning", row["severity"])
        )


def _broken(monitor: str) -> None:
    from pipeline.validation.words import in_words

    rows = [
        {
            "partition": row["partition"],
            "severity": row["severity"],
            "what": cell(in_words(_result(row | {"origin": "", "success": False}))),
        }
        for row in data.broken_by_night(monitor)
    ]
    markup.heading("Broken expectations, night by night")
    if not rows:
        markup.remark("None in the latest nights.")
        return
    counted: dict[tuple[str, str], int] = {}
    for row in rows:
        counted[row["partition"], row["severity"]] = counted.get((row["partition"], row["severity"]), 0) + 1
    bars = [{"partition": night, "what": what, "value": value} for (night, what), value in sorted(counted.items())]
    st.altair_chart(charts.stacked(bars, ("error", "warning"), "expectations", (charts.ORANGE, charts.BLUE)))
    wide = {"what": st.column_config.TextColumn(width="large")}
    st.dataframe(rows, hide_index=True, width="stretch", column_config=wide, height=min(35 * len(rows) + 38, 320))


def _quarantine(monitor: str) -> None:
    markup.heading("Quarantine, by the rule that was broken")
    found = data.quarantine_reasons(monitor)
    if not found:
        markup.remark("No record was quarantined.")
        return
    rules = _rules(monitor)
    total: dict[str, int] = {}
    for row in found:
        total[words.rule(rules, row)] = total.get(words.rule(rules, row), 0) + row["records"]
    kinds = sorted(total, key=lambda reason: -total[reason])[:MOST_REASONS]
    rows = [
        {
            "partition": row["partition"],
            "what": words.rule(rules, row) if words.rule(rules, row) in kinds else OTHERS,
            "value": row["records"],
        }
        for row in found
    ]
    st.altair_chart(charts.stacked(rows, [*kinds, OTHERS] if len(total) > len(kinds) else kinds, "records"))


def _rules(monitor: str) -> dict[tuple[str, str | None], data.Row]:
    """The expectations that records broke, with the bounds of the latest night: trainings move the learned ones."""
    latest: dict[tuple[str, str | None], data.Row] = {}
    for row in data.broken_by_night(monitor):
        latest.setdefault((row["expectation"], row["column_name"]), row)
    return latest


def _suite(monitor: str, partition: str, suite: list[data.Row]) -> None:
    from pipeline.validation.words import phrase

    if not suite:
        return
    markup.heading("The suite in words")
    rows: list[dict[str, Any]] = [
        {
            "holds": "yes" if row["success"] else "no",
            "expectation": phrase(row["expectation"], row["kwargs"]),
            "severity": row["severity"],
            "of": row["scope"],
            "written by": row["origin"],
            "checked": row["checked"],
            "broken by": row["unexpected"],
        }
        for row in suite
    ]
    shown = [{**row, "expectation": cell(row["expectation"])} for row in rows]
    wide = {"expectation": st.column_config.TextColumn(width="large")}
    st.dataframe(shown, hide_index=True, width="stretch", column_config=wide, height=420)
    export.button(rows, f"{monitor}-{partition}-suite.csv", "The suite as CSV")


def _result(row: data.Row) -> ExpectationResult:
    names = ("scope", "expectation", "kwargs", "severity", "origin", "success", "checked", "unexpected")
    values: dict[str, Any] = {name: row[name] for name in names}
    return ExpectationResult(**values, column=row["column_name"], observed=row["found"])

"""What several pages say of records, rules and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import address, data, markup
from dashboard.markup import cell
from pipeline.errors import TablewatchError
from pipeline.reports.words import in_words, leading_reasons
from pipeline.results import Contribution
from pipeline.settings import Settings

Row = dict[str, Any]


def records_of(incident: Row) -> int:
    """How many records an incident has: those flagged and those quarantined."""
    return int(incident["flagged"] + incident["quarantined"])


def incident_line(incident: Row, *badges: str) -> None:
    """An incident as a sentence with a link to its page."""
    with st.container(gap=None):
        markup.says(incident["summary"], *badges)
        where = {name: incident[name] for name in ("monitor", "partition")}
        address.link("incident", "See why →", **where, incident=incident["incident_id"])


def contribution(row: Row) -> Contribution:
    """A row of `contributions` as a value."""
    return Contribution(*(row[name] for name in ("column_name", "observed", "expected", "share", "rank", "reason")))


def reasons(rows: Sequence[Row]) -> list[str]:
    """The contributions that made the most of the score, in words."""
    return leading_reasons([contribution(row) for row in rows]) if rows else []


def rules(monitor: str, partition: str) -> dict[tuple[str, str | None], Row]:
    """The expectations of a partition by name and column."""
    return {(row["expectation"], row["column_name"]): row for row in data.expectations(monitor, partition)}


def rule(known: Mapping[tuple[str, str | None], Row], broken: Row) -> str:
    """What the rule that a quarantined record breaks expects, in words."""
    from pipeline.validation.words import phrase

    found = known.get((broken["expectation"], broken["column_name"]))
    return phrase(found["expectation"], found["kwargs"]) if found else in_short(broken)


def in_short(broken: Row) -> str:
    """A rule by its name alone, where nothing tells its bounds any more: `air_time: values to be between`."""
    name = str(broken["expectation"]).removeprefix("expect_column_").replace("_", " ")
    return f"{broken['column_name']}: {name}" if broken["column_name"] else name


def record_rows(
    flagged: Sequence[Row],
    broken: Sequence[Row],
    why: Mapping[str, Sequence[Row]],
    labels: Mapping[str, Row],
    known: Mapping[tuple[str, str | None], Row],
) -> list[Row]:
    """A line for each record: its key, how it was found, its score, why, and what was said of it.

    `known` are the night's `rules`.
    """
    rows = []
    for row in flagged:
        parts = why.get(row["record_key"])
        told = reasons(parts) if parts else [in_words(_top(row))] if row["top_column"] else []
        rows.append(_line(row["record_key"], "flagged", row["score"], "; ".join(told), labels))
    for row in broken:
        value = "null" if row["value"] is None else row["value"]
        told = [f"{row['column_name'] or 'record'} {value} breaks: {rule(known, row)}"]
        name = row["record_key"] if row["record_key"] is not None else f"row {row['row_number']}"
        rows.append({**_line(name, "quarantined", None, told[0], labels), "key": row["record_key"]})
    return rows


def _line(key: str, how: str, score: float | None, why: str, labels: Mapping[str, Row]) -> Row:
    said = labels.get(key)
    label = f"{said['label']} ({said['author']})" if said else None
    return {"key": key, "record": key, "how": how, "score": score, "why": why, "label": label}


def _top(row: Row) -> Contribution:
    return Contribution(row["top_column"], row["observed"], row["expected"], row["top_share"], 1, row["top_reason"])


def table(rows: Sequence[Row], key: str) -> int | None:
    """The lines of `record_rows` as a table; the place of the one that was chosen."""
    left_out = {"key"} if any(row["label"] for row in rows) else {"key", "label"}
    shown = [
        {name: value if name == "score" else cell(value) for name, value in row.items() if name not in left_out}
        for row in rows
    ]
    settings = {
        "how": st.column_config.TextColumn(width="small"),
        "score": st.column_config.NumberColumn(format="%.2f", width="small"),
        "why": st.column_config.TextColumn(width="large"),
    }
    height = min(35 * (len(rows) + 1) + 3, 420)
    event: Any = st.dataframe(
        shown,
        key=key,
        hide_index=True,
        height=height,
        width="stretch",
        column_config=settings,
        on_select="rerun",
        selection_mode="single-row",
        placeholder="",
    )
    chosen = event.selection.rows
    return int(chosen[0]) if chosen else None


def calibration(monitor: str, version: str) -> list[float]:
    """The scores of the normal records of a model version; none, and a remark, where its bundle is not within reach."""
    known = next((row for row in data.models(monitor) if row["version"] == version), None)
    if known is None:
        markup.remark("The scores of normal records are not shown: the model version is not in the store.")
        return []
    try:
        return data.normal_scores(Settings().bundles, monitor, version, known["sha256"])
    except TablewatchError as error:
        markup.remark(f"The scores of normal records are not shown: {error}")
        return []

"""Incident: what is wrong in one sentence, the columns against what was expected, the records, who said what."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import address, charts, data, export, forms, frame, markup, words
from dashboard.markup import badge
from pipeline.incidents.words import conditions_in_words
from pipeline.plain import some
from pipeline.results import Condition

CHARTS = 3


def page() -> None:
    """The page: one incident, or all of a night where the address names none."""
    address.leave_out("record")
    monitor, partition = frame.chosen_night()
    found = data.incidents(monitor, partition)
    asked = address.given("incident")
    chosen = next((each for each in found if each["incident_id"] == asked), None)
    if asked and chosen is None:
        elsewhere = data.history(monitor, asked)
        where = f"; it shows on {elsewhere[0]['partition']}" if elsewhere else ""
        markup.says(f"No incident {asked} on {partition}{where}. The night was scored again, or it is another one.")
    if chosen is None:
        _night(monitor, partition, found)
    else:
        _incident(chosen)


def _night(monitor: str, partition: str, found: list[dict[str, Any]]) -> None:
    markup.title(f"{monitor}, night of {partition}")
    if not found:
        markup.says("No incident in this night.")
    severities = list(dict.fromkeys(each["severity"] for each in found))
    asked = address.given("severity")
    if len(severities) > 1:
        address.choose("Severity", "severity", ["all", *severities], "all")
    for each in found:
        if asked in (None, "all", each["severity"]):
            words.incident_line(each, badge(each["severity"]))
    address.link("record", "All records of this night →", monitor=monitor, partition=partition)
    rows = words.record_rows(
        data.flagged(monitor, partition), data.quarantined(monitor, partition), {}, {}, words.rules(monitor, partition)
    )
    export.button(rows, f"{monitor}-{partition}.csv", "All flagged and quarantined records as CSV")


def _incident(incident: dict[str, Any]) -> None:
    monitor, partition, name = incident["monitor"], incident["partition"], incident["incident_id"]
    flagged = data.flagged(monitor, partition, name)
    broken = data.quarantined(monitor, partition, name)
    why = data.why_incident(monitor, partition, name)
    muted = next((each for each in data.muting(monitor) if each["incident_id"] == name), None)
    until = muted["expires_at"] if muted else incident["muted_until"]
    badges = [badge(incident["severity"])]
    if until:
        badges.append(badge("muted", f"muted until {until:%Y-%m-%d}"))
    markup.title(incident["summary"], *badges)
    _facts(incident)
    _columns(incident, why, broken)
    _records(incident, flagged, broken, why)
    _history(incident)
    keys = [row["record_key"] for row in (*flagged, *broken) if row["record_key"] is not None]
    forms.incident(incident, list(dict.fromkeys(keys)), muted)


def _facts(incident: dict[str, Any]) -> None:
    night = next((row for row in data.nights(incident["monitor"]) if row["partition"] == incident["partition"]), None)
    records = words.records_of(incident)
    quarantined = incident["quarantined"]
    told = "" if not quarantined else f", {'all' if quarantined == records else f'{quarantined:,} of them'} quarantined"
    facts = [f"{some(records, 'record')}{told}"]
    if night and night["records_read"]:
        facts.append(f"{markup.percent(records / night['records_read'])} of the night's {night['records_read']:,}")
    if incident["segment"] and incident["kind"] == "pattern":
        segment = conditions_in_words([Condition(**each) for each in incident["segment"]])
        size = f" ({incident['segment_records']:,} records)" if incident["segment_records"] else ""
        facts.append(f"where {segment}{size}")
    if incident["lift"] and incident["lift"] >= 2:
        facts.append(f"{incident['lift']:,.0f} times as frequent there as elsewhere")
    since = incident["partitions_so_far"]
    first = incident["first_partition"]
    facts.append("new tonight" if since <= 1 else f"since {first}, in {since} nights")
    markup.says(" · ".join(facts))
    markup.remark(f"incident {incident['incident_id']}, found by model version {incident['model_version']}")


def _columns(incident: dict[str, Any], why: dict[str, list[dict[str, Any]]], broken: list[dict[str, Any]]) -> None:
    rules = words.rules(incident["monitor"], incident["partition"])
    for column in incident["columns"][:CHARTS]:
        pairs = [
            {"record": key, "observed": row["observed"], "expected": row["expected"]}
            for key, rows in why.items()
            for row in rows
            if row["column_name"] == column
        ]
        shut = [row for row in broken if row["column_name"] == column]
        told = {words.rule(rules, row) for row in shut}
        known = {pair["record"] for pair in pairs}
        pairs += [
            {"record": row["record_key"] or f"row {row['row_number']}", "observed": row["value"], "expected": None}
            for row in shut
            if row["record_key"] not in known
        ]
        if not pairs:
            continue
        markup.heading(f"{column}: observed and expected")
        for each in sorted(told):
            markup.remark(f"rule broken: {each}")
        if len(pairs) > charts.MOST_RECORDS:
            markup.remark(f"{charts.MOST_RECORDS} of {len(pairs):,} records")
        if shut and known:
            markup.remark("Records in quarantine were not scored, so no value was expected of them.")
        st.altair_chart(charts.observed_expected(pairs))


def _records(
    incident: dict[str, Any],
    flagged: list[dict[str, Any]],
    broken: list[dict[str, Any]],
    why: dict[str, list[dict[str, Any]]],
) -> None:
    monitor, partition = incident["monitor"], incident["partition"]
    markup.heading("Records")
    rows = words.record_rows(flagged, broken, why, data.labels(monitor, partition), words.rules(monitor, partition))
    if not rows:
        markup.says("Its records are no longer there.")
        return
    if words.records_of(incident) > len({row["record"] for row in rows}):
        markup.remark(f"the first {data.MOST:,}")
    markup.remark("Choose a row to see all of the record.")
    chosen = words.table(rows, key=f"records-{partition}-{incident['incident_id']}")
    if chosen is not None and rows[chosen]["key"] is not None:
        address.go(
            "record", monitor=monitor, partition=partition, incident=incident["incident_id"], record=rows[chosen]["key"]
        )
    export.button(rows, f"{monitor}-{partition}-{incident['incident_id']}.csv", "These records as CSV")


def _history(incident: dict[str, Any]) -> None:
    shown = data.history(incident["monitor"], incident["incident_id"])
    if len(shown) < 2:
        return
    markup.heading("Night after night")
    rows = [
        {"partition": each["partition"], "what": what, "value": each[what]}
        for each in shown
        for what in ("flagged", "quarantined")
        if each[what]
    ]
    st.altair_chart(charts.stacked(rows, ("flagged", "quarantined"), "records", (charts.ORANGE, charts.GREY)))

"""Record: every column with what was observed and expected, its part in the score, where the score lies."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import address, charts, data, forms, frame, markup, words
from dashboard.markup import badge, cell, percent
from pipeline.records import as_text
from pipeline.reports.words import REASONS
from pipeline.results import leading


def page() -> None:
    """The page: one record, or a choice among those of a night."""
    monitor, partition = frame.chosen_night()
    key = address.given("record")
    if key is None:
        _choice(monitor, partition)
        return
    anomaly, broken = data.record(monitor, partition, key)
    said = data.labels(monitor, partition).get(key)
    if anomaly is None and not broken:
        markup.says(f"Record {key} is neither flagged nor quarantined on {partition}.")
        if said is None:
            return
    incident = (anomaly or (broken[0] if broken else {})).get("incident_id")
    if incident:
        address.link("incident", "Back to its incident", monitor=monitor, partition=partition, incident=incident)
    badges = [badge(anomaly["severity"])] if anomaly and anomaly["severity"] else []
    badges += [badge("refused", "quarantined")] if broken else []
    markup.title(f"Record {key}", *badges)
    why = data.why_record(monitor, partition, key) if anomaly else []
    _verdict(anomaly, why, broken, monitor, partition)
    if anomaly:
        _neighbours(anomaly, why)
    left, right = st.columns([3, 2])
    with left:
        _every_column((anomaly or (broken[0] if broken else {})).get("record") or {}, why, broken, monitor, partition)
    with right:
        if anomaly:
            _parts(why)
            _score(anomaly)
    forms.record(monitor, partition, key, said)


def _choice(monitor: str, partition: str) -> None:
    markup.title(f"{monitor}, night of {partition}")
    flagged, broken = data.flagged(monitor, partition), data.quarantined(monitor, partition)
    rows = words.record_rows(flagged, broken, {}, data.labels(monitor, partition), words.rules(monitor, partition))
    if not rows:
        markup.says("No record is flagged or quarantined in this night.")
        return
    chosen = words.table(rows, key=f"night-{monitor}-{partition}")
    if chosen is not None and rows[chosen]["key"] is not None:
        address.go("record", monitor=monitor, partition=partition, record=rows[chosen]["key"])


def _verdict(
    anomaly: dict[str, Any] | None,
    why: list[dict[str, Any]],
    broken: list[dict[str, Any]],
    monitor: str,
    partition: str,
) -> None:
    rules = words.rules(monitor, partition)
    for row in broken:
        rule = words.rule(rules, row)
        value = "null" if row["value"] is None else row["value"]
        markup.says(f"{row['column_name'] or 'the record'} is {value}, and the rule says: {rule}")
    if anomaly is None:
        return
    for sentence in words.reasons(why):
        markup.says(sentence)
    before = "" if anomaly["first_score"] == anomaly["score"] else f" with score {anomaly['first_score']:.2f}"
    rarity = f"rarer than one in {1 / anomaly['p_value']:,.0f} normal records" if anomaly["p_value"] else "never seen"
    markup.remark(
        f"score {anomaly['score']:.2f}, flagged from {anomaly['threshold']:.2f}; {rarity}; found first"
        f" {markup.moment(anomaly['first_detected_at'])}{before}; model version {anomaly['model_version']}"
    )


def _every_column(
    record: dict[str, Any], why: list[dict[str, Any]], broken: list[dict[str, Any]], monitor: str, partition: str
) -> None:
    markup.heading("Every column")
    part = {row["column_name"]: row for row in why}
    known = words.rules(monitor, partition)
    rules = {row["column_name"]: words.rule(known, row) for row in broken}
    order = [row["column_name"] for row in why] + [name for name in record if name not in part]
    rows = []
    for name in order:
        row = part.get(name)
        observed = row["observed"] if row else record.get(name)
        rows.append(
            {
                "column": cell(name),
                "observed": "null" if observed is None else cell(observed),
                "expected": cell(row["expected"]) if row else None,
                "part of the score": round(100 * row["share"]) if row else None,
                "remark": cell(_remark(row, rules.get(name))),
            }
        )
    bar = st.column_config.ProgressColumn("part of the score", format="%d %%", min_value=0, max_value=100)
    height = min(35 * (len(rows) + 1) + 3, 700)
    settings = {"part of the score": bar}
    if not any(row["remark"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "remark"} for row in rows]
    st.dataframe(rows, hide_index=True, column_config=settings, height=height, width="stretch", placeholder="")
    markup.remark("An expected value is shown where the column has a part in the score.")


def _remark(row: dict[str, Any] | None, rule: str | None) -> str | None:
    """What the values of a column do not say themselves."""
    if rule is not None:
        return f"breaks: {rule}"
    return REASONS[row["reason"]] if row and row["reason"] != "reconstruction" else None


def _neighbours(anomaly: dict[str, Any], why: list[dict[str, Any]]) -> None:
    """The record above the normal ones that are most like it in all but the columns to blame, which come first."""
    markup.heading("Normal records like it")
    key = anomaly["record_key"]
    near = data.neighbours(anomaly["monitor"], anomaly["partition"], key)
    if not near:
        markup.remark(
            "None is kept beside it. They are kept for the worst flagged records of a night, unless the monitor says"
            " neighbours: 0, or every column is sensitive or to blame."
        )
        return
    blamed = [each.column_name for each in leading([words.contribution(row) for row in why])]
    markup.remark(
        f"The records of this night that are nearest to it in everything but {', '.join(blamed)}, and not flagged."
    )
    known = near[0]["record"]
    names = [name for name in dict.fromkeys([*blamed, *(row["column_name"] for row in why), *known]) if name in known]
    own = {name: as_text(anomaly["record"].get(name)) for name in names}
    rows = [_beside(key, own, own, blamed, "wrong")]
    for each in near:
        values = {name: as_text(each["record"].get(name)) for name in names}
        rows.append(_beside(each["neighbour_key"], values, own, blamed, "usual"))
    markup.grid(["record", *names], rows)


def _beside(
    key: str, values: dict[str, str | None], own: dict[str, str | None], blamed: list[str], look: str
) -> list[tuple[Any, str]]:
    """A row of cells: those of blamed columns with this look where they differ from the flagged record's."""
    cells: list[tuple[Any, str]] = [(key, "")]
    for name, value in values.items():
        differs = value != own[name] or look == "wrong"
        mark = look if differs and name in blamed else "" if differs else "same"
        cells.append(("null" if value is None else value, mark))
    return cells


def _parts(why: list[dict[str, Any]]) -> None:
    markup.heading("What made the score")
    rows = [{"name": row["column_name"], "value": row["share"]} for row in why]
    rest = 1 - sum(row["share"] for row in why)
    if rest > 0.005:
        rows.append({"name": "all other columns", "value": rest})
    st.altair_chart(charts.bars(rows, "part of the score"))


def _score(anomaly: dict[str, Any]) -> None:
    markup.heading("Where the score lies")
    normal = words.calibration(anomaly["monitor"], anomaly["model_version"])
    others = data.scores(anomaly["monitor"], anomaly["partition"])
    st.altair_chart(charts.scores(normal, others, anomaly["threshold"], anomaly["score"]))
    if normal:
        above = sum(score >= anomaly["score"] for score in normal)
        share = percent(above / len(normal))
        markup.remark(f"{above:,} of {len(normal):,} normal records, held out at training, score as high ({share})")

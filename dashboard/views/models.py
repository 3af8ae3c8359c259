"""Models: the versions, how each did at the gate, who is champion, and the way back."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import address, charts, data, frame, markup, writing
from dashboard.markup import badge, cell

METHODS = {
    "model": "this version",
    "champion": "the champion then",
    "nearest": "nearest records",
    "gaussian": "gaussian",
}


def page() -> None:
    """The page."""
    monitor = frame.chosen_monitor()
    markup.title(f"{monitor}: model versions")
    known = data.models(monitor)
    if not known:
        markup.says(f"No model version yet: tablewatch train {monitor}")
        return
    champion = next((row for row in known if row["status"] == "champion"), None)
    if champion is None:
        markup.says("None is champion, so nothing is scored.", badge("warning"))
    _versions(known)
    names = [row["version"] for row in known]
    default = champion["version"] if champion else names[0]
    chosen = address.choose("Version", "version", names, default) or default
    version = next(row for row in known if row["version"] == chosen)
    _gate(version)
    _curves(version)
    _crown(monitor, version, known)


def _versions(known: list[data.Row]) -> None:
    rows = [
        {
            "version": row["version"],
            "status": row["status"],
            "model": row["model"],
            "trained on": f"{row['window_first']} to {row['window_last']}",
            "records": row["window_records"],
            "promoted": markup.moment(row["promoted_at"]) if row["promoted_at"] else "",
            "reason": cell(row["promotion_reason"]),
            "rolled back": markup.moment(row["rolled_back_at"]) if row["rolled_back_at"] else "",
            "nights scored": row["partitions_scored"],
        }
        for row in known
    ]
    st.dataframe(rows, hide_index=True, width="stretch", placeholder="")


def _gate(version: data.Row) -> None:
    metrics: dict[str, Any] = version["metrics"] or {}
    canaries: dict[str, Any] = metrics.get("canaries") or {}
    markup.heading(f"{version['version']} at the gate")
    for objection in metrics.get("objections") or []:
        markup.says(objection, badge("warning", "held back"))
    facts = {
        "trained on": f"{version['window_records']:,} records",
        "calibrated on": _count(metrics.get("calibration_records"), "held-out records"),
        "loss": None if metrics.get("loss") is None else f"{metrics['loss']:.3g}",
        "seed": version["seed"],
    }
    markup.remark(" · ".join(f"{name} {value}" for name, value in facts.items() if value is not None))
    if canaries.get("note"):
        markup.says(canaries["note"])
    measured = {name: canaries[name] for name in METHODS if isinstance(canaries.get(name), dict)}
    ranked = [
        {"name": METHODS[name], "value": each["auc_roc"]} for name, each in measured.items() if each.get("auc_roc")
    ]
    if not ranked:
        markup.remark("How well it tells planted errors from normal records was not measured.")
        return
    left, right = st.columns(2)
    with left:
        markup.remark(
            f"telling {canaries['count']:,} planted errors (canaries) from normal records: AUC-ROC, 0.5 is chance"
        )
        st.altair_chart(charts.bars(ranked, "AUC-ROC", ".2f", charts.BLUE))
    with right:
        kinds = (measured.get("model") or {}).get("corruptions") or {}
        caught = [{"name": name.replace("_", " "), "value": each["caught"]} for name, each in kinds.items()]
        if caught:
            markup.remark("share of them caught, by kind of error")
            st.altair_chart(charts.bars(caught, "caught", ".0%"))


def _curves(version: data.Row) -> None:
    """The loss of records that the networks train on and of records that they do not, as training went on."""
    drawn = [_points(each) for each in (version["metrics"] or {}).get("curves") or []]
    if not any(drawn):
        markup.remark("No training curves: this version was trained before they were kept.")
        return
    markup.heading("While it was trained")
    for column, points in zip(st.columns(len(drawn)), drawn, strict=True):
        with column:
            st.altair_chart(charts.curve(points))
    markup.remark(
        "The mean loss of records that the networks train on (training) and of records that they never see"
        " (validation), the same ones at every point. Validation that rises while training falls: records are learned"
        " by heart."
    )


def _points(curve: dict[str, Any]) -> list[data.Row]:
    kinds = ("training", "validation")
    return [
        {"steps": steps, "what": what, "loss": loss}
        for what in kinds
        for steps, loss in zip(curve["steps"], curve[what], strict=True)
        if isinstance(loss, int | float)
    ]


def _count(number: int | None, noun: str) -> str | None:
    return None if number is None else f"{number:,} {noun}"


def _crown(monitor: str, version: data.Row, known: list[data.Row]) -> None:
    if not writing.allowed():
        return
    markup.heading("Champion")
    promoted = [row for row in known if row["promoted_at"] and not row["rolled_back_at"]]
    with st.form("crown"):
        markup.remark("What was scored already stays as it is until it is scored again: tablewatch promote --rescore")
        author = writing.author_asked("crown")
        with st.container(horizontal=True):
            promote = st.form_submit_button("Promote this version", disabled=version["status"] == "champion")
            back = st.form_submit_button("Roll back the champion", disabled=len(promoted) < 2)
    if promote:
        writing.done(author, lambda: writing.promote(monitor, version["version"], author))
    if back:
        writing.done(author, lambda: writing.rollback(monitor, author))

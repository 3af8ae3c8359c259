"""Monitor: the scores and the threshold, the flagged rate, what drifts, what a smaller rate would leave."""

from __future__ import annotations

import streamlit as st

from dashboard import address, charts, data, export, frame, markup, words

DRIFTED = 0.25
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def page() -> None:
    """The page."""
    monitor = frame.chosen_monitor()
    markup.title(f"{monitor}: scores, rates, drift")
    rates = data.rates(monitor)
    if not rates:
        markup.says("Nothing of it was scored yet.")
        return
    left, right = st.columns(2)
    with left:
        _rates(rates)
    with right:
        _scores(monitor)
    _smaller(monitor, rates)
    _drift(monitor)
    _nights(monitor)


def _rates(rates: list[data.Row]) -> None:
    markup.heading("Share flagged, by night")
    last = rates[-1]
    told = f"{markup.percent(last['flagged'])} on {last['partition']}"
    if last["asked"]:
        told += f", where {markup.percent(last['asked'])} (dashed) was asked for"
    if last["caught"] is not None:
        told += f"; of errors planted as a self-test it caught {last['caught']:.0%}"
    markup.remark(told)
    st.altair_chart(charts.rate_by_night(rates, height=250))


def _scores(monitor: str) -> None:
    markup.heading("Scores and threshold")
    scored = next((row for row in data.nights(monitor) if row["flagged"] is not None), None)
    if scored is None:
        return
    worst = data.flagged(monitor, scored["partition"])
    if not worst:
        markup.remark(f"No record of {scored['partition']} was flagged.")
        return
    markup.remark(f"flagged records of {scored['partition']} among those held out at training")
    normal = words.calibration(monitor, scored["model_version"])
    flagged = data.scores(monitor, scored["partition"])
    st.altair_chart(charts.scores(normal, flagged, worst[0]["threshold"]))


def _smaller(monitor: str, rates: list[data.Row]) -> None:
    markup.heading("What if fewer were flagged")
    asked = rates[-1]["asked"]
    if not asked:
        markup.remark("The rate that was asked for is not known.")
        return
    options = [f"{asked * share:.2g}" for share in SHARES]
    chosen = address.choose("False-alarm rate", "rate", options, options[1]) or options[1]
    found = data.would_stay(monitor, float(chosen))
    before, after = sum(row["flagged"] for row in found), sum(row["stay"] for row in found)
    markup.says(
        f"At a rate of {markup.percent(float(chosen))}, {after:,} of the {before:,} flagged of {len(found)} nights"
        " would still be flagged."
    )
    markup.remark(f"What a larger rate would add is not stored; it is told by: tablewatch backtest {monitor}")
    rows = [
        {"partition": row["partition"], "what": what, "value": value}
        for row in found
        for what, value in (("still flagged", row["stay"]), ("no longer flagged", row["flagged"] - row["stay"]))
        if value
    ]
    if rows:
        kinds = ("still flagged", "no longer flagged")
        st.altair_chart(charts.stacked(rows, kinds, "records", (charts.ORANGE, charts.GREY)))


def _drift(monitor: str) -> None:
    markup.heading("Drift: how far each column is from the training window")
    names = {"psi": "population stability index (0.25 is much)", "ks": "distance of distributions, 0 to 1"}
    measure = address.choose("Measure", "measure", list(names), "psi") or "psi"
    rows = data.drift(monitor, measure)
    if not rows:
        markup.remark("Not measured yet; it takes 50 records.")
        return
    latest = max(row["partition"] for row in rows)
    far = sorted((row for row in rows if row["partition"] == latest), key=lambda row: -row["value"])[:3]
    listed = ", ".join(f"{row['column_name']} {row['value']:.2f}" for row in far)
    markup.remark(f"{names[measure]}; farthest on {latest}: {listed}")
    st.altair_chart(charts.grid(rows, measure, 2 * DRIFTED))


def _nights(monitor: str) -> None:
    markup.heading("Nights")
    names = ("partition", "status", "records_read", "accepted", "quarantined", "flagged", "worst_score", "reason")
    rows = [{name: row[name] for name in names} for row in data.nights(monitor)]
    shown = [{**row, "reason": markup.cell(row["reason"])} for row in rows]
    settings = {"worst_score": st.column_config.NumberColumn(format="%.2f")}
    st.dataframe(shown, hide_index=True, width="stretch", placeholder="", column_config=settings)
    export.button(rows, f"{monitor}-nights.csv", "Nights as CSV")

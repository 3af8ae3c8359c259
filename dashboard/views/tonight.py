"""Tonight: every monitor's last partition, what is wrong with it, and what failed."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import address, charts, data, markup, words
from dashboard.markup import badge, percent, shown
from pipeline.settings import Settings

CARDS = 12
SHOWN = 5
NIGHTS = 30

_RANKS = {"critical": 0, "warning": 1, "info": 2}


def page() -> None:
    """The page."""
    markup.title("Tonight")
    known = data.health()
    if not known:
        markup.says("No monitor has run yet. Score a night: tablewatch run MONITOR --partition P")
    nights = [_night(health) for health in known]
    nights.sort(key=lambda each: (each["rank"], each["monitor"]))
    if waiting := data.undelivered():
        markup.says(
            f"{waiting:,} alerts were tried and not taken by their endpoint: tablewatch alerts", badge("failed")
        )
    if len(nights) > 1:
        _table(nights)
    for night in nights[:CARDS]:
        _card(night)
    if len(nights) > CARDS:
        markup.remark(f"and {len(nights) - CARDS} more monitors, in the table above")
    _never_ran({health["monitor"] for health in known})
    markup.remark(
        "Quarantined records break a rule. Flagged ones break none, but are not what normal records lead to expect."
    )


def _never_ran(known: set[str]) -> None:
    """The monitors that have a file and nothing in the store, each with what to do about it."""
    names, errors = data.watched(Settings().monitors)
    for name in sorted({*names} - known):
        with st.container(border=True):
            st.html(f'<h2 class="tw">{shown(name)} {badge("empty", "never ran")}</h2>')
            markup.says(f"It has a file and no night yet: tablewatch run {name} --partition P")
    for error in errors:
        markup.says(f"{error}: tablewatch check", badge("failed", "cannot be read"))


def _night(health: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a monitor; `rank` is lower the worse it stands."""
    monitor = health["monitor"]
    latest = data.nights(monitor, NIGHTS)
    last = latest[0] if latest else None
    found = data.incidents(monitor, last["partition"]) if last else []
    quiet = {each["incident_id"] for each in data.muting(monitor)}
    loud = [each for each in found if each["muted_until"] is None and each["incident_id"] not in quiet]
    rank = min((_RANKS[each["severity"]] for each in loud), default=3)
    if last and last["status"] != "done":
        rank = -1
    return {
        "monitor": monitor,
        "health": health,
        "latest": latest,
        "last": last,
        "incidents": found,
        "muted": {each["incident_id"] for each in found} - {each["incident_id"] for each in loud},
        "rank": rank,
        "rates": data.rates(monitor, NIGHTS),
    }


def _table(nights: list[dict[str, Any]]) -> None:
    rows = [
        {
            "monitor": night["monitor"],
            "last partition": (night["last"] or {}).get("partition"),
            "status": night["health"]["last_status"],
            "accepted": (night["last"] or {}).get("accepted"),
            "quarantined": (night["last"] or {}).get("quarantined"),
            "flagged": (night["last"] or {}).get("flagged"),
            "incidents": len(night["incidents"]),
            "flagged rate": [each["flagged"] or 0.0 for each in night["rates"]],
            "champion": markup.age(night["health"]["champion_promoted_at"]),
        }
        for night in nights
    ]
    spark = st.column_config.LineChartColumn("flagged rate", y_min=0)
    st.dataframe(rows, hide_index=True, column_config={"flagged rate": spark}, width="stretch")


def _card(night: dict[str, Any]) -> None:
    with st.container(border=True):
        _head(night)
        if night["last"] is None:
            return
        words, chart = st.columns([3, 1])
        with words:
            _counts(night)
            _incidents(night)
            _failed(night)
        with chart:
            if night["rates"]:
                markup.remark("flagged (orange) and asked for (blue), by night")
                st.altair_chart(charts.rate_by_night(night["rates"], height=110, axis=False))


def _head(night: dict[str, Any]) -> None:
    last, health = night["last"], night["health"]
    running = badge("running") if health["running"] else ""
    status = "" if last is None or last["status"] == "done" else badge(last["status"])
    night_of = "never ran on a partition" if last is None else f"night of {last['partition']}"
    st.html(f'<h2 class="tw">{shown(night["monitor"])} · {shown(night_of)} {status}{running}</h2>')
    if last is not None and last["reason"]:
        markup.says(last["reason"])


def _counts(night: dict[str, Any]) -> None:
    last, health = night["last"], night["health"]
    rate = night["rates"][-1] if night["rates"] else None
    here = rate if rate and rate["partition"] == last["partition"] else None
    counts = [
        ("records", last["records_read"]),
        ("accepted", last["accepted"]),
        ("quarantined", last["quarantined"]),
        ("flagged", last["flagged"]),
    ]
    told = " · ".join(f"<b>{count:,}</b> {name}" for name, count in counts if count is not None)
    if here and here["flagged"] is not None and here["asked"]:
        told += f" · {shown(percent(here['flagged']))} flagged where {shown(percent(here['asked']))} was asked for"
    if told:
        st.html(f'<p class="tw">{told}</p>')
    if health["champion"]:
        since = f"champion {health['champion']}, promoted {markup.age(health['champion_promoted_at'])}"
        markup.remark(f"{since}, trained through {health['champion_window_last']}")
    else:
        markup.says(f"no champion: tablewatch train {night['monitor']}", badge("warning"))


def _incidents(night: dict[str, Any]) -> None:
    found = night["incidents"]
    if not found and night["last"]["flagged"] is not None:
        markup.says("Nothing is wrong with it.", badge("done", "quiet"))
    told = [each for each in found if each["severity"] != "info"][:SHOWN] or found[:1]
    for incident in told:
        muted = [badge("muted")] if incident["incident_id"] in night["muted"] else []
        words.incident_line(incident, badge(incident["severity"]), *muted)
    if len(found) > len(told):
        more = len(found) - len(told)
        label = f"{more:,} more incident{'' if more == 1 else 's'} of this night →"
        address.link("incident", label, monitor=night["monitor"], partition=night["last"]["partition"])


def _failed(night: dict[str, Any]) -> None:
    bad = [each for each in night["latest"][1:] if each["status"] in ("refused", "failed", "empty")]
    if bad:
        with st.expander(f"{len(bad)} of the last {len(night['latest'])} partitions were not scored"):
            rows = [{name: markup.cell(each[name]) for name in ("partition", "status", "reason")} for each in bad]
            st.dataframe(rows, hide_index=True, width="stretch")
    if night["health"]["stale"]:
        markup.says(f"{night['health']['stale']} runs never ended: tablewatch doctor", badge("warning"))

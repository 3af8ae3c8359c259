"""The forms that write: label, mute, unmute. None of them is drawn where the dashboard only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import markup, writing

DAYS = 14
_SAID: dict[str, writing.Said] = {
    "Confirmed: it is wrong, never learn from it": "confirmed",
    "Expected: it is fine, learn it and mute its pattern": "expected",
}
_WITHDRAWN: dict[str, writing.Said] = {"Withdrawn: take back what was said": "withdrawn"}


def incident(found: dict[str, Any], keys: Sequence[str], muted: dict[str, Any] | None) -> None:
    """Label the records of an incident, mute its pattern or end that."""
    if not writing.allowed():
        return
    markup.heading("What to do")
    label, mute = st.columns(2)
    with label, st.form("label", border=True):
        _label_form(found["monitor"], found["partition"], keys)
    with mute, st.form("mute", border=True):
        _mute_form(found, muted)


def record(monitor: str, partition: str, key: str, said: dict[str, Any] | None) -> None:
    """Label one record; what was said of it before."""
    markup.heading("Label")
    if said is not None:
        note = f": {said['note']}" if said["note"] else ""
        markup.says(
            f"{said['author']} on {markup.moment(said['labelled_at'])}{note}", markup.badge("info", said["label"])
        )
    elif not writing.allowed():
        markup.says("Nobody has said anything of it.")
    if writing.allowed():
        with st.form("label", border=True):
            _label_form(monitor, partition, [key], withdraw=said is not None)


def _label_form(monitor: str, partition: str, keys: Sequence[str], withdraw: bool = False) -> None:
    choices = _SAID | (_WITHDRAWN if withdraw else {})
    said = st.radio("Say of the records" if len(keys) > 1 else "Say of the record", list(choices))
    some = (
        st.multiselect("Only these records", sorted(keys), format_func=_plain, placeholder="all of them")
        if len(keys) > 1
        else []
    )
    note = st.text_input("Note", max_chars=writing.LONGEST_NOTE, placeholder="what you found out")
    author = writing.author_asked("label")
    if st.form_submit_button("Label", type="primary"):
        writing.done(author, lambda: writing.label(monitor, partition, some or keys, choices[str(said)], note, author))


def _mute_form(found: dict[str, Any], muted: dict[str, Any] | None) -> None:
    monitor = found["monitor"]
    if muted is not None:
        note = f": {muted['note']}" if muted["note"] else ""
        markup.says(f"Muted by {muted['author']} until {markup.moment(muted['expires_at'])}{note}")
        author = writing.author_asked("mute")
        if st.form_submit_button("Unmute"):
            writing.done(author, lambda: writing.unmute(monitor, muted["suppression_id"], author))
        return
    days = st.number_input("Tell nobody of this pattern for so many days", 1, 366, DAYS)
    note = st.text_input("Reason", max_chars=writing.LONGEST_NOTE, placeholder="why it can wait")
    author = writing.author_asked("mute")
    if st.form_submit_button("Mute"):
        writing.done(author, lambda: writing.mute(monitor, found["incident_id"], int(days), note, author))


def _plain(key: str) -> str:
    return markup.cell(key) or ""

"""What this screen writes: labels, suppressions, the champion. Each through the step that the command line calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from dashboard import data, identity, markup
from pipeline.errors import ConfigurationError, TablewatchError
from pipeline.settings import Settings

READ_ONLY = "TABLEWATCH_DASHBOARD_READ_ONLY"
LONGEST_NOTE = 1_000

Said = Literal["confirmed", "expected", "withdrawn"]


def enabled() -> bool:
    """Whether this dashboard writes at all."""
    return os.environ.get(READ_ONLY, "").strip().lower() in ("", "0", "false", "no")


def allowed() -> bool:
    """Whether who is looking may write."""
    return enabled() and identity.may_write()


def _writes(author: str) -> str:
    """The author of what is about to be written: who is logged in, else the name as typed.

    Raises ConfigurationError without one, and where nothing may be written.
    """
    if not enabled():
        raise ConfigurationError(f"this dashboard only reads: {READ_ONLY} is set; use the command line instead")
    if not identity.may_write():
        raise ConfigurationError(f"you may read only; who runs the dashboard names who writes: {identity.WRITERS}")
    author = identity.email() or author
    if not author.strip():
        raise ConfigurationError("say who you are, so that others know whom to ask")
    return author.strip()


def label(monitor: str, partition: str, keys: Sequence[str], said: Said, note: str, author: str) -> str:
    """Say of some records that they are `confirmed` or `expected`, or take it back; what that does, as sentences."""
    from pipeline import steps

    author = _writes(author)
    if not keys:
        raise ConfigurationError("none of these records has a key to label it by")
    told = [each.message for each in steps.label_all(monitor, keys, said, partition, note, author)]
    return told[0] if len(told) == 1 else f"{len(told)} records are {said}; the next training takes it in"


def mute(monitor: str, incident_id: str, days: int, note: str, author: str) -> str:
    """Tell nobody of an incident's pattern for so many days."""
    from pipeline import steps

    muted = steps.mute(monitor, incident_id, days, note, _writes(author))
    return f"muted until {markup.moment(muted.expires_at)}"


def unmute(monitor: str, suppression_id: str, author: str) -> str:
    """Tell of it again, from now on."""
    from pipeline import steps

    steps.unmute(monitor, suppression_id, _writes(author))
    return "no longer muted"


def promote(monitor: str, version: str, author: str) -> str:
    """Make a version champion."""
    from pipeline import reports

    author = _writes(author)
    champion = reports.promote(monitor, version, reason=f"promoted by {author} in the dashboard")
    return f"champion is {champion.version}"


def rollback(monitor: str, author: str) -> str:
    """Make the champion before the present one champion again."""
    from pipeline import reports

    author = _writes(author)
    champion = reports.rollback(monitor, reason=f"rolled back by {author} in the dashboard")
    return f"champion is {champion.version} again"


def author_asked(key: str) -> str:
    """Who writes: who is logged in; without a login a field with what was typed last, or TABLEWATCH_AUTHOR."""
    if (known := identity.email()) is not None:
        markup.remark(f"signed {known}")
        return known
    known = st.session_state.get("author") or Settings().author or ""
    return str(st.text_input("Your name", value=known, max_chars=200, key=f"author-{key}"))


def done(author: str, write: Callable[[], str]) -> None:
    """Write, then draw the page again with what was written; what went wrong is told where it was asked for."""
    try:
        message = write()
    except TablewatchError as error:
        st.session_state["told"] = ("failed", str(error))
    else:
        st.session_state["author"] = author.strip()
        st.session_state["told"] = ("done", message)
        data.forget()
    st.rerun()


def told() -> None:
    """What the last write came to, once."""
    if "told" in st.session_state:
        kind, message = st.session_state.pop("told")
        for line in message.splitlines():
            markup.says(line, markup.badge(kind))

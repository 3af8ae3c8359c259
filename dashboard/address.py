"""The address of a page: which page, monitor, partition, incident and record. Filters live here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

TITLES = {
    "tonight": "Tonight",
    "incident": "Incidents",
    "record": "Records",
    "monitor": "Monitor",
    "quality": "Quality",
    "models": "Models",
    "run": "A run in Airflow",
}
WITHOUT_LINK = ("record", "run")
"""Pages that need more than a monitor to show anything."""

_PAGES: dict[str, StreamlitPage] = {}


def register(pages: dict[str, StreamlitPage]) -> None:
    """Make the pages known that `link` and `go` lead to."""
    _PAGES.update(pages)


def given(name: str) -> str | None:
    """What the address says of `monitor`, `partition`, `incident`, `record` or a filter; None where it says nothing."""
    return st.query_params.get(name) or None


def page_asked() -> str | None:
    """The page that the root's address means: as it says, or the nearest to what it names. None for the root itself."""
    if given("page") in TITLES:
        return given("page")
    if given("dag"):
        return "run"
    if given("record"):
        return "record"
    return "incident" if given("partition") else None


def query(**where: str | None) -> dict[str, str]:
    """The parts of an address that say something."""
    return {name: value for name, value in where.items() if value}


def link(page: str, label: str, **where: str | None) -> None:
    """A link to a page; `label` is words of ours, never of a table."""
    st.page_link(_PAGES[page], label=label, query_params=query(**where))


def go(page: str, **where: str | None) -> NoReturn:
    """Leave for another page."""
    st.switch_page(_PAGES[page], query_params=query(**where))


def leave_out(name: str) -> None:
    """Take a part out of the address that says nothing on this page.

    On the way to another page Streamlit writes that page's parts to the address before it goes, and Back leads there.
    """
    if name in st.query_params:
        del st.query_params[name]


def choose(label: str, name: str, options: Sequence[str], default: str | None = None) -> str | None:
    """A choice that is part of the address; what the address names and is no option is told, and the default taken."""
    asked = given(name)
    current = asked if asked in options else default
    if asked is not None and asked not in options:
        st.warning("The address names something that the store does not hold; below is something else.")
    index = options.index(current) if current in options else None
    # The key changes with the address, so that a link or the back button is never overruled by an old choice.
    chosen: Any = st.selectbox(label, options, index=index, key=f"{label}-{name}-{current}", format_func=_plain)
    if chosen is not None and chosen != current:
        st.query_params[name] = chosen
        st.rerun()
    return current


def _plain(value: str) -> str:
    from dashboard.markup import cell

    return cell(value) or ""

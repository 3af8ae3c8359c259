"""What every page has around it: the links to the others, the monitor and partition chosen, errors as sentences."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

from dashboard import address, data, identity, markup, writing
from pipeline.errors import TablewatchError
from pipeline.settings import Settings


def framed(view: Callable[[], None]) -> Callable[[], None]:
    """The page with its frame; an error of ours is told as it is, for it names what to mend and no secret."""

    @functools.wraps(view)
    def page() -> None:
        markup.style()
        try:
            if not identity.entered():
                return
            data.prepared(Settings().store, writing.enabled())
            _links()
            writing.told()
            view()
        except TablewatchError as error:
            markup.says(error, markup.badge("failed", "cannot show this"))

    page.__name__ = view.__module__.rpartition(".")[2]
    return page


def _links() -> None:
    monitor, partition = address.given("monitor"), address.given("partition")
    with st.container(horizontal=True, gap="small"):
        for name, title in address.TITLES.items():
            if name not in address.WITHOUT_LINK:
                address.link(
                    name, title, monitor=monitor, partition=partition if name in ("incident", "quality") else None
                )
        identity.shown()


def chosen_monitor() -> str:
    """The monitor that the address names, the only one, or the first; a choice where there are several."""
    names = [row["monitor"] for row in data.health()]
    if not names:
        markup.says("No monitor has run yet: tablewatch run MONITOR --partition P")
        st.stop()
    return address.choose("Monitor", "monitor", names, names[0]) or names[0]


def chosen_partition(monitor: str) -> str:
    """The partition that the address names, or the latest."""
    known = data.partitions(monitor)
    if not known:
        markup.says("No partition of it was ever attempted.")
        st.stop()
    return address.choose("Partition", "partition", known, known[0]) or known[0]


def chosen_night() -> tuple[str, str]:
    """Monitor and partition, side by side."""
    left, right = st.columns(2)
    with left:
        monitor = chosen_monitor()
    with right:
        return monitor, chosen_partition(monitor)

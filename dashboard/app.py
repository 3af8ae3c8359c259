"""The entry: `streamlit run dashboard/app.py`, or `tablewatch dashboard`, which says how to serve it."""

from __future__ import annotations

import streamlit as st

from dashboard import address, frame
from dashboard.views import incident, models, monitor, quality, record, run, tonight

_VIEWS = {
    "tonight": tonight.page,
    "incident": incident.page,
    "record": record.page,
    "monitor": monitor.page,
    "quality": quality.page,
    "models": models.page,
    "run": run.page,
}


def main() -> None:
    """Draw the page that the address means."""
    st.set_page_config(page_title="tablewatch", layout="wide")
    pages = {
        name: st.Page(
            frame.framed(view),
            title=f"{address.TITLES[name]} · tablewatch",
            url_path=name,
            default=name == "tonight",
        )
        for name, view in _VIEWS.items()
    }
    address.register(pages)
    current = st.navigation(list(pages.values()), position="hidden")
    asked = address.page_asked()
    if current == pages["tonight"] and asked not in (None, "tonight"):
        st.switch_page(pages[asked], query_params={k: v for k, v in st.query_params.items() if k != "page"})
    current.run()


main()

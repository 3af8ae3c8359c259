"""A small house with a night that went wrong, for the pages to show."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "pipeline")]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The store of `wrong_night`, and nothing remembered of another test's."""
    import streamlit as st
    from streamlit import config
    from wrong_night import WrongNight

    # In a process that has trained networks a full collection takes many seconds, and Streamlit asks for one a script.
    config.set_option("runner.postScriptGC", False)

    for name in ("TABLEWATCH_AUTHOR", "TABLEWATCH_DASHBOARD_READ_ONLY"):
        monkeypatch.delenv(name, raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()
    yield WrongNight(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is."""
    found = shutil.which("chromium")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI looks at every page: make chromium")
    if found is None:
        pytest.skip("needs Chromium: make chromium")
    return found

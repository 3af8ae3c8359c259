"""With a login: nobody sees a page before it, what is written is signed by who is logged in, and some only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from provider import providing
from served import Looking, free_port, looking, serving
from wrong_night import LAST, PATTERN, WrongNight

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = {"monitor": "nights", "partition": LAST}
ANN, BOB, EVE = "Ann@Example.com", "bob@elsewhere.example", "ann@example.com.evil.example"
PEOPLE = {who: {"email": who, "email_verified": True, "name": f"{who} <b>bold</b>"} for who in (ANN, BOB, EVE)} | {
    "unverified": {"email": ANN, "email_verified": False}
}


@pytest.fixture
def door(night: WrongNight, chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looking]:
    """A browser before a dashboard with a login; one of example.com may write, and those of .example may look."""
    (tmp_path / ".streamlit").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TABLEWATCH_DASHBOARD_WRITERS", "ann@example.com, @nobody.example")
    monkeypatch.setenv("TABLEWATCH_DASHBOARD_READERS", "example.com elsewhere.example")
    port = free_port()
    with providing(PEOPLE) as provider:
        secrets = provider.secrets(f"http://127.0.0.1:{port}")
        (tmp_path / ".streamlit" / "secrets.toml").write_text(secrets)
        with serving(port=port) as url, looking(chromium, url, tmp_path) as seen:
            yield seen


@contextmanager
def logged_in(seen: Looking, who: str) -> Iterator[Looking]:
    """Through the door as somebody, and out again by the button."""
    seen.open()
    seen.page.get_by_role("button", name="Log in").click()
    seen.page.get_by_role("link", name=who, exact=True).click()
    seen.page.get_by_role("button", name="Log out").wait_for()
    seen.settle()
    yield seen
    seen.page.get_by_role("button", name="Log out").click()
    seen.page.get_by_role("button", name="Log in").wait_for()
    seen.settle()


def test_nobody_sees_a_page_before_login(door: Looking) -> None:
    for path, where in {"": {}, "record": {"record": "31"}, "models": {}, "quality": {}}.items():
        door.open(path, **(HERE | where if where else {}))
        assert " ".join(door.text().split()) == "tablewatch Log in to see what was found. Log in"
    door.open(**HERE, incident=PATTERN)
    assert "Log in" in door.text() and "records" not in door.text() and "nights" not in door.page.content()


def test_what_is_written_is_signed_by_who_is_logged_in(door: Looking, night: WrongNight) -> None:
    with logged_in(door, ANN):
        assert ANN in door.text() and f"night of {LAST}" in door.text()
        door.open("record", **HERE, record="32")
        assert door.page.get_by_label("Your name").count() == 0 and f"signed {ANN}" in door.text()
        door.press("Label")
        door.page.wait_for_selector("text=is confirmed")
        door.open("incident", **HERE, incident=PATTERN)
        door.press("Mute")
        door.page.wait_for_selector("text=Unmute")
    (label,) = night.store.labels("nights")
    (muted,) = night.store.suppressions("nights")
    assert (label.author, muted.author) == (ANN, ANN)
    assert f"night of {LAST}" not in door.text()


def test_who_may_not_write_reads_only_and_who_is_not_named_sees_nothing(door: Looking, night: WrongNight) -> None:
    with logged_in(door, BOB):
        door.open("record", **HERE, record="32")
        assert "air_time" in door.text() and door.page.get_by_role("button", name="Label").count() == 0
        door.open("models", monitor="nights")
        assert door.page.get_by_role("button", name="Promote this version").count() == 0
    for stranger in (EVE, "unverified"):
        with logged_in(door, stranger):
            assert "may not see this dashboard" in door.text() and "night of" not in door.text()
    assert not night.store.labels("nights") and not night.store.suppressions("nights")

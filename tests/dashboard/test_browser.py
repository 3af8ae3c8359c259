"""The pages in a real Chromium: what is read there, what links and buttons do, what is asked of whom."""

from __future__ import annotations

import csv
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from served import looking, serving
from wrong_night import LAST, PATTERN, PAYLOADS, WrongNight

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = {"monitor": "nights", "partition": LAST}
PAGES = {
    "": "4 of 5 records with carrier ZZ",
    "incident": "All flagged and quarantined records as CSV",
    "record": "night of 2013-02-03",
    "monitor": "What if fewer were flagged",
    "quality": "0 of 1 expectations hold",
    "models": "trained on 80 records",
}


def channels(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_read_and_asks_nobody_else(
    night: WrongNight, chromium: str, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    with serving() as url, looking(chromium, url, tmp_path, width, scheme) as seen:
        for path, said in PAGES.items():
            seen.open(path, **(HERE if path else {}))
            assert said in seen.text(), path
            assert "Traceback" not in seen.text() and seen.page.locator('[data-testid="stException"]').count() == 0
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
            ground = seen.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
            assert (min(channels(ground)) > 200) == (scheme == "light")
        assert seen.hosts == {urlsplit(url).netloc}


def test_a_link_of_an_alert_leads_to_the_incident_and_on_to_the_record_and_back(
    night: WrongNight, chromium: str, tmp_path: Path
) -> None:
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        seen.open(**HERE, incident=PATTERN)
        assert f"incident {PATTERN}" in seen.text() and "rule broken: air_time is at least 1" in seen.text()
        assert seen.page.locator("canvas, svg.marks").count() >= 2
        seen.open("record", **HERE, incident=PATTERN, record="31")
        seen.page.get_by_role("link", name="Back to its incident").click()
        seen.page.wait_for_selector("text=What to do")
        assert f"incident={PATTERN}" in seen.page.url
        seen.page.go_back()
        seen.page.wait_for_selector("text=Every column")
        assert "Record 31" in seen.text()
        seen.open()
        seen.page.get_by_role("link", name="See why").first.click()
        seen.page.wait_for_selector("text=What to do")
        assert f"incident={PATTERN}" in seen.page.url


def test_a_row_that_is_chosen_opens_its_record_and_back_leads_to_the_incident(
    night: WrongNight, chromium: str, tmp_path: Path
) -> None:
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        seen.open("incident", **HERE, incident=PATTERN)
        seen.choose_row(1)
        seen.page.wait_for_selector("text=Every column")
        seen.settle()
        assert "Record 32" in seen.text() and "record=32" in seen.page.url and f"incident={PATTERN}" in seen.page.url
        seen.page.go_back()
        seen.page.wait_for_selector("text=What to do")
        seen.settle()
        assert "/incident?" in seen.page.url and "record=" not in seen.page.url
        seen.page.go_back()
        seen.settle()
        assert "What to do" in seen.text() and "record=" not in seen.page.url
        seen.open("record", **HERE)
        seen.choose_row(4)
        seen.page.wait_for_selector("text=Every column")
        seen.settle()
        assert "Record 35" in seen.text() and "the rule says: air_time is at least 1" in seen.text()


def test_a_choice_becomes_part_of_the_address(night: WrongNight, chromium: str, tmp_path: Path) -> None:
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        seen.open("incident", **HERE)
        seen.page.get_by_role("combobox", name="Severity").click()
        seen.page.get_by_role("option", name="info").click()
        seen.page.wait_for_url("**severity=info**")
        seen.settle()
        assert "record 34" in seen.text() and "4 of 5 records" not in seen.text()
        seen.open("incident", **HERE, severity="info")
        assert "4 of 5 records" not in seen.text()


def test_labels_and_mutes_are_written_through(night: WrongNight, chromium: str, tmp_path: Path) -> None:
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        seen.open("incident", **HERE, incident=PATTERN)
        seen.press("Mute")
        assert "say who you are" in seen.text() and not night.store.suppressions("nights")
        seen.page.get_by_label("Your name").last.fill("ada")
        seen.page.get_by_label("Reason").fill("a charter")
        seen.press("Mute")
        seen.page.wait_for_selector("text=Unmute")
        (muted,) = night.store.suppressions("nights")
        assert (muted.incident_id, muted.author, muted.note) == (PATTERN, "ada", "a charter")
        seen.open("record", **HERE, record="32")
        seen.page.get_by_label("Your name").fill("ada")
        seen.press("Label")
        seen.page.wait_for_selector("text=is confirmed")
        (label,) = night.store.labels("nights")
        assert (label.record_key, label.label, label.author) == ("32", "confirmed", "ada")


def test_a_dashboard_that_only_reads_has_no_button(night: WrongNight, chromium: str, tmp_path: Path) -> None:
    with serving("--read-only") as url, looking(chromium, url, tmp_path) as seen:
        for where in ({"incident": PATTERN}, {"record": "31"}):
            seen.open(**HERE, **where)
            assert seen.page.get_by_role("button", name="Label").count() == 0
            assert seen.page.get_by_role("button", name="Mute").count() == 0
            assert "air_time" in seen.text()


def test_p37_payloads_are_read_as_text(night: WrongNight, chromium: str, tmp_path: Path) -> None:
    keys = night.harm()
    visible = [each.replace("\u202e", "\\u202e") for each in PAYLOADS]
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        for where in ({}, {"incident": PATTERN}, *({"record": key} for key in keys[:3])):
            seen.open(**({**HERE, **where} if where else {}))
            if "record" not in where:
                assert not [each for each in visible if each not in seen.text()]
            inside = seen.page.locator('[data-testid="stMain"]')
            assert inside.locator("script, img, iframe, .katex, code").count() == 0
            links = inside.locator("a").evaluate_all("all => all.map(each => each.href)")
            assert all(link.startswith(url) for link in links)
            assert "\u202e" not in seen.text()
        seen.open("quality", **HERE)
        assert seen.dialogs == [] and seen.hosts == {urlsplit(url).netloc}


def test_p37_a_downloaded_file_holds_no_formula(night: WrongNight, chromium: str, tmp_path: Path) -> None:
    night.harm()
    with serving() as url, looking(chromium, url, tmp_path) as seen:
        seen.open("incident", **HERE, incident=PATTERN)
        with seen.page.expect_download() as download:
            seen.page.get_by_role("button", name="These records as CSV").click()
        download.value.save_as(tmp_path / "records.csv")
    with (tmp_path / "records.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert any("=cmd|" in cell for cell in cells)


def test_nobody_but_this_machine_reaches_it(night: WrongNight) -> None:
    with serving() as url:
        port = urlsplit(url).port or 0
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), 5):
            pass

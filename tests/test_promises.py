"""Every promise has tests, and docs/promises.md names them."""

from __future__ import annotations

from tests.promises import COUNT, NOT_YET, PAGE, PROMISE, kept, rendered

PROMISES = range(1, COUNT + 1)


def test_the_page_has_every_promise_once() -> None:
    assert [int(number) for number in PROMISE.findall(PAGE.read_text(encoding="utf-8"))] == list(PROMISES)


def test_every_promise_has_a_test_and_every_numbered_test_a_promise() -> None:
    by = kept()
    assert [number for number in PROMISES if number not in by] == sorted(NOT_YET)
    assert set(by) <= set(PROMISES)


def test_the_page_names_the_tests() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == rendered(page).rstrip() + "\n", "write the lists again: make promises"

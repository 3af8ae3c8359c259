"""Work on a few threads: in order, bounded, with its errors, and without threads of the products beside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info

from pipeline.detector.side_by_side import AT_ONCE, even_parts, side_by_side


def test_results_come_in_the_order_of_what_was_given() -> None:
    def slow_first(at: int) -> int:
        time.sleep(0.05 if at == 0 else 0.0)
        return at * at

    assert list(side_by_side(slow_first, range(20))) == [at * at for at in range(20)]


def test_no_more_is_read_than_is_worked_on_and_one_ahead() -> None:
    read: list[int] = []

    def given() -> Iterator[int]:
        for at in range(20):
            read.append(at)
            yield at

    for at, _ in enumerate(side_by_side(lambda each: each, given())):
        assert len(read) <= at + AT_ONCE + 1


@pytest.mark.parametrize("broken", ["work", "given"])
def test_an_error_ends_it_and_leaves_no_thread(broken: str) -> None:
    def given() -> Iterator[int]:
        yield from range(3)
        if broken == "given":
            raise OSError("cut off")

    def work(at: int) -> int:
        if broken == "work" and at == 1:
            raise OSError("cut off")
        return at

    before = threading.active_count()
    with pytest.raises(OSError, match="cut off"):
        list(side_by_side(work, given()))
    assert threading.active_count() == before


def test_work_within_work_goes_one_by_one() -> None:
    def inner(_: int) -> int:
        return threading.get_ident()

    def outer(_: int) -> tuple[int, set[int]]:
        return threading.get_ident(), set(side_by_side(inner, range(5)))

    for own, of_inner in side_by_side(outer, range(5)):
        assert of_inner == {own}


def test_products_have_no_threads_of_their_own_meanwhile() -> None:
    def of_blas(_: int) -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = of_blas(0)
    assert list(side_by_side(of_blas, range(3))) == [{1}] * 3
    assert of_blas(0) == before


@pytest.mark.parametrize("count", [0, 1, 2, 7, 99, 100, 101, 1_000])
def test_even_parts_are_all_records_once_and_as_many_for_each_thread(count: int) -> None:
    parts = even_parts(count, 50)
    assert [at for part in parts for at in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes, default=0) <= 50 and max(sizes, default=0) - min(sizes, default=0) <= 1
    assert len(parts) % AT_ONCE == 0 or count < AT_ONCE

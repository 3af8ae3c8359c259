"""Work side by side on a few threads, whose matrix products then take no threads of their own."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 2
"""So much is worked on at once, on as many cores as a small machine has: what one leaves of them, another takes."""
_own = threading.local()


def side_by_side(work: Callable[[T], R], given: Iterable[T]) -> Iterator[R]:
    """What `work` makes of each, in their order; `AT_ONCE` are worked on while the next is given.

    Work that is done side by side already goes one by one.
    """
    if _is_busy():
        yield from map(work, given)
        return

    def busy(each: T) -> R:
        _own.busy = True
        return work(each)

    # Threads of the products beside these would wait for a core by turning on the spot.
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(AT_ONCE) as pool:
        waiting: deque[Future[R]] = deque()
        for each in given:
            waiting.append(pool.submit(busy, each))
            if len(waiting) > AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def even_parts(count: int, most: int) -> list[slice]:
    """`count` records in order, in parts of about the same size and at most `most`, as many for each thread."""
    threads = 1 if _is_busy() else AT_ONCE
    parts = threads * max(1, -(-count // (most * threads)))
    edges = np.linspace(0, count, parts + 1).astype(int).tolist()
    return [slice(start, end) for start, end in itertools.pairwise(edges) if start < end]


def _is_busy() -> bool:
    """Whether this thread is one of those side by side."""
    return getattr(_own, "busy", False)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()

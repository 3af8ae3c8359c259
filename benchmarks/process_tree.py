"""What all processes below this one take together: wall seconds, CPU seconds, the peak of their memory. Linux."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType

import psutil

EVERY_SECONDS = 1.0


class ProcessTree:
    """Measured while the block runs.

    Memory is the sum of PSS, in which a page that processes share counts once; it is looked at every second. CPU is
    what the kernel adds up as processes are waited for, so that none is too short to be seen.
    """

    def __init__(self) -> None:
        self.wall = self.cpu = self.peak = 0.0
        """Seconds, CPU seconds, megabytes."""
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watched, daemon=True)

    def __enter__(self) -> ProcessTree:
        self._began, self._before = time.perf_counter(), cpu_seconds()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall, self.cpu = time.perf_counter() - self._began, cpu_seconds() - self._before
        self._ended.set()
        self._watch.join()

    def _watched(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.peak = max(self.peak, memory())


def cpu_seconds() -> float:
    """Of everything that this process has started so far, ended or not."""
    own = psutil.Process()
    seconds = own.cpu_times().children_user + own.cpu_times().children_system
    for process in own.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def memory() -> float:
    """Megabytes of PSS of everything below this process."""
    held = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            held += process.memory_full_info().pss
    return held / 2**20

"""A terminal that shows only what is ours: what libraries print goes nowhere, a long work shows how far it is."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

Progress = Callable[[float, str], None]


def debugging() -> bool:
    """Whether TABLEWATCH_DEBUG asks for tracebacks and for all that libraries print."""
    return os.environ.get("TABLEWATCH_DEBUG", "") not in ("", "0")


@contextmanager
def working(what: str) -> Iterator[Progress]:
    """Libraries are hushed; on a terminal, a bar with `what` is on stderr. The value takes a fraction and a text."""
    with hushed() as stderr:
        if not stderr.isatty():
            yield lambda fraction, text: None
            return
        with _bar(stderr, what) as progress:
            yield progress


@contextmanager
def hushed() -> Iterator[TextIO]:
    """Nothing reaches stdout or stderr; the value is the stderr there was, for what is ours.

    TensorFlow and absl write to the descriptors, below Python and whatever their settings, and Airflow prints.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if debugging():
        yield sys.stderr
        return
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = _nowhere()
    with (
        _descriptors_to(nowhere.fileno()) as kept,
        _stderr_before(kept) as stderr,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield stderr


@functools.cache
def _nowhere() -> TextIO:
    """Never closed: a library that keeps the stream it found would fail to write to it later."""
    return Path(os.devnull).open("w")


@contextmanager
def _descriptors_to(target: int) -> Iterator[int]:
    """Descriptors 1 and 2 lead to `target`; the value is a descriptor for where 2 led before."""
    kept = [os.dup(1), os.dup(2)]
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield kept[1]
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in kept:
            os.close(descriptor)


@contextmanager
def _stderr_before(descriptor: int) -> Iterator[TextIO]:
    """A stream to the person: on the kept descriptor, unless somebody has put another stream in stderr's place."""
    if sys.stderr is not sys.__stderr__:
        yield sys.stderr
        return
    with os.fdopen(os.dup(descriptor), "w", errors="backslashreplace") as stream:
        yield stream


@contextmanager
def _bar(stream: TextIO, what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    console = Console(file=stream)
    with Bar(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(what, total=None)

        def progress(fraction: float, text: str) -> None:
            bar.update(task, total=1.0, completed=fraction, description=f"{what}: {text}")

        yield progress

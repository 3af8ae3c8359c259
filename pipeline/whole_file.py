"""A file that people get: whole or not at all."""

from __future__ import annotations

import glob
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import FailedMachinery

STALE_SECONDS = 3_600


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends well, unless nothing was written to it.

    Of two that write to `path` at the same time, the last to end leaves its file. Raises FailedMachinery when the block
    cannot write; then an older file stays as it is.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        _sweep(path)
        yield partial
        if partial.exists():
            partial.replace(path)
    except OSError as error:
        raise FailedMachinery(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what a killed writer left; a younger file may have a living writer."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < time.time() - STALE_SECONDS:
                partial.unlink()

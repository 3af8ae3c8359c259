"""Processes that stop where a test wants them: until it lets them go on, or until another is there as well."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class PauseAt:
    """Stops the process as SIGSTOP does, at its `times`-th write that begins with `label`, or with one of several."""

    label: str | tuple[str, ...]
    times: int = 1

    def __call__(self, label: str, connection: object) -> None:
        self.times -= label.startswith(self.label)
        if self.times == 0:
            self.times = -1
            os.kill(os.getpid(), signal.SIGSTOP)


@dataclass
class MeetAt:
    """Waits at the `times`-th write that begins with `label` until the other of two commands is there as well."""

    label: str
    folder: Path
    times: int

    def __call__(self, label: str, connection: object) -> None:
        self.times -= label.startswith(self.label)
        if self.times != 0:
            return
        self.times = -1
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < 2:
            time.sleep(0.001)


@dataclass
class NoteIn:
    """Notes each write in a file, a line each, and harms nothing."""

    path: Path

    def __call__(self, label: str, connection: object) -> None:
        with self.path.open("a") as notes:
            notes.write(f"{label}\n")

    def transaction(self, write: str) -> int:
        """Which transaction, counted from 1, has the first write that begins so."""
        labels = self.path.read_text().splitlines()
        at = next(at for at, label in enumerate(labels) if label.startswith(write))
        return labels[:at].count("connect")


def wait_until_paused(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)

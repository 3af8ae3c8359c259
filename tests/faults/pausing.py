"""A process that stops where a test wants it, until the test lets it go on."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class PauseAt:
    """Stops the process as SIGSTOP does, at its `times`-th write that begins with `label`."""

    label: str
    times: int = 1

    def __call__(self, label: str, connection: object) -> None:
        self.times -= label.startswith(self.label)
        if self.times == 0:
            self.times = -1
            os.kill(os.getpid(), signal.SIGSTOP)


def wait_until_paused(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)

"""Faults from outside the product: each write of a real `tablewatch` command is a place where one can happen.

A write is an SQL statement or commit on the store, or a file made, written, synchronised, renamed or removed in the
home. Python's audit hooks and SQLAlchemy's events tell of each just before it happens, and of each statement after it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from night_house import NightHouse, State

Fault = Callable[[str, Any], None]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATH_EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link")
BEYOND = 99
UNFORESEEN = 98
SECONDS = 120


@dataclass(frozen=True)
class Broken:
    """How a command ended (its exit code, negative for a signal) with a fault in the write `label`.

    `said` is its stdout and stderr; `before` and `after` are states of the house, `home` a copy of the home after it
    if no fault before left this state.
    """

    label: str
    code: int
    said: str
    before: State
    after: State
    home: Path | None


def tablewatch(
    house: NightHouse, arguments: Sequence[str], said: Path, fault: Fault | None, bounds: dict[str, float]
) -> None:
    """The real command line in this process, which ends with it; `fault` is told of each write.

    `bounds` are the store's time-outs in seconds, by their names in `pipeline.store.database`.
    """
    _prepare(house, arguments, said, bounds)
    if fault is not None:
        _Watch(house.home, lambda label, connection, connected: fault(label, connection))
    _main()


def explore(
    house: NightHouse, arguments: Sequence[str], said: Path, fault: Fault, after: int, found: Connection, keep: Path
) -> None:
    """The real command line in this process, and for each of its writes a process forked from it that has the fault.

    The writes of the first `after` transactions are passed over. Forks happen while no connection is open: the fork
    that is to fail at the n-th step of a transaction takes those before it. From then on `fault` is told of all its
    writes. After each, house and store are made what they were, and the finding is sent to `found`.
    """
    _prepare(house, arguments, said, {})
    _Watch(house.home, _Explorer(house, said, fault, after, found, keep))
    _main()


class _Explorer:
    def __init__(self, house: NightHouse, said: Path, fault: Fault, after: int, found: Connection, keep: Path) -> None:
        self._house, self._said, self._fault, self._found, self._keep = house, said, fault, found, keep
        self._passed_over = after
        self._known: list[State] = []
        self._label = -1
        self._at: int | None = None  # the write that fails, counted from the fork; None in the process that forks
        self._passed = 0

    def __call__(self, label: str, connection: Any, connected: bool) -> None:
        if self._at is None and self._passed_over > 0:
            self._passed_over -= label == "close"
            return
        if self._at is None and (connected or not self._fork_for_each(label)):
            return
        assert self._at is not None
        self._passed += 1
        if self._passed == self._at + 1:
            os.write(self._label, label.encode())
        if self._passed > self._at:
            self._fault(label, connection)
        elif label == "close":
            os._exit(BEYOND)  # the transaction has ended without as many writes

    def _fork_for_each(self, label: str) -> bool:
        """Fork for each write of the transaction that begins here, or this one to a file; whether this is a fork."""
        copy, before = self._house.save(), self._house.state()
        for at in count() if label == "connect" else (0,):
            os.truncate(self._said, 0)
            reading, self._label = os.pipe()
            pid = os.fork()
            if pid == 0:
                self._at = at
                self._alive = gc.get_objects()  # an engine's threads are not in a fork: none may be taken down
                gc.disable()
                signal.alarm(SECONDS)
                return True
            os.close(self._label)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with os.fdopen(reading, "rb") as told:
                failed = told.read().decode()
            if code != BEYOND:
                self._find(failed, code, before)
            if self._house.state() != before:
                self._house.restore(copy)
            if code == BEYOND:
                break
        self._house.forget(copy)
        return False

    def _find(self, label: str, code: int, before: State) -> None:
        after, home = self._house.state(), None
        if after not in self._known:
            self._known.append(after)
            home = self._keep / str(len(self._known))
            shutil.copytree(self._house.home, home)
        self._found.send(Broken(label, code, self._said.read_text(), before, after, home))


class _Watch:
    """Tells of each write in this process: its label, the database's connection, whether one is open already."""

    def __init__(self, home: Path, tell: Callable[[str, Any, bool], None]) -> None:
        self._home, self._told = f"{home}{os.sep}", tell
        self._connected = self._telling = False
        self._fsync = os.fsync
        os.fsync = self._synchronise
        sys.addaudithook(self._audit)
        sa.event.listen(sa.Engine, "do_connect", self._connect)
        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement("before"))
        sa.event.listen(sa.Engine, "after_cursor_execute", self._statement("after"))
        sa.event.listen(sa.Engine, "commit", lambda c: self._tell("commit", c.connection.dbapi_connection))
        sa.event.listen(sa.pool.Pool, "close", self._close)

    def _tell(self, label: str, connection: Any = None) -> None:
        if not self._telling:
            self._telling = True
            try:
                self._told(label, connection, self._connected)
            finally:
                self._telling = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in PATH_EVENTS or (event == "open" and arguments[2] & WRITING):
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self._home):
                self._tell(f"{event} {os.fsdecode(path).removeprefix(self._home)}")

    def _synchronise(self, descriptor: int) -> None:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if path.startswith(self._home):
            self._tell(f"fsync {path.removeprefix(self._home)}")
        self._fsync(descriptor)

    def _connect(self, *_: object) -> None:
        self._tell("connect")
        self._connected |= not self._telling

    def _close(self, connection: Any, _: object) -> None:
        self._tell("close", connection)
        self._connected &= self._telling

    def _statement(self, when: str) -> Callable[..., None]:
        def executing(connection: sa.Connection, cursor: object, statement: str, *_: object) -> None:
            words = " ".join(statement.split()[:3])
            self._tell(f"{when} {words}", connection.connection.dbapi_connection)

        return executing


def _prepare(house: NightHouse, arguments: Sequence[str], said: Path, bounds: dict[str, float]) -> None:
    from pipeline.store import database

    os.environ.update(house.environment)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["tablewatch", *arguments]
    vars(database).update(bounds)


def _main() -> None:
    """Run the command and end this process: nothing of a fork may be taken down in order."""
    from pipeline.cli import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = UNFORESEEN
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""Houses to break, and a parent of processes that has loaded everything: each process is forked from it and real."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import faulty
import pytest
from faulty import Broken, Fault
from night_house import NightHouse

LOADED = (
    "tensorflow keras tests.faults.preloaded pandas ibis.backends.duckdb alembic.command psycopg sklearn.linear_model "
    "pipeline.cli pipeline.steps pipeline.reports pipeline.training pipeline.scoring pipeline.validation "
    "pipeline.source pipeline.store pipeline.registry"
)
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
DAY = "2013-02-03"


@dataclass(frozen=True)
class Command:
    """A running command."""

    process: ForkServerProcess
    said: Path

    def wait(self) -> tuple[int, str]:
        """Its exit code, negative for a signal, and what it said on stdout and stderr."""
        self.process.join(faulty.SECONDS)
        assert self.process.exitcode is not None, "the command does not end"
        return self.process.exitcode, self.said.read_text()


class Commands:
    """Starts `tablewatch` commands in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(LOADED.split())
        self._number = count()
        self._processes: list[ForkServerProcess] = []

    def start(self, house: NightHouse, *words: str, fault: Fault | None = None, **bounds: float) -> Command:
        """`fault` is told of each write of the command; `bounds` are time-outs of the store."""
        said = self._folder / f"{next(self._number)}.said"
        process = self._context.Process(target=faulty.tablewatch, args=(house, words, said, fault, bounds))
        process.start()
        self._processes.append(process)
        return Command(process, said)

    def __call__(self, house: NightHouse, *words: str, fault: Fault | None = None, **bounds: float) -> tuple[int, str]:
        return self.start(house, *words, fault=fault, **bounds).wait()

    def explore(self, house: NightHouse, *words: str, fault: Fault, after: int = 0) -> list[Broken]:
        """What comes of the fault in each write of the command, which in the end has ended well.

        The writes of its first `after` transactions are passed over.
        """
        number = next(self._number)
        said, keep = self._folder / f"{number}.said", self._folder / f"{number}.homes"
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=faulty.explore, args=(house, words, said, fault, after, theirs, keep))
        process.start()
        self._processes.append(process)
        theirs.close()
        found = []
        try:
            while True:
                found.append(ours.recv())
        except EOFError:
            process.join()
        assert process.exitcode == 0, said.read_text()
        return found

    def end(self) -> None:
        """End what a failed test has left paused or waiting."""
        for process in self._processes:
            process.kill()
            process.join()


@pytest.fixture(scope="session")
def tablewatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.end()


@pytest.fixture(scope="session")
def trained(tablewatch: Commands, tmp_path_factory: pytest.TempPathFactory) -> NightHouse:
    """A house with a champion and two scored nights; for others to move into, not to be touched."""
    house = NightHouse(tmp_path_factory.mktemp("trained"))
    house.build()
    for night in ("2013-02-03", "2013-02-04"):
        code, said = tablewatch(house, "run", "nights", "--partition", night)
        assert code == 0, said
    return house


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NightHouse]:
    """A house in which nothing has run yet."""
    server = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if request.param == "postgresql" and not server:
        pytest.skip("set TABLEWATCH_TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this on PostgreSQL too")
    house = NightHouse(tmp_path, server if request.param == "postgresql" else None)
    house.build()
    yield house
    house.close()


@pytest.fixture
def house(empty: NightHouse, trained: NightHouse) -> NightHouse:
    """A house with a champion and two scored nights."""
    empty.move_in(trained)
    return empty


@pytest.fixture
def matches() -> Callable[[str, str], None]:
    """Assert that a text as a whole is as a pattern says."""

    def assert_matches(pattern: str, text: str) -> None:
        assert re.fullmatch(pattern, text), text

    return assert_matches

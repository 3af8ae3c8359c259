"""PostgreSQL drops a connection, goes down, or is slow, in the midst of a run: the rows are as before or as after."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from night_house import NightHouse, nights
from pausing import PauseAt, wait_until_paused

from tests.postgres import Postgres, server_programs

pytestmark = [pytest.mark.fault, pytest.mark.postgres]

ON_POSTGRESQL = pytest.mark.parametrize("empty", ["postgresql"], indirect=True)
NIGHT = ("--partition", "2013-02-03")
FAILED = r"error: nights 2013-02-03: the store postgresql://\S+ failed: .+; try again\n"


def drop(label: str, connection: object) -> None:
    """The server ends the connection; the next ones live no longer."""
    if isinstance(connection, psycopg.Connection) and not connection.closed:
        with psycopg.connect(os.environ["TABLEWATCH_STORE_URL"], autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])


@ON_POSTGRESQL
def test_p27_a_connection_dropped_at_any_write_leaves_the_rows(house: NightHouse, tablewatch, matches) -> None:
    house.write_table(nights(seed=2))
    before = house.state()
    dropped = tablewatch.explore(house, "score", "nights", *NIGHT, fault=drop, after=5)
    after = house.state()
    failed = [broken for broken in dropped if broken.code != 0]
    assert len(failed) > 20
    assert {broken.label for broken in dropped if broken.code == 0} == {"close"}
    for broken in dropped:
        assert broken.after.seen == (before.seen if broken.code else after.seen), broken.label
    for broken in failed:
        assert broken.code == 1, broken.label
        matches(FAILED, broken.said)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server that a test may take down."""
    programs = server_programs()
    if programs is None:
        pytest.skip("install PostgreSQL's server programs (`make postgres`)")
    server = Postgres(programs)
    yield server
    server.stop()


@pytest.fixture
def alone(server: Postgres, trained: NightHouse, tmp_path: Path) -> NightHouse:
    """A house whose store is the only one on its server."""
    house = NightHouse(tmp_path, server.url)
    house.build()
    house.move_in(trained)
    return house


def test_p27_a_database_that_goes_and_comes_back(alone: NightHouse, server: Postgres, tablewatch, matches) -> None:
    alone.write_table(nights(seed=2))
    before = alone.state()

    between = tablewatch.start(alone, "score", "nights", *NIGHT, fault=PauseAt("close", 2))
    wait_until_paused(between.process.pid)
    server.crash()
    os.kill(between.process.pid, signal.SIGCONT)
    between.process.join(3)
    assert between.process.is_alive(), between.said.read_text()
    server.restart()
    assert between.wait()[0] == 0, "what goes on between two transactions waits for it"
    after = alone.state()
    assert after.results["2013-02-03"] != before.results["2013-02-03"]

    alone.write_table(nights())
    within = tablewatch.start(alone, "score", "nights", *NIGHT, fault=PauseAt("after COPY anomalies"))
    wait_until_paused(within.process.pid)
    server.crash()
    os.kill(within.process.pid, signal.SIGCONT)
    server.restart()
    code, said = within.wait()
    assert code == 1
    matches(FAILED, said)
    assert alone.state().seen == after.seen
    assert alone.state().runs[-1] == ("score", "failed")

    gone = tablewatch.start(alone, "score", "nights", *NIGHT, fault=PauseAt("close", 5), RECONNECT_SECONDS=1)
    wait_until_paused(gone.process.pid)
    server.crash()
    os.kill(gone.process.pid, signal.SIGCONT)
    code, said = gone.wait()
    assert code == 1
    matches(FAILED, said)
    server.restart()
    assert alone.state().seen == after.seen
    assert alone.state().runs[-1] == ("score", "running")
    assert tablewatch(alone, "score", "nights", *NIGHT)[0] == 0
    assert alone.state().results == before.results


@ON_POSTGRESQL
def test_p27_a_database_too_slow_to_end_a_statement_leaves_the_rows(house: NightHouse, tablewatch, matches) -> None:
    house.write_table(nights(seed=2))
    before = house.state()
    with psycopg.connect(house.store_url or "", autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
        )
        connection.execute("CREATE TRIGGER slow BEFORE INSERT ON metrics EXECUTE FUNCTION slow()")
        code, said = tablewatch(house, "score", "nights", *NIGHT, STATEMENT_SECONDS=1)
        assert (code, "statement timeout" in said) == (1, True), said
        matches(FAILED, said)
        assert house.state().seen == before.seen
        assert house.state().runs[-1] == ("score", "failed")
        connection.execute("DROP TRIGGER slow ON metrics")
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    assert house.state().seen != before.seen

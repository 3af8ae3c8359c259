"""A role for BI tools reads every view, and neither reads nor writes anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from pipeline.errors import ConfigurationError
from pipeline.store import Grants, PartitionResults, Store
from pipeline.store.grants import VIEWS
from pipeline.store.schema import metadata

on_postgresql = pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
HOSTILE = 'bi"; DROP TABLE labels; -- :x %s {0} \\'


@pytest.fixture
def role(store: Store, engine: sa.Engine) -> Iterator[str]:
    """The name of a role that is gone afterwards."""
    name = f"{HOSTILE}{uuid.uuid4().hex[:8]}"
    yield name
    with engine.begin() as connection:
        quoted = sa.quoted_name(name, quote=True)
        formatted = engine.dialect.identifier_preparer.quote(quoted).replace("%%", "%").replace(":", "\\:")
        if connection.scalar(sa.text("SELECT COUNT(*) FROM pg_roles WHERE rolname = :name"), {"name": name}):
            for verb in ("DROP OWNED BY", "DROP ROLE"):
                connection.execute(sa.text(f"{verb} {formatted}"))


@pytest.fixture
def act(engine: sa.Engine, role: str) -> Callable[[str], int]:
    """Run a statement as the role; how many rows it read or wrote."""

    def run(statement: str) -> int:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT set_config('role', :role, false)"), {"role": role})
            result = connection.execute(sa.text(statement))
            return len(result.all()) if result.returns_rows else result.rowcount

    return run


def refused(act: Callable[[str], int], *statements: str) -> None:
    for statement in statements:
        with pytest.raises(ProgrammingError, match="permission denied"):
            act(statement)


@on_postgresql
def test_the_role_reads_every_view_and_nothing_else(
    store: Store,
    score: Callable[..., str],
    results: Callable[..., PartitionResults],
    role: str,
    act: Callable[..., int],
) -> None:
    score(results())
    store.add_label("flights", "2013-02-03", "1", "confirmed", "", "ann")
    assert store.grants(role, apply=True).applied
    assert {view: act(f"SELECT * FROM {view}") for view in VIEWS}["v_labels"] == 1
    refused(act, *(f"SELECT * FROM {table}" for table in (*metadata.tables, "alembic_version")))
    refused(
        act, "DELETE FROM labels", "INSERT INTO anomalies SELECT * FROM anomalies", "UPDATE v_metrics SET value = 1"
    )
    refused(act, "INSERT INTO v_metrics (monitor) VALUES ('x')", "DELETE FROM v_quarantine")
    refused(act, "CREATE TABLE mine (x int)", "CREATE VIEW mine AS SELECT 1", "CREATE SCHEMA mine", "CREATE ROLE mine")


@on_postgresql
def test_what_is_not_applied_is_only_printed_and_is_the_same(store: Store, engine: sa.Engine, role: str) -> None:
    printed = store.grants(role)
    assert (
        not printed.applied and printed.statements[0].startswith("CREATE ROLE") and "NOLOGIN" in printed.statements[0]
    )
    assert "PASSWORD" not in " ".join(printed.statements).upper()
    applied = store.grants(role, apply=True)
    assert applied == Grants(role, printed.statements, True)
    again = store.grants(role, apply=True)
    assert again.statements == printed.statements[1:]
    found = "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = :name"
    with engine.connect() as connection:
        assert connection.execute(sa.text(found), {"name": role}).one() == (False, False, False, False)


@on_postgresql
def test_what_was_granted_is_taken_back(store: Store, role: str, act: Callable[[str], int]) -> None:
    with pytest.raises(ConfigurationError, match="nothing to revoke"):
        store.grants(role, apply=True, revoke=True)
    store.grants(role, apply=True)
    assert act("SELECT * FROM v_health") == 0
    assert not store.grants(role, revoke=True).applied and act("SELECT * FROM v_health") == 0
    store.grants(role, apply=True, revoke=True)
    with pytest.raises(ProgrammingError, match='"v_health" does not exist'):
        act("SELECT * FROM v_health")


@on_postgresql
def test_a_role_that_may_do_more_is_refused(store: Store, engine: sa.Engine, role: str) -> None:
    with engine.connect() as connection:
        owner = connection.scalar(sa.text("SELECT current_user"))
    with pytest.raises(ConfigurationError, match="may read or write more than the views on .*: anomalies, "):
        store.grants(str(owner))
    with engine.begin() as connection:
        connection.execute(sa.text("GRANT INSERT ON labels TO PUBLIC"))
    with pytest.raises(ConfigurationError, match="may read or write more than the views on .*: labels;"):
        store.grants(role, apply=True)


@on_postgresql
def test_a_failure_on_the_way_leaves_nothing(store: Store, engine: sa.Engine, role: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP VIEW v_alerts"))
    with pytest.raises(ConfigurationError, match="v_alerts.* does not exist; let an administrator"):
        store.grants(role, apply=True)
    with engine.connect() as connection:
        assert not connection.scalar(sa.text("SELECT COUNT(*) FROM pg_roles WHERE rolname = :name"), {"name": role})


@pytest.mark.parametrize("name", ["", "public", "none", "x" * 64, "a\0b"])
def test_a_name_that_is_no_roles_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a role's name"):
        Store("postgresql://nobody@127.0.0.1:1/none").grants(name)


def test_on_sqlite_it_says_why_there_is_nothing_to_grant(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="knows no roles: whoever may read the file reads all of it"):
        Store(f"sqlite:///{tmp_path / 'store.db'}").grants()


@on_postgresql
def test_the_command_prints_sql_and_runs_it(url: str, role: str, act: Callable[[str], int]) -> None:
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "store", "grants", "--role", role]
    environment = os.environ | {"TABLEWATCH_STORE_URL": url}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.count(";\n") == 4 and printed.endswith(
        "-- nothing was run; to run it: the same command with --apply\n"
    )
    subprocess.run([*command, "--apply", "--json"], env=environment, capture_output=True, text=True, check=True)
    assert act("SELECT * FROM v_health") == 0

"""The migrations build what the code expects, on both databases, whoever comes first."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.migration import MigrationContext

from pipeline.errors import ConfigurationError, FailedMachinery
from pipeline.results import Alert
from pipeline.store import Store, database
from pipeline.store.schema import metadata


def test_the_migrated_tables_are_the_ones_the_code_expects(store: Store, engine: sa.Engine) -> None:
    options = {"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_migrated_constraints_are_the_ones_the_code_expects(store: Store, engine: sa.Engine) -> None:
    def constraints() -> dict[str, list[str]]:
        inspector = sa.inspect(engine)
        kinds = ("check_constraints", "foreign_keys", "unique_constraints", "indexes")
        found = [(t, kind, getattr(inspector, f"get_{kind}")(t)) for t in metadata.tables for kind in kinds]
        return {
            f"{table} {kind}": sorted(json.dumps(one, default=str, sort_keys=True) for one in some)
            for table, kind, some in found
        }

    migrated = constraints()
    with engine.begin() as connection:
        for view in sorted(sa.inspect(connection).get_view_names()):
            connection.execute(sa.text(f"DROP VIEW {view}"))
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert constraints() == migrated


def test_migrating_again_changes_nothing(store: Store, score, results, digest) -> None:
    score(results())
    before = digest()
    store.migrate()
    assert digest() == before


def test_a_migrated_store_is_not_locked_by_migrating_again(
    store: Store, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_writing", lambda *_: pytest.fail("a write"))
    store.migrate()


def test_a_store_of_a_newer_tablewatch_is_left_alone(store: Store, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer tablewatch .*; upgrade tablewatch"):
        store.migrate()


def test_p25_a_migration_that_fails_leaves_nothing(url: str, engine: sa.Engine, tmp_path: Path, monkeypatch) -> None:
    broken = tmp_path / "100% migrations"
    shutil.copytree(database._MIGRATIONS, broken, ignore=shutil.ignore_patterns("__pycache__"))
    last = broken / "versions" / "0002_views.py"
    text = last.read_text()
    assert text.count("CREATE VIEW v_health") == 1
    last.write_text(text.replace("CREATE VIEW v_health", "CREATE NOTHING v_health"))
    monkeypatch.setattr(database, "_MIGRATIONS", broken)
    with pytest.raises((sa.exc.ProgrammingError, FailedMachinery)):
        Store(url).migrate()
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() + inspector.get_view_names() == []
    monkeypatch.undo()
    Store(url).migrate()


def test_a_store_of_before_dag_runs_keeps_its_rows(url: str, engine: sa.Engine, clock, monkeypatch) -> None:
    store = Store(url, clock)
    with monkeypatch.context() as before:
        before.setattr("alembic.command.upgrade", partial(_upgrade_to, "0003"))
        store.migrate()
    run = {"run_id": "r1", "monitor": "flights", "kind": "score", "status": "done", "counts": "{}", "config_hash": "c"}
    alert = Alert("flights", "2013-02-03", "failed", "critical", "ops", "key", "subject", "text", "html")
    with engine.begin() as connection:
        columns = ", ".join(run)
        values = ", ".join(f":{name}" for name in run)
        now = "'2013-02-04 02:00:00+00:00'"
        connection.execute(sa.text(f"INSERT INTO runs ({columns}, started_at) VALUES ({values}, {now})"), run)
    store.post_alerts([alert])
    store.migrate()
    assert [(each.run_id, each.dag_run) for each in store.runs()] == [("r1", None)]
    store.post_alerts([alert, replace(alert, kind="late", dedup_key="other")])
    assert [(each.kind, each.attempts) for each in store.alerts()] == [("late", 0), ("failed", 0)]
    with pytest.raises(sa.exc.IntegrityError, match="ck_outbox_kind"):
        store.post_alerts([replace(alert, kind="gossip", dedup_key="third")])  # type: ignore[arg-type]


def _upgrade_to(revision: str, config, _: str) -> None:
    upgrade(config, revision)


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path / 'a' / 'b' / 'store.db'}").migrate()
    assert (tmp_path / "a" / "b" / "store.db").exists()


def test_a_folder_that_cannot_be_made_is_machinery(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(FailedMachinery, match="has no folder"):
        Store(f"sqlite:///{tmp_path / 'a' / 'b' / 'store.db'}").migrate()


def test_sqlite_runs_with_a_write_ahead_log_and_foreign_keys(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    with store._reading() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")]
        assert pragmas == ["wal", 1]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 1000 * database.LOCK_SECONDS

"""The first tables: runs, results of a partition, suites, model versions and their promotions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# A column of the type JSON has a number's affinity on SQLite, which would round a bare number in it.
JSON = sa.JSON().with_variant(sa.Text(), "sqlite")
FINITE = "{0} BETWEEN -1e+308 AND 1e+308"


def upgrade() -> None:
    _create_runs()
    _create_validation()
    _create_scoring()
    _create_versions()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _instant(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        _text("monitor"),
        sa.Column("partition", sa.Text),
        _text("kind"),
        _text("status"),
        sa.Column("reason", sa.Text),
        sa.Column("counts", JSON, nullable=False),
        sa.Column("model_version", sa.Text),
        _text("config_hash"),
        _instant("started_at"),
        _instant("finished_at", nullable=True),
        sa.CheckConstraint("kind IN ('validate', 'train', 'score', 'run')", name="kind"),
        sa.CheckConstraint("status IN ('running', 'done', 'refused', 'empty', 'failed')", name="status"),
    )
    op.create_index("ix_runs_partition", "runs", ["monitor", "partition"])


def _create_validation() -> None:
    op.create_table(
        "validations",
        _text("monitor"),
        _text("partition"),
        sa.Column("position", sa.Integer, nullable=False),
        _text("scope"),
        _text("expectation"),
        sa.Column("column_name", sa.Text),
        sa.Column("kwargs", JSON, nullable=False),
        _text("severity"),
        _text("origin"),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("checked", sa.BigInteger, nullable=False),
        sa.Column("unexpected", sa.BigInteger, nullable=False),
        sa.Column("observed", JSON),
        _text("run_id"),
        _text("config_hash"),
        sa.PrimaryKeyConstraint("monitor", "partition", "position"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    )
    op.create_table(
        "quarantine",
        _text("monitor"),
        _text("partition"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("row_number", sa.BigInteger, nullable=False),
        sa.Column("record_key", sa.Text),
        sa.Column("column_name", sa.Text),
        _text("expectation"),
        sa.Column("value", sa.Text),
        sa.Column("record", JSON, nullable=False),
        _text("run_id"),
        _text("config_hash"),
        sa.PrimaryKeyConstraint("monitor", "partition", "position"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    )


def _create_scoring() -> None:
    op.create_table(
        "anomalies",
        _text("monitor"),
        _text("partition"),
        _text("record_key"),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("p_value", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("severity", sa.Text),
        sa.Column("incident_id", sa.Text),
        _instant("first_detected_at"),
        sa.Column("first_score", sa.Double, nullable=False),
        sa.Column("record", JSON, nullable=False),
        _text("run_id"),
        _text("model_version"),
        _text("config_hash"),
        sa.PrimaryKeyConstraint("monitor", "partition", "record_key"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.CheckConstraint(FINITE.format("score"), name="score"),
        sa.CheckConstraint("p_value BETWEEN 0 AND 1", name="p_value"),
        sa.CheckConstraint(FINITE.format("threshold"), name="threshold"),
    )
    op.create_index("ix_anomalies_record_key", "anomalies", ["monitor", "record_key"])
    op.create_table(
        "contributions",
        _text("monitor"),
        _text("partition"),
        _text("record_key"),
        sa.Column("rank", sa.Integer, nullable=False),
        _text("column_name"),
        sa.Column("observed", sa.Text),
        sa.Column("expected", sa.Text),
        sa.Column("share", sa.Double, nullable=False),
        _text("reason"),
        _text("run_id"),
        _text("model_version"),
        _text("config_hash"),
        sa.PrimaryKeyConstraint("monitor", "partition", "record_key", "rank"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.ForeignKeyConstraint(
            ["monitor", "partition", "record_key"],
            ["anomalies.monitor", "anomalies.partition", "anomalies.record_key"],
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(FINITE.format("share"), name="share"),
    )
    op.create_table(
        "metrics",
        _text("monitor"),
        _text("partition"),
        _text("name"),
        sa.Column("value", sa.Double),
        _text("run_id"),
        _text("model_version"),
        _text("config_hash"),
        sa.PrimaryKeyConstraint("monitor", "partition", "name"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    )


def _create_versions() -> None:
    op.create_table(
        "suites",
        _text("monitor"),
        _text("version"),
        sa.Column("body", JSON, nullable=False),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("monitor", "version"),
    )
    op.create_table(
        "model_versions",
        _text("monitor"),
        _text("version"),
        _text("sha256"),
        _text("status"),
        _text("model"),
        sa.Column("seed", sa.BigInteger, nullable=False),
        _text("window_first"),
        _text("window_last"),
        sa.Column("window_records", sa.BigInteger, nullable=False),
        _text("suite_version"),
        _text("config_hash"),
        sa.Column("metrics", JSON, nullable=False),
        _instant("created_at"),
        sa.PrimaryKeyConstraint("monitor", "version"),
        sa.CheckConstraint("status IN ('challenger', 'champion', 'retired')", name="status"),
    )
    is_champion = sa.text("status = 'champion'")
    op.create_index(
        "uq_model_versions_champion",
        "model_versions",
        ["monitor"],
        unique=True,
        sqlite_where=is_champion,
        postgresql_where=is_champion,
    )
    op.create_table(
        "promotions",
        sa.Column("sequence", sa.Integer, primary_key=True),
        _text("monitor"),
        _text("version"),
        _text("reason"),
        _instant("promoted_at"),
        _instant("rolled_back_at", nullable=True),
        sa.ForeignKeyConstraint(["monitor", "version"], ["model_versions.monitor", "model_versions.version"]),
    )
    op.create_index("ix_promotions_version", "promotions", ["monitor", "version"])

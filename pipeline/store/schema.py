"""The store's tables. `pipeline/migrations` creates them; a test holds the two to each other."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from pipeline.store.types import JSON, Text, UtcTime

# A dataclass's field whose name is a word of SQL has another name as a column.
COLUMN_NAMES = {"column": "column_name", "row": "row_number"}


def columns_of(table: sa.FromClause, shape: type) -> list[sa.Label[Any]]:
    """The columns that fill a dataclass, labelled with its fields' names; a field without a column is left out."""
    columns = {field.name: COLUMN_NAMES.get(field.name, field.name) for field in fields(shape)}
    return [table.c[column].label(name) for name, column in columns.items() if column in table.c]


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_1_name)s",
    }
)

# PostgreSQL sorts NaN above every number and SQLite stores it as null, so a range keeps out all that is not finite.
LARGEST = 1e308
FINITE = f"{{0}} BETWEEN -{LARGEST} AND {LARGEST}"
SEVERITY = "{0} IN ('info', 'warning', 'critical')"


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _json(name: str, **options: Any) -> Column[Any]:
    return Column(name, JSON, **options)


def _of_partition() -> list[Column[str]]:
    return [_text("monitor", primary_key=True), _text("partition", primary_key=True)]


def _of_run(scored: bool) -> list[Column[str]]:
    run_id = Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False)
    return [run_id, *([_text("model_version")] if scored else []), _text("config_hash")]


def _where(rows: sa.ColumnElement[bool]) -> dict[str, Any]:
    """An index of these rows only."""
    return {"sqlite_where": rows, "postgresql_where": rows}


runs = Table(
    "runs",
    metadata,
    Column("sequence", Integer, primary_key=True),
    _text("run_id", unique=True),
    _text("monitor"),
    Column("partition", Text),
    _text("kind"),
    _text("status"),
    Column("reason", Text),
    _json("counts", nullable=False),
    Column("model_version", Text),
    _text("config_hash"),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("dag_run", Text),
    CheckConstraint("kind IN ('validate', 'train', 'score', 'run')", name="kind"),
    CheckConstraint("status IN ('running', 'done', 'refused', 'empty', 'failed')", name="status"),
    Index(None, "monitor", "partition", "sequence", "status", "kind"),
    Index(None, "monitor", "model_version"),
    Index("ix_runs_dag_run", "dag_run"),
)
Index("ix_runs_running", runs.c.monitor, **_where(runs.c.status == "running"))

validations = Table(
    "validations",
    metadata,
    *_of_partition(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("scope"),
    _text("expectation"),
    Column("column_name", Text),
    _json("kwargs", nullable=False),
    _text("severity"),
    _text("origin"),
    Column("success", Boolean, nullable=False),
    Column("checked", sa.BigInteger, nullable=False),
    Column("unexpected", sa.BigInteger, nullable=False),
    _json("observed"),
    *_of_run(scored=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    *_of_partition(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("row_number", sa.BigInteger, nullable=False),
    Column("record_key", Text),
    Column("column_name", Text),
    _text("expectation"),
    Column("value", Text),
    _json("record", nullable=False),
    *_of_run(scored=False),
    Column("incident_id", Text),
)

anomalies = Table(
    "anomalies",
    metadata,
    *_of_partition(),
    _text("record_key", primary_key=True),
    Column("score", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("severity", Text),
    Column("incident_id", Text),
    Column("first_detected_at", UtcTime, nullable=False),
    Column("first_score", Double, nullable=False),
    _json("record", nullable=False),
    *_of_run(scored=True),
    CheckConstraint(FINITE.format("score"), name="score"),
    CheckConstraint("p_value BETWEEN 0 AND 1", name="p_value"),
    CheckConstraint(FINITE.format("threshold"), name="threshold"),
    Index(None, "monitor", "record_key"),
)

contributions = Table(
    "contributions",
    metadata,
    *_of_partition(),
    _text("record_key", primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    _text("column_name"),
    Column("observed", Text),
    Column("expected", Text),
    Column("share", Double, nullable=False),
    _text("reason"),
    *_of_run(scored=True),
    CheckConstraint(FINITE.format("share"), name="share"),
    ForeignKeyConstraint(
        ["monitor", "partition", "record_key"],
        ["anomalies.monitor", "anomalies.partition", "anomalies.record_key"],
        ondelete="CASCADE",
    ),
)

neighbours = Table(
    "neighbours",
    metadata,
    *_of_partition(),
    _text("record_key", primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    _text("neighbour_key"),
    Column("distance", Double, nullable=False),
    _json("record", nullable=False),
    *_of_run(scored=True),
    CheckConstraint(FINITE.format("distance"), name="distance"),
    ForeignKeyConstraint(
        ["monitor", "partition", "record_key"],
        ["anomalies.monitor", "anomalies.partition", "anomalies.record_key"],
        ondelete="CASCADE",
    ),
)

metrics = Table(
    "metrics",
    metadata,
    *_of_partition(),
    _text("name", primary_key=True),
    Column("value", Double),
    *_of_run(scored=True),
)

column_metrics = Table(
    "column_metrics",
    metadata,
    *_of_partition(),
    _text("column_name", primary_key=True),
    _text("name", primary_key=True),
    Column("value", Double),
    *_of_run(scored=True),
)

incidents = Table(
    "incidents",
    metadata,
    *_of_partition(),
    _text("incident_id", primary_key=True),
    _text("kind"),
    _text("severity"),
    _text("first_severity"),
    _text("summary"),
    _json("columns", nullable=False),
    _json("segment", nullable=False),
    Column("flagged", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("segment_records", Integer),
    Column("lift", Double),
    Column("p_value", Double, nullable=False),
    Column("observed", Text),
    Column("expected", Text),
    _text("first_partition"),
    Column("first_detected_at", UtcTime, nullable=False),
    Column("suppression_id", Text),
    *_of_run(scored=True),
    CheckConstraint("kind IN ('pattern', 'single', 'partition')", name="kind"),
    CheckConstraint(SEVERITY.format("severity"), name="severity"),
    CheckConstraint(SEVERITY.format("first_severity"), name="first_severity"),
    CheckConstraint("p_value BETWEEN 0 AND 1", name="p_value"),
    Index(None, "monitor", "incident_id"),
)

labels = Table(
    "labels",
    metadata,
    Column("sequence", Integer, primary_key=True),
    *(_text(name) for name in ("monitor", "partition", "record_key", "label", "note", "author")),
    Column("labelled_at", UtcTime, nullable=False),
    CheckConstraint("label IN ('confirmed', 'expected', 'withdrawn')", name="label"),
    Index(None, "monitor", "partition", "record_key"),
)

suppressions = Table(
    "suppressions",
    metadata,
    _text("suppression_id", primary_key=True),
    _text("monitor"),
    _text("incident_id"),
    _text("summary"),
    _json("columns", nullable=False),
    _json("segment", nullable=False),
    _text("note"),
    _text("author"),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("revoked_by", Text),
    Index(None, "monitor", "expires_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", Integer, primary_key=True),
    _text("monitor"),
    Column("partition", Text),
    _text("kind"),
    _text("severity"),
    _text("endpoint"),
    _text("dedup_key"),
    _text("subject"),
    _text("body_text"),
    _text("body_html"),
    Column("created_at", UtcTime, nullable=False),
    Column("send_after", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("digest_key", Text),
    Column("delivered_at", UtcTime),
    CheckConstraint("kind IN ('incidents', 'refused', 'failed', 'model', 'late')", name="kind"),
    CheckConstraint(SEVERITY.format("severity"), name="severity"),
    UniqueConstraint("dedup_key", "endpoint"),
    Index(None, "endpoint", "delivered_at"),
    Index(None, "monitor", "partition"),
)
Index("ix_outbox_waiting", outbox.c.endpoint, outbox.c.created_at, **_where(outbox.c.delivered_at.is_(None)))

suites = Table(
    "suites",
    metadata,
    _text("monitor", primary_key=True),
    _text("version", primary_key=True),
    _json("body", nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    _text("monitor", primary_key=True),
    _text("version", primary_key=True),
    _text("sha256"),
    _text("status"),
    _text("model"),
    Column("seed", sa.BigInteger, nullable=False),
    _text("window_first"),
    _text("window_last"),
    Column("window_records", sa.BigInteger, nullable=False),
    _text("suite_version"),
    _text("config_hash"),
    _json("metrics", nullable=False),
    Column("created_at", UtcTime, nullable=False),
    CheckConstraint("status IN ('challenger', 'champion', 'retired')", name="status"),
)

Index(
    "uq_model_versions_champion",
    model_versions.c.monitor,
    unique=True,
    **_where(model_versions.c.status == "champion"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("sequence", Integer, primary_key=True),
    _text("monitor"),
    _text("version"),
    _text("reason"),
    Column("promoted_at", UtcTime, nullable=False),
    Column("rolled_back_at", UtcTime),
    ForeignKeyConstraint(["monitor", "version"], ["model_versions.monitor", "model_versions.version"]),
    Index(None, "monitor", "version"),
)

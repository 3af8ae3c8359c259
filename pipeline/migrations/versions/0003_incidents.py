"""Incidents, labels, suppressions, the outbox, what columns measure, and the views of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

JSON = sa.JSON().with_variant(sa.Text(), "sqlite")
SEVERITY = "{0} IN ('info', 'warning', 'critical')"


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("incident_id", sa.Text))
    _create_column_metrics()
    _create_incidents()
    _create_labels()
    _create_suppressions()
    _create_outbox()
    op.execute("DROP VIEW v_anomalies")
    for view in (CURRENT_LABELS, ANOMALIES, INCIDENTS, ALERTS):
        op.execute(view)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _instant(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _of_run() -> list[sa.schema.SchemaItem]:
    names = ("run_id", "model_version", "config_hash")
    return [*(_text(name) for name in names), sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"])]


def _create_column_metrics() -> None:
    op.create_table(
        "column_metrics",
        _text("monitor"),
        _text("partition"),
        _text("column_name"),
        _text("name"),
        sa.Column("value", sa.Double),
        *_of_run(),
        sa.PrimaryKeyConstraint("monitor", "partition", "column_name", "name"),
    )


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        _text("monitor"),
        _text("partition"),
        _text("incident_id"),
        _text("kind"),
        _text("severity"),
        _text("first_severity"),
        _text("summary"),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("segment", JSON, nullable=False),
        sa.Column("flagged", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("segment_records", sa.Integer),
        sa.Column("lift", sa.Double),
        sa.Column("p_value", sa.Double, nullable=False),
        _text("observed", nullable=True),
        _text("expected", nullable=True),
        _text("first_partition"),
        _instant("first_detected_at"),
        _text("suppression_id", nullable=True),
        *_of_run(),
        sa.PrimaryKeyConstraint("monitor", "partition", "incident_id"),
        sa.CheckConstraint("kind IN ('pattern', 'single', 'partition')", name="kind"),
        sa.CheckConstraint(SEVERITY.format("severity"), name="severity"),
        sa.CheckConstraint(SEVERITY.format("first_severity"), name="first_severity"),
        sa.CheckConstraint("p_value BETWEEN 0 AND 1", name="p_value"),
    )
    op.create_index("ix_incidents_incident_id", "incidents", ["monitor", "incident_id"])


def _create_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("sequence", sa.Integer, primary_key=True),
        *(_text(name) for name in ("monitor", "partition", "record_key", "label", "note", "author")),
        _instant("labelled_at"),
        sa.CheckConstraint("label IN ('confirmed', 'expected', 'withdrawn')", name="label"),
    )
    op.create_index("ix_labels_partition", "labels", ["monitor", "partition", "record_key"])


def _create_suppressions() -> None:
    op.create_table(
        "suppressions",
        _text("suppression_id"),
        _text("monitor"),
        _text("incident_id"),
        _text("summary"),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("segment", JSON, nullable=False),
        _text("note"),
        _text("author"),
        _instant("created_at"),
        _instant("expires_at"),
        _instant("revoked_at", nullable=True),
        _text("revoked_by", nullable=True),
        sa.PrimaryKeyConstraint("suppression_id"),
    )
    op.create_index("ix_suppressions_expires_at", "suppressions", ["monitor", "expires_at"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.Integer, primary_key=True),
        _text("monitor"),
        _text("partition", nullable=True),
        _text("kind"),
        _text("severity"),
        _text("endpoint"),
        _text("dedup_key"),
        _text("subject"),
        _text("body_text"),
        _text("body_html"),
        _instant("created_at"),
        _instant("send_after"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _text("last_error", nullable=True),
        _text("digest_key", nullable=True),
        _instant("delivered_at", nullable=True),
        sa.UniqueConstraint("dedup_key", "endpoint"),
        sa.CheckConstraint("kind IN ('incidents', 'refused', 'failed', 'model')", name="kind"),
        sa.CheckConstraint(SEVERITY.format("severity"), name="severity"),
    )
    op.create_index("ix_outbox_delivered_at", "outbox", ["endpoint", "delivered_at"])


CURRENT_LABELS = """
CREATE VIEW v_labels AS
SELECT
    labels.monitor,
    labels."partition",
    labels.record_key,
    labels.label,
    labels.note,
    labels.author,
    labels.labelled_at
FROM labels
WHERE labels.label <> 'withdrawn' AND labels.sequence = (
    SELECT MAX(latest.sequence)
    FROM labels latest
    WHERE latest.monitor = labels.monitor
        AND latest."partition" = labels."partition"
        AND latest.record_key = labels.record_key
)
"""

ANOMALIES = """
CREATE VIEW v_anomalies AS
SELECT
    anomalies.monitor,
    anomalies."partition",
    anomalies.record_key,
    anomalies.score,
    anomalies.p_value,
    anomalies.threshold,
    anomalies.severity,
    anomalies.incident_id,
    anomalies.first_detected_at,
    anomalies.first_score,
    contributions.column_name AS top_column,
    contributions.reason AS top_reason,
    contributions.observed,
    contributions.expected,
    contributions.share AS top_share,
    v_labels.label,
    v_labels.note,
    v_labels.author,
    anomalies.record,
    anomalies.run_id,
    anomalies.model_version,
    anomalies.config_hash
FROM anomalies
LEFT JOIN contributions
    ON contributions.monitor = anomalies.monitor
    AND contributions."partition" = anomalies."partition"
    AND contributions.record_key = anomalies.record_key
    AND contributions.rank = 1
LEFT JOIN v_labels
    ON v_labels.monitor = anomalies.monitor
    AND v_labels."partition" = anomalies."partition"
    AND v_labels.record_key = anomalies.record_key
"""

INCIDENTS = """
CREATE VIEW v_incidents AS
SELECT
    incidents.monitor,
    incidents."partition",
    incidents.incident_id,
    incidents.kind,
    incidents.severity,
    incidents.first_severity,
    incidents.summary,
    incidents.columns,
    incidents.segment,
    incidents.flagged,
    incidents.quarantined,
    incidents.segment_records,
    incidents.lift,
    incidents.p_value,
    incidents.observed,
    incidents.expected,
    incidents.first_partition,
    (
        SELECT COUNT(*)
        FROM incidents same
        WHERE same.monitor = incidents.monitor
            AND same.incident_id = incidents.incident_id
            AND same."partition" <= incidents."partition"
    ) AS partitions_so_far,
    incidents.first_detected_at,
    incidents.suppression_id,
    suppressions.expires_at AS muted_until,
    incidents.run_id,
    incidents.model_version,
    incidents.config_hash
FROM incidents
LEFT JOIN suppressions ON suppressions.suppression_id = incidents.suppression_id
"""

ALERTS = """
CREATE VIEW v_alerts AS
SELECT
    monitor,
    "partition",
    kind,
    severity,
    endpoint,
    dedup_key,
    subject,
    created_at,
    send_after,
    attempts,
    last_error,
    delivered_at
FROM outbox
"""

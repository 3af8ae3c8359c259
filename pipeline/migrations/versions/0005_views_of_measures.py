"""Views of what was left to tables: metrics, drift by column, quarantine; weeks, and how long a label took."""

from __future__ import annotations

from string import Template

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        op.execute("DROP VIEW v_labels")
    for view in (METRICS, COLUMN_METRICS, QUARANTINE, CALENDAR, LABELS):
        op.execute(Template(view).substitute(SQLITE if sqlite else POSTGRESQL))


SQLITE = {
    "create": "CREATE",
    "monday": "date(\"partition\", '-6 days', 'weekday 1')",
    "hours": "24 * (julianday(labels.labelled_at) - julianday(anomalies.first_detected_at))",
}

# A view that others read may gain columns at its end, but not be dropped.
POSTGRESQL = {
    "create": "CREATE OR REPLACE",
    "monday": "to_char(date_trunc('week', CAST(\"partition\" AS date)), 'YYYY-MM-DD')",
    "hours": "CAST(EXTRACT(EPOCH FROM labels.labelled_at - anomalies.first_detected_at) / 3600 AS double precision)",
}

METRICS = """
CREATE VIEW v_metrics AS
SELECT monitor, "partition", name, value, run_id, model_version, config_hash
FROM metrics
"""

COLUMN_METRICS = """
CREATE VIEW v_column_metrics AS
SELECT monitor, "partition", column_name, name, value, run_id, model_version, config_hash
FROM column_metrics
"""

QUARANTINE = """
CREATE VIEW v_quarantine AS
SELECT
    monitor,
    "partition",
    row_number,
    record_key,
    column_name,
    expectation,
    value,
    incident_id,
    record,
    run_id,
    config_hash
FROM quarantine
"""

CALENDAR = """
CREATE VIEW v_calendar AS
SELECT "partition", $monday AS week, substr("partition", 1, 7) AS month
FROM (SELECT DISTINCT "partition" FROM runs WHERE "partition" IS NOT NULL) partitions
"""

LABELS = """
$create VIEW v_labels AS
SELECT
    labels.monitor,
    labels."partition",
    labels.record_key,
    labels.label,
    labels.note,
    labels.author,
    labels.labelled_at,
    anomalies.first_detected_at,
    $hours AS hours_to_label
FROM labels
LEFT JOIN anomalies
    ON anomalies.monitor = labels.monitor
    AND anomalies."partition" = labels."partition"
    AND anomalies.record_key = labels.record_key
WHERE labels.label <> 'withdrawn' AND labels.sequence = (
    SELECT MAX(latest.sequence)
    FROM labels latest
    WHERE latest.monitor = labels.monitor
        AND latest."partition" = labels."partition"
        AND latest.record_key = labels.record_key
)
"""

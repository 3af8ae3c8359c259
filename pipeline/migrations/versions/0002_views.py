"""The views that dashboards read. Their columns are an interface, described in docs/store.md."""

from __future__ import annotations

from string import Template

from alembic import op

revision = "0002"
down_revision = "0001"

# A run that says `running` for longer was killed: the longest honest one, a training, takes minutes.
STALE_HOURS = 6


def upgrade() -> None:
    words = SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL
    for view in (PARTITION_SUMMARY, ANOMALIES, COLUMN_REASONS, MODEL_HISTORY, HEALTH):
        op.execute(Template(view).substitute(words))


SQLITE = {
    "read": "json_extract(done.counts, '$.read')",
    "accepted": "json_extract(done.counts, '$.accepted')",
    "quarantined": "json_extract(done.counts, '$.quarantined')",
    "stale_before": f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{STALE_HOURS} hours')",
}

POSTGRESQL = {
    "read": "done.counts ->> 'read'",
    "accepted": "done.counts ->> 'accepted'",
    "quarantined": "done.counts ->> 'quarantined'",
    "stale_before": f"now() - interval '{STALE_HOURS} hours'",
}

PARTITION_SUMMARY = """
CREATE VIEW v_partition_summary AS
WITH ends AS (
    SELECT
        monitor,
        "partition",
        MAX(sequence) AS latest,
        MAX(CASE WHEN status = 'done' THEN sequence END) AS done,
        MAX(CASE WHEN status = 'done' AND kind IN ('score', 'run') THEN sequence END) AS scored
    FROM runs
    WHERE kind <> 'train' AND "partition" IS NOT NULL
    GROUP BY monitor, "partition"
),
flags AS (
    SELECT monitor, "partition", COUNT(*) AS flagged, MAX(score) AS worst_score
    FROM anomalies
    GROUP BY monitor, "partition"
),
checks AS (
    SELECT
        monitor,
        "partition",
        COUNT(*) AS expectations,
        SUM(CASE WHEN success THEN 0 ELSE 1 END) AS broken_expectations
    FROM validations
    GROUP BY monitor, "partition"
)
SELECT
    ends.monitor,
    ends."partition",
    latest.status,
    latest.kind,
    latest.reason,
    latest.run_id,
    latest.started_at,
    latest.finished_at,
    done.finished_at AS validated_at,
    scored.finished_at AS scored_at,
    scored.model_version,
    CAST($read AS BIGINT) AS records_read,
    CAST($accepted AS BIGINT) AS accepted,
    CAST($quarantined AS BIGINT) AS quarantined,
    CASE WHEN scored.run_id IS NOT NULL THEN COALESCE(flags.flagged, 0) END AS flagged,
    flags.worst_score,
    COALESCE(checks.expectations, 0) AS expectations,
    COALESCE(checks.broken_expectations, 0) AS broken_expectations
FROM ends
JOIN runs latest ON latest.sequence = ends.latest
LEFT JOIN runs done ON done.sequence = ends.done
LEFT JOIN runs scored ON scored.sequence = ends.scored
LEFT JOIN flags ON flags.monitor = ends.monitor AND flags."partition" = ends."partition"
LEFT JOIN checks ON checks.monitor = ends.monitor AND checks."partition" = ends."partition"
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
"""

COLUMN_REASONS = """
CREATE VIEW v_column_reasons AS
SELECT
    monitor,
    "partition",
    column_name,
    reason,
    COUNT(*) AS anomalies,
    SUM(CASE WHEN rank = 1 THEN 1 ELSE 0 END) AS ranked_first,
    AVG(share) AS mean_share
FROM contributions
GROUP BY monitor, "partition", column_name, reason
"""

MODEL_HISTORY = """
CREATE VIEW v_model_history AS
SELECT
    model_versions.monitor,
    model_versions.version,
    model_versions.status,
    model_versions.model,
    model_versions.seed,
    model_versions.window_first,
    model_versions.window_last,
    model_versions.window_records,
    model_versions.suite_version,
    model_versions.config_hash,
    model_versions.metrics,
    model_versions.sha256,
    model_versions.created_at,
    promotions.promoted_at,
    promotions.reason AS promotion_reason,
    promotions.rolled_back_at,
    (
        SELECT COUNT(DISTINCT runs."partition")
        FROM runs
        WHERE runs.monitor = model_versions.monitor
            AND runs.model_version = model_versions.version
            AND runs.status = 'done'
            AND runs.kind IN ('score', 'run')
    ) AS partitions_scored
FROM model_versions
LEFT JOIN promotions ON promotions.sequence = (
    SELECT MAX(latest.sequence)
    FROM promotions latest
    WHERE latest.monitor = model_versions.monitor AND latest.version = model_versions.version
)
"""

HEALTH = """
CREATE VIEW v_health AS
WITH ends AS (
    SELECT
        monitor,
        MAX(sequence) AS latest,
        MAX(CASE WHEN status = 'done' AND kind IN ('score', 'run') THEN sequence END) AS scored,
        SUM(CASE WHEN status = 'running' AND started_at >= $stale_before THEN 1 ELSE 0 END) AS running,
        SUM(CASE WHEN status = 'running' AND started_at < $stale_before THEN 1 ELSE 0 END) AS stale
    FROM runs
    GROUP BY monitor
),
troubles AS (
    SELECT
        monitor,
        SUM(CASE WHEN status IN ('refused', 'empty') THEN 1 ELSE 0 END) AS refused_partitions,
        SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed_partitions
    FROM v_partition_summary
    GROUP BY monitor
)
SELECT
    ends.monitor,
    latest.kind AS last_kind,
    latest.status AS last_status,
    latest."partition" AS last_partition,
    latest.reason AS last_reason,
    latest.started_at AS last_started_at,
    latest.finished_at AS last_finished_at,
    scored."partition" AS last_scored_partition,
    scored.finished_at AS last_scored_at,
    ends.running,
    ends.stale,
    COALESCE(troubles.refused_partitions, 0) AS refused_partitions,
    COALESCE(troubles.failed_partitions, 0) AS failed_partitions,
    champions.version AS champion,
    champions.promoted_at AS champion_promoted_at,
    champions.window_last AS champion_window_last
FROM ends
JOIN runs latest ON latest.sequence = ends.latest
LEFT JOIN runs scored ON scored.sequence = ends.scored
LEFT JOIN troubles ON troubles.monitor = ends.monitor
LEFT JOIN v_model_history champions ON champions.monitor = ends.monitor AND champions.status = 'champion'
"""

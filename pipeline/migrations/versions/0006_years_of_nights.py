"""What keeps years of nights fast to read: indexes, and views that look a partition up instead of counting all."""

from __future__ import annotations

from string import Template

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    _create_indexes()
    if sqlite:
        for view in ("v_health", "v_partition_summary", "v_anomalies"):
            op.execute(f"DROP VIEW {view}")
    for view in (PARTITION_SUMMARY, ANOMALIES, HEALTH):
        op.execute(Template(view).substitute(SQLITE if sqlite else POSTGRESQL))


def _create_indexes() -> None:
    op.drop_index("ix_runs_partition", "runs")
    op.create_index("ix_runs_partition", "runs", ["monitor", "partition", "sequence", "status", "kind"])
    op.create_index("ix_runs_model_version", "runs", ["monitor", "model_version"])
    op.create_index("ix_runs_dag_run", "runs", ["dag_run"])
    running = sa.text("status = 'running'")
    op.create_index("ix_runs_running", "runs", ["monitor"], sqlite_where=running, postgresql_where=running)
    op.create_index("ix_outbox_partition", "outbox", ["monitor", "partition"])
    waiting = sa.text("delivered_at IS NULL")
    op.create_index(
        "ix_outbox_waiting", "outbox", ["endpoint", "created_at"], sqlite_where=waiting, postgresql_where=waiting
    )


# Six hours: a run that says `running` for longer was killed.
SQLITE = {
    "create": "CREATE",
    "read": "json_extract(done.counts, '$.read')",
    "accepted": "json_extract(done.counts, '$.accepted')",
    "quarantined": "json_extract(done.counts, '$.quarantined')",
    "flagged": "json_extract(scored.counts, '$.flagged')",
    "stale_before": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-6 hours')",
}

# A view that is replaced keeps its grants.
POSTGRESQL = {
    "create": "CREATE OR REPLACE",
    "read": "done.counts ->> 'read'",
    "accepted": "done.counts ->> 'accepted'",
    "quarantined": "done.counts ->> 'quarantined'",
    "flagged": "scored.counts ->> 'flagged'",
    "stale_before": "now() - interval '6 hours'",
}

# Of a partition that was pruned the run's count is left. What is joined by more than its key says of which monitor it
# is, so that only the runs of that one are read.
PARTITION_SUMMARY = """
$create VIEW v_partition_summary AS
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
    CASE WHEN scored.run_id IS NOT NULL THEN COALESCE((
        SELECT NULLIF(COUNT(*), 0)
        FROM anomalies
        WHERE anomalies.monitor = ends.monitor AND anomalies."partition" = ends."partition"
    ), CAST($flagged AS BIGINT), 0) END AS flagged,
    (
        SELECT MAX(anomalies.score)
        FROM anomalies
        WHERE anomalies.monitor = ends.monitor AND anomalies."partition" = ends."partition"
    ) AS worst_score,
    (
        SELECT COUNT(*)
        FROM validations
        WHERE validations.monitor = ends.monitor AND validations."partition" = ends."partition"
    ) AS expectations,
    (
        SELECT COUNT(*)
        FROM validations
        WHERE validations.monitor = ends.monitor AND validations."partition" = ends."partition"
            AND NOT validations.success
    ) AS broken_expectations
FROM ends
JOIN runs latest ON latest.monitor = ends.monitor AND latest.sequence = ends.latest
LEFT JOIN runs done ON done.monitor = ends.monitor AND done.sequence = ends.done
LEFT JOIN runs scored ON scored.monitor = ends.monitor AND scored.sequence = ends.scored
"""

ANOMALIES = """
$create VIEW v_anomalies AS
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
    labels.label,
    labels.note,
    labels.author,
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
LEFT JOIN labels
    ON labels.monitor = anomalies.monitor
    AND labels."partition" = anomalies."partition"
    AND labels.record_key = anomalies.record_key
    AND labels.label <> 'withdrawn'
    AND NOT EXISTS (
        SELECT 1
        FROM labels later
        WHERE later.monitor = labels.monitor
            AND later."partition" = labels."partition"
            AND later.record_key = labels.record_key
            AND later.sequence > labels.sequence
    )
"""

HEALTH = """
$create VIEW v_health AS
WITH ends AS (
    SELECT
        monitor,
        MAX(sequence) AS latest,
        MAX(CASE WHEN status = 'done' AND kind IN ('score', 'run') THEN sequence END) AS scored
    FROM runs
    GROUP BY monitor
),
unfinished AS (
    SELECT
        monitor,
        SUM(CASE WHEN started_at >= $stale_before THEN 1 ELSE 0 END) AS running,
        SUM(CASE WHEN started_at < $stale_before THEN 1 ELSE 0 END) AS stale
    FROM runs
    WHERE status = 'running'
    GROUP BY monitor
),
troubles AS (
    SELECT
        monitor,
        SUM(CASE WHEN status IN ('refused', 'empty') THEN 1 ELSE 0 END) AS refused_partitions,
        SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed_partitions
    FROM runs
    WHERE status IN ('refused', 'empty', 'failed')
        AND kind <> 'train'
        AND "partition" IS NOT NULL
        AND NOT EXISTS (
            SELECT 1
            FROM runs later
            WHERE later.monitor = runs.monitor
                AND later."partition" = runs."partition"
                AND later.sequence > runs.sequence
                AND later.kind <> 'train'
        )
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
    COALESCE(unfinished.running, 0) AS running,
    COALESCE(unfinished.stale, 0) AS stale,
    COALESCE(troubles.refused_partitions, 0) AS refused_partitions,
    COALESCE(troubles.failed_partitions, 0) AS failed_partitions,
    champions.version AS champion,
    champions.promoted_at AS champion_promoted_at,
    champions.window_last AS champion_window_last
FROM ends
JOIN runs latest ON latest.sequence = ends.latest
LEFT JOIN runs scored ON scored.sequence = ends.scored
LEFT JOIN unfinished ON unfinished.monitor = ends.monitor
LEFT JOIN troubles ON troubles.monitor = ends.monitor
LEFT JOIN v_model_history champions ON champions.monitor = ends.monitor AND champions.status = 'champion'
"""

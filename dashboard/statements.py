"""The SQL of the dashboard: what it reads, and nothing that writes. SQLite and PostgreSQL alike."""

from __future__ import annotations

HEALTH = "SELECT * FROM v_health ORDER BY monitor"

# By their first, so that what a night's row adds up is added up of these nights only.
NIGHTS = """
SELECT * FROM v_partition_summary WHERE monitor = :monitor AND "partition" >= (
  SELECT min("partition") FROM (
    SELECT "partition" FROM v_partition_summary WHERE monitor = :monitor ORDER BY "partition" DESC LIMIT :nights
  ) AS latest
)
ORDER BY "partition" DESC
"""

PARTITIONS = """
SELECT "partition" FROM v_partition_summary WHERE monitor = :monitor ORDER BY "partition" DESC
"""

OF_DAG_RUN = """
SELECT monitor, "partition", kind, status, reason, started_at FROM runs WHERE dag_run = :dag_run
ORDER BY sequence DESC LIMIT 1
"""

INCIDENTS = """
SELECT * FROM v_incidents WHERE monitor = :monitor AND "partition" = :partition
ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, p_value, incident_id LIMIT :most
"""

HISTORY = """
SELECT * FROM v_incidents WHERE monitor = :monitor AND incident_id = :incident_id
ORDER BY "partition" DESC LIMIT :nights
"""

FLAGGED = """
SELECT * FROM v_anomalies WHERE monitor = :monitor AND "partition" = :partition
ORDER BY score DESC, record_key LIMIT :most
"""

FLAGGED_OF_INCIDENT = """
SELECT * FROM v_anomalies WHERE monitor = :monitor AND "partition" = :partition AND incident_id = :incident_id
ORDER BY score DESC, record_key LIMIT :most
"""

FLAGGED_RECORD = """
SELECT * FROM v_anomalies WHERE monitor = :monitor AND "partition" = :partition AND record_key = :record_key
"""

SCORES = """
SELECT score FROM v_anomalies WHERE monitor = :monitor AND "partition" = :partition ORDER BY score DESC LIMIT :most
"""

QUARANTINED = """
SELECT * FROM quarantine WHERE monitor = :monitor AND "partition" = :partition ORDER BY position LIMIT :most
"""

QUARANTINED_OF_INCIDENT = """
SELECT * FROM quarantine WHERE monitor = :monitor AND "partition" = :partition AND incident_id = :incident_id
ORDER BY position LIMIT :most
"""

QUARANTINED_RECORD = """
SELECT * FROM quarantine WHERE monitor = :monitor AND "partition" = :partition AND record_key = :record_key
ORDER BY position LIMIT :most
"""

WHY_RECORD = """
SELECT * FROM contributions WHERE monitor = :monitor AND "partition" = :partition AND record_key = :record_key
ORDER BY rank
"""

NEIGHBOURS = """
SELECT * FROM v_neighbours WHERE monitor = :monitor AND "partition" = :partition AND record_key = :record_key
ORDER BY rank
"""

WHY_INCIDENT = """
SELECT contributions.* FROM contributions
JOIN anomalies ON anomalies.monitor = contributions.monitor AND anomalies."partition" = contributions."partition"
    AND anomalies.record_key = contributions.record_key
WHERE contributions.monitor = :monitor AND contributions."partition" = :partition
    AND anomalies.incident_id = :incident_id
ORDER BY anomalies.score DESC, contributions.record_key, contributions.rank LIMIT :most
"""

LABELS = """
SELECT * FROM v_labels WHERE monitor = :monitor AND "partition" = :partition ORDER BY record_key LIMIT :most
"""

RATES = """
SELECT "partition",
    MAX(CASE WHEN name = 'flagged_rate' THEN value END) AS flagged,
    MAX(CASE WHEN name = 'asked_rate' THEN value END) AS asked,
    MAX(CASE WHEN name = 'canary_recall' THEN value END) AS caught
FROM metrics WHERE monitor = :monitor GROUP BY "partition" ORDER BY "partition" DESC LIMIT :nights
"""

DRIFT = """
SELECT "partition", column_name, value FROM column_metrics
WHERE monitor = :monitor AND name = :name AND value IS NOT NULL AND "partition" IN (
    SELECT DISTINCT "partition" FROM column_metrics WHERE monitor = :monitor ORDER BY "partition" DESC LIMIT :nights
)
ORDER BY "partition", column_name
"""

# Of the table: the view looks up a reason and a label for each record.
WOULD_STAY = """
SELECT nights."partition", COUNT(a.record_key) AS flagged,
    COALESCE(SUM(CASE WHEN a.p_value <= :rate THEN 1 ELSE 0 END), 0) AS stay
FROM (
    SELECT DISTINCT "partition" FROM metrics WHERE monitor = :monitor ORDER BY "partition" DESC LIMIT :nights
) nights
LEFT JOIN anomalies a ON a.monitor = :monitor AND a."partition" = nights."partition"
GROUP BY nights."partition"
"""

EXPECTATIONS = """
SELECT scope, expectation, column_name, kwargs, severity, origin, success, checked, unexpected, observed AS found
FROM validations WHERE monitor = :monitor AND "partition" = :partition ORDER BY success, severity, position
"""

BROKEN = """
SELECT "partition", column_name, expectation, kwargs, severity, scope, checked, unexpected, observed AS found
FROM validations
WHERE monitor = :monitor AND NOT success AND "partition" IN (
    SELECT DISTINCT "partition" FROM validations WHERE monitor = :monitor ORDER BY "partition" DESC LIMIT :nights
)
ORDER BY "partition" DESC, severity, position LIMIT :most
"""

QUARANTINE_REASONS = """
SELECT "partition", column_name, expectation, COUNT(*) AS records FROM quarantine
WHERE monitor = :monitor AND "partition" IN (
    SELECT DISTINCT "partition" FROM quarantine WHERE monitor = :monitor ORDER BY "partition" DESC LIMIT :nights
)
GROUP BY "partition", column_name, expectation ORDER BY "partition", records DESC LIMIT :most
"""

MODELS = """
SELECT * FROM v_model_history WHERE monitor = :monitor ORDER BY created_at DESC, version DESC LIMIT :most
"""

UNDELIVERED = "SELECT COUNT(*) AS waiting FROM v_alerts WHERE delivered_at IS NULL AND attempts > 0"

SUPPRESSIONS = """
SELECT suppression_id, incident_id, summary, note, author, created_at, expires_at, revoked_at FROM suppressions
WHERE monitor = :monitor ORDER BY created_at DESC, suppression_id LIMIT :most
"""

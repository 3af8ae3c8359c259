"""A store that nights have gone into for long, filled by SQL: the same rows on SQLite and PostgreSQL.

Each partition has 10 validations, 15 metrics, 2 metrics of each of 10 columns, 2 broken rules, an incident and a
message; every 30th night a new model version was promoted, every tenth anomaly bears a label, and every hundredth
message did not arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

import sqlalchemy as sa


@dataclass(frozen=True)
class Years:
    """How large the store is: `anomalies` in each partition, each with five contributions."""

    monitors: int
    nights: int
    anomalies: int

    def fill(self, engine: sa.Engine) -> None:
        """Put the rows into the empty tables of a migrated store and have the database count them."""
        postgresql = engine.dialect.name == "postgresql"
        sizes = {"monitors": self.monitors, "nights": self.nights, "anomalies": self.anomalies}
        words = (POSTGRESQL if postgresql else SQLITE) | {name: str(size) for name, size in sizes.items()}
        with engine.execution_options(no_parameters=True).begin() as connection:  # a % is a %
            if postgresql:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no look at each row's run
            for statement in filter(str.strip, Template(ROWS).substitute(words).split(";")):
                connection.exec_driver_sql(statement)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE" if postgresql else "ANALYZE")


SQLITE = {
    "day": "date('2012-12-31', i || ' days')",
    "instant": "night || ' 02:00:00.000000'",
    "counts": '\'{"read": 1000, "accepted": 990, "quarantined": 10, "flagged": 2}\'',
    "json": "'{}'",
    "list": "'[]'",
    "true": "1",
}
POSTGRESQL = {
    "day": "to_char(date '2012-12-31' + i, 'YYYY-MM-DD')",
    "instant": "CAST(night || ' 02:00:00+00' AS timestamptz)",
    "counts": 'CAST(\'{"read": 1000, "accepted": 990, "quarantined": 10, "flagged": 2}\' AS json)',
    "json": "CAST('{}' AS json)",
    "list": "CAST('[]' AS json)",
    "true": "true",
}

ROWS = """
CREATE TEMPORARY TABLE numbers AS
WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < 1000) SELECT i FROM counted;

CREATE TEMPORARY TABLE nights AS
SELECT 'm' || substr(CAST(1000 + m.i AS text), 2) AS monitor, day.night, day.i AS nth, day.at,
    'r' || day.i || '-' || m.i AS run_id, 'v' || (day.i / 30) AS version
FROM (SELECT i, night, $instant AS at FROM (SELECT i, $day AS night FROM numbers WHERE i <= $nights) days) day
CROSS JOIN (SELECT i FROM numbers WHERE i <= $monitors) m
ORDER BY day.i, m.i;

INSERT INTO runs (run_id, monitor, "partition", kind, status, counts, model_version, config_hash, started_at,
    finished_at, dag_run)
SELECT run_id, monitor, night, 'run', CASE WHEN nth % 50 = 0 THEN 'refused' ELSE 'done' END, $counts, version, 'c', at,
    at, 'score_' || monitor || '/' || night
FROM nights ORDER BY nth, monitor;

INSERT INTO validations (monitor, "partition", position, scope, expectation, kwargs, severity, origin, success, checked,
    unexpected, run_id, config_hash)
SELECT monitor, night, i, 'record', 'expect', $json, 'error', 'learned', CAST($true AS boolean), 1000, 0, run_id, 'c'
FROM nights CROSS JOIN numbers WHERE i <= 10 ORDER BY nth, monitor;

INSERT INTO quarantine (monitor, "partition", position, row_number, record_key, column_name, expectation, value, record,
    run_id, config_hash, incident_id)
SELECT monitor, night, i, i, 'k' || i, 'distance', 'expect', '-5', $json, run_id, 'c', 'i' || (nth / 7)
FROM nights CROSS JOIN numbers WHERE i <= 2 ORDER BY nth, monitor;

INSERT INTO anomalies (monitor, "partition", record_key, score, p_value, threshold, severity, incident_id,
    first_detected_at, first_score, record, run_id, model_version, config_hash)
SELECT monitor, night, 'k' || i, 2.0 + (i * 37 + nth) % 101, 0.0001 * (1 + i % 9), 1.0,
    CASE WHEN i % 3 = 0 THEN 'info' ELSE 'warning' END, 'i' || (nth / 7), at, 3.0, $json, run_id, version, 'c'
FROM nights CROSS JOIN numbers WHERE i <= $anomalies ORDER BY nth, monitor;

INSERT INTO contributions (monitor, "partition", record_key, rank, column_name, observed, expected, share, reason,
    run_id, model_version, config_hash)
SELECT monitor, "partition", record_key, i, 'c' || i, '800', '4', 0.2, 'reconstruction', run_id, model_version, 'c'
FROM anomalies CROSS JOIN numbers WHERE i <= 5 ORDER BY "partition", monitor;

INSERT INTO metrics (monitor, "partition", name, value, run_id, model_version, config_hash)
SELECT monitor, night, CASE i WHEN 1 THEN 'flagged_rate' WHEN 2 THEN 'asked_rate' ELSE 'metric' || i END, 0.001, run_id,
    version, 'c'
FROM nights CROSS JOIN numbers WHERE i <= 15 ORDER BY nth, monitor;

INSERT INTO column_metrics (monitor, "partition", column_name, name, value, run_id, model_version, config_hash)
SELECT monitor, night, 'c' || (i / 2), CASE i % 2 WHEN 0 THEN 'psi' ELSE 'ks' END, 0.1, run_id, version, 'c'
FROM nights CROSS JOIN numbers WHERE i <= 20 ORDER BY nth, monitor;

INSERT INTO incidents (monitor, "partition", incident_id, kind, severity, first_severity, summary, columns, segment,
    flagged, quarantined, p_value, first_partition, first_detected_at, run_id, model_version, config_hash)
SELECT monitor, night, 'i' || (nth / 7), 'pattern', 'warning', 'warning', 'late', $list, $list, $anomalies, 2, 0.0001,
    night, at, run_id, version, 'c'
FROM nights ORDER BY nth, monitor;

INSERT INTO outbox (monitor, "partition", kind, severity, endpoint, dedup_key, subject, body_text, body_html,
    created_at, send_after, attempts, delivered_at)
SELECT monitor, night, 'incidents', 'warning', 'ops', run_id, 'late', 'text', 'html', at, at, 1,
    CASE WHEN nth % 100 > 0 THEN at END
FROM nights ORDER BY nth, monitor;

INSERT INTO labels (monitor, "partition", record_key, label, note, author, labelled_at)
SELECT monitor, "partition", record_key, 'confirmed', '', 'ann', first_detected_at
FROM anomalies WHERE CAST(score AS integer) % 10 = 0 ORDER BY "partition", monitor;

INSERT INTO model_versions (monitor, version, sha256, status, model, seed, window_first, window_last, window_records,
    suite_version, config_hash, metrics, created_at)
SELECT monitor, version, '', CASE WHEN nth + 30 > $nights THEN 'champion' ELSE 'retired' END, 'ensemble', 1, night,
    night, 1000, 's', 'c', $json, at
FROM nights WHERE nth % 30 = 0 ORDER BY nth, monitor;

INSERT INTO promotions (monitor, version, reason, promoted_at)
SELECT monitor, version, 'gate', created_at FROM model_versions ORDER BY window_last, monitor;

DROP TABLE nights;
DROP TABLE numbers
"""

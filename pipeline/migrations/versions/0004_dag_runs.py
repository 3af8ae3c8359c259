"""The DAG run behind a run, and alerts of nights that are late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("dag_run", sa.Text))
    op.execute("DROP VIEW v_alerts")
    kind = op.f("ck_outbox_kind")
    # SQLite changes a constraint only by copying the table.
    with op.batch_alter_table("outbox") as outbox:
        outbox.drop_constraint(kind, type_="check")
        outbox.create_check_constraint(kind, "kind IN ('incidents', 'refused', 'failed', 'model', 'late')")
    op.execute(ALERTS)


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

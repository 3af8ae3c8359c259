"""Normal records beside the flagged ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

JSON = sa.JSON().with_variant(sa.Text(), "sqlite")

VIEW = """
CREATE VIEW v_neighbours AS
SELECT
    monitor,
    "partition",
    record_key,
    rank,
    neighbour_key,
    distance,
    record,
    run_id,
    model_version,
    config_hash
FROM neighbours
"""


def upgrade() -> None:
    op.create_table(
        "neighbours",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("monitor", "partition", "record_key")),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("neighbour_key", sa.Text, nullable=False),
        sa.Column("distance", sa.Double, nullable=False),
        sa.Column("record", JSON, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("run_id", "model_version", "config_hash")),
        sa.PrimaryKeyConstraint("monitor", "partition", "record_key", "rank"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.ForeignKeyConstraint(
            ["monitor", "partition", "record_key"],
            ["anomalies.monitor", "anomalies.partition", "anomalies.record_key"],
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("distance BETWEEN -1e+308 AND 1e+308", name="distance"),
    )
    op.execute(VIEW)
